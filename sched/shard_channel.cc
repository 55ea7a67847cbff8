#include "ioengine/sched/shard_channel.h"

#include "ioengine/sched/executor.h"

namespace ioengine::internal {

// The port of this end's shard, which is to be this thread's; null when it has stopped.
MeshPort* ChannelEnd::Home() const {
  if (home_->has_stopped()) [[unlikely]] {
    return nullptr;
  }
  MeshPort* const port = home_->PortIfHere();
  IOENGINE_CHECK(port != nullptr,
                 "an end of a channel between shards is used on another shard than its own");
  return port;
}

bool ChannelEnd::Wait(Runnable& task) {
  MeshPort* const port = Home();
  if (port == nullptr) return false;
  IOENGINE_CHECK(!is_waited_for_, "two tasks wait for one end of a channel between shards");
  // What this side has done may be what the other one waits for.
  ShowNow();
  if (is_closed()) return false;
  if (!PeerWatcher::linked() && !port->Watch(other_.home_->id(), *this)) peer_is_gone_ = true;
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

void ChannelEnd::ShowAtEndOfTurn() {
  if (MeshPort* const port = Home()) port->CallAtEndOfTurn(*this);
}

void ChannelEnd::ShowNow() {
  if (!Share()) return;
  if (MeshPort* const port = Home()) NotifyOther(*port);
}

void ChannelEnd::NotifyOther(MeshPort& port) {
  if (other_.wait_.load(std::memory_order_seq_cst) != WaitState::kWaiting) return;
  WaitState expected = WaitState::kWaiting;
  if (!other_.wait_.compare_exchange_strong(expected, WaitState::kNoted,
                                            std::memory_order_seq_cst)) {
    return;
  }
  AddReference();
  port.Send(other_.home_->id(), other_);
}

void ChannelEnd::Close() {
  MeshPort* const port = home_->PortIfHere();
  // A port that has stopped let go of them.
  IOENGINE_CHECK(port != nullptr || (!TurnEndHook::linked() && !PeerWatcher::linked()),
                 "an end of a channel between shards ends on another shard than its own");
  // Also after a first Close: what came in between may have linked them.
  TurnEndHook::Unlink();
  PeerWatcher::Unlink();
  if (closed_.load(std::memory_order_relaxed)) return;
  if (port != nullptr) Share();
  closed_.store(true, std::memory_order_seq_cst);
  if (port != nullptr) {
    NotifyOther(*port);
    if (waiter_ != nullptr) Wake();
  } else if (other_.home_->PortIfHere() != nullptr && other_.waiter_ != nullptr) {
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

// On the shard of this end, where its waiter is.
void ChannelEnd::Wake() { Executor::Current()->MakeRunnable(*std::exchange(waiter_, nullptr)); }

}  // namespace ioengine::internal
