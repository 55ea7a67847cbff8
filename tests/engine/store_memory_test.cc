// The memory of a process with a store under load that is out for all of it: what it has is what
// the shard's budget says, and no more than that.
//
// IOENGINE_MEMORY_SECONDS: for how long, instead of 20 s.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/sched/block_pool.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using std::chrono::steady_clock;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr size_t kKiB = size_t{1} << 10;
constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kBudgetBytes = 256 * kMiB;
constexpr size_t kPoolBytes = 64 * kMiB;

// Keys: many with small values, some with larger ones, few with the largest that there may be.
constexpr uint64_t kSmallKeys = 200'000;
constexpr uint64_t kLargeKeys = 400;
constexpr uint64_t kHugeKeys = 10;
constexpr int kWriters = 300;
constexpr int kReaders = 4;

StoreOptions Options() {
  StoreOptions options;
  options.memtable_bytes = 32 * kMiB;
  options.reader_bytes = 24 * kMiB;
  options.wal.segment_bytes = 16 * kMiB;
  options.cache = {.capacity_bytes = 24 * kMiB, .max_pinned_bytes = 8 * kMiB};
  options.compaction.max_runs = 4;
  options.compaction.target_file_bytes = 16 * kMiB;
  return options;
}

// Of /proc/self/status, in bytes.
size_t StatusField(std::string_view field) {
  std::ifstream file("/proc/self/status");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind(absl::StrCat(std::string(field), ":"), 0) != 0) continue;
    return std::strtoull(line.c_str() + field.size() + 1, nullptr, 10) * kKiB;
  }
  return 0;
}

double MiB(size_t bytes) { return static_cast<double>(bytes) / static_cast<double>(kMiB); }

std::string SmallKey(uint64_t i) { return absl::StrCat("small", 1'000'000 + i); }
std::string LargeKey(uint64_t i) { return absl::StrCat("large", 1'000'000 + i); }
std::string HugeKey(uint64_t i) { return absl::StrCat("huge", 1'000'000 + i); }

// What all tasks of the load share; values are of one string, so that those who write have none of
// their own.
struct Load {
  explicit Load(ShardStore& of, MemoryBudget& shard, steady_clock::time_point until)
      : store(of), memory(shard), end(until), bytes(5 * kMiB, '\0') {
    for (char& byte : bytes) byte = static_cast<char>(random.Next());
    // Some batches of very many very small changes.
    for (WriteBatch& batch : batches) {
      for (int i = 0; i < 20'000; ++i) {
        if (i % 4 == 0) {
          batch.Delete(SmallKey(random.Below(kSmallKeys)));
        } else {
          batch.Put(SmallKey(random.Below(kSmallKeys)), Value(random.Below(8)));
        }
      }
    }
  }

  bool over() const { return steady_clock::now() >= end || !error.ok(); }
  std::string_view Value(size_t size_bytes) {
    return std::string_view(bytes).substr(random.Below(kMiB / 2), size_bytes);
  }
  // What is refused for want of memory is as it should be; whether it was.
  bool Refused(const absl::Status& status) {
    if (status.ok()) return false;
    if (!absl::IsResourceExhausted(status)) {
      if (error.ok()) error = status;
    } else if (last_refusal != status) {
      last_refusal = status;
    }
    ++refused;
    return true;
  }

  ShardStore& store;
  MemoryBudget& memory;
  const steady_clock::time_point end;
  Random random{17};
  std::string bytes;
  WriteBatch batches[4];
  absl::Status error;
  absl::Status last_refusal;
  uint64_t refused = 0;
  uint64_t written = 0;
  uint64_t read = 0;
  size_t most_iterators = 0;
  size_t most_values = 0;
  size_t most_snapshots = 0;
};

Task<> WriteAll(Load* load) {
  constexpr Durability kLevels[] = {Durability::kMemory, Durability::kWritten,
                                    Durability::kDurable};
  Random& random = load->random;
  while (!load->over()) {
    const Durability level = kLevels[random.Below(3)];
    absl::StatusOr<WriteResult> written = absl::UnknownError("");
    const uint64_t kind = random.Below(1000);
    std::string key = SmallKey(random.Below(kSmallKeys));
    std::string_view value = load->Value(random.Below(300));
    if (kind < 20) {
      key = LargeKey(random.Below(kLargeKeys));
      value = load->Value(64 * kKiB + random.Below(64 * kKiB));
    } else if (kind < 22) {
      key = HugeKey(random.Below(kHugeKeys));
      value = load->Value(4 * kMiB - 100);
    }
    if (kind < 850) {
      written = co_await load->store.Put(key, value, level);
    } else if (kind < 995) {
      written = co_await load->store.Delete(key, level);
    } else {
      written = co_await load->store.Write(load->batches[random.Below(4)], level);
    }
    if (!load->Refused(written.status())) ++load->written;
    co_await MaybeYield();
  }
}

