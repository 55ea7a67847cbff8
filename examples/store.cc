// A store on one shard: writes at each level of durability, reads, a snapshot, a scan.
// store DIRECTORY: the database is made if there is none, and counts how often it was opened.

#include <cstdio>
#include <cstdlib>
#include <string>

#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard_store.h"

namespace {

using ioengine::Durability;

// How often the database was opened before this time; and now once more.
ioengine::Task<absl::StatusOr<int>> CountOpen(ioengine::ShardStore& store) {
  auto opens = co_await store.Get("opens");
  if (!opens.ok()) co_return opens.status();
  const int before = opens->has_value() ? std::atoi((*opens)->c_str()) : 0;
  // By default a write is acknowledged when it would survive a power cut.
  const std::string now = std::to_string(before + 1);
  auto written = co_await store.Put("opens", now);
  if (!written.ok()) co_return written.status();
  co_return before;
}

ioengine::Task<absl::Status> Use(ioengine::Shard& shard, std::string directory) {
  auto opened = co_await ioengine::ShardStore::Open(shard, directory);
  if (!opened.ok()) co_return opened.status();
  ioengine::ShardStore& store = **opened;
  auto before = co_await CountOpen(store);
  if (!before.ok()) co_return before.status();
  std::printf("opened %d times before\n", *before);

  // Both or none; survives the end of the process, and a power cut once something durable follows.
  ioengine::WriteBatch batch;
  batch.Put("user/ada", "1815");
  batch.Put("user/grace", "1906");
  auto written = co_await store.Write(batch, Durability::kWritten);
  if (!written.ok()) co_return written.status();

  auto snapshot = co_await store.TakeSnapshot();
  if (!snapshot.ok()) co_return snapshot.status();
  written = co_await store.Delete("user/ada", Durability::kMemory);
  if (!written.ok()) co_return written.status();
  auto ada = co_await store.Get("user/ada", *snapshot);
  if (!ada.ok()) co_return ada.status();
  std::printf("ada was %s\n", ada->value_or("nobody").c_str());

  auto scan = co_await store.Scan(ioengine::ScanOptions::Prefix("user/"));
  if (!scan.ok()) co_return scan.status();
  absl::Status status = co_await (*scan)->SeekToFirst();
  while (status.ok() && (*scan)->Valid()) {
    std::printf("%s = %s\n", std::string((*scan)->key()).c_str(),
                std::string((*scan)->value()).c_str());
    status = co_await (*scan)->Next();
  }
  if (!status.ok()) co_return status;
  co_return co_await store.Close();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: store DIRECTORY\n");
    return 2;
  }
  auto runtime = ioengine::Runtime::Start({.shard_count = 1});
  if (!runtime.ok()) {
    std::fprintf(stderr, "%s\n", runtime.status().ToString().c_str());
    return 1;
  }
  absl::Status done = (*runtime)->Submit(0, Use, std::string(argv[1])).Wait();
  if (!done.ok()) std::fprintf(stderr, "%s\n", done.ToString().c_str());
  return done.ok() ? 0 : 1;
}
