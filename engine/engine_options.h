// EngineOptions: what a database is opened with.
#ifndef IOENGINE_ENGINE_ENGINE_OPTIONS_H_
#define IOENGINE_ENGINE_ENGINE_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/format/root_state.h"
#include "ioengine/engine/store_options.h"

namespace ioengine {

// No aggregate: g++ 12 destroys twice what is made in braces within a co_await.
struct EngineOptions {
  EngineOptions() = default;

  // Make a database where there is none. Otherwise that is NotFound.
  bool create_if_missing = true;

  // Of a database that is made: how its keys find their shards. One that is there keeps its own.
  KeyPlacement placement = {};
  // Of a database that is made with KeyPlacement::Kind::kRange: the first key of each shard but the
  // first one's, ascending.
  std::vector<std::string> split_keys;

  // Of each shard's store. Its create_if_missing and database do not count.
  StoreOptions store = {};

  // InvalidArgument, naming the field, when a value cannot be used with so many shards.
  absl::Status Validate(size_t shard_count) const;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_ENGINE_OPTIONS_H_
