#include "ioengine/sched/mesh.h"

#include "ioengine/sched/check.h"

namespace ioengine {

Mesh::Mesh(size_t shard_count, const MeshOptions& options) {
  IOENGINE_CHECK(shard_count > 0 && shard_count <= kMaxShards,
                 "a Mesh is of 1 to Mesh::kMaxShards shards");
  for (size_t i = 0; i < shard_count; ++i) {
    ports_.emplace_back(new MeshPort(static_cast<ShardId>(i), shard_count, options));
  }
  for (const auto& one : ports_) {
    for (const auto& other : ports_) {
      if (one != other) one->Connect(*other);
    }
  }
}

Mesh::~Mesh() {
  for (const auto& port : ports_) port->ReturnAll();
}

MeshPort& Mesh::port(ShardId id) {
  IOENGINE_CHECK(id < ports_.size(), "the mesh has no shard with this id");
  return *ports_[id];
}

}  // namespace ioengine
