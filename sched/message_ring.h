// MessageRing: a bounded queue of messages from one shard to another, without locks.
#ifndef IOENGINE_SCHED_MESSAGE_RING_H_
#define IOENGINE_SCHED_MESSAGE_RING_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "ioengine/sched/check.h"
#include "ioengine/sched/mesh_message.h"

namespace ioengine {

// Fetches the line of `address`, so that it may be written to without asking the other cores again.
inline void PrefetchForWrite(const void* address) {
#if defined(__x86_64__)
  // Compilers emit it only for CPUs that are known to have it; the others take it for a NOP.
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(address)));
#else
  __builtin_prefetch(address, 1);
#endif
}

// A ring of cache lines, each with a header and up to seven messages. The header says which lap of
// the ring the line is of, so the receiver learns from the one line that messages have come, how
// many, and which. It writes into no line: the sender finds its lines in its own cache, and looks
// at how far the receiver is only when its own count says that the ring may be full.
//
//     header: (position of the line + 1) · 8 + number of messages
//     ┌───────┬────┬────┬────┬────┬────┬────┬────┐
//     │ 5·8+7 │ m1 │ m2 │ m3 │ m4 │ m5 │ m6 │ m7 │  line 4, published
//     ├───────┼────┼────┼────┼────┼────┼────┼────┤
//     │ (6·8+7) m1 │ m2 │ m3 │ m4 │ m5 │ m6 │ m7 │  line 5: its header is kept back
//     ├───────┼────┼────┼────┼────┼────┼────┼────┤
//     │ 7·8+2 │ m1 │ m2 │    │    │    │    │    │  line 6: nobody looks behind line 5 yet
//     └───────┴────┴────┴────┴────┴────┴────┴────┘
//
// Messages gather; one store of the first line's header publishes them all. A line is not filled up
// after that: what comes later begins a new one.
//
// (Rings that were tried before it: positions of both sides, as in SpscRing, cost the receiver a
// second line; slots that the receiver sets to null cost the sender one.)
//
// A side that is about to sleep says so elsewhere and then looks at the ring once more; the other
// publishes and then looks whether somebody sleeps. Neither may miss the other, so these four
// accesses are sequentially consistent: Publish, Release, and the loads of the *Fresh functions.
//
// Threads: one that produces and one that consumes; each may be replaced by another one that is
// synchronised with it.
class MessageRing {
 public:
  // Holds at least `capacity` messages, at least 1 (CHECK), if they fill their lines; 1 means 1.
  explicit MessageRing(size_t capacity)
      : per_line_(static_cast<uint32_t>(std::min(capacity, kMostPerLine))),
        mask_(std::bit_ceil((capacity + kMostPerLine - 1) / kMostPerLine) - 1),
        lines_(std::make_unique<Line[]>(mask_ + 1)) {
    IOENGINE_CHECK(capacity > 0, "a ring needs room for one message");
  }
  MessageRing(const MessageRing&) = delete;
  MessageRing& operator=(const MessageRing&) = delete;

  size_t capacity() const { return (mask_ + 1) * per_line_; }

  size_t memory_bytes() const { return sizeof(*this) + (mask_ + 1) * sizeof(Line); }

  // The producer's side.

  // For the next Publish; false when the ring is full.
  bool TryPush(MeshMessage& message) {
    if (!HasRoom()) return false;
    line(producer_.tail).messages[producer_.count] = &message;
    ++producer_.unpublished;
    if (++producer_.count == per_line_) CloseLine();
    return true;
  }

  bool HasRoom() {
    if (producer_.count > 0 || producer_.tail - producer_.head_seen <= mask_) [[likely]] {
      return true;
    }
    producer_.head_seen = head_.load(std::memory_order_acquire);
    return producer_.tail - producer_.head_seen <= mask_;
  }
  // For a producer that is about to sleep because the ring is full.
  bool HasRoomFresh() {
    producer_.head_seen = head_.load(std::memory_order_seq_cst);
    return HasRoom();
  }

