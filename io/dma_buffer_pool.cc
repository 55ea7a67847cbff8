#include "ioengine/io/dma_buffer_pool.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/io/poison.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

size_t OrderFor(size_t size_bytes) {
  const size_t pages = (size_bytes + DmaBufferPool::kPageBytes - 1) / DmaBufferPool::kPageBytes;
  return static_cast<size_t>(std::bit_width(pages - 1));
}

}  // namespace

void DmaBuffer::Free() { block_->pool->Free(block_); }

DmaBufferPool::DmaBufferPool(std::span<std::byte> arena)
    : arena_(arena), blocks_(arena.size() / kPageBytes) {
  IOENGINE_CHECK(reinterpret_cast<uintptr_t>(arena.data()) % kArenaAlignmentBytes == 0,
                 "the arena of a DmaBufferPool must be aligned to 2 MiB");
  IOENGINE_CHECK(arena.size() % kPageBytes == 0,
                 "the arena of a DmaBufferPool must be a multiple of 4 KiB");
  for (size_t page = 0; page < blocks_.size(); ++page) {
    blocks_[page].pool = this;
    blocks_[page].data = arena.data() + page * kPageBytes;
  }
  FillFree();
  Poison(arena_);
}

// With the largest aligned blocks that fit, from the front.
void DmaBufferPool::FillFree() {
  for (size_t page = 0; page < blocks_.size();) {
    const size_t fit = static_cast<size_t>(std::bit_width(blocks_.size() - page)) - 1;
    const size_t aligned = page == 0 ? kOrders - 1 : static_cast<size_t>(std::countr_zero(page));
    const size_t order = std::min({fit, aligned, kOrders - 1});
    PushFree(&blocks_[page], order);
    page += size_t{1} << order;
  }
}

DmaBufferPool::~DmaBufferPool() {
  IOENGINE_CHECK(used_bytes_ == 0, "a DmaBuffer outlives its pool");
  Unpoison(arena_);
}

absl::StatusOr<DmaBuffer> DmaBufferPool::Allocate(size_t size_bytes) {
  if (size_bytes == 0 || size_bytes > kMaxBufferBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a DMA buffer of ", size_bytes, " bytes: ask for 1 to ", kMaxBufferBytes, " bytes"));
  }
  const size_t order = OrderFor(size_bytes);
  Block* block = TakeFree(order);
  if (block == nullptr) {
    ++times_full_;
    return absl::ResourceExhaustedError(absl::StrCat(
        "no DMA buffer of ", size_bytes, " bytes is free: ", used_bytes_, " of ", arena_.size(),
        " bytes of the shard's pool are in use; free buffers or give ", "the shard a larger pool"));
  }
  block->references = 1;
  block->registered_index =
      ZoneOf(*block) == kRegistered && FitsRegion(order)
          ? static_cast<uint16_t>(OffsetOf(*block) / registration_.region_bytes)
          : kNotRegistered;
  block->size_bytes = static_cast<uint32_t>(size_bytes);
  used_bytes_ += kPageBytes << order;
  Unpoison({block->data, size_bytes});
  return DmaBuffer(block);
}

void DmaBufferPool::SetRegistered(const BufferRegistration& registration) {
  IOENGINE_CHECK(used_bytes_ == 0, "SetRegistered comes before the first Allocate");
  IOENGINE_CHECK(
      registration.registered_bytes == 0 || std::has_single_bit(registration.region_bytes),
      "regions of registered buffers are powers of two");
  registration_ = registration;
  free_ = {};
  FillFree();
}

void DmaBufferPool::Free(Block* block) {
  size_t order = block->order;
  Poison({block->data, kPageBytes << order});
  used_bytes_ -= kPageBytes << order;
  block->size_bytes = 0;
  while (order + 1 < kOrders) {
    Block* buddy = BuddyOf(block, order);
    if (buddy == nullptr || !buddy->is_free || buddy->order != order) break;
    UnlinkFree(buddy);
    block = std::min(block, buddy);
    ++order;
  }
  PushFree(block, order);
}

DmaBufferPool::Block* DmaBufferPool::TakeFree(size_t order) {
  const bool fits = FitsRegion(order);
  Block* const block = TakeFreeIn(fits ? kRegistered : kPlain, order);
  return block != nullptr ? block : TakeFreeIn(fits ? kPlain : kRegistered, order);
}

DmaBufferPool::Block* DmaBufferPool::TakeFreeIn(Zone zone, size_t order) {
  size_t found = order;
  while (found < kOrders && free_[zone][found] == nullptr) ++found;
  if (found == kOrders) return nullptr;
  Block* block = free_[zone][found];
  UnlinkFree(block);
  while (found > order) {
    --found;
    Block* rest = BuddyOf(block, found);
    // What cannot use registered memory takes the upper half, and so the plain one at the border.
    if (!FitsRegion(order) && ZoneOf(*block) == kRegistered) std::swap(block, rest);
    PushFree(rest, found);
  }
  block->order = static_cast<uint8_t>(order);
  return block;
}

void DmaBufferPool::PushFree(Block* block, size_t order) {
  block->order = static_cast<uint8_t>(order);
  block->is_free = true;
  block->previous_free = nullptr;
  Block*& head = free_[ZoneOf(*block)][order];
  block->next_free = head;
  if (head != nullptr) head->previous_free = block;
  head = block;
}

void DmaBufferPool::UnlinkFree(Block* block) {
  Block*& head = free_[ZoneOf(*block)][block->order];
  if (head == block) head = block->next_free;
  if (block->previous_free != nullptr) block->previous_free->next_free = block->next_free;
  if (block->next_free != nullptr) block->next_free->previous_free = block->previous_free;
  block->next_free = block->previous_free = nullptr;
  block->is_free = false;
}

// The other half of the block of the next order; null when it lies beyond the arena's end.
DmaBufferPool::Block* DmaBufferPool::BuddyOf(Block* block, size_t order) {
  const size_t page = static_cast<size_t>(block - blocks_.data()) ^ (size_t{1} << order);
  return page < blocks_.size() ? &blocks_[page] : nullptr;
}

}  // namespace ioengine
