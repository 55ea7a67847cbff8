// ShardChannel: a bounded queue of values from one shard to another.
//
//   auto [sender, receiver] = MakeShardChannel<Row>(port, 1, 1024);      // on the shard of `port`
//   auto drained = port.SubmitTo(1, Drain, std::move(receiver));         // Task<>
//   Drain(ShardReceiver<Row>) for (…) if (!(co_await sender.Send(row)).ok()) break; sender.Close();
//
// Values move through a ring that both shards share, and are shown to the receiver in batches: at
// the end of the sender's turn, when a quarter of the ring has gathered, and when the sender waits
// for room. So a value costs a few nanoseconds, not a call to another shard.
//
// Ends may outlive their shards and the mesh: an end whose own shard has stopped is closed, keeps
// nothing of the mesh but memory that both share, and may be used and destroyed on any thread that
// is synchronised with that stop (Runtime::Stop, a join).
#ifndef IOENGINE_SCHED_SHARD_CHANNEL_H_
#define IOENGINE_SCHED_SHARD_CHANNEL_H_

#include <atomic>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/mesh_message.h"
#include "ioengine/sched/mesh_port.h"
#include "ioengine/sched/port_presence.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/shard_id.h"
#include "ioengine/sched/spsc_ring.h"

namespace ioengine {
namespace internal {

// One end of a channel: waits for the other one, and tells it of what it did. Both ends work alike;
// what there is to wait for, and to show, is up to the channel.
//
//             Arm                    the other end shows something
//   idle ────────────► waiting ─────────────────────────────────────► noted ──► idle
//     ▲ (ready after all)  │                       (this end, as a message, is on its way)
//     └────────────────────┘
//
// Shard: its own; once that has stopped, any.
class ChannelEnd : public MeshMessage, public TurnEndHook, public PeerWatcher {
 public:
  ChannelEnd(std::shared_ptr<PortPresence> home, ChannelEnd& other)
      : home_(std::move(home)), other_(other) {}

  // Also when its own shard has stopped.
  bool is_closed() const { return closed_.load(std::memory_order_relaxed) || home_->has_stopped(); }
  bool other_is_closed() const {
    return other_.closed_.load(std::memory_order_seq_cst) || peer_is_gone_;
  }

  // Has `task` made runnable when this end is ready; false when it is.
  bool Wait(Runnable& task);
  void StopWaiting() {
    waiter_ = nullptr;
    is_waited_for_ = false;
  }

  // What this end did is to be shown at the end of the turn; or now.
  void ShowLater() {
    if (!TurnEndHook::linked()) ShowAtEndOfTurn();
  }
  void ShowNow();

  // Shows what is left, and wakes the other end for the last time.
  void Close();

 protected:
  ~ChannelEnd() = default;

  // Whether there is something to wait for no more; the look is sequentially consistent.
  virtual bool IsReady() = 0;
  // Shows what was done to the other end; false when that knows of all.
  virtual bool Share() = 0;
  // A message on its way keeps the channel.
  virtual void AddReference() = 0;
  virtual void DropReference() = 0;

 private:
  enum class WaitState : uint8_t { kIdle, kWaiting, kNoted };

  void Deliver(MeshPort& at) override;
  void Return(MeshPort& at) override;
  void OnTurnEnd() override { ShowNow(); }
  void OnPeerGone() override;

  MeshPort* Home() const;
  void ShowAtEndOfTurn();
  bool Arm();
  void NotifyOther(MeshPort& port);
  void Wake();

  const std::shared_ptr<PortPresence> home_;
  ChannelEnd& other_;
  Runnable* waiter_ = nullptr;
  bool is_waited_for_ = false;  // also from Wake until the task goes on
  bool peer_is_gone_ = false;
  std::atomic<WaitState> wait_{WaitState::kIdle};
  std::atomic<bool> closed_{false};
};

// What both ends share.
template <typename T>
class ChannelState {
 public:
  ChannelState(std::shared_ptr<PortPresence> from, std::shared_ptr<PortPresence> to,
               size_t capacity)
      : ring(capacity), sender(std::move(from), *this), receiver(std::move(to), *this) {}

