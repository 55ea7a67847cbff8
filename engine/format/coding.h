// Numbers as they stand on disk: little-endian of fixed size, and varints.
#ifndef IOENGINE_ENGINE_FORMAT_CODING_H_
#define IOENGINE_ENGINE_FORMAT_CODING_H_

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ioengine {

static_assert(std::endian::native == std::endian::little,
              "the structures on disk are little-endian, and are read in place");

// Bytes of the longest varint of 64 bits.
inline constexpr size_t kMaxVarintBytes = 10;

template <std::unsigned_integral T>
T LoadFixed(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

template <std::unsigned_integral T>
void StoreFixed(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof(value));
}

constexpr size_t VarintBytes(uint64_t value) {
  return (static_cast<size_t>(std::bit_width(value | 1)) + 6) / 7;
}

// Seven bits a byte, the lowest first; the top bit says that more follow. `to` has room for
// VarintBytes(value). Gives the end.
inline std::byte* StoreVarint(std::byte* to, uint64_t value) {
  while (value >= 0x80) {
    *to++ = static_cast<std::byte>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<std::byte>(value);
  return to;
}

inline void AppendVarint(std::string& to, uint64_t value) {
  std::byte bytes[kMaxVarintBytes];
  const std::byte* const end = StoreVarint(bytes, value);
  to.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(end - bytes));
}

inline std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::span<const std::byte> AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

inline void AppendFixed64(std::string& to, uint64_t value) {
  std::byte bytes[sizeof(value)];
  StoreFixed(bytes, value);
  to.append(AsText(bytes));
}

// Takes values off the front of bytes that may be anything: once something does not fit, ok() is
// false, and all that follows is 0 or empty.
//
// Ownership: borrows the bytes; what it gives refers to them.
class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <std::unsigned_integral T>
  T Fixed() {
    if (rest_.size() < sizeof(T)) return Fail<T>();
    const T value = LoadFixed<T>(rest_.data());
    rest_ = rest_.subspan(sizeof(T));
    return value;
  }

  // Only in its shortest form, so that equal values are equal bytes.
  uint64_t Varint() {
    uint64_t value = 0;
    for (size_t i = 0; i < kMaxVarintBytes && i < rest_.size(); ++i) {
      const auto byte = static_cast<uint64_t>(rest_[i]);
      if (i == kMaxVarintBytes - 1 && byte > 1) break;  // more than 64 bits
      value |= (byte & 0x7f) << (7 * i);
      if (byte >= 0x80) continue;
      if (byte == 0 && i > 0) break;
      rest_ = rest_.subspan(i + 1);
      return value;
    }
    return Fail<uint64_t>();
  }

  std::span<const std::byte> Bytes(uint64_t size_bytes) {
    if (size_bytes > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const std::span<const std::byte> bytes = rest_.first(size_bytes);
    rest_ = rest_.subspan(size_bytes);
    return bytes;
  }

  // A varint of the length, and so many bytes.
  std::string_view Text() { return AsText(Bytes(Varint())); }

  bool ok() const { return ok_; }
  // All of it was good, and nothing is left.
  bool done() const { return ok_ && rest_.empty(); }
  std::span<const std::byte> rest() const { return rest_; }

 private:
  template <typename T>
  T Fail() {
    ok_ = false;
    rest_ = {};
    return T{0};
  }

  std::span<const std::byte> rest_;
  bool ok_ = true;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_CODING_H_
