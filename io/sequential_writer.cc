#include "ioengine/io/sequential_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/sched/check.h"

namespace ioengine {

SequentialWriter::SequentialWriter(ShardIo& io, const DmaFile& file,
                                   SequentialWriterOptions options)
    : io_(io),
      file_(file),
      options_(options),
      offset_bytes_(options.begin_bytes),
      turns_(std::max(options.write_behind, size_t{1})),
      scope_(io.executor()) {
  if (options.begin_bytes % file.offset_alignment_bytes() != 0) {
    status_ = absl::InvalidArgumentError(
        absl::StrCat("write ", file.path(), ": SequentialWriterOptions::begin_bytes is ",
                     options.begin_bytes, "; it must be a multiple of ",
                     file.offset_alignment_bytes(), " for direct I/O on this file"));
  }
}

// The writes hold units of `turns_`: they end first.
SequentialWriter::~SequentialWriter() {
  scope_.Cancel();
  turn_.Release();
}

// Makes `buffer_` valid.
Task<absl::Status> SequentialWriter::TakeBuffer() {
  IOENGINE_CHECK(!finished_, "a SequentialWriter is used after Finish");
  if (status_.ok() && !buffer_.valid()) {
    turn_ = co_await turns_.Acquire(1);
    if (status_.ok()) {
      const size_t alignment_bytes = file_.offset_alignment_bytes();
      const size_t buffer_bytes =
          (std::max(options_.buffer_bytes, size_t{1}) + alignment_bytes - 1) / alignment_bytes *
          alignment_bytes;
      absl::StatusOr<DmaBuffer> buffer = io_.AllocateBuffer(buffer_bytes);
      if (buffer.ok()) {
        buffer_ = *std::move(buffer);
      } else {
        status_ = buffer.status();
      }
    }
  }
  co_return status_;
}

Task<absl::Status> SequentialWriter::Append(std::span<const std::byte> bytes, IoSite site) {
  while (!bytes.empty()) {
    if (absl::Status status = co_await TakeBuffer(); !status.ok()) co_return status;
    const size_t copied_bytes = std::min(bytes.size(), buffer_.size_bytes() - filled_bytes_);
    std::memcpy(buffer_.data() + filled_bytes_, bytes.data(), copied_bytes);
    io_.CountCopy(copied_bytes);
    Commit(copied_bytes, site);
    bytes = bytes.subspan(copied_bytes);
  }
  co_return status_;
}

Task<absl::StatusOr<std::span<std::byte>>> SequentialWriter::Room() {
  if (absl::Status status = co_await TakeBuffer(); !status.ok()) co_return status;
  co_return buffer_.bytes().subspan(filled_bytes_);
}

void SequentialWriter::Commit(size_t size_bytes, IoSite site) {
  IOENGINE_CHECK(buffer_.valid() && size_bytes <= buffer_.size_bytes() - filled_bytes_,
                 "more is committed than there was room for");
  filled_bytes_ += size_bytes;
  size_bytes_ += size_bytes;
  if (filled_bytes_ == buffer_.size_bytes()) StartWrite(filled_bytes_, site);
}

void SequentialWriter::StartWrite(size_t write_bytes, IoSite site) {
  const uint64_t offset_bytes = offset_bytes_;
  offset_bytes_ += filled_bytes_;
  filled_bytes_ = 0;
  scope_.Spawn(Write(this, offset_bytes, std::move(buffer_), write_bytes, std::move(turn_), site));
}

Task<> SequentialWriter::Write(SequentialWriter* writer, uint64_t offset_bytes, DmaBuffer buffer,
                               size_t write_bytes, Semaphore::Units turn, IoSite site) {
  const WriteOptions options;
  const absl::Status status =
      co_await writer->file_.Write(offset_bytes, buffer, write_bytes, options, site);
  if (writer->status_.ok()) writer->status_ = status;
  turn.Release();
}

Task<absl::Status> SequentialWriter::Finish(Sync sync, IoSite site) {
  IOENGINE_CHECK(!finished_, "a SequentialWriter is finished twice");
  const size_t padding_bytes = (0 - filled_bytes_) & (file_.offset_alignment_bytes() - 1);
  const uint64_t end_bytes = offset_bytes_ + filled_bytes_;
  if (filled_bytes_ > 0) {
    std::memset(buffer_.data() + filled_bytes_, 0, padding_bytes);
    StartWrite(filled_bytes_ + padding_bytes, site);
  }
  finished_ = true;
  const absl::Status ended = co_await scope_.Join();
  if (status_.ok()) status_ = ended;
  if (status_.ok() && padding_bytes > 0) {
    const absl::StatusOr<FileStat> stat = co_await file_.Stat(site);
    status_ = stat.status();
    // Not what went on behind it before.
    if (status_.ok() && stat->size_bytes == end_bytes + padding_bytes) {
      status_ = co_await file_.Truncate(end_bytes, site);
    }
  }
  if (status_.ok() && sync == Sync::kYes) status_ = co_await file_.Fdatasync(site);
  co_return status_;
}

}  // namespace ioengine