  void AddReference() { references_.fetch_add(1, std::memory_order_relaxed); }
  void DropReference() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  class SenderEnd final : public ChannelEnd {
   public:
    SenderEnd(std::shared_ptr<PortPresence> home, ChannelState& state)
        : ChannelEnd(std::move(home), state.receiver), state_(state) {}

   private:
    bool IsReady() override {
      return state_.ring.HasRoomFresh() || is_closed() || other_is_closed();
    }
    bool Share() override { return state_.ring.Publish(); }
    void AddReference() override { state_.AddReference(); }
    void DropReference() override { state_.DropReference(); }

    ChannelState& state_;
  };
  class ReceiverEnd final : public ChannelEnd {
   public:
    ReceiverEnd(std::shared_ptr<PortPresence> home, ChannelState& state)
        : ChannelEnd(std::move(home), state.sender), state_(state) {}

   private:
    bool IsReady() override {
      return state_.ring.HasValuesFresh() || is_closed() || other_is_closed();
    }
    bool Share() override { return state_.ring.Release(); }
    void AddReference() override { state_.AddReference(); }
    void DropReference() override { state_.DropReference(); }

    ChannelState& state_;
  };

  // How much gathers before it is shown without waiting for the end of the turn.
  size_t batch() const { return (ring.capacity() + 3) / 4; }

  SpscRing<T> ring;
  alignas(64) SenderEnd sender;
  alignas(64) ReceiverEnd receiver;

 private:
  std::atomic<uint32_t> references_{2};
};

// What Send and Receive have in common: the wait for their end, which ends with the awaiter.
class ChannelWait {
 public:
  explicit ChannelWait(ChannelEnd& end) : end_(end) {}
  ChannelWait(const ChannelWait&) = delete;
  ChannelWait& operator=(const ChannelWait&) = delete;
  ~ChannelWait() {
    if (waits_) end_.StopWaiting();
  }

  template <std::derived_from<Runnable> Promise>
  bool await_suspend(std::coroutine_handle<Promise> handle) {
    waits_ = end_.Wait(handle.promise());
    return waits_;
  }

 protected:
  void EndWait() {
    if (std::exchange(waits_, false)) end_.StopWaiting();
  }

