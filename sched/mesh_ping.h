// MeshPing: asks another shard for a sign of life.
#ifndef IOENGINE_SCHED_MESH_PING_H_
#define IOENGINE_SCHED_MESH_PING_H_

#include <cstdint>

#include "ioengine/sched/mesh_message.h"
#include "ioengine/sched/mesh_port.h"
#include "ioengine/sched/shard_id.h"

namespace ioengine {

// Goes there and comes back, again and again; one at a time.
//
// Shard: the one that asks, all calls.
class MeshPing final : public MeshMessage {
 public:
  explicit MeshPing(ShardId home) : home_(home) {}

  bool is_away() const { return is_away_; }
  uint64_t sent_ns() const { return sent_ns_; }

  void Send(MeshPort& at, ShardId to, uint64_t now_ns) {
    is_away_ = true;
    sent_ns_ = now_ns;
    at.Send(to, *this);
  }

 private:
  void Deliver(MeshPort& at) override {
    if (at.id() == home_) {
      is_away_ = false;
    } else {
      at.Send(home_, *this);
    }
  }
  void Return(MeshPort& at) override {
    if (at.id() == home_) is_away_ = false;
  }

  const ShardId home_;
  bool is_away_ = false;
  uint64_t sent_ns_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_MESH_PING_H_
