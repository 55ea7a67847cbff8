// Merging: all changes of all sources in one order, both ways, and none of what is lost.

#include "ioengine/engine/lsm/merge_iterator.h"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/io/sim/sim_faults.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/lsm/lsm_world.h"
#include "ioengine/tests/engine/table/table_program.h"
#include "ioengine/tests/engine/table/table_records.h"

namespace ioengine {
namespace {

using MergedModel = std::map<MergedPlace, TableChange>;

struct Range {
  std::string lower;
  std::optional<std::string> upper;
};

struct Shape {
  size_t memtables = 2;
  size_t runs = 3;
  size_t records = 200;    // of a source, at most
  size_t lost_one_in = 0;  // of the tables; 0: none
  int iterators = 12;
};

// The sources, and what merging them gives.
struct World {
  std::vector<std::shared_ptr<Memtable>> memtables;
  std::vector<SortedRun> runs;
  MergedModel model;
  std::vector<Range> lost;

  MergeSources Sources() const {
    MergeSources sources;
    for (const auto& memtable : memtables) sources.memtables.push_back(memtable.get());
    for (const SortedRun& run : runs) sources.runs.emplace_back(run.tables);
    return sources;
  }
};

TableModel RandomSource(Random& random, const Shape& shape, const TableModel& other) {
  TableModel model =
      RandomTable(random, {.records = random.Below(shape.records) + 1, .most_value_bytes = 40});
  // Some changes that another source has as well.
  for (const auto& entry : other) {
    if (random.OneIn(8)) model.insert(entry);
  }
  return model;
}

Task<absl::Status> MakeWorld(LsmWorld* lsm, Random* random, Shape shape, World* world) {
  TableModel last;
  size_t source = 0;
  const auto add = [&](const TableModel& model) {
    for (const auto& [place, change] : model) {
      world->model[{place.key, place.sequence, source}] = change;
    }
    ++source;
  };
  for (size_t i = 0; i < shape.memtables; ++i) {
    last = RandomSource(*random, shape, last);
    world->memtables.push_back(MakeMemtable(last));
    add(last);
  }
  for (size_t i = 0; i < shape.runs; ++i) {
    last = RandomSource(*random, shape, last);
    const size_t most_tables = random->Below(5) + 1;
    auto run = co_await lsm->MakeRun(last, 100 - i, 0, most_tables);
    if (!run.ok()) co_return run.status();
    TableModel kept = last;
    for (std::shared_ptr<Table>& table : run->tables) {
      if (shape.lost_one_in == 0 || !random->OneIn(shape.lost_one_in)) continue;
      const TableRecord& record = table->record();
      std::erase_if(kept, [&](const auto& entry) { return record.MayHave(entry.first.key); });
      world->lost.push_back({record.lower, record.upper});
      table = Quarantined(*table);
    }
    world->runs.push_back(*std::move(run));
    add(kept);
  }
  co_return absl::OkStatus();
}

std::string TextOf(const MergeIterator& iterator) {
  if (!iterator.Valid()) return "nowhere";
  return absl::StrCat(
      ChangeText(iterator.key(), iterator.sequence(), iterator.kind(), iterator.value()), " of ",
      iterator.source());
}

// Goes where the iterator goes.
class Walker {
 public:
  Walker(const World& world, TableIteratorOptions bounds) : bounds_(std::move(bounds)) {
    for (const auto& entry : world.model) {
      if (Within(entry.first.key)) within_.insert(entry);
    }
    for (const Range& range : world.lost) {
      const bool above = bounds_.upper.has_value() && range.lower >= *bounds_.upper;
      if (!above && (!range.upper.has_value() || *range.upper > bounds_.lower)) {
        lost_.push_back(range);
      }
    }
    at_ = within_.end();
  }

  bool valid() const { return at_ != within_.end(); }
  bool lost() const { return is_lost_; }
  std::string Text() const {
    if (!valid()) return "nowhere";
    return absl::StrCat(
        ChangeText(at_->first.key, at_->first.sequence, at_->second.kind, at_->second.value),
        " of ", at_->first.source);
  }

  void Seek(std::string key, Sequence sequence) {
    if (key < bounds_.lower) {
      key = bounds_.lower;
      sequence = kMaxSequence;
    }
    at_ = within_.lower_bound({key, sequence, 0});
    CheckForward(key);
  }
  void SeekForPrev(const std::string& key, Sequence sequence) {
    if (bounds_.upper.has_value() && key >= *bounds_.upper) return SeekToLast();
    at_ = within_.upper_bound({key, sequence, SIZE_MAX});
    StepBack();
    CheckBackward(key);
  }
  void SeekToLast() {
    at_ = within_.end();
    StepBack();
    CheckBackward(std::nullopt);
  }
  void Next() {
    const std::string from = at_->first.key;
    ++at_;
    CheckForward(from);
  }
  void Prev() {
    const std::string from = at_->first.key;
    StepBack();
    CheckBackward(from);
  }

