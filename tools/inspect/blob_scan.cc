#include "ioengine/tools/inspect/blob_scan.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/tools/inspect/files.h"

namespace ioengine::inspect {
namespace {

constexpr uint64_t NextPage(uint64_t offset_bytes) {
  return (offset_bytes / kBlobPageBytes + 1) * kBlobPageBytes;
}

Uuid UuidIn(std::span<const std::byte> page) {
  Uuid uuid;
  const auto at = page.subspan(offsetof(BlobFileHeader, file));
  std::copy_n(at.begin(), uuid.bytes.size(), uuid.bytes.begin());
  return uuid;
}

class Scanner {
 public:
  Scanner(std::span<const std::byte> file, const Uuid& uuid, BlobScan& scan)
      : file_(file), uuid_(uuid), scan_(scan) {}

  void Run() {
    uint64_t offset = kBlobPageBytes;
    while (offset < file_.size()) {
      const std::optional<BlobPointer> value = ValueAt(offset);
      const bool is_good = value.has_value() && IsGood(*value);
      if (is_good || (value.has_value() && IsFollowed(*value))) {
        scan_.values.push_back({offset, value->value_bytes, is_good});
        in_other_ = false;
        offset = value->end_bytes();
        continue;
      }
      const uint64_t end = std::min<uint64_t>(NextPage(offset), file_.size());
      if (!IsZeros(file_.subspan(offset, end - offset))) AddOther(offset, end);
      offset = end;
    }
  }

 private:
  // What a head there says, if there is room for it. No value is empty, and zeros say one is.
  std::optional<BlobPointer> ValueAt(uint64_t offset) const {
    if (file_.size() - offset < kBlobHeadBytes) return std::nullopt;
    const BlobPointer value = {uuid_, offset, PeekBlobBytes(file_.subspan(offset, kBlobHeadBytes))};
    const bool fits = value.value_bytes > 0 && value.value_bytes <= kMaxBlobBytes &&
                      value.end_bytes() <= file_.size();
    return fits ? std::optional(value) : std::nullopt;
  }

  bool IsGood(const BlobPointer& value) const {
    const std::string_view bytes =
        AsText(file_.subspan(value.offset_bytes + kBlobHeadBytes, value.value_bytes));
    return CheckBlob(value, file_.subspan(value.offset_bytes, kBlobHeadBytes), bytes).ok();
  }

  // Whether it is a value whose bytes are damaged, and not its size.
  bool IsFollowed(const BlobPointer& value) const {
    const uint64_t end = value.end_bytes();
    const uint64_t page = std::min<uint64_t>(NextPage(end - 1), file_.size());
    if (IsGoodAt(end)) return true;
    return IsZeros(file_.subspan(end, page - end)) && (page == file_.size() || IsGoodAt(page));
  }
  bool IsGoodAt(uint64_t offset) const {
    if (offset >= file_.size()) return false;
    const std::optional<BlobPointer> value = ValueAt(offset);
    return value.has_value() && IsGood(*value);
  }

  void AddOther(uint64_t offset, uint64_t end) {
    if (!in_other_) {
      scan_.other.push_back({offset, 0, "there is no good head of a value"});
      in_other_ = true;
    }
    scan_.other.back().size_bytes = end - scan_.other.back().offset_bytes;
  }

  const std::span<const std::byte> file_;
  const Uuid uuid_;
  BlobScan& scan_;
  bool in_other_ = false;
};

}  // namespace

BlobScan ScanBlobs(std::string name, std::span<const std::byte> file, std::optional<Uuid> named) {
  BlobScan scan;
  scan.name = std::move(name);
  scan.file_bytes = file.size();
  const auto page = file.first(std::min<size_t>(file.size(), kBlobPageBytes));
  Uuid uuid = named.value_or(Uuid());
  // A file that was renamed has the name in its header.
  if (page.size() == kBlobPageBytes) {
    const Uuid own = UuidIn(page);
    const bool is_own = !absl::IsDataLoss(DecodeBlobFileHeader(page, own).status());
    if (is_own || !named.has_value()) uuid = own;
  }
  absl::StatusOr<BlobFileInfo> info = DecodeBlobFileHeader(page, uuid);
  scan.header = info.status();
  if (info.ok()) scan.info = *info;
  if (info.ok() && named.has_value() && *named != uuid) {
    scan.header = absl::DataLossError(absl::StrCat("it is another file, ", BlobFileName(uuid)));
  }
  Scanner(file, uuid, scan).Run();
  return scan;
}

absl::StatusOr<BlobScan> InspectBlobs(const std::string& path) {
  const absl::StatusOr<std::vector<std::byte>> file = ReadFile(path);
  if (!file.ok()) return file.status();
  const std::string name = std::filesystem::path(path).filename().string();
  BlobScan scan = ScanBlobs(name, *file, ParseBlobFileName(name));
  if (absl::IsFailedPrecondition(scan.header)) {
    return absl::FailedPreconditionError(path + ": " + std::string(scan.header.message()));
  }
  return scan;
}

absl::StatusOr<bool> BeginsAsBlobFile(const std::string& path) {
  constexpr size_t kMagicAt = offsetof(BlobFileHeader, magic);
  const absl::StatusOr<std::vector<std::byte>> front = ReadFront(path, kBlobPageBytes);
  if (!front.ok()) return front.status();
  return front->size() >= kMagicAt + sizeof(uint64_t) &&
         LoadFixed<uint64_t>(front->data() + kMagicAt) == kBlobMagic;
}

}  // namespace ioengine::inspect
