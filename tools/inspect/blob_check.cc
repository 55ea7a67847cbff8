#include "ioengine/tools/inspect/blob_check.h"

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/tools/inspect/files.h"

namespace ioengine::inspect {
namespace {

struct PointerOfRecord {
  BlobPointer pointer;
  const Block* block = nullptr;
  size_t at = 0;
};

// By their places, so that files are read from front to back.
std::vector<PointerOfRecord> PointersOf(const TableScan& scan) {
  std::vector<PointerOfRecord> pointers;
  for (const TableBlock& data : scan.blocks) {
    if (data.kind != BlockKind::kData) continue;
    for (size_t at = 0; at < data.block.size(); ++at) {
      const Block::Record record = data.block.At(at);
      if (record.kind != OperationKind::kPutBlob) continue;
      PointerOfRecord found = {{}, &data.block, at};
      // Block::Parse has looked that it makes sense.
      (void)DecodeBlobPointer(record.value, &found.pointer);
      pointers.push_back(found);
    }
  }
  std::sort(pointers.begin(), pointers.end(),
            [](const PointerOfRecord& a, const PointerOfRecord& b) {
              return std::tie(a.pointer.file, a.pointer.offset_bytes) <
                     std::tie(b.pointer.file, b.pointer.offset_bytes);
            });
  return pointers;
}

void Count(const BlobPointer& pointer, BlobReference& sum) {
  sum.file = pointer.file;
  ++sum.values;
  sum.stored_bytes += pointer.stored_bytes();
}

std::string ReferenceText(const BlobReference& reference) {
  return absl::StrCat(reference.values, " values of ", reference.stored_bytes, " bytes");
}

void CompareReferences(std::map<Uuid, BlobReference> here, const TableScan& scan,
                       TableReport& report) {
  std::map<Uuid, BlobReference> named;
  for (const BlobReference& blob : report.record.blobs) {
    named[blob.file] = blob;
    here.try_emplace(blob.file, BlobReference{blob.file, 0, 0});
  }
  for (const auto& [file, blob] : here) {
    const auto found = named.find(file);
    const bool is_named = found != named.end();
    const BlobReference said = is_named ? found->second : BlobReference();
    if (is_named && said == blob) continue;
    report.damage.push_back(
        {0, scan.file.size(),
         absl::StrCat("it points to ", ReferenceText(blob), " in ", BlobFileName(file),
                      ", in the manifest: ", ReferenceText(said),
                      is_named ? "" : "; the next open may remove that file"),
         ""});
  }
}

}  // namespace

BlobCheck::BlobCheck(std::string directory, const std::map<Uuid, uint64_t>& files)
    : directory_(directory), reader_(std::move(directory)) {
  for (const auto& [file, size_bytes] : files) {
    files_[file].file = file;
    files_[file].file_bytes = size_bytes;
  }
}

BlobFileReport& BlobCheck::Needed(const Uuid& file) {
  const auto [at, is_missing] = files_.try_emplace(file);
  BlobFileReport& report = at->second;
  report.file = file;
  report.is_missing |= is_missing;
  report.is_needed = true;
  return report;
}

void BlobCheck::AddRecord(const TableRecord& record) {
  for (const BlobReference& blob : record.blobs) {
    BlobReference& sum = Needed(blob.file).tables;
    sum.file = blob.file;
    sum.values += blob.values;
    sum.stored_bytes += blob.stored_bytes;
  }
}

void BlobCheck::CheckTable(const TableScan& scan, TableReport& report) {
  const std::vector<PointerOfRecord> pointers = PointersOf(scan);
  std::map<Uuid, BlobReference> here;
  const std::string where = absl::StrCat(" of ", scan.name);
  for (const PointerOfRecord& each : pointers) {
    Count(each.pointer, here[each.pointer.file]);
    CheckValue(each.pointer, each.block->KeyAt(each.at), where);
  }
  const bool is_whole = scan.footer.ok() && scan.damaged.empty() &&
                        scan.description.info.uuid == report.record.identity.uuid;
  if (is_whole) CompareReferences(std::move(here), scan, report);
}

void BlobCheck::CheckLogged(const BlobPointer& pointer, std::string_view key,
                            std::string_view where) {
  Count(pointer, Needed(pointer.file).logs);
  CheckValue(pointer, key, where);
}

void BlobCheck::CheckValue(const BlobPointer& pointer, std::string_view key,
                           std::string_view where) {
  Needed(pointer.file);
  const absl::Status status = reader_.Read(pointer).status();
  if (!status.ok()) losses_.Add(pointer, status, key, where);
}

absl::Status BlobCheck::Finish(const Uuid& database, DatabaseReport& report) {
  for (auto& [uuid, file] : files_) {
    const auto lost = losses_.files().find(uuid);
    if (lost != losses_.files().end()) file.loss = lost->second;
    if (file.is_missing && file.loss.values == 0) {
      report.problems.push_back(absl::StrCat(
          BlobFileName(uuid), ": it is missing, and the manifest says that tables have ",
          ReferenceText(file.tables), " in it"));
    }
    if (file.is_needed && !file.is_missing) {
      absl::Status read = CheckHeader(database, file, report.problems);
      if (!read.ok()) return read;
    }
    report.blobs.push_back(file);
  }
  for (std::string& line : losses_.Lines()) report.problems.push_back(std::move(line));
  return absl::OkStatus();
}

// Values are read without it, so nothing is lost with it but what says whose they are.
absl::Status BlobCheck::CheckHeader(const Uuid& database, BlobFileReport& file,
                                    std::vector<std::string>& problems) const {
  const std::string name = BlobFileName(file.file);
  const absl::StatusOr<std::vector<std::byte>> page =
      ReadFront(directory_ + "/" + name, kBlobPageBytes);
  if (!page.ok()) return page.status();
  const absl::StatusOr<BlobFileInfo> info = DecodeBlobFileHeader(*page, file.file);
  if (absl::IsFailedPrecondition(info.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat(name, ": ", std::string(info.status().message())));
  }
  file.header = info.status();
  if (info.ok()) file.moved = info->moved;
  if (info.ok() && info->database != database) {
    file.header =
        absl::DataLossError(absl::StrCat("it is of another database, ", info->database.ToString()));
  }
  if (!file.header.ok()) {
    problems.push_back(absl::StrCat(name, ", offset 0: ", std::string(file.header.message()),
                                    "; lost with it: no keys"));
  }
  return absl::OkStatus();
}

}  // namespace ioengine::inspect
