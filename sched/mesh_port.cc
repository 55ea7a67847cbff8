#include "ioengine/sched/mesh_port.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/mesh_class_queue.h"
#include "ioengine/sched/mesh_ping.h"
#include "ioengine/sched/timer_wheel.h"

namespace ioengine {
namespace {

// A shard that sends many messages in one turn publishes them in chunks of so many, so that their
// receivers work meanwhile.
constexpr size_t kPublishedAtOnce = 28;

// How many sizes of calls may, at one time or another, take all memory that calls may have.
constexpr size_t kCallSizes = 4;

}  // namespace

struct MeshPort::Peer {
  Peer(ShardId peer_id, ShardId own_id, size_t ring_capacity)
      : id(peer_id), in(ring_capacity), ping(own_id) {}

  const ShardId id;
  MeshPort* port = nullptr;
  Lane* out = nullptr;
  bool dirty = false;
  bool gone = false;  // it has stopped, and what was on the way is dealt with
  size_t calls = 0;   // to it, without an answer
  IntrusiveList<PeerWatcher> watchers;
  Lane in;
  MeshPing ping;
};

// Looks after the shards that calls are on their way to, as long as there are any.
class MeshPort::PeerTimer final : public Timer {
 public:
  explicit PeerTimer(MeshPort& port) : port_(port) {}

  void Arm(uint64_t now_ns) {
    port_.executor_->ArmTimer(*this, now_ns + port_.options_.peer_timeout_ns / 2);
  }

 private:
  void OnTimer() override {
    const uint64_t now_ns = port_.executor_->clock().NowNs();
    if (port_.CheckPeers(now_ns)) Arm(now_ns);
  }

