// The same operations, random ones, on our database and on RocksDB: what each of them gives is the
// same. A failure names its seed, and IOENGINE_DIFFERENTIAL_SEED=N runs that one alone.

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/engine.h"
#include "ioengine/engine/engine_client.h"
#include "ioengine/engine/engine_scan.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/write_batch.h"
#include "ioengine/sched/random.h"
#include "ioengine/tests/tools/temporary_directory.h"
#include "ioengine/tools/kv/scan_pairs.h"
#include "rocksdb/db.h"
#include "rocksdb/iterator.h"
#include "rocksdb/options.h"
#include "rocksdb/slice.h"
#include "rocksdb/snapshot.h"
#include "rocksdb/write_batch.h"

namespace ioengine {
namespace {

using kv::Pairs;
using kv::ScanPairs;
using Value = std::optional<std::string>;

constexpr int kSteps = 1500;
constexpr uint64_t kSeeds = 12;
constexpr size_t kMostSnapshots = 4;

std::string Show(const Value& value) {
  if (!value.has_value()) return "nothing";
  return absl::StrCat(value->size(), " bytes ", absl::CHexEscape(value->substr(0, 20)));
}

Task<absl::StatusOr<std::vector<Value>>> MultiGetOnShard(Shard&, Engine* engine,
                                                         std::vector<std::string> keys,
                                                         std::optional<EngineSnapshot> snapshot) {
  std::vector<std::string_view> views(keys.begin(), keys.end());
  co_return co_await engine->MultiGet(std::move(views), std::move(snapshot));
}
Task<absl::Status> FlushOnShard(Shard&, Engine* engine) { return engine->Flush(); }
Task<absl::Status> CompactOnShard(Shard&, Engine* engine) { return engine->Compact(); }

// Both databases, and what is open of them.
class Pair {
 public:
  Pair(uint64_t seed, const std::string& directory)
      : seed_(seed),
        random_(seed),
        ours_path_(directory + "/ours"),
        theirs_path_(directory + "/theirs") {}
  ~Pair() { Close(); }

  void Run();

 private:
  // A moment of both.
  struct Moment {
    EngineSnapshot ours;
    const rocksdb::Snapshot* theirs;
  };
  struct Range {
    std::optional<std::string> lower;
    std::optional<std::string> upper;
    bool reverse = false;
    size_t most = 0;
  };

  void Open();
  void Close();
  void Step();
  void Put();
  void Delete();
  void Batch(bool of_one_shard);
  void Get();
  void MultiGet();
  void Scan();
  void TakeSnapshot();
  void DropSnapshot();
  void CompareAll();

  std::string RandomKey();
  std::string RandomValue();
  Durability RandomDurability() {
    return random_.OneIn(4) ? Durability::kDurable : Durability::kWritten;
  }
  // Nothing: of now.
  std::optional<Moment> RandomMoment();
  Range RandomRange();

  static rocksdb::ReadOptions ReadOptionsAt(const std::optional<Moment>& moment);
  Value TheirGet(const std::string& key, const std::optional<Moment>& moment);
  Pairs TheirScan(const Range& range, const std::optional<Moment>& moment);
  void CompareScan(const Range& range, const std::optional<Moment>& moment);

  template <typename T>
  void CheckOk(const absl::StatusOr<T>& result) {
    CheckOk(result.status());
  }
  void CheckOk(const absl::Status& status) { EXPECT_TRUE(status.ok()) << Where() << status; }
  void CheckOk(const rocksdb::Status& status) {
    EXPECT_TRUE(status.ok()) << Where() << status.ToString();
  }
  std::string Where() const {
    return absl::StrCat("seed ", seed_, ", step ", step_, ", ", doing_, ": ");
  }

