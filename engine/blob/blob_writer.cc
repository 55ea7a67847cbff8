#include "ioengine/engine/blob/blob_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/sched/canary.h"

namespace ioengine {

BlobWriter::BlobWriter(ShardIo& io, FileSystem& files, BlobFiles& blobs, const Uuid& database,
                       std::function<Uuid()> new_uuid, Source source, const BlobOptions& options)
    : io_(io),
      files_(files),
      blobs_(blobs),
      database_(database),
      new_uuid_(std::move(new_uuid)),
      source_(source),
      options_(options),
      scope_(io.executor(), {.detached = true}) {
  scope_.Spawn(Run());
}

void BlobWriter::Pulse() {
  progress_.Set();
  progress_.Reset();
}

Task<absl::StatusOr<PlacedBlob>> BlobWriter::Append(std::string_view value) {
  if (value.size() > kMaxBlobBytes) {
    co_return absl::InvalidArgumentError(
        absl::StrCat("a value of ", value.size(), " bytes; at most ", kMaxBlobBytes));
  }
  const Mutex::Guard guard = co_await appending_.Lock();
  if (stopping_) co_return absl::UnavailableError("the store is closing");
  const bool is_usable =
      use_ != nullptr && use_->file()->write_status().ok() && next_bytes_ < options_.file_bytes;
  if (!is_usable) {
    if (absl::Status begun = co_await BeginFile(); !begun.ok()) co_return begun;
  }
  PlacedBlob placed;
  placed.use = use_;
  placed.pointer = {use_->file()->uuid(), next_bytes_, static_cast<uint32_t>(value.size())};
  const auto head = EncodeBlobHead(placed.pointer, value);
  absl::Status copied = co_await Copy(head);
  if (copied.ok()) copied = co_await Copy(AsBytes(value));
  work_.Set();
  if (!copied.ok()) co_return copied;
  co_return placed;
}

Task<absl::Status> BlobWriter::BeginFile() {
  use_ = nullptr;
  const BlobFileInfo info = {new_uuid_(), database_, source_ == Source::kMoved};
  absl::StatusOr<std::shared_ptr<BlobFile>> file = co_await blobs_.Create(info);
  if (!file.ok()) co_return file.status();
  use_ = std::make_shared<const BlobFile::Use>(*std::move(file));
  next_bytes_ = kBlobPageBytes;
  co_return absl::OkStatus();
}

// Suspends only between pieces, so a value that is cut there goes on at a page.
Task<absl::Status> BlobWriter::Copy(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const bool has_room = !staged_.empty() && staged_.back().use == use_ &&
                          staged_.back().filled_bytes < options_.write_bytes;
    if (!has_room) {
      if (absl::Status added = co_await AddPiece(); !added.ok()) co_return added;
    }
    Piece& piece = staged_.back();
    const size_t size = std::min(bytes.size(), options_.write_bytes - piece.filled_bytes);
    std::memcpy(piece.buffer.data() + piece.filled_bytes, bytes.data(), size);
    piece.filled_bytes += size;
    next_bytes_ += size;
    bytes = bytes.subspan(size);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> BlobWriter::AddPiece() {
  for (;;) {
    if (pieces_ < options_.write_behind) {
      absl::StatusOr<DmaBuffer> buffer = io_.AllocateBuffer(options_.write_bytes);
      if (buffer.ok()) {
        ++pieces_;
        staged_.push_back({use_, *std::move(buffer), next_bytes_, 0, 0});
        co_return absl::OkStatus();
      }
      if (pieces_ == 0) co_return buffer.status();
    }
    co_await WaitForProgress();
  }
}

Task<absl::Status> BlobWriter::MakeDurable(PlacedBlob blob) {
  const BlobFile& file = *blob.use->file();
  while (file.size_bytes() < blob.pointer.end_bytes()) {
    if (!file.write_status().ok()) co_return file.write_status();
    co_await WaitForProgress();
  }
  co_return absl::OkStatus();
}

Task<> BlobWriter::WaitForProgress() {
  const Waiting waiting(waiting_);
  work_.Set();
  co_await progress_.Wait();
}

bool BlobWriter::HasWork() const {
  if (staged_.empty()) return false;
  const bool waits_for_more =
      source_ == Source::kMoved && staged_.front().filled_bytes < options_.write_bytes;
  return !waits_for_more || waiting_ > 0 || stopping_;
}

Task<> BlobWriter::Stop() {
  stopping_ = true;
  work_.Set();
  (co_await scope_.Join()).IgnoreError();
  use_ = nullptr;
}

Task<> BlobWriter::Run() {
  while (!stopping_ || !staged_.empty()) {
    if (!HasWork()) {
      work_.Reset();
      co_await work_.Wait();
      continue;
    }
    std::deque<Piece> group = std::exchange(staged_, {});
    for (Piece& piece : group) PadToPage(piece);
    co_await WriteGroup(&group);
    pieces_ -= group.size();
    group.clear();
    Pulse();
  }
}

// The last piece of a file, or of what there is now; the next one begins behind it.
void BlobWriter::PadToPage(Piece& piece) {
  const size_t padding = (kBlobPageBytes - piece.filled_bytes % kBlobPageBytes) % kBlobPageBytes;
  std::memset(piece.buffer.data() + piece.filled_bytes, 0, padding);
  piece.stored_bytes = piece.filled_bytes;
  piece.filled_bytes += padding;
  if (piece.use == use_) next_bytes_ += padding;
}

Task<> BlobWriter::WriteGroup(std::deque<Piece>* group) {
  {
    TaskScope writes(io_.executor());
    for (const Piece& piece : *group) writes.Spawn(WritePiece(&piece));
    (co_await writes.Join()).IgnoreError();
  }
  // Usually of one file; where one ended, of two.
  uint64_t stored_bytes = 0;
  for (size_t i = 0; i < group->size(); ++i) {
    const Piece& piece = (*group)[i];
    BlobFile& file = *piece.use->file();
    stored_bytes += piece.stored_bytes;
    const bool is_last = i + 1 == group->size() || (*group)[i + 1].use != piece.use;
    if (!is_last) continue;
    const uint64_t added_bytes = std::exchange(stored_bytes, 0);
    if (!file.write_status().ok()) continue;
    const absl::Status synced = co_await Sync(&file);
    if (synced.ok()) {
      file.Extend(piece.offset_bytes + piece.filled_bytes, added_bytes);
    } else {
      file.set_write_status(synced);
    }
  }
}

Task<> BlobWriter::WritePiece(const Piece* piece) {
  BlobFile& file = *piece->use->file();
  if (!file.write_status().ok()) co_return;
  const absl::Status written =
      co_await file.file().Write(piece->offset_bytes, piece->buffer, piece->filled_bytes);
  if (written.ok()) {
    written_bytes_ += piece->filled_bytes;
  } else {
    file.set_write_status(written);
  }
}

// Also of the file's name, the first time.
Task<absl::Status> BlobWriter::Sync(BlobFile* file) {
  if (IsCanary("blob-not-synced")) co_return absl::OkStatus();
  absl::Status status = co_await file->file().Fdatasync();
  const bool is_new = file->size_bytes() == 0;
  if (status.ok() && is_new && !IsCanary("blob-name-not-synced")) {
    status = co_await files_.SyncDirectory();
  }
  co_return status;
}

}  // namespace ioengine
