#include "ioengine/sched/shard_channel.h"

#include "ioengine/sched/executor.h"

namespace ioengine::internal {

bool ChannelEnd::Wait(Runnable& task) {
  IOENGINE_CHECK(port_.IsHere(),
                 "an end of a channel between shards is used on another shard than its own");
  IOENGINE_CHECK(!is_waited_for_, "two tasks wait for one end of a channel between shards");
  // What this side has done may be what the other one waits for.
  ShowNow();
  if (is_closed()) return false;
  if (!PeerWatcher::linked() && !port_.Watch(other_.port_.id(), *this)) peer_is_gone_ = true;
  // It shows nothing more, and a note of it may have been lost.
  if (peer_is_gone_ || !Arm()) return false;
  is_waited_for_ = true;
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
  // Also after a first Close: what came in between may have linked them.
  TurnEndHook::Unlink();
  PeerWatcher::Unlink();
  if (is_closed()) return;
  const bool on_shard = port_.IsHere();
  if (on_shard) Share();
  closed_.store(true, std::memory_order_seq_cst);
  if (on_shard) {
    NotifyOther();
    if (waiter_ != nullptr) Wake();
  } else if (other_.port_.IsHere() && other_.waiter_ != nullptr) {
    other_.Wake();  // a call that was to bring this end to its shard was refused
  }
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