Task<> ReadAll(Load* load) {
  Random& random = load->random;
  while (!load->over()) {
    const std::string key =
        random.OneIn(50) ? HugeKey(random.Below(kHugeKeys)) : LargeKey(random.Below(kLargeKeys));
    // Its value is the caller's, who has to say so.
    MemoryCharge result(&load->memory);
    if (!result.TryResize(4 * kMiB)) {
      co_await Sleep(1ms);
      continue;
    }
    const auto value = co_await load->store.Get(key);
    if (!load->Refused(value.status())) ++load->read;
    co_await Yield();
  }
}

Task<> ReadMany(Load* load) {
  Random& random = load->random;
  while (!load->over()) {
    std::vector<std::string> keys;
    for (int i = 0; i < 20'000; ++i) {
      keys.push_back(random.OneIn(100) ? LargeKey(random.Below(kLargeKeys))
                                       : SmallKey(random.Below(kSmallKeys)));
    }
    {
      const std::vector<std::string_view> views(keys.begin(), keys.end());
      const auto values = co_await load->store.MultiGet(views);
      if (!load->Refused(values.status())) load->read += values->size();
    }
    co_await Sleep(20ms);
  }
}

// As many as there can be, left where they are; then half of them go.
Task<> ForgetIterators(Load* load) {
  Random& random = load->random;
  std::deque<std::unique_ptr<StoreIterator>> hoard;
  while (!load->over()) {
    ScanOptions options;
    if (random.OneIn(20)) options.read_ahead = ReadAheadOptions();
    auto scan = co_await load->store.Scan(std::move(options));
    absl::Status status = scan.status();
    if (status.ok()) {
      StoreIterator& iterator = **scan;
      hoard.push_back(*std::move(scan));
      const std::string from =
          random.OneIn(5) ? LargeKey(random.Below(kLargeKeys)) : SmallKey(random.Below(kSmallKeys));
      if (random.OneIn(3)) {
        status = co_await iterator.SeekForPrev(from);
      } else {
        status = co_await iterator.Seek(from);
      }
      for (uint64_t steps = random.Below(5); steps > 0 && status.ok() && iterator.Valid();
           --steps) {
        status = co_await iterator.Next();
      }
    }
    load->most_iterators = std::max(load->most_iterators, hoard.size());
    if (load->Refused(status)) {
      for (size_t left = hoard.size() / 2 + 1; left > 0 && !hoard.empty(); --left) {
        hoard.pop_front();
        if (left % 64 == 0) co_await Yield();
      }
    }
    co_await MaybeYield();
  }
}

Task<> HoardValues(Load* load) {
  Random& random = load->random;
  std::deque<PinnedValue> hoard;
  MemoryCharge places(&load->memory);  // of the values as they are here
  while (!load->over()) {
    const std::string key =
        random.OneIn(2) ? LargeKey(random.Below(kLargeKeys)) : SmallKey(random.Below(kSmallKeys));
    absl::Status status;
    if (places.TryResize((hoard.size() + 1) * sizeof(PinnedValue))) {
      auto value = co_await load->store.GetPinned(key);
      status = value.status();
      if (status.ok()) hoard.push_back(*std::move(value));
    } else {
      status = absl::ResourceExhaustedError("the test's own");
    }
    load->most_values = std::max(load->most_values, hoard.size());
    if (load->Refused(status)) {
      for (size_t left = hoard.size() / 2 + 1; left > 0 && !hoard.empty(); --left) {
        hoard.pop_front();
      }
      places.Resize(hoard.size() * sizeof(PinnedValue));
    }
    co_await MaybeYield();
  }
}

