// Segments of logs and manifests, each by itself.

#include <filesystem>
#include <optional>
#include <span>
#include <utility>

#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/tools/inspect/files.h"
#include "ioengine/tools/inspect/report.h"

namespace ioengine::inspect {
namespace {

// Of what stream a record must be; nothing if it makes no sense.
std::optional<WalKind> KindOf(std::span<const std::byte> record) {
  BatchRecord batch = DecodeBatchRecord(record);
  Operation operation;
  while (batch.operations.Next(&operation)) {
  }
  // An edit can look like a batch of nothing.
  const bool has_some = batch.operations.count() > 0 || !batch.others.empty();
  if (batch.operations.good() && has_some) return WalKind::kLog;
  ManifestEdit edit;
  if (DecodeManifestEdit(record, &edit)) return WalKind::kManifest;
  return std::nullopt;
}

// Puts records together that span frames.
class Records {
 public:
  // Those that end in the frame; of one whose begin is in an earlier segment nothing but the
  // number.
  std::vector<RecordReport> Take(const WalFrameHeader& header, std::span<const std::byte> body) {
    std::vector<RecordReport> records;
    uint64_t number = header.first_record;
    WalFragmentReader reader(body);
    for (std::optional<WalFragment> part = reader.Next(); part.has_value(); part = reader.Next()) {
      const bool begins =
          part->kind == WalFragmentKind::kWhole || part->kind == WalFragmentKind::kFirst;
      const bool ends =
          part->kind == WalFragmentKind::kWhole || part->kind == WalFragmentKind::kLast;
      if (begins) {
        bytes_.clear();
        has_begin_ = true;
      }
      bytes_.insert(bytes_.end(), part->bytes.begin(), part->bytes.end());
      if (!ends) continue;
      records.push_back(Describe(number++));
      has_begin_ = false;
      bytes_.clear();
    }
    return records;
  }

  // As the first record that makes sense tells.
  const std::optional<WalKind>& kind() const { return kind_; }

 private:
  RecordReport Describe(uint64_t number) {
    RecordReport report;
    report.number = number;
    report.bytes = bytes_.size();
    if (!has_begin_) return report;
    if (!kind_.has_value()) kind_ = KindOf(bytes_);
    if (kind_ == WalKind::kManifest) {
      ManifestEdit edit;
      if (DecodeManifestEdit(bytes_, &edit)) report.edit = std::move(edit);
      return report;
    }
    BatchRecord batch = DecodeBatchRecord(bytes_);
    report.epoch = batch.sequence.epoch;
    report.counter = batch.sequence.counter;
    report.kind = batch.kind;
    report.batch = batch.batch;
    report.others = batch.others.size();
    Operation operation;
    while (batch.operations.Next(&operation)) {
      ++(HasValue(operation.kind) ? report.puts : report.deletes);
      if (operation.kind != OperationKind::kPutBlob) continue;
      // The reader of operations has looked that it makes sense.
      (void)DecodeBlobPointer(operation.value, &report.blobs.emplace_back());
    }
    return report;
  }

  std::optional<WalKind> kind_;
  std::vector<std::byte> bytes_;
  bool has_begin_ = false;
};

}  // namespace

absl::StatusOr<SegmentReport> InspectSegment(const std::string& path) {
  SegmentReport report;
  report.name = std::filesystem::path(path).filename().string();
  absl::StatusOr<std::vector<std::byte>> file = ReadFile(path);
  if (!file.ok()) return file.status();
  report.file_bytes = file->size();
  const std::span<const std::byte> bytes(*file);
  Records records;
  uint64_t offset_bytes = 0;
  uint64_t salt = 0;
  while (offset_bytes + kWalPageBytes <= bytes.size()) {
    const std::span<const std::byte> rest = bytes.subspan(offset_bytes);
    // The first frame tells the salt; if it is of an earlier life, so are its neighbours.
    if (offset_bytes == 0) salt = LoadFixed<uint64_t>(rest.data() + offsetof(WalFrameHeader, salt));
    const std::optional<WalFrameHeader> header =
        PeekWalFrame(rest.first(kWalPageBytes), salt, rest.size());
    if (!header.has_value()) break;
    const size_t frame_bytes = WalFrameBytes(header->body_bytes);
    if (!IsWalFrameIntact(*header, offset_bytes, rest.first(frame_bytes))) break;
    const std::span<const std::byte> body =
        rest.subspan(sizeof(WalFrameHeader), header->body_bytes);
    report.frames.push_back({offset_bytes, *header, records.Take(*header, body)});
    offset_bytes += frame_bytes;
  }
  const std::optional<WalSegmentId> named = ParseWalSegmentName(report.name);
  report.kind = records.kind().value_or(named.has_value() ? named->kind : WalKind::kLog);
  for (; offset_bytes + kWalPageBytes <= bytes.size(); offset_bytes += kWalPageBytes) {
    const std::span<const std::byte> rest = bytes.subspan(offset_bytes);
    if (IsZeros(rest.first(kWalPageBytes))) continue;
    ++report.other_pages;
    const auto own_salt = LoadFixed<uint64_t>(rest.data() + offsetof(WalFrameHeader, salt));
    report.other_salts.push_back(own_salt);
    const std::optional<WalFrameHeader> header =
        PeekWalFrame(rest.first(kWalPageBytes), own_salt, rest.size());
    if (!header.has_value()) continue;
    const std::span<const std::byte> frame = rest.first(WalFrameBytes(header->body_bytes));
    if (IsWalFrameIntact(*header, offset_bytes, frame)) report.later_frames.push_back(*header);
  }
  return report;
}

}  // namespace ioengine::inspect
