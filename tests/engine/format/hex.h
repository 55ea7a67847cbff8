// Hex: bytes as golden values show them.
#ifndef IOENGINE_TESTS_ENGINE_FORMAT_HEX_H_
#define IOENGINE_TESTS_ENGINE_FORMAT_HEX_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace ioengine {

inline std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += kDigits[static_cast<unsigned char>(c) >> 4];
    hex += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

inline std::string Hex(std::span<const std::byte> bytes) {
  return Hex(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

}  // namespace ioengine

#endif  // IOENGINE_TESTS_ENGINE_FORMAT_HEX_H_
