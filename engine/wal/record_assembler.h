// RecordAssembler: makes records of the fragments in frames.
#ifndef IOENGINE_ENGINE_WAL_RECORD_ASSEMBLER_H_
#define IOENGINE_ENGINE_WAL_RECORD_ASSEMBLER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/wal/wal_reader.h"

namespace ioengine {

// Shard: one.
class RecordAssembler {
 public:
  // Borrows `visitor`. `first_record` is the first one that ends in the frames that come;
  // `may_begin_within`: its begin may lie before them, and then it is not needed.
  RecordAssembler(WalVisitor& visitor, uint64_t first_record, bool may_begin_within)
      : visitor_(visitor), next_record_(first_record), may_begin_within_(may_begin_within) {}

  // The next frame's body. Errors: DataLoss, when it does not continue what was there or is not as
  // its header says; the visitor's.
  absl::Status Take(const WalFrameHeader& header, std::span<const std::byte> body);

  uint64_t next_record() const { return next_record_; }

 private:
  absl::Status TakeFragment(const WalFragment& fragment);

  WalVisitor& visitor_;
  uint64_t next_record_;
  bool may_begin_within_;  // nothing was taken yet
  bool skips_ = false;     // what is left of a record whose begin is not there
  bool has_begin_ = false;
  std::vector<std::byte> begin_;  // of a record that goes on
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_RECORD_ASSEMBLER_H_
