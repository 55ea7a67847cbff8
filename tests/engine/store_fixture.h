// What tests of a store start from: small sizes, and a program that runs on an open store.
#ifndef IOENGINE_TESTS_ENGINE_STORE_FIXTURE_H_
#define IOENGINE_TESTS_ENGINE_STORE_FIXTURE_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/sched/task.h"

namespace ioengine {

using Value = std::optional<std::string>;

inline StoreOptions SmallStore() {
  StoreOptions options;
  options.wal.segment_bytes = size_t{64} << 10;
  options.wal.max_frame_bytes = size_t{16} << 10;
  options.wal.max_pending_bytes = size_t{256} << 10;
  options.wal_read.read_bytes = size_t{16} << 10;
  options.cache = {.capacity_bytes = size_t{1} << 20, .max_pinned_bytes = size_t{512} << 10};
  options.manifest.segment_bytes = size_t{16} << 10;
  options.blobs.least_bytes = 0;
  options.blobs.file_bytes = size_t{256} << 10;
  options.blobs.write_bytes = size_t{16} << 10;
  options.blobs.write_behind = 4;
  options.blobs.read_bytes = size_t{64} << 10;
  options.table.write_bytes = size_t{16} << 10;
  options.compaction_reads.buffer_bytes = size_t{16} << 10;
  options.ballast_bytes = size_t{256} << 10;
  options.database = MakeUuid(1, 2);
  return options;
}

// Runs `program(store)` on a store that is opened before and closed after.
using StoreProgram = Task<absl::Status> (*)(ShardStore& store);

inline Task<absl::Status> RunOnStore(Shard& shard, std::string directory, StoreOptions options,
                                     StoreProgram program) {
  auto store = co_await ShardStore::Open(shard, directory, options);
  if (!store.ok()) co_return store.status();
  if (absl::Status status = co_await program(**store); !status.ok()) co_return status;
  co_return co_await (*store)->Close();
}

}  // namespace ioengine

#endif  // IOENGINE_TESTS_ENGINE_STORE_FIXTURE_H_
