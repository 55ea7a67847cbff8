#include "ioengine/engine/store_opener.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/background_class.h"
#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/lsm/memtable_loader.h"
#include "ioengine/engine/opening.h"
#include "ioengine/engine/wal/wal_reader.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/io_error.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine {
namespace {

// Puts what the log holds, and tables do not, into the memtable.
class Replay final : public WalVisitor {
 public:
  Replay(Memtable& memtable, StoreMemory& memory, ShardBatches& batches, CommitKeeper* commits)
      : loader_(memtable, &memory.jobs), batches_(batches), commits_(commits), memory_(memory) {}

  // So many streams will be read.
  void ExpectStreams(size_t count) { streams_ = count; }
  // The next stream's records up to this one are in tables.
  void BeginStream(uint64_t contained_record) { contained_record_ = contained_record; }

  // Behind the last one all is sorted, while the disk is waited for.
  Task<> OnEnd() override {
    if (--streams_ == 0) co_await loader_.Finish();
  }

  absl::Status OnRecord(uint64_t record, std::span<const std::byte> bytes) override {
    if (record <= contained_record_) return absl::OkStatus();
    BatchRecord batch = DecodeBatchRecord(bytes);
    Operation operation;
    while (batch.operations.Next(&operation)) {
      if (operation.kind == OperationKind::kPutBlob) NoteBlob(operation.value);
      loader_.Add(operation.kind, operation.key, batch.sequence, operation.value);
    }
    if (!batch.operations.good()) {
      return absl::DataLossError(
          absl::StrCat("record ", record, " of the log has a good checksum and makes no sense"));
    }
    if (batch.kind == RecordKind::kCopy) {
      batches_.SetReceived(batch.batch.coordinator, batch.batch.place);
    } else if (batch.kind == RecordKind::kCommit && commits_ != nullptr) {
      commits_->OnFound(batch);
    }
    last_ = std::max(last_, batch.last());
    ++records_;
    return HasRoom();
  }

  // What was in memory fits, where it may still be so large.
  absl::Status HasRoom() const {
    if (memory_.shard.room_bytes() > 0) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat(
        "what the log holds, and no table does, takes more than ", memory_.changes.used_bytes(),
        " bytes of memory, and the shard has no more: open the store with the ",
        "StoreOptions::memtable_bytes that it had, or with more of ",
        "RuntimeOptions::memory_per_shard_bytes"));
  }

  Sequence last() const { return last_; }
  // That values are in.
  std::vector<Uuid> blobs() const { return {blobs_.begin(), blobs_.end()}; }
  uint64_t records() const { return records_; }

 private:
  void NoteBlob(std::string_view value) {
    BlobPointer pointer;
    // The reader of operations has looked that it makes sense.
    (void)DecodeBlobPointer(value, &pointer);
    if (pointer.file == last_blob_) return;
    last_blob_ = pointer.file;
    blobs_.insert(pointer.file);
  }

  MemtableLoader loader_;
  std::set<Uuid> blobs_;
  Uuid last_blob_;
  ShardBatches& batches_;
  CommitKeeper* const commits_;
  const StoreMemory& memory_;
  size_t streams_ = 0;  // of which not all was read
  uint64_t contained_record_ = 0;
  Sequence last_;
  uint64_t records_ = 0;
};

}  // namespace

Task<absl::StatusOr<std::unique_ptr<ShardStore>>> ShardStore::Open(Shard& shard,
                                                                   std::string directory,
                                                                   StoreOptions options) {
  return Open(shard, std::move(directory), options, std::make_shared<EpochClock>(), nullptr);
}

