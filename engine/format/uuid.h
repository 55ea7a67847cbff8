// Uuid: the identity of a database or a file.
#ifndef IOENGINE_ENGINE_FORMAT_UUID_H_
#define IOENGINE_ENGINE_FORMAT_UUID_H_

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace ioengine {

struct Uuid {
  std::array<std::byte, 16> bytes = {};

  friend auto operator<=>(const Uuid&, const Uuid&) = default;

  template <typename H>
  friend H AbslHashValue(H hash, const Uuid& uuid) {
    return H::combine(std::move(hash), uuid.bytes);
  }

  // 32 hexadecimal digits.
  std::string ToString() const;
};

// A random one (version 4, RFC 4122) from 128 random bits.
Uuid MakeUuid(uint64_t random_high, uint64_t random_low);

// Both halves, xor: what checksums within a file are seeded with.
uint64_t SeedOf(const Uuid& uuid);

// The one whose ToString(), and `suffix` behind it, is `name`; nothing for any other name.
std::optional<Uuid> ParseUuidName(std::string_view name, std::string_view suffix);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_UUID_H_
