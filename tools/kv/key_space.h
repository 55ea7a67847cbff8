// KeySpace: the keys of a measured database, by their index.
#ifndef IOENGINE_TOOLS_KV_KEY_SPACE_H_
#define IOENGINE_TOOLS_KV_KEY_SPACE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ioengine::kv {

// A key is its number in decimal digits, filled up with zeros in front, so keys are in the order of
// numbers. Indexes below keys() are the keys that a load writes, in their order; those from there
// to capacity() are for keys that a workload inserts, which lie between the loaded ones in no
// order.
//
//   number:   4 i         4 i + 1                    4 i + 2
//             index i     of an inserted key         of a key that is never there
//
// Any thread; it does not change.
class KeySpace {
 public:
  // REQUIRES: keys > 0, key_bytes >= LeastKeyBytes(keys).
  KeySpace(uint64_t keys, size_t key_bytes);

  static size_t LeastKeyBytes(uint64_t keys);

  uint64_t keys() const { return keys_; }
  uint64_t capacity() const { return 2 * keys_; }
  size_t key_bytes() const { return key_bytes_; }

  // Give the key in `key`, whose memory is used again. Cost: some 10 ns.
  void Format(uint64_t index, std::string* key) const { FormatNumber(NumberOf(index), key); }
  void FormatMissing(uint64_t index, std::string* key) const {
    FormatNumber(4 * (index % keys_) + 2, key);
  }
  std::string Key(uint64_t index) const;

  // Of a key that there may be; nothing of any other text.
  std::optional<uint64_t> IndexOf(std::string_view key) const;

  // The place of an index among the loaded keys in order: of an inserted key that of the loaded one
  // before it.
  uint64_t PlaceOf(uint64_t index) const { return index < keys_ ? index : Permuted(index - keys_); }

  // A bijection of the numbers below keys() that has no order to speak of.
  uint64_t Permuted(uint64_t i) const { return MultiplyModulo(i, stride_); }

 private:
  uint64_t NumberOf(uint64_t index) const {
    return index < keys_ ? 4 * index : 4 * Permuted(index - keys_) + 1;
  }
  uint64_t MultiplyModulo(uint64_t i, uint64_t factor) const;
  void FormatNumber(uint64_t number, std::string* key) const;

  const uint64_t keys_;
  const size_t key_bytes_;
  uint64_t stride_ = 1;   // has no divisor in common with keys_
  uint64_t inverse_ = 1;  // stride_ times it is 1, modulo keys_
};

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_KEY_SPACE_H_