  const uint64_t seed_;
  Random random_;
  const std::string ours_path_;
  const std::string theirs_path_;
  int shards_ = 1;
  EngineOptions options_;
  int step_ = 0;
  std::string doing_ = "open";

  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<Engine> engine_;
  std::optional<EngineClient> client_;
  std::unique_ptr<rocksdb::DB> theirs_;
  std::vector<Moment> moments_;
};

void Pair::Open() {
  if (runtime_ == nullptr) {
    RuntimeOptions runtime_options;
    runtime_options.shard_count = shards_;
    auto runtime = Runtime::Start(runtime_options);
    ASSERT_TRUE(runtime.ok()) << Where() << runtime.status();
    runtime_ = *std::move(runtime);
  }
  auto engine = Engine::Open(*runtime_, ours_path_, options_);
  ASSERT_TRUE(engine.ok()) << Where() << engine.status();
  engine_ = *std::move(engine);
  client_.emplace(engine_->NewClient());
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* opened = nullptr;
  CheckOk(rocksdb::DB::Open(options, theirs_path_, &opened));
  theirs_.reset(opened);
}

void Pair::Close() {
  while (!moments_.empty()) DropSnapshot();
  client_.reset();
  if (engine_ != nullptr) CheckOk(engine_->CloseAndWait());
  engine_.reset();
  if (theirs_ != nullptr) CheckOk(theirs_->Close());
  theirs_.reset();
}

// A few keys of a few bytes, also such as begin alike, and bytes at the ends of their range.
std::string Pair::RandomKey() {
  static constexpr std::array<char, 5> kBytes = {'\0', 'a', 'b', '\x7f', '\xff'};
  std::string key;
  for (uint64_t left = 1 + random_.Below(4); left > 0; --left) {
    key += kBytes[random_.Below(kBytes.size())];
  }
  if (random_.OneIn(20)) key += std::string(200, 'k');
  return key;
}

std::string Pair::RandomValue() {
  uint64_t size = random_.Below(100);
  if (random_.OneIn(10)) size = 1000 + random_.Below(2000);
  // For a blob file.
  if (random_.OneIn(25)) size = 5000 + random_.Below(20'000);
  std::string value(size, '\0');
  for (char& byte : value) byte = static_cast<char>(random_.Next());
  return value;
}

std::optional<Pair::Moment> Pair::RandomMoment() {
  if (moments_.empty() || random_.OneIn(2)) return std::nullopt;
  return moments_[random_.Below(moments_.size())];
}

Pair::Range Pair::RandomRange() {
  Range range;
  if (!random_.OneIn(3)) range.lower = RandomKey();
  if (!random_.OneIn(3)) range.upper = RandomKey();
  range.reverse = random_.OneIn(2);
  range.most = random_.OneIn(3) ? SIZE_MAX : 1 + random_.Below(40);
  return range;
}

rocksdb::ReadOptions Pair::ReadOptionsAt(const std::optional<Moment>& moment) {
  rocksdb::ReadOptions options;
  if (moment.has_value()) options.snapshot = moment->theirs;
  return options;
}

Value Pair::TheirGet(const std::string& key, const std::optional<Moment>& moment) {
  std::string value;
  const rocksdb::Status status = theirs_->Get(ReadOptionsAt(moment), key, &value);
  if (status.IsNotFound()) return std::nullopt;
  CheckOk(status);
  return value;
}

Pairs Pair::TheirScan(const Range& range, const std::optional<Moment>& moment) {
  const std::unique_ptr<rocksdb::Iterator> at(theirs_->NewIterator(ReadOptionsAt(moment)));
  const auto is_within = [&] {
    const std::string_view key(at->key().data(), at->key().size());
    if (range.reverse) return !range.lower.has_value() || key >= *range.lower;
    return !range.upper.has_value() || key < *range.upper;
  };
  if (range.reverse && range.upper.has_value()) {
    at->SeekForPrev(*range.upper);
    if (at->Valid() && at->key() == *range.upper) at->Prev();
  } else if (range.reverse) {
    at->SeekToLast();
  } else {
    at->Seek(range.lower.value_or(""));
  }
  Pairs pairs;
  while (at->Valid() && is_within() && pairs.size() < range.most) {
    pairs.emplace_back(at->key().ToString(), at->value().ToString());
    range.reverse ? at->Prev() : at->Next();
  }
  CheckOk(at->status());
  return pairs;
}

void Pair::Put() {
  const std::string key = RandomKey();
  const std::string value = RandomValue();
  CheckOk(client_->Put(key, value, RandomDurability()).Wait());
  CheckOk(theirs_->Put({}, key, value));
}

void Pair::Delete() {
  const std::string key = RandomKey();
  CheckOk(client_->Delete(key, RandomDurability()).Wait());
  CheckOk(theirs_->Delete({}, key));
}

void Pair::Batch(bool of_one_shard) {
  WriteBatch ours;
  rocksdb::WriteBatch theirs;
  std::optional<ShardId> shard;
  for (uint64_t left = 1 + random_.Below(12); left > 0; --left) {
    const std::string key = RandomKey();
    if (of_one_shard && engine_->ShardOf(key) != shard.value_or(engine_->ShardOf(key))) continue;
    shard = engine_->ShardOf(key);
    if (random_.OneIn(3)) {
      ours.Delete(key);
      CheckOk(theirs.Delete(key));
    } else {
      const std::string value = RandomValue();
      ours.Put(key, value);
      CheckOk(theirs.Put(key, value));
    }
  }
  CheckOk(client_->Write(std::move(ours), RandomDurability()).Wait());
  CheckOk(theirs_->Write({}, &theirs));
}

void Pair::Get() {
  const std::string key = RandomKey();
  const std::optional<Moment> moment = RandomMoment();
  std::optional<EngineSnapshot> snapshot;
  if (moment.has_value()) snapshot = moment->ours;
  const absl::StatusOr<Value> ours = client_->Get(key, snapshot).Wait();
  const Value theirs = TheirGet(key, moment);
  ASSERT_TRUE(ours.ok()) << Where() << ours.status();
  EXPECT_EQ(*ours, theirs) << Where() << absl::CHexEscape(key) << " has " << Show(*ours)
                           << ", with RocksDB " << Show(theirs);
}

void Pair::MultiGet() {
  std::vector<std::string> keys;
  for (uint64_t left = random_.Below(20); left > 0; --left) keys.push_back(RandomKey());
  const std::optional<Moment> moment = RandomMoment();
  std::optional<EngineSnapshot> snapshot;
  if (moment.has_value()) snapshot = moment->ours;
  const auto on = static_cast<ShardId>(random_.Below(static_cast<uint64_t>(shards_)));
  const auto ours = runtime_->Submit(on, MultiGetOnShard, engine_.get(), keys, snapshot).Wait();
  ASSERT_TRUE(ours.ok()) << Where() << ours.status();
  ASSERT_EQ(ours->size(), keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    const Value theirs = TheirGet(keys[i], moment);
    EXPECT_EQ((*ours)[i], theirs) << Where() << absl::CHexEscape(keys[i]) << " has "
                                  << Show((*ours)[i]) << ", with RocksDB " << Show(theirs);
  }
}

void Pair::CompareScan(const Range& range, const std::optional<Moment>& moment) {
  EngineScanOptions options;
  options.lower = range.lower;
  options.upper = range.upper;
  options.reverse = range.reverse;
  if (moment.has_value()) options.snapshot = moment->ours;
  const auto on = static_cast<ShardId>(random_.Below(static_cast<uint64_t>(shards_)));
  const absl::StatusOr<Pairs> ours =
      runtime_->Submit(on, ScanPairs, engine_.get(), std::move(options), range.most).Wait();
  ASSERT_TRUE(ours.ok()) << Where() << ours.status();
  const Pairs theirs = TheirScan(range, moment);
  EXPECT_EQ(ours->size(), theirs.size()) << Where() << "keys";
  for (size_t i = 0; i < std::min(ours->size(), theirs.size()); ++i) {
    ASSERT_EQ((*ours)[i].first, theirs[i].first) << Where() << "key " << i;
    ASSERT_EQ((*ours)[i].second, theirs[i].second)
        << Where() << "value of " << absl::CHexEscape(theirs[i].first);
  }
}

void Pair::Scan() { CompareScan(RandomRange(), RandomMoment()); }

void Pair::TakeSnapshot() {
  if (moments_.size() == kMostSnapshots) DropSnapshot();
  absl::StatusOr<EngineSnapshot> ours = engine_->TakeSnapshot();
  ASSERT_TRUE(ours.ok()) << Where() << ours.status();
  moments_.push_back({*std::move(ours), theirs_->GetSnapshot()});
}

void Pair::DropSnapshot() {
  if (moments_.empty()) return;
  const auto at = moments_.begin() + static_cast<int64_t>(random_.Below(moments_.size()));
  theirs_->ReleaseSnapshot(at->theirs);
  moments_.erase(at);
}

// All keys, both ways, now and at each snapshot.
void Pair::CompareAll() {
  std::vector<std::optional<Moment>> moments(moments_.begin(), moments_.end());
  moments.emplace_back();
  for (const std::optional<Moment>& moment : moments) {
    for (const bool reverse : {false, true}) {
      Range all;
      all.reverse = reverse;
      all.most = SIZE_MAX;
      CompareScan(all, moment);
    }
  }
}

void Pair::Step() {
  struct Choice {
    const char* name;
    uint64_t weight;
    void (*run)(Pair&);
  };
  static constexpr std::array<Choice, 12> kChoices = {{
      {"put", 300, [](Pair& pair) { pair.Put(); }},
      {"delete", 120, [](Pair& pair) { pair.Delete(); }},
      {"batch of one shard", 60, [](Pair& pair) { pair.Batch(true); }},
      {"batch", 40, [](Pair& pair) { pair.Batch(false); }},
      {"get", 200, [](Pair& pair) { pair.Get(); }},
      {"multiget", 60, [](Pair& pair) { pair.MultiGet(); }},
      {"scan", 120, [](Pair& pair) { pair.Scan(); }},
      {"take a snapshot", 20, [](Pair& pair) { pair.TakeSnapshot(); }},
      {"drop a snapshot", 15, [](Pair& pair) { pair.DropSnapshot(); }},
      {"flush", 15,
       [](Pair& pair) {
         pair.CheckOk(pair.runtime_->Submit(0, FlushOnShard, pair.engine_.get()).Wait());
       }},
      {"compact", 6,
       [](Pair& pair) {
         pair.CheckOk(pair.runtime_->Submit(0, CompactOnShard, pair.engine_.get()).Wait());
         pair.CompareAll();
       }},
      {"open again", 4,
       [](Pair& pair) {
         pair.Close();
         pair.Open();
         if (pair.engine_ != nullptr) pair.CompareAll();
       }},
  }};
  uint64_t all = 0;
  for (const Choice& choice : kChoices) all += choice.weight;
  uint64_t at = random_.Below(all);
  for (const Choice& choice : kChoices) {
    if (at < choice.weight) {
      doing_ = choice.name;
      return choice.run(*this);
    }
    at -= choice.weight;
  }
}

void Pair::Run() {
  shards_ = static_cast<int>(1 + random_.Below(3));
  options_.store.memtable_bytes = size_t{256} << 10;
  options_.store.cache.capacity_bytes = size_t{1} << 20;
  options_.store.cache.max_pinned_bytes = size_t{512} << 10;
  switch (random_.Below(3)) {
    case 0:
      break;
    case 1:
      options_.placement.prefix_bytes = 1;
      break;
    case 2:
      options_.placement.kind = KeyPlacement::Kind::kRange;
      for (int i = 1; i < shards_; ++i) options_.split_keys.push_back(i == 1 ? "a" : "b\x7f");
  }
  Open();
  for (step_ = 1; step_ <= kSteps && !testing::Test::HasFailure(); ++step_) Step();
  doing_ = "at the end";
  if (!testing::Test::HasFailure()) CompareAll();
}

class DifferentialTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(DifferentialTest, GivesWhatRocksdbGives) {
  uint64_t seed = GetParam();
  if (const char* one = std::getenv("IOENGINE_DIFFERENTIAL_SEED"); one != nullptr) {
    if (seed != 1) return;
    seed = std::strtoull(one, nullptr, 10);
  }
  const bench::TemporaryDirectory directory;
  Pair pair(seed, directory.path());
  pair.Run();
}

INSTANTIATE_TEST_SUITE_P(Seeds, DifferentialTest, ::testing::Range(uint64_t{1}, kSeeds + 1),
                         [](const auto& with) { return absl::StrCat("Seed", with.param); });

}  // namespace
}  // namespace ioengine
