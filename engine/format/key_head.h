// KeyHead: the first bytes of a key as a number that is ordered as keys are.
#ifndef IOENGINE_ENGINE_FORMAT_KEY_HEAD_H_
#define IOENGINE_ENGINE_FORMAT_KEY_HEAD_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace ioengine {

// The first 8 bytes, big-endian, with zeros behind a shorter key. Of two keys whose heads differ,
// the one with the smaller head comes first. Equal heads say nothing: "a" and "a\0" have the same.
inline uint64_t KeyHead(std::string_view key) {
  uint64_t head = 0;
  if (key.size() >= sizeof(head)) {
    std::memcpy(&head, key.data(), sizeof(head));
  } else if (!key.empty()) {
    std::memcpy(&head, key.data(), key.size());
  }
  return __builtin_bswap64(head);
}

// The length of what both begin with.
inline size_t SharedPrefixBytes(std::string_view a, std::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(most), b.begin()).first -
      a.begin());
}

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_KEY_HEAD_H_
