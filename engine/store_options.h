// StoreOptions: what a store is opened with.
#ifndef IOENGINE_ENGINE_STORE_OPTIONS_H_
#define IOENGINE_ENGINE_STORE_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "absl/status/status.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/wal/segment_reader.h"
#include "ioengine/engine/wal/wal_options.h"

namespace ioengine {

struct StoreOptions {
  // Make a database where there is none. Otherwise that is NotFound.
  bool create_if_missing = true;

  // The identity of a database that is made. Default: a random one.
  std::optional<Uuid> database = std::nullopt;

  // How long to wait for the directory's lock. The kernel may hold that of a killed process for
  // some milliseconds, until it has ended what its ring had in flight.
  uint64_t lock_wait_ns = 2'000'000'000;

  // What the changes in memory may take. Bytes. Writes beyond it are refused.
  size_t memtable_bytes = size_t{64} << 20;

  WalOptions wal = {};

  // How the log is read when the store is opened.
  WalReadOptions wal_read = {};

  // InvalidArgument, naming the field, when a value cannot be used.
  absl::Status Validate() const;
};

// g++ 12 destroys twice what is made in braces within a co_await, as in
// `co_await ShardStore::Open(shard, "/data/db", {.create_if_missing = false})`.
static_assert(std::is_trivially_destructible_v<StoreOptions>);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_STORE_OPTIONS_H_
