// MeshPort: a shard's end of a Mesh.
#ifndef IOENGINE_SCHED_MESH_PORT_H_
#define IOENGINE_SCHED_MESH_PORT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/sched/block_pool.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/intrusive_list.h"
#include "ioengine/sched/mesh_call.h"
#include "ioengine/sched/mesh_message.h"
#include "ioengine/sched/message_ring.h"
#include "ioengine/sched/port_presence.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/shard_id.h"
#include "ioengine/sched/turn_poller.h"

namespace ioengine {

class MeshClassQueue;

// In what order messages are taken; for tests.
class DeliveryOrder {
 public:
  virtual ~DeliveryOrder() = default;

  // A number below `choices`. The shard takes the next message from the choice-th of the rings that
  // have one; the last choice is to take no more in this turn.
  virtual size_t Choose(size_t choices) = 0;
};

// Wants to be told of the end of a turn, once.
class TurnEndHook : public ListLink {
 public:
  virtual void OnTurnEnd() = 0;

 protected:
  ~TurnEndHook() = default;
};

// Wants to be told when another shard has stopped.
class PeerWatcher : public ListLink {
 public:
  virtual void OnPeerGone() = 0;

 protected:
  ~PeerWatcher() = default;
};

struct MeshOptions {
  // Messages that each ring holds, at least 1; rounded up to a power of two of lines of seven, and
  // fewer where they come one by one (see MessageRing). What does not fit waits on the shard that
  // sent it.
  size_t ring_capacity = 256;
  // Memory for the calls that each shard has on their way; part of the shard's MemoryBudget. More
  // calls get ResourceExhausted.
  size_t max_call_bytes = size_t{64} << 20;
  // A shard that takes no message for so long is not waited for any longer: a host that lends it a
  // thread has stopped doing so, or a task keeps it. 0: it is waited for without end.
  uint64_t peer_timeout_ns = 10'000'000'000;
  // Not null: decides what is taken. Borrowed.
  DeliveryOrder* order = nullptr;
};

// Counters of one port. Read on its shard.
struct MeshStats {
  uint64_t messages_sent = 0;
  uint64_t messages_taken = 0;
  uint64_t batches_published = 0;
  uint64_t wake_ups = 0;  // of other shards
  uint64_t times_ring_full = 0;
  uint64_t times_calls_full = 0;
  uint64_t peer_timeouts = 0;
};

// Shard: its own, except where it says otherwise.
class MeshPort final : public TurnPoller {
 public:
  MeshPort(const MeshPort&) = delete;
  MeshPort& operator=(const MeshPort&) = delete;
  ~MeshPort();

  ShardId id() const { return id_; }
  size_t shard_count() const { return peers_.size(); }

  // Makes the port part of the turns of `executor`, once, before its first message. The executor
  // must outlive the run of all others of the mesh. By whoever sets the shard up.
  void Attach(Executor& executor);
  Executor& executor() const { return *executor_; }
  // Instead of Attach: this shard will never run. Others get Unavailable. Any one thread.
  void Abandon();

  // Calls `function(args…)` on shard `to`: `co_await port.SubmitTo(…)` gives its result. It is on
  // its way from here on, whether it is awaited or not, so several may be at once:
  //
  //   auto first = port.SubmitTo(1, Count, "a");
  //   auto second = port.SubmitTo(2, Count, "b");
  //   total = *co_await first + *co_await second;
  //
  // The function returns T, which is given as StatusOr<T> (Status and StatusOr as they are), or is
  // a coroutine that returns Task<T>. It runs in the class of the task that calls, by its id; in
  // the default class where there is none with this id. A coroutine has the deadline of the task
  // that calls, and is asked to stop when that is. When the result is not waited for any more,
  // since the awaiting task is destroyed or times out, a function that has not run does not, and a
  // coroutine is destroyed where it is suspended.
  //
  // Ownership: `function` and `args` are moved into the call here, and destroyed on shard `to`
  // before the result is given. The result is moved, and destroyed here. When a shard has stopped,
  // the other one destroys what is left of the call.
  // Errors: Unavailable, shard `to` stops or has stopped; DeadlineExceeded, it takes no messages
  // (MeshOptions::peer_timeout_ns), or the deadline passed before the function ran;
  // ResourceExhausted, too many calls are on their way.
  // Cost: no allocation but from a free list; the call, result included, is one cache line if
  // function, arguments and result are small (16 bytes), which travels both ways.
  template <typename Function, typename... Args>
  auto SubmitTo(ShardId to, Function function, Args... args);

  // Memory of the rings in which messages come here. Any thread.
  size_t ring_bytes() const;
  const MeshOptions& options() const { return options_; }