 private:
  bool Within(const std::string& key) const {
    return key >= bounds_.lower && (!bounds_.upper.has_value() || key < *bounds_.upper);
  }
  void StepBack() { at_ = at_ == within_.begin() ? within_.end() : std::prev(at_); }

  // Whether keys are lost between `from` and where it came to.
  void CheckForward(const std::string& from) {
    is_lost_ = false;
    for (const Range& range : lost_) {
      const bool ahead = !range.upper.has_value() || *range.upper > from;
      if (ahead && (!valid() || range.lower <= at_->first.key)) is_lost_ = true;
    }
    if (is_lost_) at_ = within_.end();
  }
  void CheckBackward(const std::optional<std::string>& from) {
    is_lost_ = false;
    for (const Range& range : lost_) {
      const bool ahead = !from.has_value() || range.lower <= *from;
      const bool reached = !valid() || !range.upper.has_value() || *range.upper > at_->first.key;
      if (ahead && reached) is_lost_ = true;
    }
    if (is_lost_) at_ = within_.end();
  }

  const TableIteratorOptions bounds_;
  MergedModel within_;
  std::vector<Range> lost_;
  MergedModel::const_iterator at_;
  bool is_lost_ = false;
};

TableIteratorOptions RandomBounds(Random& random) {
  TableIteratorOptions options;
  if (random.OneIn(2)) options.lower = RandomTableKey(random);
  if (random.OneIn(2)) options.upper = RandomTableKey(random);
  if (random.OneIn(4)) options.read_ahead = {.buffer_bytes = 8192, .read_ahead = 2};
  return options;
}

Task<absl::Status> SeekSomewhere(MergeIterator* iterator, Walker* walker, Random* random) {
  const std::string key = RandomTableKey(*random);
  const Sequence sequence = {random->Below(5), random->Below(1000)};
  switch (random->Below(6)) {
    case 0:
      walker->Seek("", kMaxSequence);
      co_return co_await iterator->SeekToFirst();
    case 1:
      walker->SeekToLast();
      co_return co_await iterator->SeekToLast();
    case 2:
    case 3:
      walker->Seek(key, sequence);
      co_return co_await iterator->Seek(key, sequence);
    default:
      walker->SeekForPrev(key, sequence);
      co_return co_await iterator->SeekForPrev(key, sequence);
  }
}

Task<absl::Status> Move(MergeIterator* iterator, Walker* walker, Random* random, bool forward) {
  const bool tries = random->OneIn(2);
  if (forward) {
    walker->Next();
    if (tries && iterator->TryNext()) co_return absl::OkStatus();
    co_return co_await iterator->Next();
  }
  walker->Prev();
  if (tries && iterator->TryPrev()) co_return absl::OkStatus();
  co_return co_await iterator->Prev();
}

// Seeks, goes on, and turns around now and then.
Task<absl::Status> Compare(MergeIterator* iterator, Walker* walker, Random* random, int seeks) {
  uint64_t moves = 0;
  for (int i = 0; i < seeks; ++i) {
    absl::Status status = co_await SeekSomewhere(iterator, walker, random);
    bool forward = random->OneIn(2);
    const uint64_t turn_one_in = random->OneIn(3) ? 2 : 20;
    for (uint64_t left = random->Below(60);; --left) {
      if (++moves % kStepsInTurn == 0) co_await Yield();
      if (!status.ok() && !absl::IsDataLoss(status)) co_return status;
      if (status.ok() == walker->lost()) {
        co_return Wrong("status", status.ToString(), walker->lost() ? "a loss" : walker->Text());
      }
      if (TextOf(*iterator) != walker->Text()) {
        co_return Wrong("place", TextOf(*iterator), walker->Text());
      }
      if (!walker->valid() || left == 0) break;
      if (random->OneIn(turn_one_in)) forward = !forward;
      status = co_await Move(iterator, walker, random, forward);
    }
  }
  co_return absl::OkStatus();
}

Task<absl::Status> MergeAndCompare(Shard& shard, uint64_t seed, Shape shape, int* losses) {
  LsmWorld lsm(shard);
  if (absl::Status status = co_await lsm.Open(); !status.ok()) co_return status;
  Random random(seed);
  World world;
  absl::Status status = co_await MakeWorld(&lsm, &random, shape, &world);
  for (int i = 0; i < shape.iterators && status.ok(); ++i) {
    const TableIteratorOptions bounds = RandomBounds(random);
    MergeIterator iterator(world.Sources(), bounds);
    Walker walker(world, bounds);
    status = co_await Compare(&iterator, &walker, &random, 20);
  }
  *losses += static_cast<int>(world.lost.size());
  co_return status;
}

SimulationOptions Options(uint64_t seed) {
  SimulationOptions options = {.seed = seed};
  options.buffer_pool_bytes = size_t{4} << 20;
  return options;
}

int MergeAll(uint64_t seeds, const Shape& shape) {
  int losses = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    Simulation simulation(Options(seed));
    const SimulationResult result = simulation.Run(MergeAndCompare, seed, shape, &losses);
    EXPECT_TRUE(result.ok()) << result.status << "\n" << result.message;
    if (!result.ok()) break;
  }
  return losses;
}

TEST(MergeIteratorTest, GivesAllChangesInOrderBothWays) {
  MergeAll(15, {.memtables = 3, .runs = 4});
  MergeAll(5, {.memtables = 1, .runs = 1});
  MergeAll(5, {.memtables = 0, .runs = 1});
  MergeAll(5, {.memtables = 2, .runs = 0});
  MergeAll(3, {.memtables = 3, .runs = 9, .records = 60});
}

TEST(MergeIteratorTest, ALostTableEndsNothingBeforeAndBehindIt) {
  const int losses = MergeAll(25, {.runs = 3, .records = 80, .lost_one_in = 5});
  EXPECT_GT(losses, 20);
  MergeAll(10, {.memtables = 0, .runs = 1, .lost_one_in = 2});
}

Task<absl::Status> MergeNothing(Shard& /*shard*/) {
  MergeIterator nothing({});
  if (absl::Status status = co_await nothing.SeekToFirst(); !status.ok()) co_return status;
  EXPECT_FALSE(nothing.Valid());
  absl::Status status = co_await nothing.SeekToLast();
  EXPECT_FALSE(nothing.Valid());
  const Memtable empty;
  MergeSources sources;
  sources.memtables.push_back(&empty);
  MergeIterator of_empty(std::move(sources));
  status.Update(co_await of_empty.Seek("k", kMaxSequence));
  EXPECT_FALSE(of_empty.Valid());
  co_return status;
}

TEST(MergeIteratorTest, NothingIsFoundInNothing) {
  Simulation simulation(Options(1));
  EXPECT_EQ(simulation.Run(MergeNothing).status, absl::OkStatus());
}

Task<absl::Status> NameALoss(Shard& shard) {
  LsmWorld lsm(shard);
  if (absl::Status status = co_await lsm.Open(); !status.ok()) co_return status;
  World world;
  const TableModel below = {{{"b", {1, 1}}, {OperationKind::kPut, "1"}}};
  const TableModel lost = {{{"d", {1, 1}}, {OperationKind::kPut, "1"}}};
  const TableModel above = {{{"f", {1, 1}}, {OperationKind::kPut, "1"}}};
  SortedRun run;
  for (const TableModel& model : {below, lost, above}) {
    auto table = co_await lsm.MakeTable(model, 1, 0);
    if (!table.ok()) co_return table.status();
    run.tables.push_back(*std::move(table));
  }
  run.tables[1] = Quarantined(*run.tables[1]);
  RunIterator iterator(run.tables);
  absl::Status status = co_await iterator.SeekToFirst();
  EXPECT_EQ(iterator.key(), "b");
  const absl::Status next = co_await iterator.Next();
  EXPECT_TRUE(absl::IsDataLoss(next)) << next;
  EXPECT_EQ(next.message(),
            absl::StrCat("table ", TableFileName(run.tables[1]->record().identity.uuid),
                         " cannot be read: a bad footer; lost with it: keys from \"d\" to "
                         "\"d\\x00\""));
  EXPECT_EQ(iterator.loss_edge(), "d");
  EXPECT_FALSE(iterator.Valid());
  status.Update(co_await iterator.Seek("d1", kMaxSequence));
  EXPECT_EQ(iterator.key(), "f");
  EXPECT_EQ(iterator.loss_edge(), std::nullopt);
  const absl::Status prev = co_await iterator.Prev();
  EXPECT_TRUE(absl::IsDataLoss(prev)) << prev;
  const absl::Status within = co_await iterator.Seek("d", kMaxSequence);
  EXPECT_TRUE(absl::IsDataLoss(within)) << within;
  EXPECT_EQ(iterator.loss_edge(), std::nullopt);
  status.Update(co_await iterator.SeekForPrev("c", kMaxSequence));
  EXPECT_EQ(iterator.key(), "b");
  co_return status;
}

TEST(MergeIteratorTest, ALossSaysWhatIsLost) {
  Simulation simulation(Options(1));
  EXPECT_EQ(simulation.Run(NameALoss).status, absl::OkStatus());
}

struct Damage {
  int right = 0;
  int errors = 0;
};

// A disk that gives wrong bytes, and that says so: an error, or what is there.
Task<absl::Status> MergeOnABadDisk(Shard& shard, uint64_t seed, Simulation* simulation,
                                   Damage* damage) {
  LsmWorld lsm(shard);
  if (absl::Status status = co_await lsm.Open(); !status.ok()) co_return status;
  Random random(seed);
  World world;
  if (absl::Status status = co_await MakeWorld(&lsm, &random, {}, &world); !status.ok()) {
    co_return status;
  }
  SimFaultRates rates;
  rates[SimFault::kError] = rates[SimFault::kBitRot] = rates[SimFault::kMisdirectedRead] = 5'000;
  simulation->disk().faults().SetRates(rates);
  MergeIterator iterator(world.Sources());
  uint64_t steps = 0;
  for (int scan = 0; scan < 10; ++scan) {
    auto at = world.model.begin();
    absl::Status status = co_await iterator.SeekToFirst();
    while (status.ok() && at != world.model.end()) {
      if (++steps % kStepsInTurn == 0) co_await Yield();
      const std::string wanted = absl::StrCat(
          ChangeText(at->first.key, at->first.sequence, at->second.kind, at->second.value), " of ",
          at->first.source);
      if (TextOf(iterator) != wanted) co_return Wrong("Next", TextOf(iterator), wanted);
      ++at;
      status = co_await iterator.Next();
    }
    if (iterator.Valid()) co_return Wrong("Next", TextOf(iterator), "nowhere");
    ++(status.ok() ? damage->right : damage->errors);
  }
  co_return absl::OkStatus();
}

TEST(MergeIteratorTest, ABadDiskGivesErrorsOrWhatIsThere) {
  Damage damage;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Simulation simulation(Options(seed));
    const SimulationResult result = simulation.Run(MergeOnABadDisk, seed, &simulation, &damage);
    ASSERT_TRUE(result.ok()) << result.status << "\n" << result.message;
  }
  EXPECT_GT(damage.right, 20);
  EXPECT_GT(damage.errors, 20);
}

