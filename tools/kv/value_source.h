// ValueSource: the bytes that each version of each key has.
#ifndef IOENGINE_TOOLS_KV_VALUE_SOURCE_H_
#define IOENGINE_TOOLS_KV_VALUE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ioengine::kv {

// A value is decided by seed, index and version, and tells which version it is, so all of its bytes
// can be checked by whoever reads it, at the price of a memcmp:
//
//    0         4         8
//    ├─────────┼─────────┼──────────────────────────────────────────────┐
//    │ version │ check   │ a part of a pool of random bytes             │
//    └─────────┴─────────┴──────────────────────────────────────────────┘
//
// The check and the part's place are hashes of all three. Values cannot be compressed.
//
// Any thread; it does not change.
class ValueSource {
 public:
  static constexpr size_t kLeastBytes = 8;

  // REQUIRES: value_bytes >= kLeastBytes.
  ValueSource(uint64_t seed, size_t value_bytes);

  size_t value_bytes() const { return value_bytes_; }

  // Gives it in `value`, whose memory is used again.
  void Make(uint64_t index, uint32_t version, std::string* value) const;

  // Which version of that key it is; nothing: none.
  std::optional<uint32_t> VersionIn(uint64_t index, std::string_view value) const;

 private:
  struct Parts {
    uint32_t check;
    const char* body;
  };
  Parts PartsOf(uint64_t index, uint32_t version) const;

  const uint64_t seed_;
  const size_t value_bytes_;
  std::string pool_;
};

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_VALUE_SOURCE_H_
