// Each I/O of a store's life fails, in each way that it can: what was acknowledged is there when it
// is opened again, and nothing else.

#include <cstdint>
#include <cstdio>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/io/io_request.h"
#include "ioengine/io/sim/sim_faults.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/store_fixture.h"
#include "ioengine/tests/io/faults/legal_errnos.h"

namespace ioengine {
namespace {

// Which uses of a point fail, in a case each.
#if defined(__SANITIZE_ADDRESS__)
constexpr uint64_t kUses[] = {0};
#else
constexpr uint64_t kUses[] = {0, 1, 5};
#endif

WalSync log_sync = WalSync::kProbe;

StoreOptions Options() {
  StoreOptions options = SmallStore();
  options.wal.sync = log_sync;
  options.memtable_bytes = size_t{32} << 10;
  options.wal.segment_bytes = size_t{32} << 10;
  options.max_log_bytes = size_t{128} << 10;
  options.manifest.roll_bytes = size_t{32} << 10;
  options.blobs.least_bytes = 1000;
  options.blobs.file_bytes = size_t{16} << 10;
  options.compaction.max_runs = 2;
  options.compaction.target_file_bytes = size_t{16} << 10;
  return options;
}

SimulationOptions World(uint64_t seed) {
  return {.seed = seed, .buffer_pool_bytes = size_t{4} << 20, .max_open_files = 512};
}

// What a store may show: of each key the value that was acknowledged last, or that of a write whose
// outcome is not known and that came after it.
struct Ledger {
  std::map<std::string, std::string> acknowledged;
  std::map<std::string, std::set<std::string>> unknown;
  uint64_t writes = 0;
  std::string wrong;  // what was read and should not be there
};

Task<absl::Status> WriteSome(ShardStore* store, Ledger* ledger, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t number = ledger->writes++;
    const std::string key = absl::StrCat("key", number % 40);
    std::string value = absl::StrCat("value ", number);
    // Every fourth one is in a file of its own.
    value.append(number % 4 == 0 ? 1500 : 500, 'v');
    ledger->unknown[key].insert(value);
    const auto put = co_await store->Put(key, value);
    if (!put.ok()) co_return put.status();
    ledger->acknowledged[key] = value;
    ledger->unknown[key].clear();
    if (i % 64 == 0) co_await Yield();
  }
  co_return absl::OkStatus();
}

Task<absl::Status> ReadBack(ShardStore* store, Ledger* ledger) {
  for (uint64_t i = 0; i < 40; ++i) {
    const std::string key = absl::StrCat("key", i);
    const absl::StatusOr<Value> value = co_await store->Get(key);
    if (!value.ok()) co_return value.status();
    const auto acknowledged = ledger->acknowledged.find(key);
    const Value expected =
        acknowledged == ledger->acknowledged.end() ? std::nullopt : Value(acknowledged->second);
    if (*value == expected) continue;
    if (value->has_value() && ledger->unknown[key].count(**value) > 0) continue;
    ledger->wrong =
        absl::StrCat(key, " is \"", value->value_or("nothing").substr(0, 12), "\" instead of \"",
                     expected.value_or("nothing").substr(0, 12), "\"");
  }
  co_return absl::OkStatus();
}

// Opens, writes, flushes, compacts, reads and closes.
Task<absl::Status> Live(Shard& shard, Ledger* ledger) {
  auto store = co_await ShardStore::Open(shard, "/db", Options());
  if (!store.ok()) co_return store.status();
  absl::Status status = co_await ReadBack(store->get(), ledger);
  for (int round = 0; round < 4 && status.ok(); ++round) {
    status = co_await WriteSome(store->get(), ledger, 60);
    if (status.ok()) status = co_await (*store)->Compact();
  }
  const absl::Status read = co_await ReadBack(store->get(), ledger);
  if (status.ok()) status = read;
  const absl::Status closed = co_await (*store)->Close();
  co_return status.ok() ? closed : status;
}

// A store that has something already, without faults.
void Prepare(Simulation& simulation, Ledger& ledger) {
  simulation.disk().MakeDirectories("/db");
  const SimulationResult first = simulation.Run(Live, &ledger);
  ASSERT_TRUE(first.ok()) << first.message;
}

// "" or what was wrong.
std::string RunCase(const SimFaultRule& rule, uint64_t seed) {
  Simulation simulation(World(seed));
  Ledger ledger;
  Prepare(simulation, ledger);
  simulation.disk().faults().Add(rule);
  const SimulationResult faulty = simulation.Run(Live, &ledger);
  if (faulty.end != SimulationEnd::kFinished) return faulty.message;
  if (!ledger.wrong.empty()) return absl::StrCat("with the fault: ", ledger.wrong);
  simulation.disk().faults().Clear();
  // What a device's cache had is gone.
  if (seed % 2 == 0) simulation.CutPower();
  const SimulationResult after = simulation.Run(Live, &ledger);
  if (!ledger.wrong.empty()) return absl::StrCat("after the fault: ", ledger.wrong);
  return after.ok() ? "" : absl::StrCat("after the fault: ", after.message);
}

struct Sweep {
  std::vector<std::string> wrong;
  uint64_t points = 0;
  uint64_t cases = 0;
};

// Until so much was wrong.
Sweep RunAll(size_t most_wrong) {
  Sweep sweep;
  Simulation simulation(World(1));
  Ledger ledger;
  Prepare(simulation, ledger);
  simulation.disk().faults().RecordSites();
  EXPECT_TRUE(simulation.Run(Live, &ledger).ok());
  const std::vector<SimSiteUses> points = simulation.disk().faults().site_uses();
  sweep.points = points.size();
  for (const SimSiteUses& point : points) {
    for (const int error : LegalErrnos(point.opcode)) {
      for (const uint64_t skip : kUses) {
        if (skip >= point.uses || sweep.wrong.size() >= most_wrong) continue;
        const SimFaultRule rule = {.opcode = point.opcode,
                                   .site = point.site,
                                   .skip = skip,
                                   .argument = static_cast<uint64_t>(error)};
        const std::string wrong = RunCase(rule, ++sweep.cases);
        if (wrong.empty()) continue;
        sweep.wrong.push_back(absl::StrCat("errno ", error, " of ", IoOpcodeName(point.opcode),
                                           " at ", point.site.ToString(), ", use ", skip, ": ",
                                           wrong));
      }
    }
  }
  return sweep;
}

TEST(StoreFaultsTest, EachSiteFails) {
  const Sweep sweep = RunAll(10);
  for (const std::string& wrong : sweep.wrong) ADD_FAILURE() << wrong;
  EXPECT_GT(sweep.points, 60u);
  EXPECT_GT(sweep.cases, 700u * std::size(kUses));
  std::printf("%d points (site and opcode), %d cases\n", static_cast<int>(sweep.points),
              static_cast<int>(sweep.cases));
}

// Else the sweep would find nothing.
TEST(StoreFaultsTest, WhatIsAcknowledgedBeforeItsSyncIsFound) {
  SetCanary("wal-ack-before-sync");
  log_sync = WalSync::kFlush;
  EXPECT_FALSE(RunAll(1).wrong.empty());
  log_sync = WalSync::kProbe;
  SetCanary("");
}

}  // namespace
}  // namespace ioengine
