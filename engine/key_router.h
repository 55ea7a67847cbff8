// KeyRouter: which tablet of a database has a key.
#ifndef IOENGINE_ENGINE_KEY_ROUTER_H_
#define IOENGINE_ENGINE_KEY_ROUTER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/root_state.h"

namespace ioengine {

// kHash: of the hashes of 64 bits each tablet has an equal part, in their order. Hashed are the
// key's first prefix_bytes, so that all keys that begin alike are in one tablet; keys that are
// shorter, and with prefix_bytes of 0 all keys, are hashed whole.
// kRange: a tablet has the keys from its lower one up to that of the next tablet.
//
// The format of a database depends on it: see docs/FORMAT.md.
//
// Shard: any, also several at once.
class KeyRouter {
 public:
  KeyRouter() = default;
  KeyRouter(KeyPlacement placement, std::vector<RootTablet> tablets)
      : placement_(placement), tablets_(std::move(tablets)) {}

  // The index, below tablets().size(), which is not 0. Cost: a hash, some 10 ns; or a binary
  // search.
  size_t TabletOf(std::string_view key) const {
    if (placement_.kind == KeyPlacement::Kind::kRange) {
      const auto behind =
          std::upper_bound(tablets_.begin() + 1, tablets_.end(), key,
                           [](std::string_view a, const RootTablet& b) { return a < b.lower; });
      return static_cast<size_t>(behind - tablets_.begin()) - 1;
    }
    if (tablets_.size() == 1) return 0;
    if (placement_.prefix_bytes > 0) key = key.substr(0, placement_.prefix_bytes);
    return PartOf(Checksum(AsBytes(key), kSeed), tablets_.size());
  }

  const KeyPlacement& placement() const { return placement_; }
  const std::vector<RootTablet>& tablets() const { return tablets_; }

 private:
  static constexpr uint64_t kSeed = 0x7461626c6574;  // "tablet"

  // Of so many equal parts of all numbers of 64 bits, the one that `hash` is in.
  static size_t PartOf(uint64_t hash, size_t parts) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<size_t>(static_cast<Wide>(hash) * parts >> 64);
  }

  KeyPlacement placement_;
  std::vector<RootTablet> tablets_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_KEY_ROUTER_H_
