// EngineScan: the keys of a database in order, over all shards, at one moment.
//
//   EngineScanOptions options;
//   options.lower = "user/";
//   auto scan = engine->Scan(std::move(options));
//   if (!scan.ok()) co_return scan.status();
//   absl::Status status = co_await (*scan)->Next();
//   for (; status.ok() && (*scan)->Valid(); status = co_await (*scan)->Next()) …
#ifndef IOENGINE_ENGINE_ENGINE_SCAN_H_
#define IOENGINE_ENGINE_ENGINE_SCAN_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/engine_part.h"
#include "ioengine/engine/engine_snapshot.h"
#include "ioengine/engine/shard.h"
#include "ioengine/sched/mesh_result.h"
#include "ioengine/sched/shard_id.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// No aggregate: g++ 12 destroys twice what is made in braces within a co_await.
struct EngineScanOptions {
  EngineScanOptions() = default;

  std::optional<std::string> lower;        // the first key that may be seen
  std::optional<std::string> upper;        // the first behind it that may not
  bool reverse = false;                    // from the last key to the first
  std::optional<EngineSnapshot> snapshot;  // without one: of the moment of the call

  // All keys that begin so.
  static EngineScanOptions Prefix(std::string prefix);
};

namespace internal {

// What is asked of a shard, and its answer.
struct ChunkRequest {
  std::optional<std::string> lower;
  std::optional<std::string> upper;
  bool reverse = false;
  uint64_t epoch = 0;
  size_t most_keys = 0;
  size_t most_bytes = 0;
};
struct Chunk {
  std::deque<std::pair<std::string, std::string>> changes;
  bool is_last = false;
};

Task<absl::StatusOr<Chunk>> ReadChunk(Shard& shard, EnginePart* part, ChunkRequest request);

}  // namespace internal

// Shards give their keys in chunks, which grow while the scan goes on; the next one is asked for
// when half of a chunk is used, so shards read ahead of it. Nothing is kept on them in between.
//
//      shard 0 ──chunks──►┐
//      shard 1 ──chunks──►┼─ the smallest key (reverse: the largest) ──► Next
//      shard 2 ──chunks──►┘
//
// Shard: the one of its first Next. One task at a time.
// Ownership: the engine must outlive it. Keys and values that it gives are good until it moves.
// Errors, of each Next: those of ShardStore::Scan and of the mesh; it is not Valid() then, and
// ends. Cost: a chunk of each shard that may have keys of the range, at first; then a move within
// chunks is no suspension. A small range of a hashed placement costs a call to each shard.
class EngineScan {
 public:
  EngineScan(const EngineScan&) = delete;
  EngineScan& operator=(const EngineScan&) = delete;

  // At a key; false before the first Next, and behind the last key.
  bool Valid() const { return at_ != nullptr; }
  // REQUIRES: Valid().
  std::string_view key() const { return at_->chunk.changes.front().first; }
  std::string_view value() const { return at_->chunk.changes.front().second; }

  // To the first key, and then to the next one.
  Task<absl::Status> Next();

 private:
  friend class Engine;

  using Answer = MeshResult<absl::StatusOr<internal::Chunk>>;

  struct Source {
    ShardId shard = 0;
    EnginePart* part = nullptr;
    internal::Chunk chunk;
    size_t chunk_keys = 0;         // that it had when it came
    size_t next_keys = 0;          // to ask for
    std::optional<Answer> answer;  // that is on its way
  };

  // `options` has a snapshot. `in_turn`: the keys of each shard come behind those of the one
  // before.
  EngineScan(EngineScanOptions options, std::vector<std::pair<ShardId, EnginePart*>> shards,
             bool in_turn);

  void Ask(Source& source);
  Task<absl::Status> Fill(Source& source);
  void Leave(Source& source);
  bool IsBefore(const Source& a, const Source& b) const;

  const EngineScanOptions options_;  // with a snapshot
  const bool in_turn_;
  bool begun_ = false;
  std::vector<std::unique_ptr<Source>> sources_;
  Source* at_ = nullptr;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_ENGINE_SCAN_H_
