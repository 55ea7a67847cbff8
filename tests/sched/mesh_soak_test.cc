// Mesh: very many messages between shards, through rings of one message. A hundred million:
//
//   IOENGINE_MESH_SOAK_MESSAGES=100000000 bazel-bin/tests/sched/mesh_soak_test

#include <cstdint>
#include <cstdlib>
#include <latch>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/sched/mesh.h"
#include "ioengine/sched/random.h"
#include "ioengine/tests/sched/mesh_shards.h"

namespace ioengine {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kMessages = 1'000'000;
#else
constexpr uint64_t kMessages = 20'000'000;
#endif
constexpr uint64_t kMessagesPerCall = 2;  // there and back
constexpr uint64_t kTasks = 8;            // on each shard

uint64_t Messages() {
  const char* const asked = getenv("IOENGINE_MESH_SOAK_MESSAGES");
  return asked == nullptr ? kMessages : strtoull(asked, nullptr, 10);
}

uint64_t AddOne(uint64_t value) { return value + 1; }

Task<> CallAll(ThreadShards* shards, ShardId here, uint64_t calls, std::latch* done) {
  Random random(here);
  MeshPort& port = shards->port(here);
  for (uint64_t i = 0; i < calls; ++i) {
    // Not itself: that would take no ring.
    const uint64_t step = 1 + random.Below(shards->count() - 1);
    const auto to = static_cast<ShardId>((here + step) % shards->count());
    const absl::StatusOr<uint64_t> answer = co_await port.SubmitTo(to, AddOne, i);
    if (!answer.ok() || *answer != i + 1) {
      ADD_FAILURE() << "call " << i << " of shard " << here << " to " << to;
      break;
    }
  }
  done->count_down();
}

void RunAllToAll(size_t shard_count, uint64_t messages, uint64_t spin_ns) {
  ThreadShards shards(shard_count, {.ring_capacity = 1}, {.idle_spin_ns = spin_ns});
  std::latch done(static_cast<ptrdiff_t>(shard_count * kTasks));
  const uint64_t calls = messages / kMessagesPerCall / kTasks / shard_count;
  for (ShardId id = 0; id < shard_count; ++id) {
    shards.On(id, [&shards, &done, id, calls] {
      for (uint64_t i = 0; i < kTasks; ++i) {
        shards.executor(id).Spawn(CallAll(&shards, id, calls, &done));
      }
    });
  }
  done.wait();
  shards.Stop();
  for (ShardId id = 0; id < shard_count; ++id) {
    EXPECT_GT(shards.port(id).stats().times_ring_full, 0u);
    EXPECT_EQ(shards.port(id).calls_on_their_way(), 0u);
  }
}

TEST(MeshSoakTest, TwoShardsThroughRingsOfOneMessage) { RunAllToAll(2, Messages(), 100'000); }

// More than there are CPUs, so that they sleep and wake each other all the time.
TEST(MeshSoakTest, FiveShardsThroughRingsOfOneMessage) { RunAllToAll(5, Messages() / 50, 0); }

}  // namespace
}  // namespace ioengine
