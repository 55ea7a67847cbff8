#include "ioengine/sched/shard_channel.h"

#include "ioengine/sched/executor.h"

namespace ioengine::internal {

bool ChannelEnd::Wait(Runnable& task) {
  IOENGINE_CHECK(Executor::Current() == &port_.executor(),
                 "an end of a channel between shards is used on another shard than its own");
  IOENGINE_CHECK(waiter_ == nullptr, "two tasks wait for one end of a channel between shards");
  // What this side has done may be what the other one waits for.
  ShowNow();
  if (!PeerWatcher::linked() && !port_.Watch(other_.port_.id(), *this)) peer_is_gone_ = true;
  if (!Arm()) return false;
  waiter_ = &task;
  return true;
}

// Whether there is something to wait for; then Deliver or OnPeerGone comes.
bool ChannelEnd::Arm() {
  if (wait_.load(std::memory_order_relaxed) == WaitState::kNoted) return true;
  wait_.store(WaitState::kWaiting, std::memory_order_seq_cst);
  if (!IsReady()) return true;
  // The other end may have seen that this one waits; then it has sent it.
  WaitState expected = WaitState::kWaiting;
  return !wait_.compare_exchange_strong(expected, WaitState::kIdle, std::memory_order_seq_cst);
}

void ChannelEnd::ShowNow() {
  if (Share()) NotifyOther();
}

void ChannelEnd::NotifyOther() {
  if (other_.wait_.load(std::memory_order_seq_cst) != WaitState::kWaiting) return;
  WaitState expected = WaitState::kWaiting;
  if (!other_.wait_.compare_exchange_strong(expected, WaitState::kNoted,
                                            std::memory_order_seq_cst)) {
    return;
  }
  AddReference();
  port_.Send(other_.port_.id(), other_);
}

void ChannelEnd::Close() {
  if (is_closed()) return;
  // Where the shard has stopped, the other one is told of that, and this is not its thread.
  const bool on_shard = Executor::Current() == &port_.executor();
  if (on_shard) Share();
  closed_.store(true, std::memory_order_seq_cst);
  if (on_shard) NotifyOther();
  TurnEndHook::Unlink();
  PeerWatcher::Unlink();
}

void ChannelEnd::Deliver(MeshPort& /*at*/) {
  wait_.store(WaitState::kIdle, std::memory_order_seq_cst);
  if (waiter_ != nullptr && !Arm()) Wake();
  DropReference();
}

// The shard of this end has stopped.
void ChannelEnd::Return(MeshPort& /*at*/) { DropReference(); }

void ChannelEnd::OnPeerGone() {
  peer_is_gone_ = true;
  if (waiter_ != nullptr) Wake();
}

void ChannelEnd::Wake() { port_.executor().MakeRunnable(*std::exchange(waiter_, nullptr)); }

}  // namespace ioengine::internal
