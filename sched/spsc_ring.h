// SpscRing<T>: a bounded queue from one thread to another, without locks.
#ifndef IOENGINE_SCHED_SPSC_RING_H_
#define IOENGINE_SCHED_SPSC_RING_H_

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "ioengine/sched/check.h"

namespace ioengine {

// Values gather on each side until they are published, so that a batch costs one transfer of a
// cache line each way:
//
//       taken, not released      published            pushed, not published
//   ────┬────────────────────────┬────────────────────┬────────────────────┬────
//     head_ (shared)       consumer's head        tail_ (shared)      producer's tail
//
// Each side keeps the other's position as it last saw it and looks again only when that is not
// enough (the cached indices of FastForward, Giacomoni et al., PPoPP 2008, and of many since). Each
// position has a cache line of its own.
//
// A side that is about to sleep says so elsewhere and then looks at the ring once more; the other
// publishes and then looks whether somebody sleeps. Neither may miss the other, so these four
// accesses are sequentially consistent: Publish, Release, and the loads of the *Fresh functions.
//
// Threads: one that produces and one that consumes; each may be replaced by another thread that is
// synchronised with it.
template <typename T>
class SpscRing {
 public:
  // Holds `capacity` values, at least 1 (CHECK); rounded up to a power of two.
  explicit SpscRing(size_t capacity)
      : mask_(std::bit_ceil(capacity) - 1), slots_(std::make_unique<Slot[]>(mask_ + 1)) {
    IOENGINE_CHECK(capacity > 0, "a ring needs room for one value");
  }
  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;
  // Destroys what was pushed and not taken. No thread uses it any more.
  ~SpscRing() {
    for (uint64_t at = consumer_.head; at != producer_.tail; ++at) slot(at).~T();
  }

  size_t capacity() const { return mask_ + 1; }

  // The producer's side.

  // Moves `value` into the ring, for the next Publish; false when the ring is full.
  bool TryPush(T& value) {
    if (!HasRoom()) return false;
    ::new (static_cast<void*>(&slot(producer_.tail))) T(std::move(value));
    ++producer_.tail;
    return true;
  }

  bool HasRoom() {
    if (producer_.tail - producer_.head_seen <= mask_) [[likely]] {
      return true;
    }
    producer_.head_seen = head_.load(std::memory_order_acquire);
    return producer_.tail - producer_.head_seen <= mask_;
  }
  // For a producer that is about to sleep because the ring is full.
  bool HasRoomFresh() {
    producer_.head_seen = head_.load(std::memory_order_seq_cst);
    return producer_.tail - producer_.head_seen <= mask_;
  }

  // Shows what was pushed to the consumer; false when it was shown already.
  bool Publish() {
    if (producer_.published == producer_.tail) return false;
    producer_.published = producer_.tail;
    tail_.store(producer_.tail, std::memory_order_seq_cst);
    return true;
  }
  size_t unpublished() const { return producer_.tail - producer_.published; }

  // The consumer's side.

  // How many values there are to take. Looks at what the producer has published since.
  size_t Refresh() {
    consumer_.tail_seen = tail_.load(std::memory_order_acquire);
    return consumer_.tail_seen - consumer_.head;
  }
  // Of those that Refresh found.
  size_t left() const { return consumer_.tail_seen - consumer_.head; }

  // Requires i < left().
  const T& Peek(size_t i) const { return slot(consumer_.head + i); }
  // Requires left() > 0.
  T Pop() {
    T& from = slot(consumer_.head);
    T value = std::move(from);
    from.~T();
    ++consumer_.head;
    return value;
  }

  // Gives the room of what was taken back to the producer; false when that is done already.
  bool Release() {
    if (consumer_.released == consumer_.head) return false;
    consumer_.released = consumer_.head;
    head_.store(consumer_.head, std::memory_order_seq_cst);
    return true;
  }

  size_t unreleased() const { return consumer_.head - consumer_.released; }

  // Whether Refresh would find something. Cost: a load.
  bool HasValues() const { return tail_.load(std::memory_order_acquire) != consumer_.head; }
  // For a consumer that is about to sleep because the ring is empty.
  bool HasValuesFresh() const { return tail_.load(std::memory_order_seq_cst) != consumer_.head; }

 private:
  struct Slot {
    alignas(T) unsigned char bytes[sizeof(T)];
  };
  T& slot(uint64_t position) const {
    return *std::launder(reinterpret_cast<T*>(slots_[position & mask_].bytes));
  }

  struct alignas(64) Producer {
    uint64_t tail = 0;
    uint64_t published = 0;
    uint64_t head_seen = 0;
  };
  struct alignas(64) Consumer {
    uint64_t head = 0;
    uint64_t released = 0;
    uint64_t tail_seen = 0;
  };

  const uint64_t mask_;
  const std::unique_ptr<Slot[]> slots_;
  alignas(64) std::atomic<uint64_t> tail_{0};  // written by the producer
  alignas(64) std::atomic<uint64_t> head_{0};  // written by the consumer
  Producer producer_;
  Consumer consumer_;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_SPSC_RING_H_