constexpr uint64_t kNewEpoch = 9;

// To the next change that was there from the start.
Task<absl::Status> MoveToOld(MergeIterator* iterator, bool forward) {
  absl::Status status;
  do {
    if (!iterator->Valid() && forward) {
      status = co_await iterator->SeekToFirst();
    } else if (!iterator->Valid()) {
      status = co_await iterator->SeekToLast();
    } else if (forward) {
      status = co_await iterator->Next();
    } else {
      status = co_await iterator->Prev();
    }
  } while (status.ok() && iterator->Valid() && iterator->sequence().epoch == kNewEpoch);
  co_return status;
}

Task<absl::Status> MergeWhileOthersWrite(Shard& shard, uint64_t seed) {
  LsmWorld lsm(shard);
  if (absl::Status status = co_await lsm.Open(); !status.ok()) co_return status;
  Random random(seed);
  World world;
  absl::Status status = co_await MakeWorld(&lsm, &random, {.records = 80}, &world);
  if (!status.ok()) co_return status;
  MergeIterator iterator(world.Sources());
  Walker walker(world, {});
  bool forward = true;
  for (uint64_t move = 0; move < 2'000; ++move) {
    if (move % kStepsInTurn == 0) co_await Yield();
    if (random.OneIn(2)) {
      const std::string key = RandomTableKey(random);
      Memtable& memtable = *world.memtables[0];
      memtable.Publish(memtable.Stage(OperationKind::kPut, key, {kNewEpoch, move}, "new"));
    }
    if (random.OneIn(30)) forward = !forward;
    if (walker.valid()) {
      forward ? walker.Next() : walker.Prev();
    } else if (forward) {
      walker.Seek("", kMaxSequence);
    } else {
      walker.SeekToLast();
    }
    status = co_await MoveToOld(&iterator, forward);
    if (!status.ok()) co_return status;
    if (TextOf(iterator) != walker.Text()) {
      co_return Wrong("place", TextOf(iterator), walker.Text());
    }
  }
  co_return absl::OkStatus();
}

TEST(MergeIteratorTest, WhatOthersPublishDisturbsNothing) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Simulation simulation(Options(seed));
    const SimulationResult result = simulation.Run(MergeWhileOthersWrite, seed);
    ASSERT_TRUE(result.ok()) << result.status << "\n" << result.message;
  }
}

}  // namespace
}  // namespace ioengine
