#include "ioengine/engine/manifest/catalog.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine {
namespace {

// Tables that are opened at one time.
constexpr size_t kOpenedAtOnce = 16;

}  // namespace

Task<absl::Status> Catalog::Load(WalReadOptions read) {
  const RootState& root = root_->state();
  if (root.manifests.empty()) co_return absl::OkStatus();
  if (root.manifests.size() > 1) {
    co_return absl::FailedPreconditionError(
        absl::StrCat("ROOT names ", root.manifests.size(),
                     " manifests, and this version of ioengine reads databases with one"));
  }
  const RootManifest named = root.manifests.front();
  auto state = co_await ReadManifest(io_, files_, ManifestStream(root, named), named.least, read);
  if (!state.ok()) co_return state.status();
  found_ = *std::move(state);
  last_manifest_ = named.stream;
  co_return co_await OpenTables();
}

Task<absl::StatusOr<std::vector<std::shared_ptr<BlobFile>>>> Catalog::OpenBlobs() {
  std::set<Uuid> uuids;
  for (const auto& [uuid, record] : found_.tables) {
    for (const BlobReference& blob : record.blobs) uuids.insert(blob.file);
  }
  co_return co_await blobs_.Open({uuids.begin(), uuids.end()});
}

Task<absl::Status> Catalog::OpenTables() {
  // Kept until the tables do.
  const auto blobs = co_await OpenBlobs();
  if (!blobs.ok()) co_return blobs.status();
  std::vector<TableRecord> records;
  for (const auto& [uuid, record] : found_.tables) {
    records.push_back(record);
    last_run_ = std::max(last_run_, record.run);
  }
  std::vector<std::shared_ptr<Table>> tables;
  absl::Status status;
  TaskScope scope(io_.executor());
  for (size_t i = 0; i < std::min(kOpenedAtOnce, records.size()); ++i) {
    scope.Spawn(OpenSome(&records, &tables, &status));
  }
  if (absl::Status joined = co_await scope.Join(); !joined.ok()) co_return joined;
  if (!status.ok()) co_return status;
  co_return Version().Apply({}, std::move(tables), &version_);
}

// Several at once share what there is to do.
Task<> Catalog::OpenSome(std::vector<TableRecord>* records,
                         std::vector<std::shared_ptr<Table>>* tables, absl::Status* status) {
  while (!records->empty() && status->ok()) {
    TableRecord record = std::move(records->back());
    records->pop_back();
    auto table = co_await OpenTable(record);
    if (table.ok()) {
      tables->push_back(*std::move(table));
    } else if (absl::IsNotFound(table.status())) {
      *status =
          absl::DataLossError(absl::StrCat(files_.root(), "/", TableFileName(record.identity.uuid),
                                           ", a table that the manifest names, is missing"));
    } else if (absl::IsDataLoss(table.status())) {
      tables->push_back(MakeTable(std::move(record), nullptr, table.status()));
    } else {
      *status = table.status();
    }
  }
}

std::shared_ptr<Table> Catalog::MakeTable(TableRecord record, std::shared_ptr<TableReader> reader,
                                          absl::Status damage) {
  Table::Owner* const owner = this;
  std::vector<std::shared_ptr<BlobFile>> blobs;
  for (const BlobReference& blob : record.blobs) {
    blobs.push_back(blobs_.Find(blob.file));
    IOENGINE_CHECK(blobs.back() != nullptr, "a table has values in a file that nobody keeps");
  }
  // The record is here and in the manifest's state; in another one, and in its edits, while a new
  // manifest is written.
  constexpr size_t kRecords = 4;
  const size_t bounds_bytes =
      record.lower.size() + (record.upper.has_value() ? record.upper->size() : 0);
  const size_t record_bytes =
      sizeof(TableRecord) + bounds_bytes + record.blobs.size() * sizeof(BlobReference);
  MemoryCharge charge(io_.executor().memory().get(), sizeof(Table) + kRecords * record_bytes);
  return std::make_shared<Table>(std::move(record), std::move(reader), std::move(damage), owner,
                                 std::move(charge), std::move(blobs));
}

Task<absl::StatusOr<std::shared_ptr<Table>>> Catalog::OpenTable(TableRecord record) {
  auto reader = co_await TableReader::Open(io_, files_, TableFileName(record.identity.uuid), cache_,
                                           record.identity);
  if (!reader.ok()) co_return reader.status();
  co_return MakeTable(std::move(record), *std::move(reader), absl::OkStatus());
}

Task<absl::Status> Catalog::Begin(RootState next) {
  IOENGINE_CHECK(manifest_ == nullptr, "a catalog begins twice");
  auto entries = co_await files_.List();
  if (!entries.ok()) co_return entries.status();
  // Also of opens that were cut short before ROOT named theirs: no name is used twice.
  for (const DirectoryEntry& entry : *entries) {
    const std::optional<WalSegmentId> id = ParseWalSegmentName(entry.name);
    if (id.has_value() && id->kind == WalKind::kManifest) {
      last_manifest_ = std::max(last_manifest_, id->stream);
    }
  }
  co_return co_await StartManifest(std::move(next), std::move(found_));
}

