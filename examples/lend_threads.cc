// A host that runs shards on threads of its own: `lend_threads`. Each thread is a shard until the
// runtime is stopped; the main thread sends them work meanwhile.

#include <cstdio>
#include <thread>
#include <vector>

#include "ioengine/engine/client.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/sched/map_reduce.h"

namespace {

// On one shard; asks all of them, this one included.
ioengine::Task<absl::StatusOr<int>> SumOfIds(ioengine::Shard& shard) {
  co_return co_await ioengine::MapReduce(
      shard, 0, [](int sum, int id) { return sum + id; },
      [](ioengine::Shard& each) { return static_cast<int>(each.id()); });
}

}  // namespace

int main() {
  auto runtime = ioengine::Runtime::Start(
      {.shard_count = 3, .threads = ioengine::ShardThreads::kLent, .buffer_pool_bytes = 2 << 20});
  if (!runtime.ok()) {
    std::fprintf(stderr, "%s\n", runtime.status().ToString().c_str());
    return 1;
  }
  std::vector<std::thread> threads;
  for (ioengine::ShardId id = 0; id < 3; ++id) {
    threads.emplace_back([&runtime, id] {
      // Errors are WaitUntilRunning's, too.
      (*runtime)->RunShard(id).IgnoreError();
    });
  }
  absl::StatusOr<int> sum = 0;
  if (absl::Status running = (*runtime)->WaitUntilRunning(); running.ok()) {
    ioengine::Client client(**runtime);
    sum = client.Submit(1, SumOfIds).Wait();
  } else {
    sum = running;
  }
  (*runtime)->Stop();
  for (std::thread& thread : threads) thread.join();
  if (!sum.ok()) {
    std::fprintf(stderr, "%s\n", sum.status().ToString().c_str());
    return 1;
  }
  std::printf("the shards' numbers add up to %d\n", *sum);
  return 0;
}
