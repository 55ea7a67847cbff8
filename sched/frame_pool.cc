#include "ioengine/sched/frame_pool.h"

#include <new>

#include "ioengine/sched/check.h"

namespace ioengine {

FramePool::~FramePool() {
  IOENGINE_CHECK(live() == 0, "a Task outlives its executor; destroy it on its shard before");
}

void* FramePool::AllocateFromHeap(FramePool* pool, size_t size_bytes) {
  void* const memory = ::operator new(sizeof(HeapFrame) + size_bytes);
  auto* const frame = ::new (memory) HeapFrame();
  frame->pool = pool;
  frame->self = frame;
  if (pool != nullptr) {
    ++pool->heap_live_;
    ++pool->heap_allocations_;
    pool->budget_->Charge(sizeof(HeapFrame) + size_bytes);
    pool->heap_frames_.PushBack(*frame);
  }
  return frame + 1;
}

// It looks in front of a block that may be of another shard, to say so.
__attribute__((no_sanitize("address"))) void FramePool::FreeToHeap(void* memory,
                                                                   size_t size_bytes) noexcept {
  auto* const frame = static_cast<HeapFrame*>(memory) - 1;
  IOENGINE_CHECK(frame->self == frame &&
                     (frame->pool == nullptr || frame->pool == internal::this_thread.frames),
                 "a task is destroyed on a thread that does not run its executor; send it to its "
                 "shard to be destroyed there");
  if (frame->pool != nullptr) {
    --frame->pool->heap_live_;
    frame->pool->budget_->Release(sizeof(HeapFrame) + size_bytes);
  }
  frame->~HeapFrame();
  ::operator delete(frame);
}

}  // namespace ioengine
