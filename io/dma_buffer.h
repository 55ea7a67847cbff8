// DmaBuffer: memory that a device reads and writes directly.
#ifndef IOENGINE_IO_DMA_BUFFER_H_
#define IOENGINE_IO_DMA_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "ioengine/sched/check.h"

namespace ioengine {

class DmaBufferPool;

// Says that a buffer is not registered with the kernel.
inline constexpr uint16_t kNotRegistered = UINT16_MAX;

// How much of an arena the kernel has registered: from its start, in regions of a power of two
// bytes; region i, which operations name, holds what is i times that far in.
struct BufferRegistration {
  size_t registered_bytes = 0;
  size_t region_bytes = 0;
};

namespace internal {

// One per 4 KiB page of a pool's arena; that of a block's first page describes the block.
struct BufferBlock {
  DmaBufferPool* pool = nullptr;
  std::byte* data = nullptr;
  BufferBlock* next_free = nullptr;
  BufferBlock* previous_free = nullptr;
  uint32_t size_bytes = 0;  // as asked for; 0 while free
  uint32_t references = 0;
  uint16_t registered_index = kNotRegistered;
  uint8_t order = 0;  // the block is 4 KiB << order
  bool is_free = false;
};

}  // namespace internal

// A piece of a DmaBufferPool, aligned to 4 KiB at least. Move-only; `Share` gives a second handle
// to the same memory, which is free again when the last handle is gone. I/O in flight holds a
// handle of its own, so dropping a buffer never pulls it from under the kernel.
//
// Shard: the pool's. Not atomic.
// Ownership: must not outlive the pool.
class DmaBuffer {
 public:
  // No memory: `valid()` is false.
  DmaBuffer() = default;
  DmaBuffer(DmaBuffer&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  DmaBuffer& operator=(DmaBuffer&& other) noexcept {
    DmaBuffer(std::move(other)).Swap(*this);
    return *this;
  }
  ~DmaBuffer() {
    if (block_ != nullptr && --block_->references == 0) Free();
  }

  bool valid() const { return block_ != nullptr; }

  // Another handle to the same memory.
  DmaBuffer Share() const {
    if (block_ != nullptr) ++block_->references;
    return DmaBuffer(block_);
  }

  // Null and 0 when it is not valid().
  std::byte* data() const { return block_ == nullptr ? nullptr : block_->data; }
  size_t size_bytes() const { return block_ == nullptr ? 0 : block_->size_bytes; }
  std::span<std::byte> bytes() const { return {data(), size_bytes()}; }

  // Which of the backend's registered regions holds it, or kNotRegistered.
  uint16_t registered_index() const {
    return block_ == nullptr ? kNotRegistered : block_->registered_index;
  }

 private:
  friend class DmaBufferPool;
  // Takes over a reference that is counted already.
  explicit DmaBuffer(internal::BufferBlock* block) : block_(block) {}

  void Swap(DmaBuffer& other) { std::swap(block_, other.block_); }
  void Free();

  internal::BufferBlock* block_ = nullptr;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_DMA_BUFFER_H_
