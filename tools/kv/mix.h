// Mix: a hash of a number.
#ifndef IOENGINE_TOOLS_KV_MIX_H_
#define IOENGINE_TOOLS_KV_MIX_H_

#include <cstdint>

namespace ioengine::kv {

// The finalizer of SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014). A bijection.
inline uint64_t Mix(uint64_t number) {
  number += 0x9e37'79b9'7f4a'7c15;
  number = (number ^ (number >> 30)) * 0xbf58'476d'1ce4'e5b9;
  number = (number ^ (number >> 27)) * 0x94d0'49bb'1331'11eb;
  return number ^ (number >> 31);
}

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_MIX_H_
