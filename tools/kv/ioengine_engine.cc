#include "ioengine/tools/kv/ioengine_engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/engine_options.h"
#include "ioengine/engine/runtime_options.h"
#include "ioengine/tools/benchmark/table.h"
#include "ioengine/tools/kv/key_space.h"
#include "ioengine/tools/kv/native_clients.h"
#include "ioengine/tools/kv/thread_clients.h"

namespace ioengine::kv {
namespace {

// For tasks and their calls, and what is known of tables.
constexpr size_t kTaskBytes = size_t{192} << 20;
constexpr size_t kLeastBufferBytes = size_t{64} << 20;

EngineOptions EngineOptionsOf(const KvSettings& settings) {
  const auto shards = static_cast<size_t>(settings.shards);
  EngineOptions options;
  options.store.memtable_bytes = settings.memtable_bytes / shards;
  options.store.cache.capacity_bytes = settings.cache_bytes / shards;
  options.store.cache.max_pinned_bytes = options.store.cache.capacity_bytes / 2;
  options.placement.kind = settings.placement;
  if (settings.placement != KeyPlacement::Kind::kRange) return options;
  const KeySpace keys(settings.keys, settings.key_bytes);
  for (size_t i = 1; i < shards; ++i) {
    options.split_keys.push_back(keys.Key(settings.FirstOfShard(i)));
  }
  return options;
}

RuntimeOptions RuntimeOptionsOf(const KvSettings& settings, const StoreOptions& store) {
  RuntimeOptions options;
  options.shard_count = static_cast<int>(settings.shards);
  options.placement = settings.pinning;
  options.buffer_pool_bytes = std::max(store.buffer_bytes(), kLeastBufferBytes);
  options.memory_per_shard_bytes = options.buffer_pool_bytes + store.memory_bytes() + kTaskBytes;
  return options;
}

Task<absl::Status> CompactAll(Shard&, Engine* engine) { return engine->Compact(); }

}  // namespace

IoengineEngine::~IoengineEngine() { Close().IgnoreError(); }

std::string IoengineEngine::Describe() const {
  const auto shards = static_cast<uint64_t>(settings_.shards);
  return absl::StrCat(
      "ioengine: ", shards, " shards, keys by ", std::string(PlacementName(settings_.placement)),
      ", each with memtables of ", bench::FormatBytes(settings_.memtable_bytes / shards),
      " and a cache of ", bench::FormatBytes(settings_.cache_bytes / shards), "; ",
      std::string(ClientKindName(settings_.client)), " clients, ", settings_.concurrency,
      settings_.client == ClientKind::kNative ? " on each shard"
                                              : " calls in flight of each thread",
      settings_.routing == Routing::kOwn ? ", for its own keys" : "");
}

absl::Status IoengineEngine::Open(const std::string& directory) {
  const EngineOptions options = EngineOptionsOf(settings_);
  absl::StatusOr<std::unique_ptr<Runtime>> runtime =
      Runtime::Start(RuntimeOptionsOf(settings_, options.store));
  if (!runtime.ok()) return runtime.status();
  auto engine = Engine::Open(**runtime, absl::StrCat(directory, "/db"), options);
  if (!engine.ok()) return engine.status();
  runtime_ = *std::move(runtime);
  engine_ = *std::move(engine);
  return absl::OkStatus();
}

absl::Status IoengineEngine::Close() {
  if (engine_ == nullptr) return absl::OkStatus();
  absl::Status closed = engine_->CloseAndWait();
  engine_.reset();
  runtime_.reset();
  return closed;
}

absl::Status IoengineEngine::Run(KvJob& job) {
  // A load is quickest this way, whoever comes after it.
  if (settings_.client == ClientKind::kNative || job.workload().goes_through) {
    return RunNativeClients(*runtime_, *engine_, job);
  }
  return RunThreadClients(*runtime_, *engine_, job);
}

absl::Status IoengineEngine::Drain() {
  return runtime_->Submit(0, CompactAll, engine_.get()).Wait();
}

}  // namespace ioengine::kv
