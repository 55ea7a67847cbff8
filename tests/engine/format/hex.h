// Hex: bytes as golden values show them.
#ifndef IOENGINE_TESTS_ENGINE_FORMAT_HEX_H_
#define IOENGINE_TESTS_ENGINE_FORMAT_HEX_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"

namespace ioengine {

inline std::string Hex(std::string_view bytes) {
  return absl::BytesToHexString({bytes.data(), bytes.size()});
}

inline std::string Hex(std::span<const std::byte> bytes) {
  return Hex(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

}  // namespace ioengine

#endif  // IOENGINE_TESTS_ENGINE_FORMAT_HEX_H_
