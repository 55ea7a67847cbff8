#include "ioengine/engine/format/checksum.h"

#include <xxhash.h>

namespace ioengine {

uint64_t Checksum(std::span<const std::byte> bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace ioengine
