// DmaBufferPool: the bounded memory from which a shard's DmaBuffers come.
#ifndef IOENGINE_IO_DMA_BUFFER_POOL_H_
#define IOENGINE_IO_DMA_BUFFER_POOL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/io/dma_buffer.h"

namespace ioengine {

// A buddy allocator (D. Knuth, TAOCP vol. 1, 2.5) over an arena that is given once: blocks of
// 4 KiB · 2^k, each aligned to its own size within the arena, two free buddies merge. So a buffer
// of 1 MiB lies within one huge page, which is one segment for the device.
//
// Shard: one; not synchronised.
class DmaBufferPool {
 public:
  static constexpr size_t kPageBytes = 4096;
  // Arenas start at this alignment, and buffers are aligned up to it.
  static constexpr size_t kArenaAlignmentBytes = size_t{2} << 20;
  // The largest buffer. Also the most that the kernel registers as one region.
  static constexpr size_t kMaxBufferBytes = size_t{1} << 30;

  // Borrows `arena`, which must be aligned to kArenaAlignmentBytes, be a multiple of kPageBytes,
  // and outlive the pool.
  explicit DmaBufferPool(std::span<std::byte> arena);
  DmaBufferPool(const DmaBufferPool&) = delete;
  DmaBufferPool& operator=(const DmaBufferPool&) = delete;
  // All buffers must be gone.
  ~DmaBufferPool();

  // A buffer of `size_bytes`, of which the arena gives the next power of two ≥ 4 KiB. Contents are
  // undefined. Errors: InvalidArgument (0, or above kMaxBufferBytes); ResourceExhausted when no
  // block of that size is free. Cost: O(log arena), no system call.
  absl::StatusOr<DmaBuffer> Allocate(size_t size_bytes);

  // Tells the pool what a backend registered of the arena. From now on buffers that lie within one
  // registered region carry its index, and are what is given out first; larger ones are taken from
  // the rest while there is any. Call it before the first Allocate.
  void SetRegistered(const BufferRegistration& registration);

  size_t capacity_bytes() const { return arena_.size(); }
  // Whole blocks, so rounded up to powers of two.
  size_t used_bytes() const { return used_bytes_; }
  // How often Allocate found no block.
  uint64_t times_full() const { return times_full_; }

 private:
  friend class DmaBuffer;
  using Block = internal::BufferBlock;
  static constexpr size_t kOrders = 19;  // 4 KiB to 1 GiB
  static_assert((kPageBytes << (kOrders - 1)) == kMaxBufferBytes);

  // Free blocks are kept apart by whether they begin in registered memory.
  enum Zone : uint8_t { kRegistered, kPlain };
  static constexpr size_t kZones = 2;

  void FillFree();
  void Free(Block* block);
  Block* TakeFree(size_t order);
  Block* TakeFreeIn(Zone zone, size_t order);
  size_t OffsetOf(const Block& block) const {
    return static_cast<size_t>(block.data - arena_.data());
  }
  Zone ZoneOf(const Block& block) const {
    return OffsetOf(block) < registration_.registered_bytes ? kRegistered : kPlain;
  }
  // Whether blocks of that order do not cross the borders of regions.
  bool FitsRegion(size_t order) const {
    return (kPageBytes << order) <= registration_.region_bytes;
  }
  void PushFree(Block* block, size_t order);
  void UnlinkFree(Block* block);
  Block* BuddyOf(Block* block, size_t order);

  std::span<std::byte> arena_;
  std::vector<Block> blocks_;  // one per page
  std::array<std::array<Block*, kOrders>, kZones> free_{};
  BufferRegistration registration_;
  size_t used_bytes_ = 0;
  uint64_t times_full_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_DMA_BUFFER_POOL_H_
