// StoreIterator: one moment of a store, whatever is written, flushed and compacted meanwhile.

#include "ioengine/engine/store_iterator.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
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
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/lsm/lsm_world.h"
#include "ioengine/tests/engine/table/table_program.h"
#include "ioengine/tests/engine/table/table_records.h"

namespace ioengine {
namespace {

// A store without a log: views, and all that was ever written.
class Shelf final : public ReadViewSource {
 public:
  explicit Shelf(Shard& shard) : world_(shard) { Install({}, {}); }

  absl::Status MayRead() const override {
    return closed_ ? absl::UnavailableError("closed") : absl::OkStatus();
  }
  const std::shared_ptr<const ReadView>& read_view() const override { return view_; }
  const BlobFiles& blobs() const override { return world_.blobs(); }

  Task<absl::Status> Open() { co_return co_await world_.Open(); }
  void Close() { closed_ = true; }
  LsmWorld& world() { return world_; }
  Sequence last() const { return last_; }

  void Write(OperationKind kind, std::string_view key, std::string_view value) {
    ++last_.counter;
    Memtable& memtable = *view_->memtable;
    memtable.Publish(memtable.Stage(kind, key, last_, value));
    const TableChange change = {kind, std::string(value)};
    history_[{std::string(key), last_}] = change;
    recent_[{std::string(key), last_}] = change;
  }

  // The memtable becomes a table, while others write into the next one.
  Task<absl::Status> Flush(size_t most_tables) {
    if (recent_.empty()) co_return absl::OkStatus();
    TableModel model = std::exchange(recent_, {});
    Install({view_->memtable}, view_->version);
    auto run = co_await world_.MakeRun(std::move(model), ++last_run_, 0, most_tables);
    if (!run.ok()) co_return run.status();
    std::vector<SortedRun> runs = view_->version->runs();
    runs.push_back(*std::move(run));
    std::shared_ptr<Memtable> memtable = view_->memtable;
    Install({}, std::make_shared<const Version>(std::move(runs)), std::move(memtable));
    co_return absl::OkStatus();
  }

  // All runs become one, without what nobody can see. Their files go.
  Task<absl::Status> Compact() {
    std::shared_ptr<const Version> version = view_->version;
    if (version->runs().size() < 2) co_return absl::OkStatus();
    TableModel model;
    for (const auto& [place, change] : history_) {
      if (recent_.count(place) == 0 && IsNeeded(place)) model[place] = change;
    }
    auto run = co_await world_.MakeRun(std::move(model), ++last_run_, 1, 3);
    if (!run.ok()) co_return run.status();
    std::shared_ptr<Memtable> memtable = view_->memtable;
    std::vector<SortedRun> runs;
    runs.push_back(*std::move(run));
    Install({}, std::make_shared<const Version>(std::move(runs)), std::move(memtable));
    for (const std::shared_ptr<Table>& table : version->tables()) {
      const std::string name = TableFileName(table->record().identity.uuid);
      if (absl::Status removed = co_await world_.files().Remove(name); !removed.ok()) {
        co_return removed;
      }
    }
    co_return absl::OkStatus();
  }

  // In the place of the view, the runs as they are.
  void SetRuns(std::vector<SortedRun> runs) {
    Install({}, std::make_shared<const Version>(std::move(runs)));
  }

  std::map<std::string, std::string> VisibleAt(Sequence at, const ScanOptions& options) const {
    std::map<std::string, std::string> visible;
    std::optional<std::string> last_key;
    for (const auto& [place, change] : history_) {
      if (place.sequence > at || place.key == last_key) continue;
      last_key = place.key;
      const bool within = (!options.lower || place.key >= *options.lower) &&
                          (!options.upper || place.key < *options.upper);
      if (within && change.kind == OperationKind::kPut) visible[place.key] = change.value;
    }
    return visible;
  }

 private:
  void Install(std::vector<std::shared_ptr<const Memtable>> frozen,
               std::shared_ptr<const Version> version, std::shared_ptr<Memtable> memtable = {}) {
    auto view = std::make_shared<ReadView>();
    view->memtable = memtable != nullptr ? std::move(memtable) : MakeMemtable({});
    view->frozen = std::move(frozen);
    view->version = version != nullptr ? std::move(version) : std::make_shared<const Version>();
    view_ = std::move(view);
  }

  // The newest change, and for each reader the newest that it sees.
  bool IsNeeded(const TablePlace& place) {
    std::vector<Sequence> wanted = {kMaxSequence};
    for (Reader* reader = readers().front(); reader != nullptr; reader = readers().Next(*reader)) {
      wanted.push_back(reader->at());
    }
    return std::any_of(wanted.begin(), wanted.end(), [&](Sequence at) {
      const auto seen = history_.lower_bound({place.key, at});
      return seen != history_.end() && seen->first.key == place.key &&
             seen->first.sequence == place.sequence;
    });
  }

