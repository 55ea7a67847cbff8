#include "ioengine/engine/wal/wal_tail.h"

#include <algorithm>
#include <optional>
#include <span>

#include "absl/strings/str_cat.h"

namespace ioengine {

void WalTail::Add(const WalFrameHeader& header, uint64_t segment, uint64_t offset_bytes,
                  size_t size_bytes) {
  pieces_.push_back({header.frame, segment, offset_bytes, size_bytes});
  while (!pieces_.empty() && pieces_.front().frame <= header.durable_frame) pieces_.pop_front();
}

WalTail::Run WalTail::RunFrom(size_t first, size_t most_bytes) const {
  Run run = {first, first + 1, pieces_[first].size_bytes};
  while (run.end < pieces_.size() && pieces_[run.end].segment == pieces_[first].segment &&
         run.size_bytes + pieces_[run.end].size_bytes <= most_bytes) {
    run.size_bytes += pieces_[run.end].size_bytes;
    ++run.end;
  }
  return run;
}

Task<absl::Status> WalTail::Rewrite(ShardIo& io, FileSystem& files, WalStream stream,
                                    size_t most_bytes) {
  if (pieces_.empty()) co_return absl::OkStatus();
  size_t buffer_bytes = most_bytes;
  for (const Piece& piece : pieces_) buffer_bytes = std::max(buffer_bytes, piece.size_bytes);
  absl::StatusOr<DmaBuffer> buffer = io.AllocateBuffer(buffer_bytes);
  if (!buffer.ok()) co_return buffer.status();
  DmaFile file;
  uint64_t open_segment = 0;
  for (size_t first = 0; first < pieces_.size();) {
    const uint64_t segment = pieces_[first].segment;
    if (!file.is_open() || segment != open_segment) {
      const DmaFileOptions options = {.access = DmaFileOptions::Access::kReadWrite};
      absl::StatusOr<DmaFile> opened =
          co_await files.OpenFile(WalSegmentName(stream, segment), options);
      if (!opened.ok()) co_return opened.status();
      file = *std::move(opened);
      open_segment = segment;
    }
    const Run run = RunFrom(first, buffer_bytes);
    absl::Status status = co_await RewriteRun(&file, &*buffer, stream, run);
    if (!status.ok()) co_return status;
    first = run.end;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> WalTail::RewriteRun(DmaFile* file, DmaBuffer* buffer, WalStream stream,
                                       Run run) const {
  const Piece& front = pieces_[run.first];
  const absl::StatusOr<size_t> read =
      co_await file->Read(front.offset_bytes, *buffer, run.size_bytes);
  if (!read.ok()) co_return read.status();
  // What is written must be what was read before, whatever the device gave now.
  const std::span<const std::byte> bytes = buffer->bytes().first(*read);
  const uint64_t salt = WalSalt(stream, front.segment);
  for (size_t i = run.first; i < run.end; ++i) {
    const Piece& piece = pieces_[i];
    const size_t at = piece.offset_bytes - front.offset_bytes;
    std::optional<WalFrameHeader> header;
    if (at + piece.size_bytes <= bytes.size()) {
      header = PeekWalFrame(bytes.subspan(at), salt, piece.size_bytes);
    }
    if (!header.has_value() || header->frame != piece.frame ||
        WalFrameBytes(header->body_bytes) != piece.size_bytes ||
        !IsWalFrameIntact(*header, piece.offset_bytes, bytes.subspan(at, piece.size_bytes))) {
      co_return absl::DataLossError(absl::StrCat("frame ", piece.frame, " of log ", stream.stream,
                                                 " was read, and is damaged now"));
    }
  }
  co_return co_await file->Write(front.offset_bytes, *buffer, run.size_bytes);
}

}  // namespace ioengine
