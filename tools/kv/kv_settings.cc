#include "ioengine/tools/kv/kv_settings.h"

#include <initializer_list>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ioengine/tools/kv/key_space.h"
#include "ioengine/tools/kv/ledger.h"
#include "ioengine/tools/kv/value_source.h"

namespace ioengine::kv {
namespace {

using bench::Assign;
using bench::ParseNamed;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kMost = uint64_t{1} << 40;
// Of an EngineBatch.
constexpr uint64_t kMostCalls = 4096;

constexpr std::initializer_list<Durability> kDurabilities = {
    Durability::kMemory, Durability::kWritten, Durability::kDurable};
constexpr std::initializer_list<Distribution> kDistributions = {
    Distribution::kUniform, Distribution::kZipfian, Distribution::kLatest};
constexpr std::initializer_list<ClientKind> kClients = {ClientKind::kNative, ClientKind::kThread};
constexpr std::initializer_list<Routing> kRoutings = {Routing::kAny, Routing::kOwn};
constexpr std::initializer_list<KeyPlacement::Kind> kPlacements = {KeyPlacement::Kind::kHash,
                                                                   KeyPlacement::Kind::kRange};

}  // namespace

std::string_view ClientKindName(ClientKind kind) {
  return kind == ClientKind::kNative ? "native" : "thread";
}

std::string_view RoutingName(Routing routing) { return routing == Routing::kAny ? "any" : "own"; }

std::string_view PlacementName(KeyPlacement::Kind kind) {
  return kind == KeyPlacement::Kind::kHash ? "hash" : "range";
}

void KvSettings::AddDataFlags(bench::FlagSet& flags) {
  flags.Add("workloads", "LIST",
            absl::StrCat("in this order (all: ", absl::StrJoin(WorkloadNames(), ","), ")"),
            [this](std::string_view text) {
              return Assign(bench::ParseChoices(text, WorkloadNames()), &workloads);
            });
  flags.AddInteger("keys", "that a load writes (1000000)", uint64_t{1}, kMost, &keys);
  flags.AddBytes("key-size", "of each (16)", &key_bytes);
  flags.AddBytes("value-size", "of each (100)", &value_bytes);
  flags.Add("distribution", "NAME", "of keys: uniform, zipfian, latest (the workload's own)",
            [this](std::string_view text) {
              Distribution chosen = Distribution::kUniform;
              absl::Status status =
                  Assign(ParseNamed(text, kDistributions, DistributionName), &chosen);
              if (status.ok()) distribution = chosen;
              return status;
            });
  flags.AddInteger("ops", "of each workload (as many as keys, if there is no duration)",
                   uint64_t{1}, kMost, &operations);
  flags.AddSeconds("duration", "of each workload; fills end with their keys", &seconds);
  flags.AddInteger("multiget-keys", "of each multiget (32)", uint64_t{1}, kMostCalls,
                   &multiget_keys);
  flags.AddInteger("scan-keys", "of each scan from a random key, at most (100)", uint64_t{1}, kMost,
                   &scan_keys);
  flags.AddInteger("write-rate", "of readwhilewriting, puts in a second (20000)", uint64_t{1},
                   kMost, &write_rate);
  flags.AddInteger("seed", "of what is random (1)", uint64_t{0}, kMost, &seed);
  flags.AddSwitch("verify",
                  "read all keys after each workload; what a workload itself reads is\n"
                  "checked in full in any case",
                  &verify);
  flags.AddString("dir", "DIR", "where to make databases, which are removed (/var/tmp)",
                  &directory);
  flags.AddString("json", "FILE", "write the results there too", &json_path);
}

void KvSettings::AddEngineFlags(bench::FlagSet& flags) {
  flags.AddInteger("shards", "of the database (2)", int64_t{1}, int64_t{1024}, &shards);
  flags.AddInteger("concurrency", "clients of each shard; calls in flight of each thread (64)",
                   int64_t{1}, int64_t{1023}, &concurrency);
  flags.Add("client", "KIND",
            "native: on the shards; thread: of the host, as many as shards (native)",
            [this](std::string_view text) {
              return Assign(ParseNamed(text, kClients, ClientKindName), &client);
            });
  flags.Add("routing", "KEYS", "of native clients: any, or their own shard's alone: own (any)",
            [this](std::string_view text) {
              return Assign(ParseNamed(text, kRoutings, RoutingName), &routing);
            });
  flags.Add("durability", "LEVEL", "of writes: memory, written, durable (written)",
            [this](std::string_view text) {
              return Assign(ParseNamed(text, kDurabilities, DurabilityName), &durability);
            });
  flags.AddBytes("cache", "of tables in memory, of all shards together (256M)", &cache_bytes);
  flags.AddBytes("memtable", "of changes in memory, of all shards together (128M)",
                 &memtable_bytes);
  flags.Add("placement", "HOW", "of keys on shards: hash, range (hash)",
            [this](std::string_view text) {
              return Assign(ParseNamed(text, kPlacements, PlacementName), &placement);
            });
  flags.Add("pin", "HOW",
            "shards to CPUs: unbound, pack, spread, or a list such as 0,2-3 (unbound)",
            [this](std::string_view text) { return Assign(ParsePlacement(text), &pinning); });
}

absl::Status KvSettings::Validate() const {
  const auto invalid = [](std::string_view flag, auto... why) {
    return absl::InvalidArgumentError(absl::StrCat("--", std::string(flag), ": ", why...));
  };
  const size_t least_key_bytes = KeySpace::LeastKeyBytes(keys);
  if (key_bytes < least_key_bytes || key_bytes > 1024) {
    return invalid("key-size", "for so many keys at least ", least_key_bytes, ", at most 1024");
  }
  if (value_bytes < ValueSource::kLeastBytes || value_bytes > 16 * kMiB) {
    return invalid("value-size", "at least ", ValueSource::kLeastBytes, ", at most 16 MiB");
  }
  const auto shard_count = static_cast<uint64_t>(shards);
  if (keys < shard_count) return invalid("keys", "at least one for each shard");
  if (cache_bytes < shard_count * kMiB) return invalid("cache", "at least 1 MiB for each shard");
  if (memtable_bytes < shard_count * kMiB / 4) {
    return invalid("memtable", "at least 256 KiB for each shard");
  }
  if (shard_count * static_cast<uint64_t>(concurrency) > Ledger::kMostWriters) {
    return invalid("concurrency", "of all shards together at most ", Ledger::kMostWriters);
  }
  if (client == ClientKind::kThread &&
      static_cast<uint64_t>(concurrency) * multiget_keys > kMostCalls) {
    return invalid("multiget-keys", "of what is in flight at one time at most ", kMostCalls);
  }
  if (client == ClientKind::kThread && routing == Routing::kOwn) {
    return invalid("routing", "threads of the host have no shard of their own");
  }
  return absl::OkStatus();
}

}  // namespace ioengine::kv