 private:
  ChannelEnd& end_;
  bool waits_ = false;
};

}  // namespace internal

// The end that values go into. Move-only. Destroyed, it closes the channel.
//
// Shard: the one that it was made for, all calls, its end too (CHECK); once that has stopped,
// anywhere.
// Ownership: may outlive the mesh (Runtime), of which it borrows nothing once its shard has
// stopped. The values that are in the channel go with the last end.
template <typename T>
class [[nodiscard]] ShardSender {
 public:
  explicit ShardSender(internal::ChannelState<T>& state) : state_(&state) {}
  ShardSender(ShardSender&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  ShardSender& operator=(ShardSender&&) = delete;
  ~ShardSender() {
    if (state_ == nullptr) return;
    Close();
    state_->DropReference();
  }

  // `absl::Status status = co_await sender.Send(value)`: suspends while the channel is full. Owns
  // `value`. One task at a time (CHECK). Errors: Unavailable when either end is closed or a shard
  // of the two has stopped; then the value is gone. What was sent and is not received by then is
  // destroyed with the channel. Cost: a few nanoseconds; no allocation.
  auto Send(T value) { return SendAwaiter(*state_, std::move(value)); }

  // The same without waiting. False leaves `value` with the caller: the channel is full or closed.
  bool TrySend(T& value) { return TryPush(*state_, value); }

  // The receiver gets what was sent, and then nothing. A second time does nothing.
  void Close() { state_->sender.Close(); }

 private:
  static bool TryPush(internal::ChannelState<T>& state, T& value) {
    if (state.sender.is_closed() || state.sender.other_is_closed()) return false;
    if (!state.ring.TryPush(value)) return false;
    if (state.ring.unpublished() >= state.batch()) {
      state.sender.ShowNow();
    } else {
      state.sender.ShowLater();
    }
    return true;
  }

  class [[nodiscard]] SendAwaiter : public internal::ChannelWait {
   public:
    SendAwaiter(internal::ChannelState<T>& state, T value)
        : ChannelWait(state.sender), state_(state), value_(std::move(value)) {}

    bool await_ready() {
      sent_ = TryPush(state_, value_);
      return sent_ || state_.sender.is_closed() || state_.sender.other_is_closed();
    }
    absl::Status await_resume() {
      this->EndWait();
      if (sent_ || TryPush(state_, value_)) return absl::OkStatus();
      IOENGINE_CHECK(state_.sender.is_closed() || state_.sender.other_is_closed(),
                     "the room that a task waited for in a channel was taken by another one");
      return absl::UnavailableError("the channel to another shard is closed");
    }

   private:
    internal::ChannelState<T>& state_;
    T value_;
    bool sent_ = false;
  };

  internal::ChannelState<T>* state_;
};

// The end that they come out of. Otherwise like ShardSender.
template <typename T>
class [[nodiscard]] ShardReceiver {
 public:
  explicit ShardReceiver(internal::ChannelState<T>& state) : state_(&state) {}
  ShardReceiver(ShardReceiver&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  ShardReceiver& operator=(ShardReceiver&&) = delete;
  ~ShardReceiver() {
    if (state_ == nullptr) return;
    Close();
    state_->DropReference();
  }

  // `std::optional<T> value = co_await receiver.Receive()`: suspends while there is none. Nothing
  // once the channel is closed, or the sender's shard has stopped, and all is received. One task at
  // a time (CHECK). When its own shard has stopped, it gives what the ring holds, and then nothing.
  // Cost: a few nanoseconds; no allocation.
  auto Receive() { return ReceiveAwaiter(*state_); }

  // The same without waiting.
  std::optional<T> TryReceive() { return TryPop(*state_); }

  // The sender gets Unavailable. A second time does nothing.
  void Close() { state_->receiver.Close(); }

 private:
  static std::optional<T> TryPop(internal::ChannelState<T>& state) {
    if (state.ring.left() == 0 && state.ring.Refresh() == 0) return std::nullopt;
    std::optional<T> value(state.ring.Pop());
    if (state.ring.unreleased() >= state.batch()) {
      state.receiver.ShowNow();
    } else {
      state.receiver.ShowLater();
    }
    return value;
  }

  class [[nodiscard]] ReceiveAwaiter : public internal::ChannelWait {
   public:
    explicit ReceiveAwaiter(internal::ChannelState<T>& state)
        : ChannelWait(state.receiver), state_(state) {}

    bool await_ready() { return state_.ring.left() > 0 || state_.ring.Refresh() > 0; }
    // After a look at other_is_closed, which is set when all is shown, there is nothing to come.
    std::optional<T> await_resume() {
      this->EndWait();
      return TryPop(state_);
    }

   private:
    internal::ChannelState<T>& state_;
  };

  internal::ChannelState<T>* state_;
};

// A channel from the shard of `from`, where this is called, to shard `to`. The receiver is to be
// moved there, in the arguments of a call, say. Holds `capacity` values, at least 1 (CHECK);
// rounded up to a power of two. Memory: that of as many T at once. `to` may be the same shard, but
// there a Channel does more.
template <typename T>
std::pair<ShardSender<T>, ShardReceiver<T>> MakeShardChannel(MeshPort& from, ShardId to,
                                                             size_t capacity) {
  auto* const state =
      new internal::ChannelState<T>(from.PresenceOf(from.id()), from.PresenceOf(to), capacity);
  return {ShardSender<T>(*state), ShardReceiver<T>(*state)};
}

}  // namespace ioengine

#endif  // IOENGINE_SCHED_SHARD_CHANNEL_H_
