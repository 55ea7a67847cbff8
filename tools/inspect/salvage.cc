#include "ioengine/tools/inspect/salvage.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/tablet.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/engine/write_batch.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tools/inspect/blob_reader.h"
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
// Of keys and values that are written together: each write with a large value waits for a sync.
constexpr size_t kBatchBytes = size_t{1} << 20;

// What is left of each key, one after the other.
class Survivors {
 public:
  Survivors(const std::string& directory, const Changes& changes, SalvageReport& report)
      : keys_(changes.keys()), next_(keys_.begin()), reader_(directory), report_(report) {}

  // The next key with a value, which are good until the next call; false behind the last.
  bool Next(std::string_view* key, std::string_view* value) {
    while (next_ != keys_.end()) {
      const auto& [name, changes] = *next_++;
      const std::optional<std::string_view> found = ValueOf(name, changes);
      if (!found.has_value()) continue;
      *key = name;
      *value = *found;
      return true;
    }
    for (std::string& line : losses_.Lines()) report_.lost.push_back(std::move(line));
    return false;
  }

 private:
  // That of the newest change that can be read. What is newer than it is lost; but not what has the
  // same sequence, which is the same value in another place.
  std::optional<std::string_view> ValueOf(const std::string& key, const Changes::OfKey& changes) {
    lost_.clear();
    for (const Changes::Change& change : changes) {
      const absl::Status read = Read(change);
      if (!read.ok()) {
        lost_.push_back({&change, read});
        continue;
      }
      TellLost(key, &change);
      if (change.kind == OperationKind::kDelete) return std::nullopt;
      return change.kind == OperationKind::kPut ? change.value : value_;
    }
    TellLost(key, nullptr);
    return std::nullopt;
  }

  absl::Status Read(const Changes::Change& change) {
    if (change.kind != OperationKind::kPutBlob) return absl::OkStatus();
    absl::StatusOr<std::string> value = reader_.Read(PointerOf(change));
    if (!value.ok()) return value.status();
    value_ = *std::move(value);
    ++report_.blob_values;
    return absl::OkStatus();
  }

  // Once for each change, whatever places its value had.
  void TellLost(const std::string& key, const Changes::Change* found) {
    const Sequence* told = found == nullptr ? nullptr : &found->sequence;
    const bool is_replaced = found != nullptr && HasValue(found->kind);
    for (const auto& [change, status] : lost_) {
      if (told != nullptr && *told == change->sequence) continue;
      told = &change->sequence;
      ++report_.lost_blob_values;
      losses_.Add(PointerOf(*change), status, key, "", is_replaced);
    }
  }

  // Whatever read the change has looked that it makes sense.
  static BlobPointer PointerOf(const Changes::Change& change) {
    BlobPointer pointer;
    (void)DecodeBlobPointer(change.value, &pointer);
    return pointer;
  }

  const std::map<std::string, Changes::OfKey>& keys_;
  std::map<std::string, Changes::OfKey>::const_iterator next_;
  BlobReader reader_;
  BlobLosses losses_;
  std::vector<std::pair<const Changes::Change*, absl::Status>> lost_;  // of the key
  std::string value_;                                                  // that was read last
  SalvageReport& report_;
};

// For records so large.
StoreOptions TargetOptions(size_t largest_bytes) {
  StoreOptions options;
  const size_t least_bytes = std::max(largest_bytes, kBatchBytes) + kOverheadBytes;
  options.wal.max_pending_bytes =
      std::clamp(least_bytes, options.wal.max_pending_bytes, kMaxWalRecordBytes);
  return options;
}

// The old files are read here, on the shard: it has nothing else to do.
Task<absl::Status> WriteChanges(Shard& shard, std::string target, Survivors* survivors,
                                StoreOptions options, uint64_t* keys) {
  auto store = co_await ShardStore::Open(shard, target, options);
  if (!store.ok()) co_return store.status();
  WriteBatch batch;
  std::string_view key;
  std::string_view value;
  bool has_more = survivors->Next(&key, &value);
  while (has_more) {
    batch.Put(key, value);
    ++*keys;
    has_more = survivors->Next(&key, &value);
    const size_t with_next = batch.operations().size() + key.size() + value.size();
    if (has_more && with_next + kOverheadBytes <= kBatchBytes) continue;
    auto written = co_await (*store)->Write(batch, Durability::kMemory);
    if (!written.ok()) co_return written.status();
    batch.Clear();
    co_await Yield();
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
  if (!known.root->tablets.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(directory, " has a database of several shards: salvage its tablets, ",
                     directory, "/", TabletName(known.root->tablets.front().number),
                     " and so on, each into a directory of its own"));
  }
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
  for (const auto& [key, of_key] : changes.keys()) {
    for (const Changes::Change& change : of_key) {
      largest_bytes = std::max(largest_bytes, key.size() + change.value.size());
    }
  }
  const StoreOptions options = TargetOptions(largest_bytes);
  RuntimeOptions runtime_options;
  runtime_options.memory_per_shard_bytes =
      runtime_options.buffer_pool_bytes + options.memory_bytes() + kTaskBytes;
  auto runtime = Runtime::Start(runtime_options);
  if (!runtime.ok()) return runtime.status();
  Survivors survivors(directory, changes, report);
  const absl::Status written =
      (*runtime)->Submit(0, WriteChanges, target, &survivors, options, &report.keys).Wait();
  if (!written.ok()) return written;
  return report;
}

}  // namespace ioengine::inspect
