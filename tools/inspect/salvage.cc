#include "ioengine/tools/inspect/salvage.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tools/inspect/report.h"
#include "ioengine/tools/inspect/root.h"
#include "ioengine/tools/inspect/salvage_parts.h"
#include "ioengine/tools/inspect/stream.h"

namespace ioengine::inspect {
namespace {

// Of a record of the log, beside key and value.
constexpr size_t kOverheadBytes = 64;
// Of memory, beside the store's.
constexpr size_t kTaskBytes = size_t{64} << 20;
// So that the store's own tasks come to write meanwhile.
constexpr uint64_t kKeysPerYield = 64;

// For records so large.
StoreOptions TargetOptions(size_t largest_bytes) {
  StoreOptions options;
  options.wal.max_pending_bytes =
      std::clamp(largest_bytes + kOverheadBytes, options.wal.max_pending_bytes, kMaxWalRecordBytes);
  return options;
}

Task<absl::Status> WriteChanges(Shard& shard, std::string target, const Changes* changes,
                                StoreOptions options, uint64_t* keys) {
  auto store = co_await ShardStore::Open(shard, target, options);
  if (!store.ok()) co_return store.status();
  for (const auto& [key, change] : changes->newest()) {
    if (change.kind != OperationKind::kPut) continue;
    auto written = co_await (*store)->Put(key, change.value, Durability::kMemory);
    if (!written.ok()) co_return written.status();
    if (++*keys % kKeysPerYield == 0) co_await Yield();
  }
  co_return co_await (*store)->Close();
}

// Damage to these is what one may be here for.
absl::StatusOr<Known> FindOut(const std::string& directory) {
  Known known;
  absl::StatusOr<std::vector<SlotReport>> slots = InspectRoot(directory + "/ROOT");
  if (!slots.ok()) return known;
  for (const SlotReport& slot : *slots) {
    if (absl::IsFailedPrecondition(slot.status)) return slot.status;
  }
  DatabaseReport report;
  report.slots = *std::move(slots);
  FindInForce(report);
  known.root = std::move(report.root);
  if (!known.root.has_value()) return known;
  if (known.root->manifests.empty()) known.manifest.emplace();
  if (known.root->manifests.size() != 1) return known;
  const RootManifest& named = known.root->manifests.front();
  Segments segments;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const auto id = ParseWalSegmentName(entry.path().filename().string());
    if (!id.has_value() || id->kind != WalKind::kManifest || id->stream != named.stream) continue;
    absl::StatusOr<SegmentReport> segment = InspectSegment(entry.path().string());
    if (segment.ok()) segments[id->segment] = *std::move(segment);
  }
  std::vector<std::string> problems;
  ManifestReport manifest = InspectManifest(directory, *known.root, named, segments, problems);
  if (manifest.is_whole) known.manifest = std::move(manifest.state);
  return known;
}

}  // namespace

absl::StatusOr<SalvageReport> Salvage(const std::string& directory, const std::string& target) {
  std::error_code error;
  if (std::filesystem::exists(target, error) && !std::filesystem::is_empty(target, error)) {
    return absl::AlreadyExistsError(
        absl::StrCat(target, " is not empty; name a directory for a new database"));
  }
  const absl::StatusOr<Known> known = FindOut(directory);
  if (!known.ok()) return known.status();
  SalvageReport report;
  Changes changes;
  size_t found = 0;
  absl::Status status = SalvageTables(directory, *known, changes, report, &found);
  if (status.ok()) status = SalvageLogs(directory, *known, changes, report, &found);
  if (!status.ok()) return status;
  if (found == 0) {
    return absl::NotFoundError(absl::StrCat(directory, " has neither a log nor a table"));
  }
  size_t largest_bytes = 0;
  for (const auto& [key, change] : changes.newest()) {
    largest_bytes = std::max(largest_bytes, key.size() + change.value.size());
  }
  const StoreOptions options = TargetOptions(largest_bytes);
  RuntimeOptions runtime_options;
  runtime_options.memory_per_shard_bytes =
      runtime_options.buffer_pool_bytes + options.memory_bytes() + kTaskBytes;
  auto runtime = Runtime::Start(runtime_options);
  if (!runtime.ok()) return runtime.status();
  const absl::Status written =
      (*runtime)->Submit(0, WriteChanges, target, &changes, options, &report.keys).Wait();
  if (!written.ok()) return written;
  return report;
}

}  // namespace ioengine::inspect
