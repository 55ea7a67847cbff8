// WalLedger: what a log was given and has promised, and whether what comes back keeps to it. Knows
// nothing of how the log works.
#ifndef IOENGINE_TESTS_ENGINE_WAL_WAL_LEDGER_H_
#define IOENGINE_TESTS_ENGINE_WAL_WAL_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/wal/durability.h"
#include "ioengine/engine/wal/wal_reader.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/engine/wal/wal_writer.h"

namespace ioengine {

// The bytes of a record, which depend on its stream, number and size.
std::string WalRecordContent(uint64_t stream, uint64_t record, size_t size_bytes);

// Of one stream; outlives power cuts, as whoever was told of it does. Is itself the sink and the
// visitor of its stream.
class WalLedger final : public WalSink, public WalVisitor {
 public:
  explicit WalLedger(const WalStream& stream) : stream_(stream) {}

  // While it is written.
  void OnAppend(uint64_t record, size_t size_bytes);
  void OnReached(Durability level, uint64_t record) override;
  void OnFailed(const absl::Status& error) override;
  // Is durable elsewhere: replay begins there.
  void SetStart(const WalStart& start, uint64_t released) {
    start_ = start;
    released_ = released;
  }

  // From now on what is only written may be gone.
  void OnPowerCut() { was_cut_ = true; }

  // While it is read.
  void BeginReplay();
  absl::Status OnRecord(uint64_t record, std::span<const std::byte> bytes) override;
  // DataLoss: what came back is not what was promised. Otherwise it is promised from now on, since
  // others may be told of it.
  absl::Status EndReplay(const WalEnd& end);

  const WalStream& stream() const { return stream_; }
  const WalStart& start() const { return start_; }
  uint64_t appended() const { return sizes_.size(); }
  uint64_t durable() const { return durable_; }
  uint64_t written() const { return written_; }
  const absl::Status& failure() const { return failure_; }
  // Of the last replay.
  uint64_t replayed() const { return last_ - first_ + 1; }

  std::optional<WalSeal> seal;
  uint64_t segment_bytes = 0;  // as ROOT has it

 private:
  const WalStream stream_;
  WalStart start_;
  uint64_t released_ = 0;
  std::vector<size_t> sizes_;
  uint64_t written_ = 0;
  uint64_t durable_ = 0;
  bool was_cut_ = false;
  absl::Status failure_;
  uint64_t first_ = 0;
  uint64_t last_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_ENGINE_WAL_WAL_LEDGER_H_
