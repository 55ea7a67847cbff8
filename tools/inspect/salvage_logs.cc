// Logs: whole records of good frames, whatever is missing between them.

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/tools/inspect/files.h"
#include "ioengine/tools/inspect/salvage_parts.h"

namespace ioengine::inspect {
namespace {

// Collects the frames of a stream by their numbers, and puts its records together.
class StreamSalvage {
 public:
  // What ROOT says of the stream, and what tables contain of it, if that is known. With
  // `takes_contained` those records count too.
  StreamSalvage(const Uuid& database, std::optional<RootStream> root,
                const std::optional<ContainedLog>& contained, bool takes_contained)
      : database_(database), root_(std::move(root)) {
    if (!contained.has_value()) return;
    first_frame_ = contained->frame;
    if (!takes_contained) skipped_record_ = contained->record;
  }

  // Every good frame in the file, at each page.
  void AddSegment(uint64_t segment, std::span<const std::byte> file) {
    for (uint64_t offset = 0; offset + kWalPageBytes <= file.size(); offset += kWalPageBytes) {
      const std::span<const std::byte> rest = file.subspan(offset);
      const uint64_t salt = SaltOf(segment, rest);
      const std::optional<WalFrameHeader> header =
          PeekWalFrame(rest.first(kWalPageBytes), salt, rest.size());
      if (!header.has_value()) continue;
      const std::span<const std::byte> frame = rest.first(WalFrameBytes(header->body_bytes));
      if (!IsWalFrameIntact(*header, offset, frame)) continue;
      if (IsBehindSeal(header->frame)) continue;
      const std::span<const std::byte> body =
          frame.subspan(sizeof(WalFrameHeader), header->body_bytes);
      frames_[header->frame] = {header->first_record, {body.begin(), body.end()}};
    }
  }

  void TakeRecords(Changes& changes, SalvageReport& report) {
    uint64_t needed = frames_.empty() ? 1 : frames_.begin()->first;
    if (first_frame_.has_value()) needed = *first_frame_;
    uint64_t last = 0;
    for (const auto& [number, frame] : frames_) {
      if (number > needed) report.missing_frames += number - needed;
      if (number != last + 1) DropPart(report);
      last = number;
      needed = std::max(needed, number + 1);
      ++report.frames;
      TakeFrame(frame, changes, report);
    }
    if (root_.has_value() && root_->seal.has_value() && root_->seal->frame >= needed) {
      report.missing_frames += root_->seal->frame + 1 - needed;
    }
    DropPart(report);
  }

 private:
  struct Frame {
    uint64_t first_record = 0;
    std::vector<std::byte> body;
  };

  // Without ROOT the frame says it itself; what is left of a segment's earlier life does too.
  uint64_t SaltOf(uint64_t segment, std::span<const std::byte> front) const {
    if (!root_.has_value()) {
      return LoadFixed<uint64_t>(front.data() + offsetof(WalFrameHeader, salt));
    }
    return WalSalt({database_, root_->incarnation, root_->stream, root_->root_epoch}, segment);
  }
  bool IsBehindSeal(uint64_t frame) const {
    return root_.has_value() && root_->seal.has_value() && frame > root_->seal->frame;
  }

  void CountCut(SalvageReport& report) const {
    report.cut_records += next_record_ > skipped_record_ ? 1 : 0;
  }
  void DropPart(SalvageReport& report) {
    if (!part_.empty()) CountCut(report);
    part_.clear();
  }

  void TakeFrame(const Frame& frame, Changes& changes, SalvageReport& report) {
    next_record_ = frame.first_record;
    WalFragmentReader reader(frame.body);
    for (auto fragment = reader.Next(); fragment.has_value(); fragment = reader.Next()) {
      const bool begins =
          fragment->kind == WalFragmentKind::kWhole || fragment->kind == WalFragmentKind::kFirst;
      const bool ends =
          fragment->kind == WalFragmentKind::kWhole || fragment->kind == WalFragmentKind::kLast;
      // The begin is missing.
      if (!begins && part_.empty()) {
        if (ends) CountCut(report);
        next_record_ += ends ? 1 : 0;
        continue;
      }
      part_.insert(part_.end(), fragment->bytes.begin(), fragment->bytes.end());
      if (!ends) continue;
      if (next_record_ > skipped_record_) TakeRecord(changes, report);
      ++next_record_;
      part_.clear();
    }
  }

  void TakeRecord(Changes& changes, SalvageReport& report) const {
    BatchRecord batch = DecodeBatchRecord(part_);
    // Of two on one key the later one counts.
    std::map<std::string_view, Operation> last;
    Operation operation;
    while (batch.operations.Next(&operation)) last[operation.key] = operation;
    for (const auto& [key, change] : last) {
      changes.Add(change.kind, key, batch.sequence, change.value);
    }
    ++report.records;
  }

  const Uuid database_;
  const std::optional<RootStream> root_;
  std::optional<uint64_t> first_frame_;  // that is needed; of those before it tables have all
  uint64_t skipped_record_ = 0;          // it and those before are not taken
  std::map<uint64_t, Frame> frames_;
  uint64_t next_record_ = 1;     // that ends
  std::vector<std::byte> part_;  // of a record that goes on
};

using Paths = std::map<uint64_t, std::map<uint64_t, std::string>>;  // by stream and segment

absl::StatusOr<Paths> ListLogs(const std::string& directory) {
  Paths paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    std::error_code ignored;
    const auto name = ParseWalSegmentName(entry.path().filename().string());
    if (!name.has_value() || name->kind != WalKind::kLog || entry.is_directory(ignored)) continue;
    paths[name->stream][name->segment] = entry.path().string();
  }
  if (error) return absl::NotFoundError(absl::StrCat(directory, ": ", error.message()));
  return paths;
}

std::optional<RootStream> Named(const std::optional<RootState>& root, uint64_t stream) {
  if (!root.has_value()) return std::nullopt;
  for (const RootStream& named : root->streams) {
    if (named.stream == stream) return named;
  }
  return std::nullopt;
}

}  // namespace

absl::Status SalvageLogs(const std::string& directory, const Known& known, Changes& changes,
                         SalvageReport& report, size_t* found) {
  const absl::StatusOr<Paths> paths = ListLogs(directory);
  if (!paths.ok()) return paths.status();
  // A table that has all it had needs no log, and what has been compacted away since is in one.
  const bool takes_contained = !report.lost.empty();
  for (const auto& [stream, segments] : *paths) {
    const std::optional<RootStream> named = Named(known.root, stream);
    // Let go, or never begun.
    if (known.root.has_value() && !named.has_value()) continue;
    ++*found;
    std::optional<ContainedLog> contained;
    if (known.manifest.has_value()) {
      if (known.manifest->finished.count(stream) > 0 && !takes_contained) continue;
      const auto at = known.manifest->logs.find(stream);
      contained = at == known.manifest->logs.end() ? ContainedLog() : at->second;
    }
    const Uuid database = known.root.has_value() ? known.root->database : Uuid();
    StreamSalvage salvage(database, named, contained, takes_contained);
    for (const auto& [number, path] : segments) {
      const absl::StatusOr<std::vector<std::byte>> file = ReadFile(path);
      if (!file.ok()) return file.status();
      salvage.AddSegment(number, *file);
    }
    salvage.TakeRecords(changes, report);
  }
  return absl::OkStatus();
}

}  // namespace ioengine::inspect
