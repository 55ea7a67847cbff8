#include "ioengine/engine/blob/blob_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

// A value's buffer is no larger, whatever the value.
constexpr uint64_t kPieceBytes = uint64_t{1} << 20;

constexpr uint64_t PageDown(uint64_t bytes) { return bytes / kBlobPageBytes * kBlobPageBytes; }
constexpr uint64_t PageUp(uint64_t bytes) { return PageDown(bytes + kBlobPageBytes - 1); }

// A bug of ours, which is not to take the process with it.
Task<absl::StatusOr<std::string>> Lost(BlobPointer pointer) {
  co_return absl::InternalError(
      absl::StrCat("nobody keeps blob file ", BlobFileName(pointer.file), ", which a value is in"));
}

}  // namespace

uint64_t BlobFile::garbage_bytes() const {
  const bool counts_values = info_.moved && stored_bytes_ > 0;
  const uint64_t all =
      counts_values ? stored_bytes_ : size_bytes_ - std::min<uint64_t>(size_bytes_, kBlobPageBytes);
  return all - std::min(all, table_bytes_);
}

absl::Status BlobFile::At(const BlobPointer& pointer, const absl::Status& status) const {
  return absl::Status(
      status.code(),
      absl::StrCat("blob file ", BlobFileName(uuid()), ", value of ", pointer.value_bytes,
                   " bytes at ", pointer.offset_bytes, ": ", std::string(status.message())));
}

Task<absl::StatusOr<std::string>> BlobFile::Read(std::shared_ptr<const BlobFile> blobs,
                                                 BlobPointer pointer) {
  std::array<std::byte, kBlobHeadBytes> head;
  std::string value(pointer.value_bytes, '\0');
  const uint64_t end = pointer.end_bytes();
  uint64_t at = pointer.offset_bytes;  // of the next byte that is wanted
  const uint64_t most_bytes =
      std::min<uint64_t>(kPieceBytes, blobs->reads_.total() * kBlobPageBytes);
  while (at < end) {
    const uint64_t from = PageDown(at);
    const uint64_t to = std::min(PageUp(end), from + most_bytes);
    // Buffers come in powers of two pages.
    const Semaphore::Units units =
        co_await blobs->reads_.Acquire(std::bit_ceil(to - from) / kBlobPageBytes);
    const absl::StatusOr<DmaBuffer> buffer = blobs->io_.AllocateBuffer(to - from);
    if (!buffer.ok()) co_return blobs->At(pointer, buffer.status());
    const absl::StatusOr<size_t> read = co_await blobs->file_.Read(from, *buffer, to - from);
    if (!read.ok()) co_return blobs->At(pointer, read.status());
    if (from + *read < std::min(to, end)) {
      co_return blobs->At(pointer, absl::DataLossError("the file ends before it"));
    }
    const uint64_t piece_end = std::min(to, end);
    const std::byte* next = buffer->data() + (at - from);
    // The head, which may go on in the next piece, and then the value.
    const uint64_t head_end = pointer.offset_bytes + kBlobHeadBytes;
    if (at < head_end) {
      const uint64_t bytes = std::min(head_end, piece_end) - at;
      std::memcpy(head.data() + (at - pointer.offset_bytes), next, bytes);
      at += bytes;
      next += bytes;
    }
    if (at < piece_end) std::memcpy(value.data() + (at - head_end), next, piece_end - at);
    at = piece_end;
  }
  const absl::Status status = CheckBlob(pointer, head, value);
  if (!status.ok()) co_return blobs->At(pointer, status);
  co_return value;
}

BlobFiles::~BlobFiles() {
  IOENGINE_CHECK(kept_.empty(), "blob files are kept longer than their database");
}

std::shared_ptr<BlobFile> BlobFiles::Find(const Uuid& uuid) const {
  const auto found = kept_.find(uuid);
  return found == kept_.end() ? nullptr : found->second.lock();
}

Task<absl::StatusOr<std::string>> BlobFiles::Read(std::string_view pointer) const {
  BlobPointer at;
  IOENGINE_CHECK(DecodeBlobPointer(pointer, &at), "a pointer to a blob makes no sense");
  std::shared_ptr<const BlobFile> file = Find(at.file);
  if (file == nullptr) return Lost(at);
  return BlobFile::Read(std::move(file), at);
}

std::vector<std::shared_ptr<BlobFile>> BlobFiles::all() const {
  std::vector<std::shared_ptr<BlobFile>> files;
  for (const auto& [uuid, file] : kept_) files.push_back(file.lock());
  return files;
}