  LsmWorld world_;
  std::shared_ptr<const ReadView> view_;
  TableModel history_;
  TableModel recent_;  // of it, what is in the memtable
  Sequence last_ = {1, 0};
  uint64_t last_run_ = 0;
  bool closed_ = false;
};

void WriteSome(Shelf& shelf, Random& random, uint64_t changes) {
  for (; changes > 0; --changes) {
    const std::string key = RandomTableKey(random);
    if (random.OneIn(4)) {
      shelf.Write(OperationKind::kDelete, key, "");
    } else {
      const std::string value =
          absl::StrCat("v", shelf.last().counter, std::string(random.Below(50), 'x'));
      shelf.Write(OperationKind::kPut, key, value);
    }
  }
}

ScanOptions RandomScan(Random& random) {
  ScanOptions options;
  if (random.OneIn(3)) options.lower = RandomTableKey(random);
  if (random.OneIn(3)) options.upper = RandomTableKey(random);
  if (random.OneIn(4)) options.read_ahead = {.buffer_bytes = 8192, .read_ahead = 2};
  return options;
}

using Visible = std::map<std::string, std::string>;

// Where a move should lead, and the move.
Task<absl::Status> MoveBoth(StoreIterator* scan, const Visible* visible,
                            Visible::const_iterator* at, Random* random) {
  const std::string key = RandomTableKey(*random);
  const bool goes_on = scan->Valid() && !random->OneIn(15);
  switch (goes_on ? random->Below(2) : 2 + random->Below(4)) {
    case 0:
      ++*at;
      co_return co_await scan->Next();
    case 1:
      *at = *at == visible->begin() ? visible->end() : std::prev(*at);
      co_return co_await scan->Prev();
    case 2:
      *at = visible->begin();
      co_return co_await scan->SeekToFirst();
    case 3:
      *at = visible->empty() ? visible->end() : std::prev(visible->end());
      co_return co_await scan->SeekToLast();
    case 4:
      *at = visible->lower_bound(key);
      co_return co_await scan->Seek(key);
    default:
      *at = visible->upper_bound(key);
      *at = *at == visible->begin() ? visible->end() : std::prev(*at);
      co_return co_await scan->SeekForPrev(key);
  }
}

absl::Status CompareAt(const StoreIterator& scan, const Visible& visible,
                       Visible::const_iterator at) {
  const std::string wanted =
      at == visible.end() ? "nowhere" : absl::StrCat(at->first, "=", at->second);
  const std::string got =
      scan.Valid() ? absl::StrCat(std::string(scan.key()), "=", std::string(scan.value()))
                   : "nowhere";
  return got == wanted ? absl::OkStatus() : Wrong("scan", got, wanted);
}

// Often straight on, so that the cursor goes on too.
Task<absl::Status> GoStraight(StoreIterator* scan, const Visible* visible,
                              Visible::const_iterator* at, uint64_t moves, bool forward) {
  for (; moves > 0 && scan->Valid(); --moves) {
    absl::Status status;
    if (forward) {
      ++*at;
      status = co_await scan->Next();
    } else {
      *at = *at == visible->begin() ? visible->end() : std::prev(*at);
      status = co_await scan->Prev();
    }
    if (status.ok()) status = CompareAt(*scan, *visible, *at);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> ScanAll(Shelf* shelf, uint64_t seed, int moves) {
  Random random(seed);
  const ScanOptions options = RandomScan(random);
  const Visible visible = shelf->VisibleAt(shelf->last(), options);
  StoreIterator scan(*shelf, shelf->last(), options);
  auto at = visible.end();
  for (int move = 0; move < moves; ++move) {
    absl::Status status = co_await MoveBoth(&scan, &visible, &at, &random);
    if (status.ok()) status = CompareAt(scan, visible, at);
    if (status.ok() && random.OneIn(4)) {
      const bool forward = random.OneIn(2);
      status = co_await GoStraight(&scan, &visible, &at, random.Below(40), forward);
    }
    if (!status.ok()) co_return status;
    const std::string_view value = scan.Valid() ? scan.value() : std::string_view();
    for (uint64_t turns = random.Below(4); turns > 0; --turns) co_await Yield();
    if (scan.Valid() && value != at->second) co_return Wrong("value", value, at->second);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> WriteAndFlush(Shelf* shelf, uint64_t seed, int rounds) {
  Random random(seed);
  for (; rounds > 0; --rounds) {
    WriteSome(*shelf, random, random.Below(60));
    co_await Yield();
    absl::Status status;
    if (random.OneIn(2)) status = co_await shelf->Flush(1 + random.Below(3));
    if (status.ok() && random.OneIn(4)) status = co_await shelf->Compact();
    if (!status.ok()) co_return status;
    if (random.OneIn(2)) shelf->LetGoOfViews();
    for (uint64_t turns = random.Below(100); turns > 0; --turns) co_await Yield();
  }
  co_return absl::OkStatus();
}

Task<absl::Status> ScanWhileOthersWrite(Shard& shard, uint64_t seed) {
  Shelf shelf(shard);
  if (absl::Status status = co_await shelf.Open(); !status.ok()) co_return status;
  Random random(seed);
  WriteSome(shelf, random, 200);
  TaskScopeOptions options;
  options.cancel_on_failure = true;
  TaskScope scope(shard.executor(), options);
  scope.Spawn(WriteAndFlush(&shelf, seed, 30));
  for (uint64_t reader = 1; reader <= 4; ++reader) {
    for (uint64_t turns = random.Below(300); turns > 0; --turns) co_await Yield();
    scope.Spawn(ScanAll(&shelf, seed + 1000 * reader, 150));
  }
  co_return co_await scope.Join();
}

SimulationOptions Options(uint64_t seed) {
  SimulationOptions options = {.seed = seed};
  options.buffer_pool_bytes = size_t{4} << 20;
  return options;
}

TEST(StoreIteratorTest, SeesOneMomentWhateverComes) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Simulation simulation(Options(seed));
    const SimulationResult result = simulation.Run(ScanWhileOthersWrite, seed);
    ASSERT_TRUE(result.ok()) << result.status << "\n" << result.message;
  }
}

Task<absl::Status> HoldNothing(Shard& shard) {
  Shelf shelf(shard);
  if (absl::Status status = co_await shelf.Open(); !status.ok()) co_return status;
  shelf.Write(OperationKind::kPut, "a", "in a table");
  if (absl::Status status = co_await shelf.Flush(1); !status.ok()) co_return status;
  shelf.Write(OperationKind::kPut, "b", "in memory");
  StoreIterator scan(shelf, shelf.last(), {});
  for (const bool forward : {true, false}) {
    for (const std::string key : {"a", "b"}) {
      absl::Status status;
      if (forward) {
        status = co_await scan.Seek(key);
      } else {
        status = co_await scan.SeekForPrev(key);
      }
      if (!status.ok()) co_return status;
      const std::string_view value = scan.value();
      EXPECT_EQ(shelf.read_view().use_count(), 2);
      shelf.LetGoOfViews();
      EXPECT_EQ(shelf.read_view().use_count(), 1);
      // Backwards it has a copy.
      EXPECT_EQ(shelf.world().cache().pinned_bytes(), forward && key == "a" ? kBlockPageBytes : 0);
      EXPECT_EQ(scan.key(), key);
      EXPECT_EQ(scan.value().data(), value.data()) << "the value is where it was";
      EXPECT_EQ(value, key == "a" ? "in a table" : "in memory");
    }
  }
  EXPECT_EQ(shelf.world().cache().pinned_bytes(), 0u) << "b is in memory";
  // A new view comes with the next move.
  absl::Status status = co_await scan.SeekToFirst();
  const std::weak_ptr<const ReadView> old = shelf.read_view();
  status.Update(co_await shelf.Flush(1));
  EXPECT_FALSE(old.expired());
  status.Update(co_await scan.Next());
  EXPECT_TRUE(old.expired());
  EXPECT_EQ(scan.key(), "b");
  shelf.Close();
  const absl::Status closed = co_await scan.Prev();
  EXPECT_TRUE(absl::IsUnavailable(closed)) << closed;
  EXPECT_FALSE(scan.Valid());
  EXPECT_EQ(shelf.world().cache().pinned_bytes(), 0u);
  co_return status;
}

TEST(StoreIteratorTest, HoldsNothingWhenItIsAsked) {
  Simulation simulation(Options(1));
  EXPECT_EQ(simulation.Run(HoldNothing).status, absl::OkStatus());
}

Task<absl::Status> ScanManyVersions(Shard& shard) {
  Shelf shelf(shard);
  if (absl::Status status = co_await shelf.Open(); !status.ok()) co_return status;
  Sequence middle;
  for (int i = 0; i < 1000; ++i) {
    if (i == 500) middle = shelf.last();
    for (const std::string_view key : {"a", "b", "c"}) {
      shelf.Write(OperationKind::kPut, key, absl::StrCat("v", i));
    }
    if (i > 600) shelf.Write(OperationKind::kPut, absl::StrCat("ab", i), "later");
    if (i == 300) {
      if (absl::Status status = co_await shelf.Flush(1); !status.ok()) co_return status;
    }
  }
  for (const Sequence at : {middle, shelf.last(), Sequence{1, 1}}) {
    const Visible visible = shelf.VisibleAt(at, {});
    StoreIterator scan(shelf, at, {});
    absl::Status status = co_await scan.SeekToFirst();
    for (auto it = visible.begin(); status.ok() && it != visible.end(); ++it) {
      status = CompareAt(scan, visible, it);
      if (status.ok()) status = co_await scan.Next();
    }
    EXPECT_FALSE(scan.Valid());
    if (status.ok()) status = co_await scan.SeekToLast();
    for (auto it = visible.rbegin(); status.ok() && it != visible.rend(); ++it) {
      status = CompareAt(scan, visible, std::prev(it.base()));
      if (status.ok()) status = co_await scan.Prev();
    }
    EXPECT_FALSE(scan.Valid());
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

TEST(StoreIteratorTest, PassesAnyNumberOfVersions) {
  Simulation simulation(Options(1));
  EXPECT_EQ(simulation.Run(ScanManyVersions).status, absl::OkStatus());
}

Task<absl::Status> ScanAroundALoss(Shard& shard) {
  Shelf shelf(shard);
  if (absl::Status status = co_await shelf.Open(); !status.ok()) co_return status;
  SortedRun run;
  for (const std::string key : {"b", "d", "f"}) {
    TableModel model;
    model[{key, {1, 1}}].value = key;
    auto table = co_await shelf.world().MakeTable(std::move(model), 1, 0);
    if (!table.ok()) co_return table.status();
    run.tables.push_back(*std::move(table));
  }
  run.tables[1] = Quarantined(*run.tables[1]);
  std::vector<SortedRun> runs;
  runs.push_back(std::move(run));
  shelf.SetRuns(std::move(runs));
  shelf.Write(OperationKind::kPut, "d", "newer than what is lost");
  StoreIterator scan(shelf, kMaxSequence, {});
  absl::Status status = co_await scan.SeekToFirst();
  EXPECT_EQ(scan.key(), "b");
  absl::Status lost = co_await scan.Next();
  EXPECT_TRUE(absl::IsDataLoss(lost)) << lost;
  EXPECT_FALSE(scan.Valid());
  status.Update(co_await scan.Seek("e"));
  EXPECT_EQ(scan.key(), "f");
  status.Update(co_await scan.SeekToLast());
  EXPECT_EQ(scan.key(), "f") << "what is before it is not asked for yet";
  EXPECT_EQ(scan.value(), "f");
  lost = co_await scan.Prev();
  EXPECT_TRUE(absl::IsDataLoss(lost)) << lost;
  status.Update(co_await scan.SeekForPrev("c"));
  EXPECT_EQ(scan.key(), "b");
  co_return status;
}

TEST(StoreIteratorTest, ALossEndsNothingBeforeAndBehindIt) {
  Simulation simulation(Options(1));
  EXPECT_EQ(simulation.Run(ScanAroundALoss).status, absl::OkStatus());
}

Task<absl::Status> ScanAndCutOff(Shard& shard, uint64_t seed, uint64_t turns) {
  Shelf shelf(shard);
  if (absl::Status status = co_await shelf.Open(); !status.ok()) co_return status;
  Random random(seed);
  for (int flush = 0; flush < 3; ++flush) {
    WriteSome(shelf, random, 100);
    if (absl::Status status = co_await shelf.Flush(2); !status.ok()) co_return status;
  }
  const Visible visible = shelf.VisibleAt(shelf.last(), {});
  StoreIterator scan(shelf, shelf.last(), {});
  for (int i = 0; i < 10; ++i) {
    auto at = visible.end();
    {
      TaskScope scope(shard.executor());
      scope.Spawn(MoveBoth(&scan, &visible, &at, &random));
      for (uint64_t left = random.Below(turns); left > 0 && scope.size() > 0; --left) {
        co_await Yield();
      }
      scope.Cancel();
    }
    shelf.LetGoOfViews();
  }
  absl::Status status = co_await scan.SeekToFirst();
  if (status.ok()) status = CompareAt(scan, visible, visible.begin());
  co_return status;
}

TEST(StoreIteratorTest, AMoveCanBeCutOffAnywhere) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Simulation simulation(Options(seed));
    const SimulationResult result = simulation.Run(ScanAndCutOff, seed, uint64_t{40});
    ASSERT_TRUE(result.ok()) << result.status << "\n" << result.message;
  }
}

}  // namespace
}  // namespace ioengine
