// A database over two shards: a thread of the host writes and reads, a task scans at a snapshot.
// engine DIRECTORY: the database is made if there is none.

#include "ioengine/engine/engine.h"

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "ioengine/engine/runtime.h"

namespace {

using ioengine::Engine;
using ioengine::EngineSnapshot;

// Runs on a shard, and reads the keys of all of them.
ioengine::Task<absl::Status> PrintUsers(ioengine::Shard&, Engine* engine, EngineSnapshot at) {
  ioengine::EngineScanOptions options = ioengine::EngineScanOptions::Prefix("user/");
  options.snapshot = std::move(at);
  auto scan = engine->Scan(std::move(options));
  if (!scan.ok()) co_return scan.status();
  absl::Status status = co_await (*scan)->Next();
  for (; status.ok() && (*scan)->Valid(); status = co_await (*scan)->Next()) {
    std::printf("%s = %s\n", std::string((*scan)->key()).c_str(),
                std::string((*scan)->value()).c_str());
  }
  co_return status;
}

absl::Status Use(ioengine::Runtime& runtime, Engine& engine) {
  ioengine::EngineClient client = engine.NewClient();
  // All are on their way before the first is waited for.
  ioengine::EngineBatch batch(client);
  std::vector<ioengine::Future<absl::StatusOr<ioengine::WriteResult>>> writes;
  writes.push_back(batch.Put("user/ada", "1815"));
  writes.push_back(batch.Put("user/grace", "1906"));
  writes.push_back(batch.Put("user/barbara", "1939"));
  absl::Status status = batch.Submit();
  for (auto& write : writes) status.Update(write.Wait().status());
  if (!status.ok()) return status;

  auto snapshot = engine.TakeSnapshot();
  if (!snapshot.ok()) return snapshot.status();
  status = client.Delete("user/grace").Wait().status();
  if (!status.ok()) return status;
  const auto grace = client.Get("user/grace").Wait();
  if (!grace.ok()) return grace.status();
  std::printf("now: grace is %s; at the snapshot:\n", grace->value_or("nobody").c_str());
  return runtime.Submit(0, PrintUsers, &engine, *snapshot).Wait();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: engine DIRECTORY\n");
    return 2;
  }
  auto runtime = ioengine::Runtime::Start({.shard_count = 2});
  if (!runtime.ok()) {
    std::fprintf(stderr, "%s\n", runtime.status().ToString().c_str());
    return 1;
  }
  auto engine = Engine::Open(**runtime, argv[1]);
  absl::Status status = engine.status();
  if (status.ok()) {
    status = Use(**runtime, **engine);
    status.Update((*engine)->CloseAndWait());
  }
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
