// What a run of the suite `kv` is asked for.
#ifndef IOENGINE_TOOLS_KV_KV_SETTINGS_H_
#define IOENGINE_TOOLS_KV_KV_SETTINGS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/format/root_state.h"
#include "ioengine/engine/wal/durability.h"
#include "ioengine/numa/placement.h"
#include "ioengine/tools/benchmark/flags.h"
#include "ioengine/tools/kv/distribution.h"
#include "ioengine/tools/kv/workload.h"

namespace ioengine::kv {

// Who asks a database of ioengine.
enum class ClientKind : uint8_t {
  kNative,  // coroutines on its shards
  kThread,  // threads of the host, with several calls in flight
};

// Which keys a native client asks for.
enum class Routing : uint8_t {
  kAny,  // any: the engine takes the call to the shard that has the key
  kOwn,  // those of its shard, as in a server that hands each request to the right shard itself
};

struct KvSettings {
  std::vector<std::string> workloads = WorkloadNames();
  uint64_t keys = 1'000'000;
  uint64_t key_bytes = 16;
  uint64_t value_bytes = 100;

  int64_t shards = 2;
  int64_t concurrency = 64;  // clients of each shard; calls in flight of each thread
  ClientKind client = ClientKind::kNative;
  Routing routing = Routing::kAny;
  Durability durability = Durability::kWritten;
  uint64_t cache_bytes = uint64_t{256} << 20;     // of all shards together
  uint64_t memtable_bytes = uint64_t{128} << 20;  // likewise
  KeyPlacement::Kind placement = KeyPlacement::Kind::kHash;
  PlacementSpec pinning;
  std::optional<Distribution> distribution;  // nothing: the workload's own

  uint64_t operations = 0;  // of each workload; 0 and no duration: as many as keys
  double seconds = 0;       // it ends after so long; 0: with its operations
  uint64_t multiget_keys = 32;
  uint64_t scan_keys = 100;
  uint64_t write_rate = 20'000;  // puts in a second beside readwhilewriting
  uint64_t seed = 1;
  bool verify = false;  // reads all keys after each workload

  std::string directory = "/var/tmp";
  std::string json_path;
  const std::atomic<bool>* cancelled = nullptr;

  // With KeyPlacement::Kind::kRange: the index of the first loaded key of a shard.
  uint64_t FirstOfShard(uint64_t shard) const {
    return keys * shard / static_cast<uint64_t>(shards);
  }

  // What is asked for, and of what kind of database; into this, which outlives the flags' Parse.
  void AddDataFlags(bench::FlagSet& flags);
  void AddEngineFlags(bench::FlagSet& flags);
  // Errors: InvalidArgument names the flag.
  absl::Status Validate() const;
};

std::string_view ClientKindName(ClientKind kind);
std::string_view RoutingName(Routing routing);
std::string_view PlacementName(KeyPlacement::Kind kind);

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_KV_SETTINGS_H_
