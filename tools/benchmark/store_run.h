// A store of the suite `store`, on a shard of a runtime of its own.
#ifndef IOENGINE_TOOLS_BENCHMARK_STORE_RUN_H_
#define IOENGINE_TOOLS_BENCHMARK_STORE_RUN_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/sched/histogram.h"

namespace ioengine::bench {

// What all workloads of a run have in common.
struct StoreSettings {
  uint64_t keys = 1'000'000;  // of 16 bytes
  uint64_t value_bytes = 100;
  uint64_t operations = 0;  // of each workload that has no end of its own; 0: as many as keys
  uint64_t depth = 64;      // tasks
  uint64_t memtable_bytes = uint64_t{64} << 20;
  uint64_t cache_bytes = uint64_t{32} << 20;
  Durability durability = Durability::kWritten;
  PlacementSpec placement;
  double log_seconds = 1;
  uint64_t seed = 1;
  const std::atomic<bool>* cancelled = nullptr;

  uint64_t operation_count() const { return operations == 0 ? keys : operations; }
};

enum class KeyOrder { kAscending, kRandom };

struct StoreLoad {
  KeyOrder order = KeyOrder::kRandom;
  uint64_t operations = UINT64_MAX;
  double seconds = 0;  // it ends after so long; 0: only with its operations
  uint64_t depth = 1;
  Durability durability = Durability::kWritten;
  uint64_t seed = 1;
};

struct StoreOutcome {
  uint64_t operations = 0;
  uint64_t bytes = 0;  // of keys and values
  double seconds = 0;
  double cpu_seconds = 0;  // of the process
  Histogram latency_ns;
};

// Calls block; the benchmark's own thread makes them. Each gives the store's error, or Cancelled
// when the run is interrupted.
class StoreRun {
 public:
  // Nothing is open yet. `memtable_bytes` takes the place of the settings' if it is not 0.
  static absl::StatusOr<std::unique_ptr<StoreRun>> Start(const StoreSettings& settings,
                                                         std::string directory,
                                                         uint64_t memtable_bytes = 0);
  StoreRun(const StoreRun&) = delete;
  StoreRun& operator=(const StoreRun&) = delete;
  // Ends it as Kill does.
  ~StoreRun();

  absl::Status Open();
  absl::Status Put(const StoreLoad& load, StoreOutcome* outcome);
  // Of random keys, present or not.
  absl::Status Get(const StoreLoad& load, StoreOutcome* outcome);
  // Of all, by a cursor.
  absl::Status Scan(StoreOutcome* outcome);
  // Waits until what is in memory is in tables, and these are compacted.
  absl::Status Compact();
  absl::Status Close();
  // Drops the store without closing it: what it leaves is what a killed process would.
  absl::Status Kill();

  // Reads the files of the log as ReadWal does, and does nothing with them.
  absl::Status ReadLogFiles(uint64_t* bytes);

  absl::StatusOr<StoreStats> Stats();
  const RuntimeInfo& info() const { return runtime_->Info(); }

  // Of keys that were ever put, with their values.
  uint64_t live_bytes() const { return live_keys_ * (kKeyBytes + settings_.value_bytes); }

 private:
  static constexpr size_t kKeyBytes = 16;
  struct Progress;

  StoreRun(const StoreSettings& settings, std::string directory)
      : settings_(settings), directory_(std::move(directory)) {}

  static Task<absl::Status> OpenOnShard(Shard& shard, StoreRun* run);
  static Task<absl::Status> LoadOnShard(Shard& shard, StoreRun* run, const StoreLoad* load,
                                        bool puts, StoreOutcome* outcome);
  static Task<absl::Status> PutSome(StoreRun* run, Progress* progress);
  static Task<absl::Status> GetSome(StoreRun* run, Progress* progress);
  static Task<absl::Status> ScanOnShard(Shard& shard, StoreRun* run, StoreOutcome* outcome);
  static Task<absl::Status> CompactOnShard(Shard& shard, StoreRun* run);
  static Task<absl::Status> CloseOnShard(Shard& shard, StoreRun* run);
  static absl::Status KillOnShard(Shard& shard, StoreRun* run);
  static Task<absl::Status> ReadLogOnShard(Shard& shard, StoreRun* run, uint64_t* bytes);
  absl::Status Load(const StoreLoad& load, bool puts, StoreOutcome* outcome);
  void NoteKey(uint64_t key);

  const StoreSettings settings_;
  const std::string directory_;
  StoreOptions options_;
  std::string values_;  // random bytes; each value is some of them
  std::vector<bool> has_key_;
  uint64_t live_keys_ = 0;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<ShardStore> store_;  // the shard's
};

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_STORE_RUN_H_