Task<absl::StatusOr<std::unique_ptr<ShardStore>>> ShardStore::Open(
    Shard& shard, std::string directory, StoreOptions options, std::shared_ptr<EpochClock> clock,
    CommitKeeper* commits) {
  if (absl::Status valid = options.Validate(); !valid.ok()) co_return valid;
  if (directory.empty()) {
    co_return absl::InvalidArgumentError("the name of the database's directory is empty");
  }
  const size_t pool_bytes = shard.io().buffers().capacity_bytes();
  if (pool_bytes < options.buffer_bytes()) {
    co_return absl::InvalidArgumentError(absl::StrCat(
        "the shard's buffers have ", pool_bytes, " bytes (RuntimeOptions::buffer_pool_bytes), and ",
        "a store with these StoreOptions needs ", options.buffer_bytes(), ", of which ",
        options.cache.capacity_bytes, " are of its cache: make that smaller, or the pool larger"));
  }
  if (absl::Status fits = StoreMemory::Check(shard.io(), options); !fits.ok()) co_return fits;
  bool gave_way = false;
  auto opened = co_await OpenOnce(shard, directory, options, clock, commits, &gave_way);
  if (opened.ok() || !gave_way) co_return opened;
  co_return co_await OpenOnce(shard, directory, options, clock, commits, &gave_way);
}

// `gave_way`: there was no space, and there is some now.
Task<absl::StatusOr<std::unique_ptr<ShardStore>>> ShardStore::OpenOnce(
    Shard& shard, std::string directory, StoreOptions options, std::shared_ptr<EpochClock> clock,
    CommitKeeper* commits, bool* gave_way) {
  const FileSystemOptions how = {.create = options.create_if_missing};
  absl::StatusOr<FileSystem> files = co_await FileSystem::Open(shard.io(), directory, how);
  if (!files.ok()) co_return files.status();
  std::unique_ptr<ShardStore> store(
      new ShardStore(shard, std::move(options), std::move(clock), commits, *std::move(files)));
  StoreOpener opener(*store);
  absl::Status opened = co_await opener.Run();
  if (opened.ok()) co_return store;
  co_await opener.Abandon();
  if (IsNoSpace(opened)) {
    *gave_way = (co_await store->files_.Remove(SpaceGuard::kName)).ok();
  }
  co_return opened;
}

Task<absl::Status> StoreOpener::Run() {
  absl::Status locked =
      co_await LockDirectory(store_.shard_.io(), store_.files_, store_.options_.lock_wait_ns);
  if (!locked.ok()) co_return locked;
  if (absl::Status status = co_await ListFiles(); !status.ok()) co_return status;
  if (absl::Status status = co_await OpenRoot(); !status.ok()) co_return status;
  if (absl::Status status = co_await CheckOrphans(); !status.ok()) co_return status;
  if (absl::Status status = co_await LoadCatalog(); !status.ok()) co_return status;
  TaskScope beside(store_.shard_.executor());
  beside.Spawn(MakeStream());
  absl::Status replayed = co_await ReplayStreams();
  const absl::Status made = co_await beside.Join();
  if (!replayed.ok()) co_return replayed;
  if (!made.ok()) co_return made;
  if (absl::Status status = co_await BeginStream(); !status.ok()) co_return status;
  if (absl::Status status = co_await RemoveOrphans(); !status.ok()) co_return status;
  co_return co_await Start();
}

Task<> StoreOpener::Abandon() {
  if (store_.wal_ != nullptr) (co_await store_.wal_->Close()).IgnoreError();
  if (stream_.stream > 0 && !may_be_named_) co_await RemoveStream(stream_.stream);
  if (store_.catalog_ != nullptr) (co_await store_.catalog_->Close()).IgnoreError();
}

Task<> StoreOpener::RemoveStream(uint64_t stream) {
  const auto entries = co_await store_.files_.List();
  if (!entries.ok()) co_return;
  for (const DirectoryEntry& entry : *entries) {
    const std::optional<WalSegmentId> id = ParseWalSegmentName(entry.name);
    if (!id.has_value() || id->kind != WalKind::kLog || id->stream != stream) continue;
    (co_await store_.files_.Remove(entry.name)).IgnoreError();
  }
}

Task<absl::Status> StoreOpener::ListFiles() {
  auto entries = co_await store_.files_.List();
  if (!entries.ok()) co_return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    const bool is_file = entry.kind != FileKind::kDirectory;
    const std::optional<WalSegmentId> id = ParseWalSegmentName(entry.name);
    // Streams are numbered from 1.
    if (is_file && id.has_value() && id->stream > 0) segments_.push_back(entry.name);
    has_tables_ |= is_file && (ParseTableFileName(entry.name).has_value() ||
                               ParseBlobFileName(entry.name).has_value());
  }
  co_return absl::OkStatus();
}

