// StoreReader: look-ups in all places where a store's changes are.
#ifndef IOENGINE_ENGINE_STORE_READER_H_
#define IOENGINE_ENGINE_STORE_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/engine/lsm/read_view.h"
#include "ioengine/engine/pinned_value.h"
#include "ioengine/engine/snapshot.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// Shard: that of the source. Ownership: borrows it, and keys until the call's task has ended.
// Errors: those of ReadViewSource::MayRead and of VersionLookup.
class StoreReader {
 public:
  explicit StoreReader(const ReadViewSource& source) : source_(source) {}
  StoreReader(const StoreReader&) = delete;
  StoreReader& operator=(const StoreReader&) = delete;

  // See ShardStore. Cost of Get and GetPinned: one task where memory and cache have all that is
  // looked at; a read of the device for each block that they do not have.
  Task<absl::StatusOr<std::optional<std::string>>> Get(std::string_view key,
                                                       std::optional<Snapshot> snapshot);
  Task<absl::StatusOr<PinnedValue>> GetPinned(std::string_view key,
                                              std::optional<Snapshot> snapshot);
  // Cost: all keys are looked for in memory without a pause, which makes them those of one moment.
  // Then one task, and up to kMostReads more where blocks must be read.
  Task<absl::StatusOr<std::vector<std::optional<std::string>>>> MultiGet(
      std::vector<std::string_view> keys, std::optional<Snapshot> snapshot);

  // Keys that were looked for.
  uint64_t reads() const { return reads_; }

  // So many keys of a MultiGet wait for blocks at a time.
  static constexpr size_t kMostReads = 64;

 private:
  class ManyKeys;

  // For a value in it; null where it is to be copied.
  std::shared_ptr<const Memtable> Keep(const std::shared_ptr<const Memtable>& memtable);

  const ReadViewSource& source_;
  uint64_t reads_ = 0;
  std::weak_ptr<const Memtable> kept_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_STORE_READER_H_