  MeshPort& port_;
};

MeshPort::MeshPort(ShardId id, size_t shard_count, const MeshOptions& options)
    : id_(id),
      options_(options),
      presence_(std::make_shared<PortPresence>(id, *this)),
      // Each call has two of them at most, and the smallest call is larger than one. Where address
      // space is short (RLIMIT_AS), the calls are fewer.
      controls_(2 * options.max_call_bytes),
      call_limit_bytes_(std::min(options.max_call_bytes, controls_.reserved_bytes() / 2)),
      // A slab stays with its size of blocks: this is room for a crowd of each of several sizes,
      // one after the other.
      calls_(kCallSizes * call_limit_bytes_) {
  for (size_t i = 0; i < shard_count; ++i) {
    peers_.push_back(
        std::make_unique<Peer>(static_cast<ShardId>(i), id, i == id ? 1 : options.ring_capacity));
  }
  dirty_.reserve(shard_count);
}

MeshPort::~MeshPort() {
  presence_->Stop();  // of a shard that was set up and never ran
}

void MeshPort::Connect(MeshPort& other) {
  Peer& peer = *peers_[other.id_];
  peer.port = &other;
  peer.out = &other.peers_[id_]->in;
}

void MeshPort::Attach(Executor& executor) {
  IOENGINE_CHECK(executor_ == nullptr, "a port of the mesh is attached to two executors");
  executor_ = &executor;
  calls_.SetBudget(executor.memory(), /*may_exceed=*/false);
  controls_.SetBudget(executor.memory(), /*may_exceed=*/true);
  executor.memory()->Charge(ring_bytes());
  if (options_.peer_timeout_ns != 0) peer_timer_ = std::make_unique<PeerTimer>(*this);
  executor.AddPoller(*this);
  presence_->Attach(executor);
  // Part of the one order that Wake relies on; and who wakes this shard sees the executor whole.
  attached_.store(&executor, std::memory_order_seq_cst);
}

size_t MeshPort::ring_bytes() const {
  size_t bytes = 0;
  for (const auto& peer : peers_) bytes += peer->in.ring.memory_bytes();
  return bytes;
}

const std::shared_ptr<PortPresence>& MeshPort::PresenceOf(ShardId id) const {
  IOENGINE_CHECK(id < peers_.size(), "the mesh has no shard with this id");
  return id == id_ ? presence_ : peers_[id]->port->presence_;
}

bool MeshPort::Watch(ShardId id, PeerWatcher& watcher) {
  if (peers_[id]->gone) return false;
  peers_[id]->watchers.PushBack(watcher);
  return true;
}

// ---- Sending ----

void MeshPort::Send(ShardId to, MeshMessage& message) {
  ++stats_.messages_sent;
  Peer& peer = *peers_[to];
  if (peer.gone) [[unlikely]] {
    message.Return(*this);
    return;
  }
  if (to == id_) {
    own_.PushBack(message);
    return;
  }
  MarkDirty(peer);
  if (peer.out->pending.empty() && peer.out->ring.TryPush(message)) [[likely]] {
    if (peer.out->ring.unpublished() >= kPublishedAtOnce) Publish(peer);
    return;
  }
  ++stats_.times_ring_full;
  peer.out->pending.PushBack(message);
}

void MeshPort::MarkDirty(Peer& peer) {
  if (peer.dirty) return;
  peer.dirty = true;
  dirty_.push_back(&peer);
}

void MeshPort::EndTurn() {
  while (MeshMessage* const answer = answers_.TryPopFront()) {
    Send(static_cast<MeshCall*>(answer)->from(), *answer);
  }
  while (TurnEndHook* const hook = turn_end_hooks_.TryPopFront()) hook->OnTurnEnd();
  size_t left = 0;
  for (Peer* const peer : dirty_) {
    if (Flush(*peer)) {
      peer->dirty = false;
    } else {
      dirty_[left++] = peer;
    }
  }
  dirty_.resize(left);
}

// Publishes what there is room for; whether that is all.
bool MeshPort::Flush(Peer& peer) {
  Lane& lane = *peer.out;
  while (!lane.pending.empty() && lane.ring.HasRoom()) {
    lane.ring.TryPush(*lane.pending.TryPopFront());
  }
  Publish(peer);
  return lane.pending.empty();
}

void MeshPort::Publish(Peer& peer) {
  if (!peer.out->ring.Publish()) return;
  ++stats_.batches_published;
  if (peer.port->Wake()) ++stats_.wake_ups;
}

// On any shard: this one is to look at what was published, if it sleeps. Partner of PrepareToSleep:
// what was published is before this in the one order of sequentially consistent operations, so
// either it is seen there, or the sleep is seen here.
bool MeshPort::Wake() {
  Executor* const executor = attached_.load(std::memory_order_seq_cst);
  if (executor == nullptr || !executor->is_asleep()) return false;
  executor->WakeUp();
  return true;
}

// ---- Taking ----

size_t MeshPort::Poll() {
  size_t taken = DeliverOwn();
  if (options_.order != nullptr) [[unlikely]] {
    taken += TakeInOrder(*options_.order);
  } else {
    for (const auto& peer : peers_) taken += TakeFrom(*peer);
  }
  if (stops_.load(std::memory_order_acquire) != stops_seen_) [[unlikely]] {
    LookForStoppedPeers();
  }
  stats_.messages_taken += taken;
  return taken;
}

// What is there now; what that sends to this shard again has to wait.
size_t MeshPort::DeliverOwn() {
  if (own_.empty()) return 0;
  MeshMessageList now;
  while (MeshMessage* const message = own_.TryPopFront()) now.PushBack(*message);
  size_t delivered = 0;
  while (MeshMessage* const message = now.TryPopFront()) {
    message->Deliver(*this);
    ++delivered;
  }
  return delivered;
}

size_t MeshPort::TakeFrom(Peer& peer) {
  MessageRing& ring = peer.in.ring;
  if (!ring.HasMessages()) return 0;
  size_t taken = 0;
  // Not more than a ring full, so that a peer cannot keep this shard from its tasks.
  while (taken < ring.capacity()) {
    MeshMessage* const message = ring.TryPop();
    if (message == nullptr) break;
    message->Deliver(*this);
    ++taken;
  }
  GiveRoomBack(peer);
  return taken;
}

size_t MeshPort::TakeInOrder(DeliveryOrder& order) {
  size_t taken = 0;
  for (;; ++taken) {
    std::vector<Peer*> choices;
    for (const auto& peer : peers_) {
      if (peer->in.ring.HasMessages()) choices.push_back(peer.get());
    }
    if (choices.empty()) break;
    const size_t choice = order.Choose(choices.size() + 1);
    if (choice == choices.size()) break;
    choices[choice]->in.ring.TryPop()->Deliver(*this);
    GiveRoomBack(*choices[choice]);
  }
  return taken;
}

void MeshPort::GiveRoomBack(Peer& peer) {
  if (peer.in.ring.Release() && peer.in.sender_waits.load(std::memory_order_seq_cst)) {
    if (peer.port->Wake()) ++stats_.wake_ups;
  }
}

// ---- Sleeping ----

bool MeshPort::HasWork() const {
  if (!own_.empty() || !turn_end_hooks_.empty() ||
      stops_.load(std::memory_order_acquire) != stops_seen_)
    return true;
  for (const auto& peer : peers_) {
    if (peer->in.ring.HasMessages()) return true;
  }
  return std::any_of(dirty_.begin(), dirty_.end(),
                     [](const Peer* peer) { return peer->out->ring.HasRoom(); });
}

bool MeshPort::PrepareToSleep() {
  if (!own_.empty() || !turn_end_hooks_.empty() ||
      stops_.load(std::memory_order_seq_cst) != stops_seen_)
    return false;
  for (const auto& peer : peers_) {
    if (peer->in.ring.HasMessagesFresh()) return false;
  }
  for (Peer* const peer : dirty_) {
    peer->out->sender_waits.store(true, std::memory_order_seq_cst);
    if (peer->out->ring.HasRoomFresh()) return false;
  }
  return true;
}

void MeshPort::WokeUp() {
  for (Peer* const peer : dirty_) {
    peer->out->sender_waits.store(false, std::memory_order_relaxed);
  }
}

// ---- Calls ----

void* MeshPort::TryAllocateCall(size_t size_bytes) {
  const bool has_room = call_bytes_ + size_bytes <= call_limit_bytes_;
  void* const call = has_room ? calls_.TryAllocate(size_bytes) : nullptr;
  if (call == nullptr) {
    ++stats_.times_calls_full;
  } else {
    call_bytes_ += size_bytes;
  }
  return call;
}

void* MeshPort::AllocateControl(size_t size_bytes) {
  void* const control = controls_.TryAllocate(size_bytes);
  IOENGINE_CHECK(control != nullptr, "no memory to end a call to another shard");
  return control;
}

void MeshPort::Begin(MeshCall& call) {
  Peer& peer = *peers_[call.to()];
  ++peer.calls;
  ++calls_on_their_way_;
  if (peer_timer_ != nullptr && !peer_timer_->armed()) [[unlikely]] {
    peer_timer_->Arm(executor_->clock().NowNs());
  }
  Send(call.to(), call);
}

void MeshPort::CallEnds(ShardId to) {
  --peers_[to]->calls;
  --calls_on_their_way_;
}

void MeshPort::Run(MeshCall& call) {
  if (stopping_) [[unlikely]] {
    call.Refuse(*this, absl::StatusCode::kUnavailable);
  } else {
    QueueOf(call.class_id()).Push(call);
  }
}

MeshClassQueue& MeshPort::QueueOf(ClassId id) {
  if (id < queues_.size() && queues_[id] != nullptr) [[likely]] {
    return *queues_[id];
  }
  const ClassId known = executor_->FindClass(id) == nullptr ? ClassId{0} : id;
  if (known >= queues_.size()) queues_.resize(known + size_t{1});
  if (queues_[known] == nullptr) queues_[known] = std::make_unique<MeshClassQueue>(*this, known);
  return *queues_[known];
}

absl::Status MeshPort::ErrorOf(absl::StatusCode code, ShardId to) const {
  switch (code) {
    case absl::StatusCode::kUnavailable:
      return absl::UnavailableError(absl::StrCat("shard ", to, " has stopped"));
    case absl::StatusCode::kDeadlineExceeded:
      return absl::DeadlineExceededError(
          absl::StrCat("the deadline passed before the call to shard ", to, " ran"));
    case absl::StatusCode::kResourceExhausted:
      return absl::ResourceExhaustedError(absl::StrCat(
          "shard ", id_, " has ", calls_on_their_way_,
          " calls to other shards on their way, which is all that MeshOptions::max_call_bytes (",
          options_.max_call_bytes, ") and the shard's memory (", executor_->memory()->used_bytes(),
          " of ", executor_->memory()->limit_bytes(),
          " bytes used) hold; wait for some of them, or raise the one that is used up"));
    default:
      return absl::Status(code, absl::StrCat("the call to shard ", to, " was ended"));
  }
}

absl::Status MeshPort::SilentPeerError(ShardId to) const {
  return absl::DeadlineExceededError(absl::StrCat(
      "shard ", to, " has taken no messages for ", options_.peer_timeout_ns / 1'000'000,
      " ms: its host does not run it, or a task keeps it from its turn"));
}

// ---- Peers that give no sign of life ----

// Whether calls are on their way, so that it is to be called again.
bool MeshPort::CheckPeers(uint64_t now_ns) {
  bool any_calls = false;
  for (const auto& peer : peers_) {
    if (peer->calls == 0 || peer->id == id_) continue;
    any_calls = true;
    if (!peer->ping.is_away()) {
      peer->ping.Send(*this, peer->id, now_ns);
    } else if (now_ns - peer->ping.sent_ns() >= options_.peer_timeout_ns &&
               !peer->in.ring.HasMessages()) {  // it may be this shard that did not look
      ++stats_.peer_timeouts;
      ExpireCalls(peer->id);
    }
  }
  return any_calls;
}

// Calls are in no list, which is what makes them small.
void MeshPort::ExpireCalls(ShardId to) {
  calls_.ForEachBlock([&](void* block) {
    auto& call = *static_cast<MeshCall*>(block);
    if (call.to() == to) call.Expire(*this);
  });
}

// ---- Stopping ----

void MeshPort::Stopping() {
  stopping_ = true;
  while (MeshTask* const task = tasks_.front()) task->End(*this, absl::StatusCode::kUnavailable);
  for (const auto& queue : queues_) {
    if (queue == nullptr) continue;
    while (MeshCall* const call = queue->TryPop()) {
      call->Refuse(*this, absl::StatusCode::kUnavailable);
    }
  }
}

void MeshPort::Stopped() {
  while (DeliverOwn() > 0) {
  }
  if (peer_timer_ != nullptr) executor_->CancelTimer(*peer_timer_);
  for (const auto& peer : peers_) TakeFrom(*peer);
  EndTurn();
  for (const auto& peer : peers_) peer->gone = true;
  Unlink();
  LetGoOfAll();
  TellStopped();
}

// What is borrowed may be destroyed on any thread from here on.
void MeshPort::LetGoOfAll() {
  while (turn_end_hooks_.TryPopFront() != nullptr) {
  }
  for (const auto& peer : peers_) {
    while (peer->watchers.TryPopFront() != nullptr) {
    }
  }
}

void MeshPort::Abandon() {
  for (const auto& peer : peers_) peer->gone = true;
  TellStopped();
}

void MeshPort::TellStopped() {
  // Release: what this shard knows of its lanes and calls goes to the others.
  presence_->Stop();
  for (const auto& peer : peers_) {
    if (peer->id == id_) continue;
    peer->port->stops_.fetch_add(1, std::memory_order_seq_cst);
    peer->port->Wake();
  }
}

void MeshPort::LookForStoppedPeers() {
  stops_seen_ = stops_.load(std::memory_order_acquire);
  for (const auto& peer : peers_) {
    if (peer->id == id_ || peer->gone) continue;
    if (peer->port->presence_->has_stopped()) TakeOver(*peer);
  }
}

// `peer` does nothing more: both of its lanes are this shard's.
void MeshPort::TakeOver(Peer& peer) {
  while (TakeFrom(peer) > 0) {
  }
  while (MeshMessage* const message = peer.in.pending.TryPopFront()) message->Deliver(*this);
  peer.gone = true;
  ReturnUndelivered(peer);
  while (PeerWatcher* const watcher = peer.watchers.TryPopFront()) watcher->OnPeerGone();
}

void MeshPort::ReturnUndelivered(Peer& peer) {
  Lane& lane = *peer.out;
  lane.ring.Publish();
  while (MeshMessage* const message = lane.ring.TryPop()) message->Return(*this);
  lane.ring.Release();
  while (MeshMessage* const message = lane.pending.TryPopFront()) message->Return(*this);
}

// All shards have stopped, and this is the only thread.
void MeshPort::ReturnAll() {
  while (MeshMessage* const message = own_.TryPopFront()) message->Return(*this);
  for (const auto& peer : peers_) {
    if (peer->id != id_) ReturnUndelivered(*peer);
  }
}

}  // namespace ioengine