void BlobFiles::OnUnused(const Uuid& uuid) {
  kept_.erase(uuid);
  unused_.push_back(uuid);
}

std::shared_ptr<BlobFile> BlobFiles::Add(const BlobFileInfo& info, DmaFile file,
                                         uint64_t size_bytes) {
  BlobFile::Owner& owner = *this;
  auto added = std::make_shared<BlobFile>(io_, info, std::move(file), size_bytes, reads_, owner);
  const bool is_new = kept_.emplace(info.file, added).second;
  IOENGINE_CHECK(is_new, "a blob file is opened twice");
  return added;
}

Task<absl::StatusOr<std::vector<std::shared_ptr<BlobFile>>>> BlobFiles::Open(
    std::vector<Uuid> uuids) {
  std::vector<std::shared_ptr<BlobFile>> opened;
  for (const Uuid& uuid : uuids) {
    std::shared_ptr<BlobFile> there = Find(uuid);
    if (there == nullptr) {
      auto file = co_await OpenOne(uuid);
      if (!file.ok()) co_return file.status();
      there = *std::move(file);
    }
    opened.push_back(std::move(there));
  }
  co_return opened;
}

Task<absl::StatusOr<std::shared_ptr<BlobFile>>> BlobFiles::OpenOne(Uuid uuid) {
  absl::StatusOr<DmaFile> file = co_await files_.OpenFile(BlobFileName(uuid));
  if (absl::IsNotFound(file.status())) {
    co_return absl::DataLossError(absl::StrCat(files_.root(), "/", BlobFileName(uuid),
                                               ", a file with values of the database, is missing"));
  }
  if (!file.ok()) co_return file.status();
  const absl::StatusOr<FileStat> stat = co_await file->Stat();
  if (!stat.ok()) co_return stat.status();
  const absl::StatusOr<DmaBuffer> page = io_.AllocateBuffer(kBlobPageBytes);
  if (!page.ok()) co_return page.status();
  const absl::StatusOr<size_t> read = co_await file->Read(0, *page, kBlobPageBytes);
  if (!read.ok()) co_return read.status();
  absl::StatusOr<BlobFileInfo> info = DecodeBlobFileHeader(page->bytes().first(*read), uuid);
  if (absl::IsFailedPrecondition(info.status())) {
    co_return absl::FailedPreconditionError(absl::StrCat(
        files_.root(), "/", BlobFileName(uuid), ": ", std::string(info.status().message())));
  }
  // Each value is checked by itself, and they need no header to be read.
  if (!info.ok()) info = BlobFileInfo{uuid, {}, false};
  co_return Add(*info, *std::move(file), stat->size_bytes);
}

Task<absl::StatusOr<std::shared_ptr<BlobFile>>> BlobFiles::Create(BlobFileInfo info) {
  const DmaFileOptions options = {.access = DmaFileOptions::Access::kReadWrite,
                                  .create = DmaFileOptions::Create::kMustBeNew};
  absl::StatusOr<DmaFile> file = co_await files_.OpenFile(BlobFileName(info.file), options);
  if (!file.ok()) co_return file.status();
  // From now on it is removed when nobody keeps it.
  std::shared_ptr<BlobFile> added = Add(info, *std::move(file), 0);
  const absl::StatusOr<DmaBuffer> page = io_.AllocateBuffer(kBlobPageBytes);
  if (!page.ok()) co_return page.status();
  EncodeBlobFileHeader(info, page->bytes().first(kBlobPageBytes));
  absl::Status status = co_await added->file().Write(0, *page, kBlobPageBytes);
  if (!status.ok()) co_return status;
  co_return added;
}

Task<absl::Status> BlobFiles::RemoveUnused() {
  while (!unused_.empty()) {
    const Uuid uuid = unused_.back();
    unused_.pop_back();
    absl::Status removed = co_await files_.Remove(BlobFileName(uuid));
    if (removed.ok() || absl::IsNotFound(removed)) continue;
    unused_.push_back(uuid);
    co_return removed;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> BlobFiles::RemoveOrphans() {
  auto entries = co_await files_.List();
  if (!entries.ok()) co_return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    const std::optional<Uuid> uuid = ParseBlobFileName(entry.name);
    if (!uuid.has_value()) continue;
    const std::shared_ptr<BlobFile> kept = Find(*uuid);
    const bool is_wrong =
        kept != nullptr && kept->is_in_use() && IsCanary("blob-orphans-without-log");
    if (kept != nullptr && !is_wrong) continue;
    absl::Status removed = co_await files_.Remove(entry.name);
    if (!removed.ok()) co_return removed;
  }
  co_return absl::OkStatus();
}

}  // namespace ioengine
