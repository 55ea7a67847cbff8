#include "ioengine/tests/engine/wal/wal_lab.h"

#include <optional>
#include <span>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/wal_frame.h"

namespace ioengine {

Task<absl::Status> WalLab::WriteMain(Shard& shard, WalLab* lab, Program program) {
  auto files = co_await FileSystem::Open(shard.io(), "/");
  if (!files.ok()) co_return files.status();
  lab->shard = &shard;
  lab->files = &*files;
  auto log = co_await WalWriter::Create(shard.io(), *files, lab->stream, lab->wal, lab->ledger);
  if (!log.ok()) co_return log.status();
  absl::Status status = co_await program(lab, log->get());
  if (lab->closes) {
    absl::Status closed = co_await (*log)->Close();
    if (status.ok()) status = std::move(closed);
  }
  lab->stats = (*log)->stats();
  co_return status;
}

Task<absl::Status> WalLab::ReadMain(Shard& shard, WalLab* lab) {
  auto files = co_await FileSystem::Open(shard.io(), "/");
  if (!files.ok()) co_return files.status();
  lab->ledger.BeginReplay();
  absl::StatusOr<WalEnd> read =
      co_await ReadWal(shard.io(), *files, lab->stream, lab->ledger.start(), lab->ledger.seal,
                       lab->read, lab->ledger, lab->expected);
  if (!read.ok()) co_return read.status();
  lab->end = *std::move(read);
  co_return lab->ledger.EndReplay(lab->end);
}

std::string WalLab::PathOf(uint64_t segment) const {
  return absl::StrCat("/", WalSegmentName(stream.stream, segment));
}

std::vector<LabFrame> WalLab::Frames() {
  std::vector<LabFrame> frames;
  for (uint64_t segment = 0; segment < 100; ++segment) {
    const std::optional<std::string> content = simulation.disk().Contents(PathOf(segment));
    if (!content.has_value()) continue;
    const std::span<const std::byte> bytes = AsBytes(*content);
    for (uint64_t offset = 0; offset < bytes.size();) {
      const std::optional<WalFrameHeader> header =
          PeekWalFrame(bytes.subspan(offset), WalSalt(stream, segment), bytes.size() - offset);
      const size_t frame_bytes = header.has_value() ? WalFrameBytes(header->body_bytes) : 0;
      if (header.has_value() &&
          IsWalFrameIntact(*header, offset, bytes.subspan(offset, frame_bytes))) {
        frames.push_back({PathOf(segment), offset, frame_bytes, *header});
        offset += frame_bytes;
      } else {
        offset += kWalPageBytes;
      }
    }
  }
  return frames;
}

Task<absl::Status> AppendToLab(WalLab* lab, WalWriter* log, size_t size_bytes, Durability level) {
  absl::Status admitted = co_await log->Admit(size_bytes);
  if (!admitted.ok()) co_return admitted;
  const std::string content =
      WalRecordContent(lab->stream.stream, lab->ledger.appended() + 1, size_bytes);
  const std::span<const std::byte> bytes = AsBytes(content);
  lab->ledger.OnAppend(
      log->Append(bytes.first(size_bytes / 3), bytes.subspan(size_bytes / 3), level), size_bytes);
  co_return absl::OkStatus();
}

Task<absl::Status> AppendAndWait(WalLab* lab, WalWriter* log, size_t size_bytes, Durability level) {
  absl::Status appended = co_await AppendToLab(lab, log, size_bytes, level);
  if (!appended.ok()) co_return appended;
  co_return co_await log->Reached(lab->ledger.appended(), level);
}

}  // namespace ioengine