Task<absl::Status> StoreOpener::OpenRoot() {
  auto root = co_await RootFile::Open(store_.shard_.io(), store_.files_);
  if (root.ok()) {
    if (const size_t tablets = (*root)->state().tablets.size(); tablets > 0) {
      co_return absl::FailedPreconditionError(
          absl::StrCat(store_.files_.root(), " has a database of ", tablets,
                       tablets == 1 ? " shard" : " shards", ": open it with Engine"));
    }
    root_ = *std::move(root);
    co_return absl::OkStatus();
  }
  // ROOT is made whole before anything else is; until then nothing was ever written.
  const bool unfinished = absl::IsAborted(root.status());
  const bool missing = absl::IsNotFound(root.status()) || unfinished;
  if (!missing) co_return root.status();
  if (!segments_.empty() || has_tables_) {
    co_return absl::DataLossError(absl::StrCat(store_.files_.root(), " has ",
                                               segments_.empty() ? "tables" : "log segments",
                                               " and no ROOT: it is not known what they are of"));
  }
  if (!store_.options_.create_if_missing) {
    co_return absl::NotFoundError(absl::StrCat(
        store_.files_.root(), " holds no database; StoreOptions::create_if_missing ", "makes one"));
  }
  if (unfinished) {
    absl::Status removed = co_await store_.files_.Remove(RootFile::kName);
    if (!removed.ok()) co_return removed;
  }
  co_return co_await CreateRoot();
}

Task<absl::Status> StoreOpener::CreateRoot() {
  ShardIo& io = store_.shard_.io();
  absl::Status synced = co_await SyncNameOf(io, store_.files_.root());
  if (!synced.ok()) co_return synced;
  const absl::StatusOr<Uuid> identity = co_await ChooseIdentity();
  if (!identity.ok()) co_return identity.status();
  RootState state;
  state.epoch = 1;
  state.database = *identity;
  auto root = co_await RootFile::Create(io, store_.files_, state);
  if (!root.ok()) co_return root.status();
  root_ = *std::move(root);
  co_return absl::OkStatus();
}

Task<absl::StatusOr<Uuid>> StoreOpener::ChooseIdentity() {
  if (store_.options_.database.has_value()) co_return *store_.options_.database;
  co_return co_await RandomIdentity(store_.shard_.io());
}

