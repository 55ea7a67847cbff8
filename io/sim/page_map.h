// SimPageMap: the pages of a simulated file, by their numbers.
#ifndef IOENGINE_IO_SIM_PAGE_MAP_H_
#define IOENGINE_IO_SIM_PAGE_MAP_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "ioengine/io/sim/shared.h"

namespace ioengine {

inline constexpr uint64_t kSimPageBytes = 4096;
// What a device writes as a whole: a power cut tears between sectors, never within one.
inline constexpr uint64_t kSimSectorBytes = 512;

// Never changed where it is shared: whoever wants to change one makes a copy.
struct SimPage {
  std::array<std::byte, kSimPageBytes> bytes;
};
using SimPageRef = Shared<SimPage>;

// A sparse array of pages. A copy shares all pages, and the chunks that hold them, until one of
// both is changed: it costs a pointer for each 256 KiB of the file.
//
// Shard: all of a simulation, on one thread.
class SimPageMap {
 public:
  // Null: a hole. Valid until the map is changed.
  const SimPageRef* Find(uint64_t page) const;

  // Returns whether the page was a hole.
  bool Set(uint64_t page, SimPageRef ref);

  // Makes holes of the pages from `first` to before `end`; returns how many were none.
  uint64_t Erase(uint64_t first, uint64_t end);

  // Pages that are no holes.
  uint64_t pages() const { return pages_; }

  // The first page at or after `page` that is no hole; UINT64_MAX: none.
  uint64_t NextMapped(uint64_t page) const;

 private:
  static constexpr uint64_t kChunkPages = 64;
  struct Chunk {
    std::array<SimPageRef, kChunkPages> pages;
    uint64_t used = 0;
  };
  using Entry = std::pair<uint64_t, Shared<Chunk>>;

  // The place of the chunk, or where it would have to be.
  size_t PositionOf(uint64_t chunk) const;
  static Chunk& MakePrivate(Entry& entry);

  std::vector<Entry> chunks_;  // by number
  uint64_t pages_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_SIM_PAGE_MAP_H_
