#include "ioengine/io/uring/register_arena.h"

#include <sys/uio.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <vector>

namespace ioengine {
namespace {

constexpr size_t kLargestRegionBytes = size_t{1} << 30;

// Of those that are tried where not all is granted: so many at most, and none smaller than a large
// transfer, whose buffer lies in one region or is not registered.
constexpr size_t kMostRegions = 256;
constexpr size_t kSmallestRegionBytes = size_t{1} << 20;

std::vector<iovec> Divide(std::span<std::byte> arena, size_t region_bytes) {
  std::vector<iovec> regions;
  for (size_t at = 0; at < arena.size(); at += region_bytes) {
    const auto region = arena.subspan(at, std::min(region_bytes, arena.size() - at));
    regions.push_back({region.data(), region.size()});
  }
  return regions;
}

}  // namespace

int RegisterArena(io_uring& ring, std::span<std::byte> arena, BufferRegistration* registration) {
  const std::vector<iovec> all = Divide(arena, kLargestRegionBytes);
  const int result =
      io_uring_register_buffers(&ring, all.data(), static_cast<unsigned>(all.size()));
  if (result == 0) {
    *registration = {.registered_bytes = arena.size(), .region_bytes = kLargestRegionBytes};
    return 0;
  }
  if (result != -ENOMEM) return result;

  // An empty table, which takes one region after the other until one is refused.
  const size_t region_bytes =
      std::max(kSmallestRegionBytes, std::bit_ceil(arena.size() / kMostRegions));
  const std::vector<iovec> regions = Divide(arena, region_bytes);
  const auto count = static_cast<unsigned>(regions.size());
  if (io_uring_register_buffers_sparse(&ring, count) != 0) return result;
  const int granted =
      io_uring_register_buffers_update_tag(&ring, 0, regions.data(), nullptr, count);
  if (granted <= 0) {
    io_uring_unregister_buffers(&ring);
    return result;
  }
  registration->registered_bytes =
      std::min(arena.size(), static_cast<size_t>(granted) * region_bytes);
  registration->region_bytes = region_bytes;
  return result;
}

}  // namespace ioengine
