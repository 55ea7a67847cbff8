// WriteBatch: changes that happen together, or not at all; if what they require is so.
#ifndef IOENGINE_ENGINE_WRITE_BATCH_H_
#define IOENGINE_ENGINE_WRITE_BATCH_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/format/operation.h"

namespace ioengine {

// Of two changes to one key the later one counts. A key longer than kMaxKeyBytes makes the batch
// one that cannot be written: status() tells, and so does the store. The store also refuses a batch
// whose operations() with a head of kBatchHeadBytes are larger than a record of its log may be,
// WalOptions::max_pending_bytes less 4: 4 MiB by default, 64 MiB at most. Of values that go to blob
// files (BlobOptions::least_bytes) only a pointer counts, and each may have kMaxBlobBytes.
//
// Shard: any thread, one at a time. Cost: keys and values are copied.
class WriteBatch {
 public:
  void Put(std::string_view key, std::string_view value) {
    Add({.kind = OperationKind::kPut, .key = key, .value = value});
  }
  // Also of a key that is not there.
  void Delete(std::string_view key) { Add({.kind = OperationKind::kDelete, .key = key}); }

  // Either.
  void Add(const Operation& operation) {
    if (!AddTo(operations_, operation)) return;
    ++count_;
    largest_value_bytes_ = std::max(largest_value_bytes_, operation.value.size());
  }

  // Nothing happens unless the key has this value, or none where that is nullopt, when all changes
  // do: FailedPrecondition otherwise. Also of a key that the batch does not change. All that is
  // required is looked at before anything is changed.
  void Require(std::string_view key, std::optional<std::string_view> value) {
    const OperationKind kind = value.has_value() ? OperationKind::kPut : OperationKind::kDelete;
    AddCondition({.kind = kind, .key = key, .value = value.value_or("")});
  }
  // The same, as conditions() has it.
  void AddCondition(const Operation& condition) {
    if (AddTo(conditions_, condition)) ++condition_count_;
  }
  // What Add says of it.
  static absl::Status Check(const Operation& operation) {
    if (operation.key.size() > kMaxKeyBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("a key of ", operation.key.size(), " bytes; at most ", kMaxKeyBytes));
    }
    if (operation.value.size() > UINT32_MAX) {
      return absl::InvalidArgumentError(
          absl::StrCat("a value of ", operation.value.size(), " bytes; at most ", UINT32_MAX));
    }
    return absl::OkStatus();
  }

  void Clear() { *this = WriteBatch(); }

  uint32_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  size_t largest_value_bytes() const { return largest_value_bytes_; }
  const absl::Status& status() const { return status_; }
  // Encoded, as they stand in the log (format/batch_record.h).
  std::string_view operations() const { return operations_; }
  std::string TakeOperations() && { return std::move(operations_); }
  // Encoded likewise: a put for a value that is required, a delete where there is to be none.
  std::string_view conditions() const { return conditions_; }
  uint32_t condition_count() const { return condition_count_; }

 private:
  bool AddTo(std::string& operations, const Operation& operation) {
    if (absl::Status checked = Check(operation); !checked.ok()) {
      status_ = std::move(checked);
      return false;
    }
    AppendOperation(operations, operation);
    return true;
  }

  std::string operations_;
  uint32_t count_ = 0;
  std::string conditions_;
  uint32_t condition_count_ = 0;
  size_t largest_value_bytes_ = 0;
  absl::Status status_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WRITE_BATCH_H_
