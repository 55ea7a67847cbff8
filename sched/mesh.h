// Mesh: messages between the shards of one process.
//
//   uint64_t Count(std::string key);                                  // on any shard
//   Task<absl::StatusOr<Value>> Read(uint64_t key);
//
//   absl::StatusOr<uint64_t> count = co_await port.SubmitTo(3, Count, std::move(key));
//   absl::StatusOr<Value> value = co_await port.SubmitTo(OwnerOf(key), Read, key);
//
// A ring for each ordered pair of shards takes messages, which are pointers to objects that live on
// the shard that asked (MeshCall). They gather while a shard's tasks run and are published once, at
// the end of its turn; a shard that sleeps is woken once for all that is published meanwhile.
//
//        shard 0                                                        shard 1
//   SubmitTo ─► pending ─► ring 0→1 ═══════ published ═══════► Poll ─► class queue ─► function runs
//      ▲         (ring full)  end of turn                                                  │
//   task goes on ◄─ Poll ◄══════════════════════════════ ring 1→0 ◄─ (pending) ◄───────────┘
//
// There is no deadlock, at any length of the rings. A shard takes what has come in each turn,
// whatever its tasks, or its own messages to others, wait for: taking a message means to link it
// into a list, which needs no room. So each ring that is full is soon not full, and what is pending
// for it, also a list that needs no room, moves on. What waits for a message's result is always a
// task, never a shard. The lists are bounded by the calls that exist, and these by MeshOptions.
//
// A shard that does not sleep while nobody makes it run turns (a host that stopped to call Pump)
// takes nothing: after MeshOptions::peer_timeout_ns the calls that wait for it get
// DeadlineExceeded.
//
// A shard that stops answers the calls that it has (Unavailable), takes what has come a last time,
// and then leaves its rings to their other ends, which take back what it did not.
#ifndef IOENGINE_SCHED_MESH_H_
#define IOENGINE_SCHED_MESH_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ioengine/sched/mesh_port.h"
#include "ioengine/sched/shard_id.h"

namespace ioengine {

// Any thread.
class Mesh {
 public:
  // For `shard_count` shards, 1 to kMaxShards (CHECK). Memory: shard_count² rings of
  // options.ring_capacity pointers.
  Mesh(size_t shard_count, const MeshOptions& options);
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;
  // All shards have stopped. Destroys what is left on the way.
  ~Mesh();

  size_t shard_count() const { return ports_.size(); }

  // The end of the mesh on shard `id`, below shard_count() (CHECK).
  MeshPort& port(ShardId id);

  static constexpr size_t kMaxShards = 1024;

 private:
  std::vector<std::unique_ptr<MeshPort>> ports_;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_MESH_H_
