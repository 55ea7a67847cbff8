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
  kDelete = 2,  // hides older values
};

// A key's longest form.
inline constexpr size_t kMaxKeyBytes = size_t{64} << 10;

// Ownership: refers to bytes elsewhere.
struct Operation {
  OperationKind kind = OperationKind::kPut;
  std::string_view key = {};
  std::string_view value = {};  // of a kPut
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_OPERATION_H_
