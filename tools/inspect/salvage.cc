#include "ioengine/tools/inspect/salvage.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/sched/future.h"
#include "ioengine/tools/inspect/files.h"
#include "ioengine/tools/inspect/report.h"

namespace ioengine::inspect {
namespace {

struct SavedRecord {
  Sequence sequence;
  std::vector<std::byte> bytes;
};

// Collects the frames of a stream by their numbers, and puts its records together.
class StreamSalvage {
 public:
  // What ROOT says of the stream, if that is known.
  StreamSalvage(const Uuid& database, std::optional<RootStream> root)
      : database_(database), root_(std::move(root)) {}

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
      frames_[header->frame] = {body.begin(), body.end()};
    }
  }

  void TakeRecords(std::vector<SavedRecord>& records, SalvageReport& report) {
    uint64_t next = 1;
    for (const auto& [number, body] : frames_) {
      report.missing_frames += number - next;
      if (number != next) DropPart(report);
      next = number + 1;
      ++report.frames;
      TakeFrame(body, records, report);
    }
    if (root_.has_value() && root_->seal.has_value() && root_->seal->frame >= next) {
      report.missing_frames += root_->seal->frame + 1 - next;
    }
    DropPart(report);
  }

 private:
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

  void DropPart(SalvageReport& report) {
    report.cut_records += part_.empty() ? 0 : 1;
    part_.clear();
  }

  void TakeFrame(std::span<const std::byte> body, std::vector<SavedRecord>& records,
                 SalvageReport& report) {
    WalFragmentReader reader(body);
    for (auto fragment = reader.Next(); fragment.has_value(); fragment = reader.Next()) {
      const bool begins =
          fragment->kind == WalFragmentKind::kWhole || fragment->kind == WalFragmentKind::kFirst;
      // The begin is missing.
      if (!begins && part_.empty()) {
        report.cut_records += fragment->kind == WalFragmentKind::kLast ? 1 : 0;
        continue;
      }
      part_.insert(part_.end(), fragment->bytes.begin(), fragment->bytes.end());
      const bool ends =
          fragment->kind == WalFragmentKind::kWhole || fragment->kind == WalFragmentKind::kLast;
      if (!ends) continue;
      const Sequence sequence = DecodeBatchRecord(part_).sequence;
      records.push_back({sequence, std::exchange(part_, {})});
      ++report.records;
    }
  }

  const Uuid database_;
  const std::optional<RootStream> root_;
  std::map<uint64_t, std::vector<std::byte>> frames_;  // bodies
  std::vector<std::byte> part_;                        // of a record that goes on
};

Task<absl::Status> WriteRecords(Shard& shard, std::string target,
                                const std::vector<SavedRecord>* records, size_t memtable_bytes) {
  StoreOptions options;
  options.memtable_bytes = memtable_bytes;
  auto store = co_await ShardStore::Open(shard, target, options);
  if (!store.ok()) co_return store.status();
  for (const SavedRecord& record : *records) {
    OperationReader operations = DecodeBatchRecord(record.bytes).operations;
    WriteBatch batch;
    Operation operation;
    while (operations.Next(&operation)) {
      if (operation.kind == OperationKind::kPut) {
        batch.Put(operation.key, operation.value);
      } else {
        batch.Delete(operation.key);
      }
    }
    auto written = co_await (*store)->Write(batch, Durability::kMemory);
    if (!written.ok()) co_return written.status();
  }
  co_return co_await (*store)->Close();
}

absl::StatusOr<std::map<uint64_t, StreamSalvage>> ReadStreams(const std::string& directory) {
  // Damage to it is what one may be here for.
  std::optional<RootState> root;
  const absl::StatusOr<DatabaseReport> report = InspectDatabase(directory);
  if (report.ok()) root = report->root;
  std::map<uint64_t, std::map<uint64_t, std::string>> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const auto name = ParseWalSegmentName(entry.path().filename().string());
    if (name.has_value() && name->kind == WalKind::kLog)
      paths[name->stream][name->segment] = entry.path().string();
  }
  if (error) return absl::NotFoundError(absl::StrCat(directory, ": ", error.message()));
  std::map<uint64_t, StreamSalvage> streams;
  for (const auto& [stream, segments] : paths) {
    std::optional<RootStream> of_root;
    if (root.has_value()) {
      for (const RootStream& named : root->streams) {
        if (named.stream == stream) of_root = named;
      }
      // Let go, or never begun.
      if (!of_root.has_value()) continue;
    }
    const Uuid database = root.has_value() ? root->database : Uuid();
    StreamSalvage& salvage =
        streams.emplace(stream, StreamSalvage(database, of_root)).first->second;
    for (const auto& [number, path] : segments) {
      absl::StatusOr<std::vector<std::byte>> file = ReadFile(path);
      if (!file.ok()) return file.status();
      salvage.AddSegment(number, *file);
    }
  }
  if (streams.empty()) return absl::NotFoundError(absl::StrCat(directory, " has no log"));
  return streams;
}

}  // namespace

absl::StatusOr<SalvageReport> Salvage(const std::string& directory, const std::string& target) {
  std::error_code error;
  if (std::filesystem::exists(target, error) && !std::filesystem::is_empty(target, error)) {
    return absl::AlreadyExistsError(
        absl::StrCat(target, " is not empty; name a directory for a new database"));
  }
  auto streams = ReadStreams(directory);
  if (!streams.ok()) return streams.status();
  SalvageReport report;
  std::vector<SavedRecord> records;
  for (auto& [number, stream] : *streams) stream.TakeRecords(records, report);
  std::stable_sort(records.begin(), records.end(), [](const SavedRecord& a, const SavedRecord& b) {
    return a.sequence < b.sequence;
  });
  size_t memtable_bytes = size_t{64} << 20;
  for (const SavedRecord& record : records) memtable_bytes += 4 * record.bytes.size() + 1024;
  auto runtime = Runtime::Start({.shard_count = 1});
  if (!runtime.ok()) return runtime.status();
  const absl::Status written =
      (*runtime)->Submit(0, WriteRecords, target, &records, memtable_bytes).Wait();
  if (!written.ok()) return written;
  return report;
}

}  // namespace ioengine::inspect
