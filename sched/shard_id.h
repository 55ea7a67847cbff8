// ShardId: the number of a shard.
#ifndef IOENGINE_SCHED_SHARD_ID_H_
#define IOENGINE_SCHED_SHARD_ID_H_

#include <cstdint>

namespace ioengine {

// From 0, without gaps.
using ShardId = uint32_t;

}  // namespace ioengine

#endif  // IOENGINE_SCHED_SHARD_ID_H_