// Snapshot, its name, ROOT; and only then does the new one count.
Task<absl::Status> Catalog::StartManifest(RootState next, ManifestState state) {
  // What is said of streams that are gone is of no use.
  std::set<uint64_t> needed;
  for (const RootStream& stream : next.streams) needed.insert(stream.stream);
  std::erase_if(state.finished, [&](uint64_t stream) { return needed.count(stream) == 0; });
  std::erase_if(state.logs, [&](const auto& log) { return needed.count(log.first) == 0; });
  RootManifest name;
  name.stream = ++last_manifest_;
  name.incarnation = next.incarnation;
  // It is written before ROOT names it, and a file may not be newer than ROOT.
  name.root_epoch = next.epoch;
  auto manifest = co_await Manifest::Create(io_, files_, ManifestStream(next, name),
                                            std::move(state), options_);
  if (!manifest.ok()) co_return manifest.status();
  next.manifests = {(*manifest)->root()};
  absl::Status committed = co_await root_->Commit(std::move(next));
  if (!committed.ok()) {
    failed_ = committed;
    co_await (*manifest)->Close();
    co_return committed;
  }
  if (manifest_ != nullptr) co_await manifest_->Close();
  manifest_ = *std::move(manifest);
  co_return absl::OkStatus();
}

Task<absl::Status> Catalog::RemoveOrphans() {
  auto entries = co_await files_.List();
  if (!entries.ok()) co_return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    if (entry.kind == FileKind::kDirectory) continue;
    const std::optional<Uuid> table = ParseTableFileName(entry.name);
    const std::optional<WalSegmentId> id = ParseWalSegmentName(entry.name);
    const bool is_old_manifest = id.has_value() && id->kind == WalKind::kManifest &&
                                 id->stream > 0 && id->stream != manifest_->root().stream;
    const bool is_old_table = table.has_value() && state().tables.count(*table) == 0;
    if (!is_old_manifest && !is_old_table) continue;
    absl::Status removed = co_await files_.Remove(entry.name);
    if (!removed.ok()) co_return removed;
  }
  co_return co_await blobs_.RemoveOrphans();
}

Uuid Catalog::NewUuid() {
  // Incarnations are never used twice, and so neither is what is made of them.
  std::array<std::byte, 32> source;
  const RootState& root = root_->state();
  std::copy(root.database.bytes.begin(), root.database.bytes.end(), source.begin());
  StoreFixed(source.data() + 16, IsCanary("catalog-reuses-names") ? uint64_t{0} : root.incarnation);
  StoreFixed(source.data() + 24, ++last_uuid_);
  return MakeUuid(Checksum(source, 1), Checksum(source, 2));
}

Task<absl::Status> Catalog::Change(ManifestEdit edit, std::vector<std::shared_ptr<Table>> added) {
  const Mutex::Guard guard = co_await changing_.Lock();
  if (!failed_.ok()) co_return failed_;
  std::shared_ptr<const Version> next;
  absl::Status status = version_->Apply(edit, std::move(added), &next);
  if (status.ok()) status = state().Check(edit);
  if (!status.ok()) co_return status;
  status = co_await manifest_->Append(edit);
  if (absl::IsResourceExhausted(status)) co_return status;
  // Whether it is there is not known.
  failed_ = status;
  if (!status.ok()) co_return status;
  std::set<Uuid> removed(edit.removed.begin(), edit.removed.end());
  // A table that is moved stays.
  for (const TableRecord& table : edit.added) removed.erase(table.identity.uuid);
  for (const std::shared_ptr<Table>& table : version_->tables()) {
    if (removed.count(table->record().identity.uuid) > 0) table->Retire();
  }
  version_ = std::move(next);
  co_return status;
}

Task<absl::Status> Catalog::ForgetStreams(std::vector<uint64_t> streams) {
  const Mutex::Guard guard = co_await changing_.Lock();
  if (!failed_.ok()) co_return failed_;
  RootState next = root_->state();
  std::erase_if(next.streams, [&](const RootStream& stream) {
    return std::find(streams.begin(), streams.end(), stream.stream) != streams.end();
  });
  failed_ = co_await root_->Commit(std::move(next));
  co_return failed_;
}

Task<absl::Status> Catalog::RollIfLong() {
  const Mutex::Guard guard = co_await changing_.Lock();
  if (!failed_.ok()) co_return failed_;
  if (!manifest_->should_roll()) co_return absl::OkStatus();
  const uint64_t old = manifest_->root().stream;
  absl::Status started = co_await StartManifest(root_->state(), manifest_->state());
  if (!started.ok()) co_return started;
  co_return co_await RemoveManifest(old);
}

Task<absl::Status> Catalog::RemoveManifest(uint64_t stream) {
  auto entries = co_await files_.List();
  if (!entries.ok()) co_return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    const std::optional<WalSegmentId> id = ParseWalSegmentName(entry.name);
    if (!id.has_value() || id->kind != WalKind::kManifest || id->stream != stream) continue;
    absl::Status removed = co_await files_.Remove(entry.name);
    if (!removed.ok()) co_return removed;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Catalog::RemoveUnused() {
  while (!unused_.empty()) {
    if (!failed_.ok()) co_return failed_;
    const Uuid uuid = unused_.back();
    unused_.pop_back();
    absl::Status removed = co_await files_.Remove(TableFileName(uuid));
    if (removed.ok() || absl::IsNotFound(removed)) continue;
    unused_.push_back(uuid);
    co_return removed;
  }
  if (!failed_.ok()) co_return failed_;
  co_return co_await blobs_.RemoveUnused();
}

Task<absl::Status> Catalog::Close() {
  const Mutex::Guard guard = co_await changing_.Lock();
  if (manifest_ == nullptr) co_return absl::OkStatus();
  absl::Status closed = co_await manifest_->Close();
  co_return failed_.ok() ? closed : failed_;
}

}  // namespace ioengine
