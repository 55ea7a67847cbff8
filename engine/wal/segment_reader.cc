#include "ioengine/engine/wal/segment_reader.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

constexpr size_t kMaxReadBytes = size_t{64} << 20;
constexpr size_t kMaxReads = 64;

// As O_DIRECT reads it: to the file's end, or less where it was cut meanwhile.
absl::Status ReadWhole(absl::StatusOr<size_t> read, size_t size_bytes, std::byte* to) {
  if (!read.ok()) return read.status();
  std::memset(to + *read, 0, size_bytes - *read);
  return absl::OkStatus();
}

}  // namespace

absl::Status WalReadOptions::Validate() const {
  if (read_bytes < kWalPageBytes || read_bytes > kMaxReadBytes || read_bytes % kWalPageBytes != 0) {
    return absl::InvalidArgumentError(absl::StrCat("WalReadOptions::read_bytes is ", read_bytes,
                                                   "; it must be a multiple of ", kWalPageBytes,
                                                   " up to ", kMaxReadBytes));
  }
  if (reads_in_flight < 2 || reads_in_flight > kMaxReads) {
    return absl::InvalidArgumentError(absl::StrCat(
        "WalReadOptions::reads_in_flight is ", reads_in_flight, "; it must be 2 to ", kMaxReads));
  }
  return absl::OkStatus();
}

Task<absl::StatusOr<std::unique_ptr<SegmentReader>>> SegmentReader::Open(ShardIo& io,
                                                                         FileSystem& files,
                                                                         std::string name,
                                                                         WalReadOptions options) {
  const DmaFileOptions read_only;
  absl::StatusOr<DmaFile> file = co_await files.OpenFile(std::move(name), read_only);
  if (!file.ok()) co_return file.status();
  absl::StatusOr<FileStat> stat = co_await file->Stat();
  if (!stat.ok()) co_return stat.status();
  absl::StatusOr<DmaBuffer> ring = io.AllocateBuffer(options.read_bytes * options.reads_in_flight);
  if (!ring.ok()) co_return ring.status();
  co_return std::unique_ptr<SegmentReader>(
      new SegmentReader(io, *std::move(file), stat->size_bytes, *std::move(ring), options));
}

Task<absl::StatusOr<std::span<const std::byte>>> SegmentReader::View(uint64_t offset_bytes,
                                                                     size_t view_bytes) {
  IOENGINE_CHECK(
      view_bytes > 0 && offset_bytes <= size_bytes_ && view_bytes <= size_bytes_ - offset_bytes,
      "more is read than the segment has");
  const uint64_t first = offset_bytes / options_.read_bytes;
  const uint64_t last = (offset_bytes + view_bytes - 1) / options_.read_bytes;
  IOENGINE_CHECK(first >= first_chunk_, "a segment is read backwards");
  if (last - first >= chunks_.size()) co_return co_await ViewLarge(offset_bytes, view_bytes);
  first_chunk_ = first;
  if (absl::Status read = co_await ReadThrough(last); !read.ok()) co_return read;
  const size_t begin = SlotOf(first) * options_.read_bytes + offset_bytes % options_.read_bytes;
  const std::span<const std::byte> ring = ring_.bytes();
  if (SlotOf(last) >= SlotOf(first)) co_return ring.subspan(begin, view_bytes);
  const size_t before_end = options_.read_bytes * chunks_.size() - begin;
  copy_.resize(view_bytes);
  std::memcpy(copy_.data(), ring.data() + begin, before_end);
  std::memcpy(copy_.data() + before_end, ring.data(), view_bytes - before_end);
  co_return std::span<const std::byte>(copy_);
}

// Begins all reads for which there is a slot, and waits for those of what is viewed.
Task<absl::Status> SegmentReader::ReadThrough(uint64_t last_chunk) {
  const uint64_t end_chunk = (size_bytes_ + options_.read_bytes - 1) / options_.read_bytes;
  next_chunk_ = std::max(next_chunk_, first_chunk_);
  while (next_chunk_ < std::min(end_chunk, first_chunk_ + chunks_.size())) {
    Chunk& chunk = chunks_[SlotOf(next_chunk_)];
    // What was skipped may still be on its way.
    if (chunk.used) co_await chunk.done.Wait();
    chunk.number = next_chunk_++;
    chunk.used = true;
    chunk.done.Reset();
    scope_.Spawn(ReadChunk(this, &chunk));
  }
  for (uint64_t number = first_chunk_; number <= last_chunk; ++number) {
    Chunk& chunk = chunks_[SlotOf(number)];
    co_await chunk.done.Wait();
    if (!chunk.status.ok()) co_return chunk.status;
  }
  co_return absl::OkStatus();
}

Task<> SegmentReader::ReadChunk(SegmentReader* reader, Chunk* chunk) {
  const uint64_t offset_bytes = chunk->number * reader->options_.read_bytes;
  const size_t size_bytes =
      std::min<uint64_t>(reader->options_.read_bytes, reader->size_bytes_ - offset_bytes);
  const size_t to_bytes = reader->SlotOf(chunk->number) * reader->options_.read_bytes;
  absl::StatusOr<size_t> read =
      co_await reader->file_.Read(offset_bytes, reader->ring_, size_bytes, to_bytes);
  chunk->status = ReadWhole(std::move(read), size_bytes, reader->ring_.data() + to_bytes);
  chunk->done.Set();
}

// A frame that is larger than the ring.
Task<absl::StatusOr<std::span<const std::byte>>> SegmentReader::ViewLarge(uint64_t offset_bytes,
                                                                          size_t view_bytes) {
  if (large_.size_bytes() < view_bytes) {
    large_ = DmaBuffer();
    absl::StatusOr<DmaBuffer> buffer = io_.AllocateBuffer(view_bytes);
    if (!buffer.ok()) co_return buffer.status();
    large_ = *std::move(buffer);
  }
  absl::StatusOr<size_t> read = co_await file_.Read(offset_bytes, large_, view_bytes);
  absl::Status status = ReadWhole(std::move(read), view_bytes, large_.data());
  if (!status.ok()) co_return status;
  co_return large_.bytes().first(view_bytes);
}

}  // namespace ioengine
