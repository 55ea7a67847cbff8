// Operation: one change of one key, as batches, frames and tables hold it.
#ifndef IOENGINE_ENGINE_FORMAT_OPERATION_H_
#define IOENGINE_ENGINE_FORMAT_OPERATION_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ioengine {

// On disk: no value may change its meaning.
enum class OperationKind : uint8_t {
  kPut = 1,
  kDelete = 2,   // hides older values
  kPutBlob = 3,  // a put whose value is elsewhere: what it has for one is a BlobPointer
};

constexpr bool HasValue(OperationKind kind) {
  return kind == OperationKind::kPut || kind == OperationKind::kPutBlob;
}
constexpr bool IsOperationKind(OperationKind kind) {
  return HasValue(kind) || kind == OperationKind::kDelete;
}

// A key's longest form.
inline constexpr size_t kMaxKeyBytes = size_t{64} << 10;

// Ownership: refers to bytes elsewhere.
struct Operation {
  OperationKind kind = OperationKind::kPut;
  std::string_view key = {};
  std::string_view value = {};  // of a kPut; of a kPutBlob the pointer
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_OPERATION_H_