  // Shows what was pushed to the consumer; false when there is nothing new.
  bool Publish() {
    if (producer_.unpublished == 0) return false;
    if (producer_.count > 0) CloseLine();
    line(producer_.published).header.store(producer_.kept_back, std::memory_order_seq_cst);
    producer_.published = producer_.tail;
    producer_.unpublished = 0;
    return true;
  }
  size_t unpublished() const { return producer_.unpublished; }

  // The consumer's side.

  // Null when there is none.
  MeshMessage* TryPop() {
    if (consumer_.left == 0 && !BeginLine()) return nullptr;
    MeshMessage* const message = line(consumer_.head).messages[consumer_.next];
    ++consumer_.next;
    if (--consumer_.left == 0) ++consumer_.head;
    return message;
  }

  // Gives the room of what was taken back to the producer; false when that is done already.
  bool Release() {
    if (consumer_.released == consumer_.head) return false;
    consumer_.released = consumer_.head;
    head_.store(consumer_.head, std::memory_order_seq_cst);
    return true;
  }

  // Whether TryPop would give something. Cost: a load.
  bool HasMessages() const { return HasMessages(std::memory_order_acquire); }
  // For a consumer that is about to sleep because the ring is empty.
  bool HasMessagesFresh() const { return HasMessages(std::memory_order_seq_cst); }

 private:
  static constexpr size_t kMostPerLine = 7;

  struct alignas(64) Line {
    std::atomic<uint64_t> header{0};
    std::array<MeshMessage*, kMostPerLine> messages;
  };
  static_assert(sizeof(Line) == 64);

  Line& line(uint64_t position) const { return lines_[position & mask_]; }

  void CloseLine() {
    const uint64_t header = (producer_.tail + 1) << 3 | producer_.count;
    if (producer_.tail == producer_.published) {
      producer_.kept_back = header;
    } else {
      line(producer_.tail).header.store(header, std::memory_order_release);
    }
    ++producer_.tail;
    producer_.count = 0;
  }

  bool BeginLine() {
    const uint32_t count = CountOf(consumer_.head, std::memory_order_acquire);
    if (count == 0) return false;
    consumer_.left = count;
    consumer_.next = 0;
    // The messages are in the other core's cache: those of the next line come while this one's are
    // delivered.
    if (consumer_.fetched <= consumer_.head) Fetch(consumer_.head, count);
    consumer_.fetched = consumer_.head + 1;
    if (const uint32_t next = CountOf(consumer_.fetched, std::memory_order_acquire); next > 0) {
      Fetch(consumer_.fetched, next);
      ++consumer_.fetched;
    }
    __builtin_prefetch(&line(consumer_.head + 2));
    return true;
  }

  void Fetch(uint64_t position, uint32_t count) const {
    const Line& fetched = line(position);
    for (uint32_t i = 0; i < count; ++i) PrefetchForWrite(fetched.messages[i]);
  }

  // Messages in the line; 0 if it is not published.
  uint32_t CountOf(uint64_t position, std::memory_order order) const {
    const uint64_t header = line(position).header.load(order);
    return header >> 3 == position + 1 ? static_cast<uint32_t>(header & 7) : 0;
  }

  bool HasMessages(std::memory_order order) const {
    return consumer_.left > 0 || line(consumer_.head).header.load(order) >> 3 == consumer_.head + 1;
  }

  struct alignas(64) Producer {
    uint64_t tail = 0;       // the line that is being filled
    uint64_t published = 0;  // the first line that is not
    uint64_t kept_back = 0;  // its header
    uint64_t head_seen = 0;
    uint32_t count = 0;  // messages in the line `tail`
    uint32_t unpublished = 0;
  };
  struct alignas(64) Consumer {
    uint64_t head = 0;
    uint64_t released = 0;
    uint64_t fetched = 0;  // the messages of the lines before it are on their way into the cache
    uint32_t next = 0;     // in the line `head`
    uint32_t left = 0;
  };

  const uint32_t per_line_;
  const uint64_t mask_;
  const std::unique_ptr<Line[]> lines_;
  alignas(64) std::atomic<uint64_t> head_{0};  // written by the consumer
  Producer producer_;
  Consumer consumer_;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_MESSAGE_RING_H_
