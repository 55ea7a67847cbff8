#include "ioengine/engine/store_opener.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/wal/wal_reader.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/sleep.h"

namespace ioengine {
namespace {

constexpr std::chrono::milliseconds kLockRetry(5);

// Puts what the log holds into the memtable.
class Replay final : public WalVisitor {
 public:
  explicit Replay(Memtable& memtable) : memtable_(memtable) {}

  absl::Status OnRecord(uint64_t record, std::span<const std::byte> bytes) override {
    auto [sequence, operations] = DecodeBatchRecord(bytes);
    Operation operation;
    while (operations.Next(&operation)) {
      memtable_.Publish(memtable_.Stage(operation.kind, operation.key, sequence, operation.value));
    }
    if (!operations.good()) {
      return absl::DataLossError(
          absl::StrCat("record ", record, " of the log has a good checksum and makes no sense"));
    }
    last_ = std::max(last_, sequence);
    ++records_;
    return absl::OkStatus();
  }

  Sequence last() const { return last_; }
  uint64_t records() const { return records_; }

 private:
  Memtable& memtable_;
  Sequence last_;
  uint64_t records_ = 0;
};

}  // namespace

Task<absl::StatusOr<std::unique_ptr<ShardStore>>> ShardStore::Open(Shard& shard,
                                                                   std::string directory,
                                                                   StoreOptions options) {
  if (absl::Status valid = options.Validate(); !valid.ok()) co_return valid;
  if (directory.empty()) {
    co_return absl::InvalidArgumentError("the name of the database's directory is empty");
  }
  const FileSystemOptions how = {.create = options.create_if_missing};
  absl::StatusOr<FileSystem> files = co_await FileSystem::Open(shard.io(), directory, how);
  if (!files.ok()) co_return files.status();
  std::unique_ptr<ShardStore> store(new ShardStore(shard, std::move(options), *std::move(files)));
  StoreOpener opener(*store);
  absl::Status opened = co_await opener.Run();
  if (opened.ok()) co_return store;
  if (store->wal_ != nullptr) co_await store->wal_->Close();
  co_return opened;
}

Task<absl::Status> StoreOpener::Lock() {
  const Clock& clock = store_.shard_.executor().clock();
  const uint64_t start_ns = clock.NowNs();
  for (;;) {
    absl::Status locked = co_await store_.files_.Lock(IoLock::kExclusive);
    if (!absl::IsUnavailable(locked)) co_return locked;
    if (clock.NowNs() - start_ns >= store_.options_.lock_wait_ns) break;
    co_await Sleep(kLockRetry);
  }
  co_return absl::UnavailableError(absl::StrCat(
      store_.files_.root(), " is open already, by this process or another one: close it there"));
}

Task<absl::Status> StoreOpener::Run() {
  if (absl::Status status = co_await Lock(); !status.ok()) co_return status;
  if (absl::Status status = co_await ListSegments(); !status.ok()) co_return status;
  if (absl::Status status = co_await OpenRoot(); !status.ok()) co_return status;
  if (absl::Status status = co_await CheckOrphans(); !status.ok()) co_return status;
  if (absl::Status status = co_await ReplayStreams(); !status.ok()) co_return status;
  if (absl::Status status = co_await BeginStream(); !status.ok()) co_return status;
  co_return co_await RemoveOrphans();
}

Task<absl::Status> StoreOpener::ListSegments() {
  auto entries = co_await store_.files_.List();
  if (!entries.ok()) co_return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    const bool is_file = entry.kind != FileKind::kDirectory;
    const std::optional<WalSegmentId> id = ParseWalSegmentName(entry.name);
    // Streams are numbered from 1.
    if (is_file && id.has_value() && id->stream > 0 && id->kind == WalKind::kLog)
      segments_.push_back(entry.name);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> StoreOpener::OpenRoot() {
  auto root = co_await RootFile::Open(store_.shard_.io(), store_.files_);
  if (root.ok()) {
    store_.root_ = *std::move(root);
    co_return absl::OkStatus();
  }
  // ROOT is made whole before anything else is; until then nothing was ever written.
  const bool unfinished = absl::IsAborted(root.status());
  const bool missing = absl::IsNotFound(root.status()) || unfinished;
  if (!missing) co_return root.status();
  if (!segments_.empty()) {
    co_return absl::DataLossError(absl::StrCat(
        store_.files_.root(), " has log segments and no ROOT: it is not known what they are of"));
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
  const absl::StatusOr<Uuid> identity = co_await ChooseIdentity();
  if (!identity.ok()) co_return identity.status();
  RootState state;
  state.epoch = 1;
  state.database = *identity;
  auto root = co_await RootFile::Create(store_.shard_.io(), store_.files_, state);
  if (!root.ok()) co_return root.status();
  store_.root_ = *std::move(root);
  co_return absl::OkStatus();
}

Task<absl::StatusOr<Uuid>> StoreOpener::ChooseIdentity() {
  if (store_.options_.database.has_value()) co_return *store_.options_.database;
  ShardIo& io = store_.shard_.io();
  const DmaFileOptions options = {.direct = DmaFileOptions::Direct::kNever};
  auto file = co_await DmaFile::Open(io, "/dev/urandom", options);
  if (!file.ok()) co_return file.status();
  auto buffer = io.AllocateBuffer(2 * sizeof(uint64_t));
  if (!buffer.ok()) co_return buffer.status();
  const absl::StatusOr<size_t> read = co_await file->Read(0, *buffer, 2 * sizeof(uint64_t));
  if (!read.ok()) co_return read.status();
  if (*read != 2 * sizeof(uint64_t)) co_return absl::InternalError("/dev/urandom is cut short");
  co_return MakeUuid(LoadFixed<uint64_t>(buffer->data()), LoadFixed<uint64_t>(buffer->data() + 8));
}

// A stream has frames only once ROOT names it. So a segment that ROOT does not name has none, or is
// of a stream that was let go; one of a later ROOT says that this one is older than it was.
Task<absl::Status> StoreOpener::CheckOrphans() {
  std::set<uint64_t> named;
  for (const RootStream& stream : store_.root_->state().streams) named.insert(stream.stream);
  for (const std::string& segment : segments_) {
    if (named.count(ParseWalSegmentName(segment)->stream) > 0) continue;
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
  if (!header.has_value() || header->root_epoch <= store_.root_->state().epoch) {
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
                   " of ROOT, which is at ", store_.root_->state().epoch,
                   ": an older ROOT has taken the place of a newer one; put the newer one back"));
}

WalStream StoreOpener::IdentityOf(const RootStream& stream) const {
  return {next_.database, stream.incarnation, stream.stream, stream.root_epoch};
}

Task<absl::Status> StoreOpener::ReplayStreams() {
  ShardIo& io = store_.shard_.io();
  next_ = store_.root_->state();
  store_.memtable_ = std::make_shared<Memtable>();
  ReadView view;
  view.memtable = store_.memtable_;
  view.version = std::make_shared<const Version>();
  store_.view_ = std::make_shared<const ReadView>(std::move(view));
  Replay replay(*store_.memtable_);
  for (RootStream& stream : next_.streams) {
    std::optional<WalSeal> seal;
    if (stream.seal.has_value()) {
      seal = WalSeal{stream.seal->frame, stream.seal->hash, stream.seal->record};
    }
    auto end = co_await ReadWal(io, store_.files_, IdentityOf(stream), WalStart(), seal,
                                store_.options_.wal_read, replay);
    if (!end.ok()) co_return end.status();
    if (!IsCanary("store-no-seal")) {
      stream.seal = RootSeal{end->seal.frame, end->seal.record, end->seal.hash};
    }
    // Nothing that anybody needs.
    if (end->seal.record == 0) continue;
    for (const std::string& segment : end->segments) {
      if (ParseWalSegmentName(segment)->segment <= end->last_segment) kept_.insert(segment);
    }
  }
  std::erase_if(next_.streams, [](const RootStream& stream) {
    return stream.seal.has_value() && stream.seal->record == 0;
  });
  // Above everything that was found, so that nothing is written twice with one sequence.
  store_.last_ = replay.last();
  store_.last_.epoch = std::max(store_.last_.epoch, next_.epoch) + 1;
  store_.stats_.recovered_records = replay.records();
  co_return absl::OkStatus();
}

Task<absl::Status> StoreOpener::BeginStream() {
  RootStream stream;
  for (const RootStream& old : next_.streams) stream.stream = std::max(stream.stream, old.stream);
  // Also of opens that were cut short before ROOT named theirs: no name is used twice.
  for (const std::string& segment : segments_) {
    stream.stream = std::max(stream.stream, ParseWalSegmentName(segment)->stream);
  }
  ++stream.stream;
  stream.incarnation = ++next_.incarnation;
  stream.root_epoch = next_.epoch + 1;
  auto wal = co_await WalWriter::Create(store_.shard_.io(), store_.files_, IdentityOf(stream),
                                        store_.options_.wal, store_);
  if (!wal.ok()) co_return wal.status();
  store_.wal_ = *std::move(wal);
  next_.streams.push_back(stream);
  co_return co_await store_.root_->Commit(next_);
}

Task<absl::Status> StoreOpener::RemoveOrphans() {
  for (const std::string& segment : segments_) {
    if (kept_.count(segment) > 0) continue;
    if (absl::Status removed = co_await store_.files_.Remove(segment); !removed.ok()) {
      co_return removed;
    }
  }
  co_return absl::OkStatus();
}

}  // namespace ioengine