Task<> HoldSnapshots(Load* load) {
  std::deque<Snapshot> hoard;
  while (!load->over()) {
    auto snapshot = co_await load->store.TakeSnapshot();
    const bool refused = load->Refused(snapshot.status());
    if (!refused) hoard.push_back(*std::move(snapshot));
    load->most_snapshots = std::max(load->most_snapshots, hoard.size());
    if (refused || hoard.size() == 2'000) hoard.clear();
    co_await Sleep(1ms);
  }
}

// What is charged and in use, when the process has most: without what is set aside and not used.
Task<> WatchUse(Load* load, size_t* most_resident_bytes, size_t* used_bytes) {
  const StoreOptions options = Options();
  while (!load->over()) {
    const size_t resident_bytes = StatusField("VmRSS");
    if (resident_bytes > *most_resident_bytes) {
      const StoreMemoryStats& memory = load->store.stats().memory;
      const size_t unused_bytes = options.change_bytes() -
                                  std::min(options.change_bytes(), memory.changes) +
                                  options.job_bytes() - std::min(options.job_bytes(), memory.jobs);
      *most_resident_bytes = resident_bytes;
      *used_bytes = load->memory.used_bytes() - unused_bytes;
    }
    co_await Sleep(10ms);
  }
}

struct Outcome {
  size_t account_before = 0;
  size_t account_peak = 0;
  size_t account_after = 0;
  size_t most_resident = 0;
  size_t used_then = 0;
  std::string figures;
};

Task<absl::Status> Attack(Shard& shard, std::string directory, std::chrono::seconds time,
                          Outcome* outcome) {
  MemoryBudget& memory = *shard.executor().memory();
  outcome->account_before = memory.used_bytes();
  {
    auto opened = co_await ShardStore::Open(shard, directory, Options());
    if (!opened.ok()) co_return opened.status();
    ShardStore& store = **opened;
    Load load(store, memory, steady_clock::now() + time);
    TaskScope scope(shard.executor());
    for (int i = 0; i < kWriters; ++i) scope.Spawn(WriteAll(&load));
    for (int i = 0; i < kReaders; ++i) scope.Spawn(ReadAll(&load));
    scope.Spawn(ReadMany(&load));
    scope.Spawn(ForgetIterators(&load));
    scope.Spawn(HoardValues(&load));
    scope.Spawn(HoldSnapshots(&load));
    scope.Spawn(WatchUse(&load, &outcome->most_resident, &outcome->used_then));
    if (absl::Status joined = co_await scope.Join(); !joined.ok()) co_return joined;
    if (!load.error.ok()) co_return load.error;
    const StoreStats& stats = store.stats();
    outcome->figures = absl::StrCat(
        load.written, " writes, ", load.read, " keys read, ", load.refused, " refused, at most ",
        load.most_iterators, " iterators, ", load.most_values, " values, ", load.most_snapshots,
        " snapshots; ", stats.flushes, " flushes, ", stats.compaction.jobs, " compactions, ",
        stats.compaction.failed_jobs, " failed, ", stats.tables, " tables of ",
        stats.table_bytes >> 20, " MiB; last refusal: ", std::string(load.last_refusal.message()));
    if (absl::Status closed = co_await store.Close(); !closed.ok()) co_return closed;
  }
  outcome->account_peak = memory.peak_bytes();
  outcome->account_after = memory.used_bytes();
  co_return absl::OkStatus();
}

TEST(StoreMemoryTest, TheProcessHasNoMoreThanTheBudget) {
  const char* const given = std::getenv("IOENGINE_MEMORY_SECONDS");
  const std::chrono::seconds time(given != nullptr ? std::atoi(given) : kSanitized ? 5 : 20);
  const TestDirectory directory;
  const size_t baseline_bytes = StatusField("VmRSS");
  auto runtime = Runtime::Start(
      {.shard_count = 1, .memory_per_shard_bytes = kBudgetBytes, .buffer_pool_bytes = kPoolBytes});
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  Outcome outcome;
  const absl::Status status =
      (*runtime)->Submit(0, Attack, directory.File("db"), time, &outcome).Wait();
  EXPECT_TRUE(status.ok()) << status;
  const size_t high_bytes = StatusField("VmHWM") - baseline_bytes;
  // The load's own string and batches, which no budget has.
  const size_t own_bytes = 5 * kMiB + 4 * 20'000 * 24;
  std::printf(
      "budget %.1f MiB, account's peak %.1f MiB; RSS %.1f MiB at most beside %.1f before the "
      "start, "
      "%.1f when watched, with %.1f charged and in use, and %.1f of the load's own\n%s\n",
      MiB(kBudgetBytes), MiB(outcome.account_peak), MiB(high_bytes), MiB(baseline_bytes),
      MiB(outcome.most_resident - baseline_bytes), MiB(outcome.used_then), MiB(own_bytes),
      outcome.figures.c_str());
  EXPECT_LE(outcome.account_peak, kBudgetBytes * 105 / 100);
  // But for slabs of frames, which the shard keeps.
  const size_t kept_bytes = outcome.account_after - outcome.account_before;
  EXPECT_LE(kept_bytes, 8 * kMiB);
  EXPECT_EQ(kept_bytes % BlockPool::kSlabBytes, 0u);
  if (!kSanitized) {
    EXPECT_LE(high_bytes, kBudgetBytes * 105 / 100 + own_bytes);
    EXPECT_GT(high_bytes, kBudgetBytes / 3) << "it was no load";
  }
}

}  // namespace
}  // namespace ioengine
