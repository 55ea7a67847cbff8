// Channel<T>: a bounded queue between tasks of one shard.
#ifndef IOENGINE_SCHED_CHANNEL_H_
#define IOENGINE_SCHED_CHANNEL_H_

#include <algorithm>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/intrusive_list.h"
#include "ioengine/sched/runnable.h"

namespace ioengine {

// Any number of senders and receivers; values come out in the order in which they went in.
//
//          Close                                        the last value is received
//   open ────────► closing (Send fails, Receive gives) ────────────────────────────► drained
//                                                                  (Receive gives nothing)
//
// No value is lost or doubled when a task is destroyed at its await:
//  - A sender that waits keeps its value until there is room; then the value moves into the queue,
//    and is sent whatever becomes of the sender.
//  - A receiver that is woken has a *claim* on one value, which stays in the queue until the
//    receiver goes on. When it is destroyed before, the claim passes to the next receiver. Also a
//    closed channel is drained only when no value is claimed any more.
//
// Tasks that wait when the channel is destroyed never go on; whoever owns them destroys them. Those
// that were woken before go on; a receiver then gets nothing, its value has gone with the channel.
//
// Shard: one.
template <typename T>
class Channel {
 public:
  // Holds `capacity` values, at least 1 (CHECK). Memory: that of as many T at once.
  explicit Channel(size_t capacity) : slots_(capacity) {
    IOENGINE_CHECK(capacity > 0, "a Channel needs room for one value");
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // `absl::Status status = co_await channel.Send(value)`: suspends while the channel is full. Owns
  // `value`. Errors: Unavailable when the channel is closed, also while it waits; then the value is
  // gone. Cost: O(1), no allocation.
  auto Send(T value) { return SendAwaiter(*this, std::move(value)); }

  // The same without waiting. False leaves `value` with the caller: the channel is full, tasks wait
  // to send, or it is closed.
  bool TrySend(T& value) {
    if (closed_ || full()) return false;
    Push(std::move(value));
    return true;
  }

  // `std::optional<T> value = co_await channel.Receive()`: suspends while there is none. Nothing
  // once the channel is closed and empty. Cost: O(1), no allocation.
  auto Receive() { return ReceiveAwaiter(*this); }

  // The same without waiting: nothing when there is no value that nobody has a claim on.
  std::optional<T> TryReceive() {
    if (size_ == claims_) return std::nullopt;
    return Pop();
  }

  // No value is taken any more: tasks that wait to send get Unavailable, those that receive get
  // what is left and then nothing. A second time does nothing.
  void Close() {
    if (std::exchange(closed_, true)) return;
    while (SendAwaiter* const sender = senders_.TryPopFront()) sender->Wake();
    EndReceiversIfDrained();
  }

  size_t size() const { return size_; }
  size_t capacity() const { return slots_.size(); }
  bool full() const { return size_ == slots_.size(); }
  bool closed() const { return closed_; }
  // How often Send had to wait.
  uint64_t times_full() const { return times_full_; }

 private:
  class [[nodiscard]] SendAwaiter : public ListLink {
   public:
    SendAwaiter(Channel& channel, T value) : channel_(channel), value_(std::move(value)) {}

    bool await_ready() {
      if (channel_.closed_) return true;
      sent_ = channel_.TrySend(value_);
      return sent_;
    }
    template <std::derived_from<Runnable> Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      task_ = &handle.promise();
      ++channel_.times_full_;
      channel_.senders_.PushBack(*this);
    }
    absl::Status await_resume() const {
      return sent_ ? absl::OkStatus() : absl::UnavailableError("the channel is closed");
    }

   private:
    friend class Channel;

    void Wake() { Executor::Current()->MakeRunnable(*task_); }

    Channel& channel_;
    T value_;
    Runnable* task_ = nullptr;
    bool sent_ = false;
  };

  class [[nodiscard]] ReceiveAwaiter : public ListLink {
   public:
    explicit ReceiveAwaiter(Channel& channel) : channel_(channel) {}
    ~ReceiveAwaiter() {
      if (!claims_value_ || !linked()) return;
      Unlink();
      --channel_.claims_;
      channel_.GiveClaims();
    }

    bool await_ready() const noexcept {
      return channel_.size_ > channel_.claims_ || channel_.drained();
    }
    template <std::derived_from<Runnable> Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      task_ = &handle.promise();
      channel_.receivers_.PushBack(*this);
    }
    std::optional<T> await_resume() {
      if (task_ != nullptr) {
        // Without a claim: the channel is drained. No longer linked: it is destroyed.
        if (!claims_value_ || !linked()) return std::nullopt;
        claims_value_ = false;
        Unlink();
        --channel_.claims_;
      }
      return channel_.TryReceive();
    }

   private:
    friend class Channel;

    void Wake() { Executor::Current()->MakeRunnable(*task_); }

    Channel& channel_;
    Runnable* task_ = nullptr;
    bool claims_value_ = false;
  };

  // Requires room.
  void Push(T value) {
    slots_[Wrap(first_ + size_)].emplace(std::move(value));
    ++size_;
    GiveClaims();
  }

  // Requires a value.
  T Pop() {
    std::optional<T>& slot = slots_[first_];
    T value = std::move(*slot);
    slot.reset();
    first_ = Wrap(first_ + 1);
    --size_;
    if (SendAwaiter* const sender = senders_.TryPopFront()) {
      sender->sent_ = true;
      Push(std::move(sender->value_));
      sender->Wake();
    }
    EndReceiversIfDrained();
    return value;
  }

  void GiveClaims() {
    while (size_ > claims_) {
      ReceiveAwaiter* const receiver = receivers_.TryPopFront();
      if (receiver == nullptr) return;
      receiver->claims_value_ = true;
      claimants_.PushBack(*receiver);
      ++claims_;
      receiver->Wake();
    }
  }

  bool drained() const { return closed_ && size_ == 0; }

  void EndReceiversIfDrained() {
    if (!drained()) return;
    while (ReceiveAwaiter* const receiver = receivers_.TryPopFront()) receiver->Wake();
  }

  size_t Wrap(size_t index) const { return index < slots_.size() ? index : index - slots_.size(); }

  std::vector<std::optional<T>> slots_;
  size_t first_ = 0;
  size_t size_ = 0;
  size_t claims_ = 0;  // of claimants_
  bool closed_ = false;
  uint64_t times_full_ = 0;
  IntrusiveList<SendAwaiter> senders_;
  IntrusiveList<ReceiveAwaiter> receivers_;
  IntrusiveList<ReceiveAwaiter> claimants_;  // so that they notice when the channel is destroyed
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_CHANNEL_H_
