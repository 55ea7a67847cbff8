// Arena: memory that is taken piece by piece and given back all at once.
#ifndef IOENGINE_ENGINE_LSM_ARENA_H_
#define IOENGINE_ENGINE_LSM_ARENA_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "ioengine/sched/memory_budget.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/page_memory.h"

namespace ioengine {

// Takes blocks from the heap, and large ones from the system, and charges them to a budget, which
// may thereby exceed its limit: who writes asks for room before, and what is under way must not
// fail.
//
// Shard: one.
// Ownership: its pieces live as long as it does; nothing in them is destroyed.
class Arena {
 public:
  // `budget`: none, or one that outlives the arena. Blocks begin small, for the many arenas that
  // never hold much, and become as large as all before them together, `most_block_bytes` at most.
  // Those of whole huge pages are made of such where the kernel gives them. A piece that is larger
  // than a quarter of a block gets one of its own, so no more than that is wasted at a block's end.
  Arena(size_t most_block_bytes, MemoryBudget* budget);
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() = default;

  // Gives `size_bytes` that are aligned for any fundamental type up to 8 bytes. Cost: an addition,
  // or a block of the heap.
  std::byte* Allocate(size_t size_bytes) {
    const size_t rounded_bytes = (size_bytes + kAlignment - 1) & ~(kAlignment - 1);
    if (rounded_bytes > left_bytes_) return AllocateFromNewBlock(rounded_bytes);
    std::byte* const piece = next_;
    next_ += rounded_bytes;
    left_bytes_ -= rounded_bytes;
    return piece;
  }

  // Of all blocks, which is what was charged.
  size_t block_bytes() const { return total_bytes_; }

  // From now on another budget is charged for it, if there is room in that.
  bool TryChargeTo(MemoryBudget* budget) { return charge_.TryMoveTo(budget); }

 private:
  static constexpr size_t kAlignment = 8;
  std::byte* AllocateFromNewBlock(size_t size_bytes);
  std::byte* NewBlock(size_t size_bytes);

  static constexpr size_t kFirstBlockBytes = 4096;

  const size_t most_block_bytes_;
  MemoryCharge charge_;
  std::byte* next_ = nullptr;
  size_t left_bytes_ = 0;
  size_t total_bytes_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> blocks_;
  std::vector<PageMemory> pages_;  // those of PageMemory::kLeastBytes and more
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_ARENA_H_
