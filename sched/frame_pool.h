// FramePool: where the frames of a shard's coroutines come from.
#ifndef IOENGINE_SCHED_FRAME_POOL_H_
#define IOENGINE_SCHED_FRAME_POOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "ioengine/sched/block_pool.h"
#include "ioengine/sched/intrusive_list.h"
#include "ioengine/sched/memory_budget.h"
#include "ioengine/sched/this_thread.h"

namespace ioengine {

// Frames of up to 1 KiB come from free lists, which is what makes a coroutine cheap: 2 ns instead
// of the 10 of malloc and free. Larger ones, those of a pool that is full, and those of coroutines
// that are created on a thread that runs no executor come from the heap.
//
// Shard: its executor's. A frame must be freed on the shard that allocated it (CHECK); one that was
// created without a shard may be freed anywhere.
class FramePool {
 public:
  // `max_bytes` of frames; what is above that, or what `budget` refuses, goes to the heap, and is
  // counted. All is charged to `budget`.
  FramePool(size_t max_bytes, std::shared_ptr<MemoryBudget> budget)
      : blocks_(max_bytes), nodes_(max_bytes), budget_(std::move(budget)) {
    blocks_.SetBudget(budget_, /*may_exceed=*/false);
    nodes_.SetBudget(budget_, /*may_exceed=*/true);
  }
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;
  ~FramePool();

  // From the pool of this thread's executor. Throws std::bad_alloc when the heap is exhausted.
  static void* Allocate(size_t size_bytes) {
    FramePool* const pool = internal::this_thread.frames;
    if (pool != nullptr) [[likely]] {
      if (void* const frame = pool->blocks_.TryAllocate(size_bytes)) [[likely]] {
        return frame;
      }
    }
    return AllocateFromHeap(pool, size_bytes);
  }

  static void Free(void* frame, size_t size_bytes) noexcept {
    FramePool* const pool = internal::this_thread.frames;
    if (pool != nullptr && pool->blocks_.Contains(frame)) [[likely]] {
      pool->blocks_.Free(frame, size_bytes);
      return;
    }
    FreeToHeap(frame, size_bytes);
  }

  // For small things that belong to a task but are no frame. Same rules, and small sizes only.
  static void* AllocateNode(size_t size_bytes) {
    FramePool* const pool = internal::this_thread.frames;
    void* const node = pool == nullptr ? nullptr : pool->nodes_.TryAllocate(size_bytes);
    return node != nullptr ? node : ::operator new(size_bytes);
  }
  static void FreeNode(void* node, size_t size_bytes) noexcept {
    FramePool* const pool = internal::this_thread.frames;
    if (pool != nullptr && pool->nodes_.Contains(node)) {
      pool->nodes_.Free(node, size_bytes);
    } else {
      ::operator delete(node);
    }
  }

  // Calls `function(frame)` for each frame that exists and was made on this shard; `function` may
  // destroy any of them. Frames that are made meanwhile may be missed.
  template <typename Function>
  void ForEachFrame(Function function) {
    blocks_.ForEachBlock(function);
    IntrusiveList<HeapFrame> seen;
    while (!heap_frames_.empty()) {
      HeapFrame& frame = heap_frames_.PopFront();
      seen.PushBack(frame);  // it leaves this list by itself when it is freed
      function(static_cast<void*>(&frame + 1));
    }
    while (!seen.empty()) heap_frames_.PushBack(seen.PopFront());
  }

  // Gives slabs without a frame in use back to the system; how many. Cost: looks at each free
  // block.
  size_t Trim() { return blocks_.Trim() + nodes_.Trim(); }

  // Frames that exist.
  size_t live() const { return blocks_.blocks_in_use() + heap_live_; }
  // Frames that came from the heap because they were large or the pool was full.
  uint64_t heap_allocations() const { return heap_allocations_; }
  // Memory that small frames have taken from the system.
  size_t slab_bytes() const { return blocks_.slab_bytes(); }

 private:
  // In front of a frame that comes from the heap.
  struct HeapFrame : ListLink {
    FramePool* pool;   // whose list it is in; null: created without a shard
    const void* self;  // tells a heap frame from one of another shard's pool
  };
  static_assert(sizeof(HeapFrame) == 32);

  static void* AllocateFromHeap(FramePool* pool, size_t size_bytes);
  static void FreeToHeap(void* frame, size_t size_bytes) noexcept;

  BlockPool blocks_;
  BlockPool nodes_;
  const std::shared_ptr<MemoryBudget> budget_;
  IntrusiveList<HeapFrame> heap_frames_;
  size_t heap_live_ = 0;
  uint64_t heap_allocations_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_FRAME_POOL_H_
