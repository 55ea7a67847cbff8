#include "ioengine/tools/kv/key_space.h"

#include <array>
#include <cstring>
#include <numeric>

#include "ioengine/sched/check.h"

namespace ioengine::kv {
namespace {

// "00", "01", … "99".
constexpr std::array<char, 200> kTwoDigits = [] {
  std::array<char, 200> digits{};
  for (size_t i = 0; i < 100; ++i) {
    digits[2 * i] = static_cast<char>('0' + i / 10);
    digits[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return digits;
}();

// The number that times `a` is 1, modulo `modulus`: Euclid's algorithm, extended. REQUIRES: they
// have no divisor in common.
uint64_t InverseOf(uint64_t a, uint64_t modulus) {
  __extension__ using Wide = __int128;
  Wide rest = modulus;
  Wide next_rest = a;
  Wide factor = 0;
  Wide next_factor = 1;
  while (next_rest != 0) {
    const Wide quotient = rest / next_rest;
    const Wide new_rest = rest - quotient * next_rest;
    rest = next_rest;
    next_rest = new_rest;
    const Wide new_factor = factor - quotient * next_factor;
    factor = next_factor;
    next_factor = new_factor;
  }
  return static_cast<uint64_t>(factor < 0 ? factor + modulus : factor);
}

}  // namespace

KeySpace::KeySpace(uint64_t keys, size_t key_bytes) : keys_(keys), key_bytes_(key_bytes) {
  IOENGINE_CHECK(keys > 0 && key_bytes >= LeastKeyBytes(keys), "keys that are too short");
  if (keys_ < 3) return;
  // The golden section spreads what is beside each other as far as can be.
  stride_ = static_cast<uint64_t>(0.6180339887498949 * static_cast<double>(keys_)) | 1;
  while (std::gcd(stride_, keys_) != 1) stride_ = stride_ % keys_ + 1;
  inverse_ = InverseOf(stride_, keys_);
}

size_t KeySpace::LeastKeyBytes(uint64_t keys) {
  size_t digits = 1;
  for (uint64_t number = 4 * keys + 3; number >= 10; number /= 10) ++digits;
  return digits;
}

uint64_t KeySpace::MultiplyModulo(uint64_t i, uint64_t factor) const {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>(Wide{i} * factor % keys_);
}

void KeySpace::FormatNumber(uint64_t number, std::string* key) const {
  key->resize(key_bytes_);
  char* at = key->data() + key_bytes_;
  while (number >= 10) {
    at -= 2;
    std::memcpy(at, kTwoDigits.data() + 2 * (number % 100), 2);
    number /= 100;
  }
  // The digit that is left is a zero if the last two were all.
  if (at > key->data()) *--at = static_cast<char>('0' + number);
  std::memset(key->data(), '0', static_cast<size_t>(at - key->data()));
}

std::string KeySpace::Key(uint64_t index) const {
  std::string key;
  Format(index, &key);
  return key;
}

std::optional<uint64_t> KeySpace::IndexOf(std::string_view key) const {
  if (key.size() != key_bytes_) return std::nullopt;
  uint64_t number = 0;
  for (const char digit : key) {
    if (digit < '0' || digit > '9' || number > UINT64_MAX / 10 - 1) return std::nullopt;
    number = 10 * number + static_cast<uint64_t>(digit - '0');
  }
  const uint64_t place = number / 4;
  if (place >= keys_ || number % 4 > 1) return std::nullopt;
  return number % 4 == 0 ? place : keys_ + MultiplyModulo(place, inverse_);
}

}  // namespace ioengine::kv
