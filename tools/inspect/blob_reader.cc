#include "ioengine/tools/inspect/blob_reader.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/table/table_index.h"

namespace ioengine::inspect {
namespace {

// What is not told value by value.
std::string SumText(const std::string& name, const BlobLoss& loss) {
  std::string text = absl::StrCat(name, ": ");
  if (loss.file.ok()) {
    absl::StrAppend(&text, loss.values, " values are damaged, and the first ", loss.damage.size(),
                    " are named");
  } else {
    absl::StrAppend(&text, std::string(loss.file.message()));
  }
  absl::StrAppend(&text, "; lost with it: ", loss.values, " values of keys from ",
                  ShownKey(loss.smallest), " to ", ShownKey(loss.largest));
  if (loss.replaced > 0) {
    absl::StrAppend(&text, ", of which ", loss.replaced, " have an older value now");
  }
  return text;
}

}  // namespace

void BlobReader::Open(const Uuid& file) {
  open_ = file;
  file_.close();
  file_.clear();
  const std::string path = absl::StrCat(directory_, "/", BlobFileName(file));
  std::error_code error;
  file_bytes_ = std::filesystem::file_size(path, error);
  if (!error) {
    errno = 0;
    file_.open(path, std::ios::binary);
    if (!file_) error = std::error_code(errno, std::generic_category());
  }
  if (error == std::errc::no_such_file_or_directory) {
    status_ = absl::NotFoundError("it is missing");
  } else if (error) {
    status_ = absl::FailedPreconditionError(error.message());
  } else {
    status_ = absl::OkStatus();
  }
}

absl::StatusOr<std::string> BlobReader::Read(const BlobPointer& pointer) {
  if (open_ != pointer.file) Open(pointer.file);
  if (!status_.ok()) return status_;
  if (pointer.end_bytes() > file_bytes_) {
    return absl::DataLossError(
        absl::StrCat("the file has ", file_bytes_, " bytes, and ends before it does"));
  }
  std::array<std::byte, kBlobHeadBytes> head;
  std::string value(pointer.value_bytes, '\0');
  file_.clear();
  file_.seekg(static_cast<std::streamoff>(pointer.offset_bytes));
  file_.read(reinterpret_cast<char*>(head.data()), head.size());
  file_.read(value.data(), static_cast<std::streamsize>(value.size()));
  if (!file_) return absl::DataLossError(std::strerror(errno));
  absl::Status good = CheckBlob(pointer, head, value);
  if (!good.ok()) return good;
  return value;
}

void BlobLosses::Add(const BlobPointer& pointer, const absl::Status& status, std::string_view key,
                     std::string_view where, bool is_replaced) {
  BlobLoss& loss = files_[pointer.file];
  if (loss.values == 0 || key < loss.smallest) loss.smallest = key;
  if (loss.values == 0 || key > loss.largest) loss.largest = key;
  ++loss.values;
  loss.replaced += is_replaced ? 1 : 0;
  if (!absl::IsDataLoss(status)) {
    loss.file = status;
  } else if (loss.damage.size() < kMaxTold) {
    loss.damage.push_back({pointer.offset_bytes, pointer.value_bytes, std::string(status.message()),
                           absl::StrCat("key ", ShownKey(key), std::string(where),
                                        is_replaced ? ", which has an older value now" : "")});
  }
}

std::vector<std::string> BlobLosses::Lines() const {
  std::vector<std::string> lines;
  for (const auto& [file, loss] : files_) {
    const std::string name = BlobFileName(file);
    for (const BlobDamage& damage : loss.damage) {
      lines.push_back(absl::StrCat(name, ", offset ", damage.offset_bytes, ": value of ",
                                   damage.value_bytes, " bytes: ", damage.problem,
                                   "; lost with it: ", damage.lost));
    }
    if (loss.values > loss.damage.size()) lines.push_back(SumText(name, loss));
  }
  return lines;
}

}  // namespace ioengine::inspect