// A stream has frames only once ROOT names it. So a segment that ROOT does not name has none, or is
// of a stream that was let go; one of a later ROOT says that this one is older than it was.
Task<absl::Status> StoreOpener::CheckOrphans() {
  std::set<std::pair<WalKind, uint64_t>> named;
  for (const RootStream& stream : root_->state().streams) {
    named.insert({WalKind::kLog, stream.stream});
  }
  for (const RootManifest& manifest : root_->state().manifests) {
    named.insert({WalKind::kManifest, manifest.stream});
  }
  for (const std::string& segment : segments_) {
    const WalSegmentId id = *ParseWalSegmentName(segment);
    if (named.count({id.kind, id.stream}) > 0) continue;
    if (absl::Status status = co_await CheckOrphan(segment); !status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> StoreOpener::CheckOrphan(const std::string& segment) {
  absl::StatusOr<DmaFile> file = co_await store_.files_.OpenFile(segment);
  if (!file.ok()) co_return file.status();
  absl::StatusOr<DmaBuffer> buffer = store_.shard_.io().AllocateBuffer(kWalPageBytes);
  if (!buffer.ok()) co_return buffer.status();
  absl::StatusOr<size_t> read = co_await file->Read(0, *buffer, kWalPageBytes);
  if (!read.ok()) co_return read.status();
  if (*read < kWalPageBytes) co_return absl::OkStatus();
  // Whose it is is not known, so the frame itself says its salt.
  const auto salt = LoadFixed<uint64_t>(buffer->data() + offsetof(WalFrameHeader, salt));
  const std::optional<WalFrameHeader> header =
      PeekWalFrame(buffer->bytes(), salt, kMaxWalFrameBytes);
  if (!header.has_value() || header->root_epoch <= root_->state().epoch) {
    co_return absl::OkStatus();
  }
  const size_t frame_bytes = WalFrameBytes(header->body_bytes);
  buffer = store_.shard_.io().AllocateBuffer(frame_bytes);
  if (!buffer.ok()) co_return buffer.status();
  read = co_await file->Read(0, *buffer, frame_bytes);
  if (!read.ok()) co_return read.status();
  if (*read < frame_bytes || !IsWalFrameIntact(*header, 0, buffer->bytes().first(frame_bytes))) {
    co_return absl::OkStatus();
  }
  co_return absl::DataLossError(
      absl::StrCat(store_.files_.root(), "/", segment, " is of epoch ", header->root_epoch,
                   " of ROOT, which is at ", root_->state().epoch,
                   ": an older ROOT has taken the place of a newer one; put the newer one back"));
}

WalStream StoreOpener::IdentityOf(const RootStream& stream) const {
  return {next_.database, stream.incarnation, stream.stream, stream.root_epoch};
}

Task<absl::Status> StoreOpener::LoadCatalog() {
  ShardIo& io = store_.shard_.io();
  next_ = root_->state();
  store_.cache_ = std::make_unique<BlockCache>(io, store_.options_.cache);
  store_.catalog_ =
      std::make_unique<Catalog>(io, store_.files_, *store_.cache_, std::move(root_),
                                store_.options_.manifest, store_.options_.blobs.read_bytes);
  co_return co_await store_.catalog_->Load(store_.options_.wal_read);
}

Task<absl::Status> StoreOpener::ReplayStreams() {
  const ManifestState& tables = store_.catalog_->state();
  auto view = std::make_shared<ReadView>();
  view->memtable = store_.NewMemtable();
  view->version = store_.catalog_->version();
  for (const auto& [coordinator, place] : tables.batches) {
    store_.batches_.SetReceived(coordinator, place);
  }
  Replay replay(*view->memtable, store_.memory_, store_.batches_, store_.commits_);
  std::vector<RootStream> needed;
  std::erase_if(next_.streams,
                [&](const RootStream& stream) { return tables.finished.count(stream.stream) > 0; });
  replay.ExpectStreams(next_.streams.size());
  for (RootStream& stream : next_.streams) {
    const auto contained = tables.logs.find(stream.stream);
    replay.BeginStream(contained == tables.logs.end() ? 0 : contained->second.record);
    const absl::StatusOr<bool> is_needed = co_await ReplayStream(&stream, &replay);
    if (!is_needed.ok()) co_return is_needed.status();
    if (*is_needed) needed.push_back(stream);
  }
  const auto blobs = co_await store_.catalog_->blobs().Open(replay.blobs());
  if (!blobs.ok()) co_return blobs.status();
  for (const std::shared_ptr<BlobFile>& file : *blobs) {
    view->memtable->Keep(file->uuid(), std::make_shared<const BlobFile::Use>(file));
  }
  next_.streams = std::move(needed);
  // Above everything that was found, so that nothing is written twice with one sequence.
  store_.last_ = replay.last();
  for (const auto& [uuid, table] : tables.tables) {
    store_.last_ = std::max(store_.last_, table.largest_sequence);
  }
  for (const auto& [coordinator, place] : tables.batches) {
    store_.last_ = std::max(store_.last_, Sequence{place.epoch, 0});
  }
  store_.last_.epoch = std::max(store_.last_.epoch, next_.epoch) + 1;
  store_.clock_->RaiseTo(store_.last_.epoch);
  store_.stats_.recovered_records = replay.records();
  store_.view_ = std::move(view);
  co_return absl::OkStatus();
}

// Whether it has records that are in no table.
Task<absl::StatusOr<bool>> StoreOpener::ReplayStream(RootStream* stream, WalVisitor* replay) {
  std::optional<WalSeal> seal;
  if (stream->seal.has_value()) {
    seal = WalSeal{stream->seal->frame, stream->seal->hash, stream->seal->record};
  }
  WalStart start;
  uint64_t contained_record = 0;
  const ManifestState& tables = store_.catalog_->state();
  const auto contained = tables.logs.find(stream->stream);
  if (contained != tables.logs.end()) {
    const ContainedLog& log = contained->second;
    start = {log.segment, log.frame, log.previous_hash, log.first_record};
    contained_record = log.record;
  }
  const WalExpected expected = {.segment_bytes = stream->segment_bytes};
  auto end = co_await ReadWal(store_.shard_.io(), store_.files_, IdentityOf(*stream), start, seal,
                              store_.options_.wal_read, *replay, expected);
  if (!end.ok()) co_return end.status();
  if (!IsCanary("store-no-seal")) {
    stream->seal = RootSeal{end->seal.frame, end->seal.record, end->seal.hash};
  }
  if (end->seal.record <= contained_record) co_return false;
  replayed_.push_back(stream->stream);
  for (const std::string& segment : end->segments) {
    const uint64_t number = ParseWalSegmentName(segment)->segment;
    if (number >= start.segment && number <= end->last_segment) kept_.insert(segment);
  }
  co_return true;
}

Task<absl::Status> StoreOpener::MakeStream() {
  for (const RootStream& old : store_.catalog_->root().streams) {
    stream_.stream = std::max(stream_.stream, old.stream);
  }
  // Also of opens that were cut short before ROOT named theirs: no name is used twice.
  for (const std::string& segment : segments_) {
    const WalSegmentId id = *ParseWalSegmentName(segment);
    if (id.kind == WalKind::kLog) stream_.stream = std::max(stream_.stream, id.stream);
  }
  ++stream_.stream;
  stream_.incarnation = next_.incarnation + 1;
  stream_.root_epoch = next_.epoch + 1;
  stream_.segment_bytes = store_.options_.wal.segment_bytes;
  auto wal = co_await WalWriter::Create(store_.shard_.io(), store_.files_, IdentityOf(stream_),
                                        store_.options_.wal, store_);
  if (wal.ok()) store_.wal_ = *std::move(wal);
  co_return wal.status();
}

Task<absl::Status> StoreOpener::BeginStream() {
  next_.incarnation = stream_.incarnation;
  next_.streams.push_back(stream_);
  may_be_named_ = true;
  co_return co_await store_.catalog_->Begin(next_);
}

Task<absl::Status> StoreOpener::RemoveOrphans() {
  for (const std::string& segment : segments_) {
    if (kept_.count(segment) > 0 || ParseWalSegmentName(segment)->kind != WalKind::kLog) continue;
    if (absl::Status removed = co_await store_.files_.Remove(segment); !removed.ok()) {
      co_return removed;
    }
  }
  co_return co_await store_.catalog_->RemoveOrphans();
}

Task<absl::Status> StoreOpener::Start() {
  const StoreOptions& options = store_.options_;
  Executor& executor = store_.shard_.executor();
  const absl::StatusOr<ClassId> flush =
      BackgroundClass(executor, "store-flush", options.flush_shares);
  if (!flush.ok()) co_return flush.status();
  const absl::StatusOr<ClassId> compaction =
      BackgroundClass(executor, "store-compaction", options.compaction_shares);
  if (!compaction.ok()) co_return compaction.status();
  store_.max_log_segments_ = std::max<size_t>(2, options.max_log_bytes / options.wal.segment_bytes);
  store_.blob_writer_ = std::make_unique<BlobWriter>(
      store_.shard_.io(), store_.files_, store_.catalog_->blobs(), next_.database,
      [catalog = store_.catalog_.get()] { return catalog->NewUuid(); }, BlobWriter::Source::kWrites,
      options.blobs);
  store_.flusher_ = std::make_unique<StoreFlusher>(store_);
  store_.compactor_ = std::make_unique<StoreCompactor>(store_);
  store_.compactor_->Start(*compaction);
  store_.serves_ = store_.commits_ == nullptr;
  store_.flusher_->Start(*flush, std::move(replayed_), {kept_.begin(), kept_.end()});
  co_return co_await store_.space_.Start(*flush);
}

}  // namespace ioengine
