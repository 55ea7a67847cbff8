// Writes to a store until it is killed, and says what was acknowledged: `kill_writer DIRECTORY
// FIRST LEVEL`. Keys are numbers from FIRST on; a line on stdout for each that reached its level,
// and "opened N" when the store is open.

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine {
namespace {

constexpr int kWriters = 8;

// In one piece, so that a kill cuts no line.
void Say(const std::string& line) {
  if (write(STDOUT_FILENO, line.data(), line.size()) < 0) _exit(2);
}

Task<absl::Status> WriteForEver(ShardStore* store, uint64_t* next, Durability level) {
  for (;;) {
    const uint64_t number = (*next)++;
    const std::string key = absl::StrCat("key", number);
    const std::string value(1 + number * 37 % 5000, static_cast<char>('a' + number % 26));
    const absl::StatusOr<WriteResult> written = co_await store->Put(key, value, level);
    if (!written.ok()) co_return written.status();
    Say(absl::StrCat(number, "\n"));
  }
}

Task<absl::Status> Serve(Shard& shard, std::string directory, uint64_t first, Durability level) {
  StoreOptions options;
  options.wal.segment_bytes = size_t{1} << 20;
  options.memtable_bytes = size_t{1} << 30;
  auto store = co_await ShardStore::Open(shard, directory, options);
  if (!store.ok()) co_return store.status();
  Say("opened\n");
  uint64_t next = first;
  TaskScope scope(shard.executor());
  for (int i = 0; i < kWriters; ++i) scope.Spawn(WriteForEver(store->get(), &next, level));
  co_return co_await scope.Join();
}

int Main(int argc, char** argv) {
  if (argc != 4) return 2;
  auto runtime = Runtime::Start({.shard_count = 1, .memory_per_shard_bytes = size_t{2} << 30});
  if (!runtime.ok()) {
    std::fprintf(stderr, "%s\n", std::string(runtime.status().message()).c_str());
    return 1;
  }
  const auto level = static_cast<Durability>(std::atoi(argv[3]));
  const absl::Status status =
      (*runtime)
          ->Submit(0, Serve, std::string(argv[1]), std::strtoull(argv[2], nullptr, 10), level)
          .Wait();
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace ioengine

int main(int argc, char** argv) { return ioengine::Main(argc, argv); }
