// Inbox: calls from foreign threads into a shard. A bounded queue of many producers and one
// consumer, without locks.
#ifndef IOENGINE_SCHED_INBOX_H_
#define IOENGINE_SCHED_INBOX_H_

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ioengine/sched/check.h"

namespace ioengine {

// One call into a shard. Made by a foreign thread; run and destroyed on the shard (destroyed
// without having run when the shard stops first).
class ForeignCall {
 public:
  virtual ~ForeignCall() = default;
  virtual void Run() = 0;
};

// The queue: D. Vyukov's bounded MPMC array queue ("Bounded MPMC queue", 1024cores.net), with one
// consumer, so the consumer's position needs no compare-and-swap.
//
// Every cell has a turn number. For position p of a queue with capacity n:
//   turn == p          the cell is free for the producer that claims p
//   turn == p + 1      it holds p's call, for the consumer
//   turn == p + n      the consumer took it: free for position p + n
// A producer writes the call, then the turn (release); the consumer reads the turn (acquire), then
// the call. For the hand-back of a cell it is the same with the roles swapped.
class Inbox {
 public:
  // `capacity` is rounded up to a power of two.
  explicit Inbox(size_t capacity)
      : cells_(std::bit_ceil(capacity < 2 ? size_t{2} : capacity)), mask_(cells_.size() - 1) {
    for (size_t i = 0; i < cells_.size(); ++i) cells_[i].turn.store(i, std::memory_order_relaxed);
  }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // Takes `call` and returns true, or leaves it with the caller when the queue is full. Any
  // thread. Cost: one compare-and-swap.
  bool TryPush(std::unique_ptr<ForeignCall>& call) {
    uint64_t position = tail_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[position & mask_];
      const uint64_t turn = cell.turn.load(std::memory_order_acquire);
      if (turn == position) {
        if (!tail_.compare_exchange_weak(position, position + 1, std::memory_order_relaxed)) {
          continue;
        }
        cell.call = std::move(call);
        cell.turn.store(position + 1, std::memory_order_release);
        return true;
      }
      if (turn < position) {  // still holds the call of one round ago
        times_full_.fetch_add(1, std::memory_order_relaxed);
        return false;
      }
      position = tail_.load(std::memory_order_relaxed);
    }
  }

  // The oldest call, or null when there is none. Only the consumer. Cost: two loads.
  std::unique_ptr<ForeignCall> Pop() {
    Cell& cell = cells_[head_ & mask_];
    if (cell.turn.load(std::memory_order_acquire) != head_ + 1) return nullptr;
    std::unique_ptr<ForeignCall> call = std::move(cell.call);
    cell.turn.store(head_ + cells_.size(), std::memory_order_release);
    ++head_;
    return call;
  }

  // Only the consumer.
  bool empty() const {
    return cells_[head_ & mask_].turn.load(std::memory_order_acquire) != head_ + 1;
  }

  size_t capacity() const { return cells_.size(); }

  // How often TryPush found the queue full. Any thread.
  uint64_t times_full() const { return times_full_.load(std::memory_order_relaxed); }

 private:
  struct Cell {
    std::atomic<uint64_t> turn;
    std::unique_ptr<ForeignCall> call;
  };

  std::vector<Cell> cells_;
  const size_t mask_;
  alignas(64) std::atomic<uint64_t> tail_{0};  // next position to claim; producers
  std::atomic<uint64_t> times_full_{0};
  alignas(64) uint64_t head_ = 0;  // next position to take; the consumer alone
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_INBOX_H_