  const MeshStats& stats() const { return stats_; }
  // Calls of this shard that have not been answered.
  size_t calls_on_their_way() const { return calls_on_their_way_; }
  // Memory of calls of this shard that exist: also of those that are answered, as long as their
  // MeshResult is there, and of those that are not waited for, until they are back.
  size_t call_bytes() const { return call_bytes_; }

  // For what is made of messages (MeshCall, ShardChannel).

  // Sends `message`, at the end of the turn. To its own shard too: it is delivered in the next
  // turn.
  void Send(ShardId to, MeshMessage& message);

  // Both on the shard of this port, and borrowed until they are called or destroyed. Watch gives
  // false when that shard has stopped already.
  void CallAtEndOfTurn(TurnEndHook& hook) { turn_end_hooks_.PushBack(hook); }
  bool Watch(ShardId peer, PeerWatcher& watcher);

  // Whether the end on shard `id`, this one's or another (CHECK), is there to be used.
  const std::shared_ptr<PortPresence>& PresenceOf(ShardId id) const;

  // For calls.

  // Has `call` run here, in its class.
  void Run(MeshCall& call);
  // `task` runs here for another shard, until it is unlinked.
  void AddTask(MeshTask& task) { tasks_.PushBack(task); }
  void CallEnds(ShardId to);
  void AnswerAtEndOfTurn(MeshCall& call) { answers_.PushBack(call); }
  void FreeCall(void* call, size_t size_bytes) {
    calls_.Free(call, size_bytes);
    call_bytes_ -= size_bytes;
  }
  void* AllocateControl(size_t size_bytes);
  void FreeControl(void* control, size_t size_bytes) { controls_.Free(control, size_bytes); }
  absl::Status ErrorOf(absl::StatusCode code, ShardId to) const;
  absl::Status SilentPeerError(ShardId to) const;

  // What the executor asks.
  size_t Poll() override;
  void EndTurn() override;
  bool HasWork() const override;
  bool PrepareToSleep() override;
  void WokeUp() override;
  void Stopping() override;
  void Stopped() override;

 private:
  friend class Mesh;

  // A ring and what belongs to it. Made by its receiver.
  struct Lane {
    explicit Lane(size_t capacity) : ring(capacity) {}

    MessageRing ring;
    // What the ring had no room for. The sender's; the receiver's when that has stopped.
    MeshMessageList pending;
    // The sender sleeps, and there is something pending.
    alignas(64) std::atomic<bool> sender_waits{false};
  };
  // Another shard, as seen from here.
  struct Peer;
  class PeerTimer;

  MeshPort(ShardId id, size_t shard_count, const MeshOptions& options);
  void Connect(MeshPort& other);

  void* TryAllocateCall(size_t size_bytes);
  void Begin(MeshCall& call);

  size_t DeliverOwn();
  size_t TakeFrom(Peer& peer);
  size_t TakeInOrder(DeliveryOrder& order);
  void GiveRoomBack(Peer& peer);

  void MarkDirty(Peer& peer);
  bool Flush(Peer& peer);
  void Publish(Peer& peer);
  bool Wake();

  void LetGoOfAll();
  void TellStopped();
  void LookForStoppedPeers();
  void TakeOver(Peer& peer);
  void ReturnUndelivered(Peer& peer);
  void ReturnAll();

  MeshClassQueue& QueueOf(ClassId id);
  bool CheckPeers(uint64_t now_ns);
  void ExpireCalls(ShardId to);

  const ShardId id_;
  const MeshOptions options_;
  const std::shared_ptr<PortPresence> presence_;  // stopped: nothing more is taken or sent
  Executor* executor_ = nullptr;
  std::vector<std::unique_ptr<Peer>> peers_;             // by id; there is one for this shard too
  std::vector<Peer*> dirty_;                             // that something is to be published to
  std::vector<std::unique_ptr<MeshClassQueue>> queues_;  // by class
  MeshMessageList own_;                                  // from this shard to itself
  MeshMessageList answers_;  // MeshCalls, to be sent at the end of the turn
  IntrusiveList<MeshTask> tasks_;
  IntrusiveList<TurnEndHook> turn_end_hooks_;
  bool stopping_ = false;
  MeshStats stats_;
  BlockPool controls_;
  const size_t call_limit_bytes_;
  BlockPool calls_;
  size_t calls_on_their_way_ = 0;
  size_t call_bytes_ = 0;  // of calls that exist
  std::unique_ptr<PeerTimer> peer_timer_;
  uint64_t stops_seen_ = 0;

  // Read by other shards: whom to wake; null before Attach.
  alignas(64) std::atomic<Executor*> attached_{nullptr};
  // How many of the other shards have stopped.
  alignas(64) std::atomic<uint64_t> stops_{0};
};

}  // namespace ioengine

#include "ioengine/sched/mesh_result.h"  // IWYU pragma: export

#endif  // IOENGINE_SCHED_MESH_PORT_H_
