// Uuid: the identity of a database or a file.
#ifndef IOENGINE_ENGINE_FORMAT_UUID_H_
#define IOENGINE_ENGINE_FORMAT_UUID_H_

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>

namespace ioengine {

struct Uuid {
  std::array<std::byte, 16> bytes = {};

  friend auto operator<=>(const Uuid&, const Uuid&) = default;

  // 32 hexadecimal digits.
  std::string ToString() const;
};

// A random one (version 4, RFC 4122) from 128 random bits.
Uuid MakeUuid(uint64_t random_high, uint64_t random_low);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_UUID_H_
