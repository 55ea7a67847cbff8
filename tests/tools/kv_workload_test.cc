// Workloads on a database that is a map, which can be made to give what is wrong.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/tests/tools/temporary_directory.h"
#include "ioengine/tools/benchmark/metrics.h"
#include "ioengine/tools/kv/kv_bench.h"
#include "ioengine/tools/kv/kv_engine.h"
#include "ioengine/tools/kv/kv_settings.h"
#include "ioengine/tools/kv/workload.h"

namespace ioengine::kv {
namespace {

using ::testing::HasSubstr;

// What it does wrong.
struct Fault {
  // Of the reads of that key.
  std::string key;
  enum class Kind { kNone, kDamages, kLoses, kGivesFirst, kInvents } kind = Kind::kNone;
};

class MapEngine final : public BlockingEngine {
 public:
  std::string Describe() const override { return "a map"; }
  absl::Status Open(const std::string&) override {
    ++opened_;
    values_.clear();
    first_.clear();
    return absl::OkStatus();
  }
  absl::Status Close() override { return absl::OkStatus(); }
  absl::Status Drain() override {
    ++drained_;
    return absl::OkStatus();
  }

  Fault fault;
  int opened() const { return opened_; }
  int drained() const { return drained_; }
  size_t size() const { return values_.size(); }

 private:
  class Session;

  absl::StatusOr<std::unique_ptr<KvSession>> NewSession(const KvJob&) override;

  std::optional<std::string> Find(const std::string& key) {
    const std::scoped_lock lock(mutex_);
    const auto found = values_.find(key);
    const bool is_faulty = key == fault.key;
    if (is_faulty && fault.kind == Fault::Kind::kInvents) return "something";
    if (found == values_.end()) return std::nullopt;
    if (!is_faulty) return found->second;
    switch (fault.kind) {
      case Fault::Kind::kLoses:
        return std::nullopt;
      case Fault::Kind::kGivesFirst:
        return first_[key];
      case Fault::Kind::kDamages: {
        std::string damaged = found->second;
        damaged.back() = static_cast<char>(damaged.back() ^ 1);
        return damaged;
      }
      default:
        return found->second;
    }
  }

  std::mutex mutex_;
  std::map<std::string, std::string> values_;  // under mutex_
  std::map<std::string, std::string> first_;   // under mutex_
  int opened_ = 0;
  int drained_ = 0;
};

class MapEngine::Session final : public KvSession {
 public:
  explicit Session(MapEngine& engine) : engine_(engine) {}

  absl::Status Put(std::string_view key, std::string_view value) override {
    const std::scoped_lock lock(engine_.mutex_);
    engine_.values_[std::string(key)] = value;
    engine_.first_.emplace(key, value);
    return absl::OkStatus();
  }
  absl::Status Delete(std::string_view key) override {
    const std::scoped_lock lock(engine_.mutex_);
    engine_.values_.erase(std::string(key));
    return absl::OkStatus();
  }
  absl::Status Get(std::string_view key, Found found) override {
    const std::optional<std::string> value = engine_.Find(std::string(key));
    if (!value.has_value()) return found(std::nullopt);
    return found(std::string_view(*value));
  }
  absl::Status MultiGet(std::span<const std::string> keys, FoundOf found) override {
    for (size_t i = 0; i < keys.size(); ++i) {
      const absl::Status status =
          Get(keys[i], [&](std::optional<std::string_view> value) { return found(i, value); });
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  absl::Status Scan(std::string_view from, Scanned scanned) override {
    std::optional<std::string> at(from);
    for (bool more = true; more;) {
      {
        const std::scoped_lock lock(engine_.mutex_);
        const auto next = engine_.values_.lower_bound(*at);
        at = next == engine_.values_.end() ? std::nullopt : std::optional(next->first);
      }
      if (!at.has_value()) break;
      if (const std::optional<std::string> value = engine_.Find(*at); value.has_value()) {
        const absl::StatusOr<bool> wants = scanned(*at, *value);
        if (!wants.ok()) return wants.status();
        more = *wants;
      }
      at->push_back('\0');
    }
    return absl::OkStatus();
  }

 private:
  MapEngine& engine_;
};

absl::StatusOr<std::unique_ptr<KvSession>> MapEngine::NewSession(const KvJob&) {
  return std::make_unique<Session>(*this);
}

class KvWorkloadTest : public ::testing::Test {
 protected:
  KvWorkloadTest() {
    settings_.keys = 500;
    settings_.operations = 3000;
    settings_.verify = true;
    engine_.set_threads(2);
  }

  absl::StatusOr<KvMeasurement> Measure(std::string_view workload, uint64_t seed = 1) {
    if (bench_ == nullptr) {
      bench_ = std::make_unique<KvBench>(engine_, settings_, directory_.File("db"));
    }
    return bench_->Measure(WorkloadNamed(workload), seed);
  }

  // With all keys there, and the fault after that.
  absl::Status MeasureFault(std::string_view workload, const Fault& fault) {
    settings_.verify = false;
    absl::Status prepared = Measure("readrandom").status();
    if (!prepared.ok()) return prepared;
    if (fault.kind == Fault::Kind::kGivesFirst) {
      if (absl::Status status = Measure("overwrite").status(); !status.ok()) return status;
    }
    engine_.fault = fault;
    return Measure(workload, 2).status();
  }

  bench::TemporaryDirectory directory_;
  KvSettings settings_;
  MapEngine engine_;
  std::unique_ptr<KvBench> bench_;
};

TEST_F(KvWorkloadTest, EachWorkloadDoesWhatItIsAskedFor) {
  settings_.write_rate = 1'000'000;
  for (const Workload& workload : Workloads()) {
    const absl::StatusOr<KvMeasurement> found = Measure(workload.name);
    ASSERT_TRUE(found.ok()) << workload.name << ": " << found.status();
    // A fill of ascending keys ends with them.
    const uint64_t expected = workload.order == KeyOrder::kAscending ? 500 : 3000;
    EXPECT_EQ(found->tally.operations, expected) << workload.name;
    EXPECT_GT(found->tally.latency_ns.count(), 0u) << workload.name;
    EXPECT_EQ(found->writes, workload.writes()) << workload.name;
    EXPECT_EQ(found->tally.written_bytes > 0, workload.writes()) << workload.name;
    EXPECT_EQ(found->tally.paced_puts > 0, workload.is_written_to) << workload.name;
    for (const auto& [metric, value] : found->Metrics()) {
      EXPECT_NE(bench::FindMetric("kv", metric), nullptr) << metric;
      EXPECT_GE(value, 0) << metric;
    }
  }
}

TEST_F(KvWorkloadTest, WorkloadsFindWhatTheyBeginWith) {
  ASSERT_TRUE(Measure("fillrandom").ok());
  EXPECT_LE(engine_.size(), 500u);
  ASSERT_TRUE(Measure("readrandom").ok());
  EXPECT_EQ(engine_.size(), 500u) << "a load has put what was missing";
  EXPECT_EQ(engine_.opened(), 1);
  ASSERT_TRUE(Measure("deleterandom").ok());
  EXPECT_LT(engine_.size(), 500u);
  ASSERT_TRUE(Measure("readseq").ok());
  EXPECT_EQ(engine_.size(), 500u);
  ASSERT_TRUE(Measure("ycsbd").ok());
  EXPECT_GT(engine_.size(), 550u) << "5 % inserts";
  ASSERT_TRUE(Measure("fillseq").ok());
  EXPECT_EQ(engine_.opened(), 2);
  EXPECT_EQ(engine_.size(), 500u);
}

TEST_F(KvWorkloadTest, EndsWithItsDuration) {
  settings_.operations = 0;
  settings_.seconds = 0.05;
  const absl::StatusOr<KvMeasurement> found = Measure("readrandom");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_GE(found->seconds, 0.05);
  EXPECT_GT(found->tally.operations, 0u);
}

TEST_F(KvWorkloadTest, EndsWhenItIsInterrupted) {
  const std::atomic<bool> cancelled{true};
  settings_.cancelled = &cancelled;
  EXPECT_EQ(Measure("readrandom").status().code(), absl::StatusCode::kCancelled);
}

TEST_F(KvWorkloadTest, AWrongValueIsAnErrorThatNamesWorkloadAndKey) {
  const std::string key = KeySpace(500, 16).Key(123);
  struct Case {
    const char* workload;
    Fault::Kind kind;
    const char* error;
  };
  const std::vector<Case> cases = {
      {"readrandom", Fault::Kind::kDamages, "never written"},
      {"multiget", Fault::Kind::kDamages, "never written"},
      {"seekrandom", Fault::Kind::kDamages, "never written"},
      {"readseq", Fault::Kind::kDamages, "never written"},
      {"ycsbc", Fault::Kind::kGivesFirst, "has version 2;"},
      {"readrandom", Fault::Kind::kGivesFirst, "has version 2;"},
      {"readrandom", Fault::Kind::kLoses, "is missing"},
      {"multiget", Fault::Kind::kLoses, "is missing"},
      {"seekrandom", Fault::Kind::kLoses, "is missing in a scan"},
      {"readseq", Fault::Kind::kLoses, "is missing in a scan"},
      {"ycsbf", Fault::Kind::kLoses, "is missing"},
      {"readwhilewriting", Fault::Kind::kLoses, "is missing"},
  };
  settings_.operations = 20'000;
  settings_.distribution = Distribution::kUniform;
  for (const Case& one : cases) {
    bench_.reset();
    engine_.fault = {};
    const absl::Status status = MeasureFault(one.workload, {key, one.kind});
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << one.workload << status;
    const std::string message(status.message());
    EXPECT_THAT(message, HasSubstr(std::string("workload ") + one.workload + ": key " + key));
    EXPECT_THAT(message, HasSubstr(one.error));
  }
}

TEST_F(KvWorkloadTest, AValueOfAMissingKeyIsAnError) {
  std::string key;
  KeySpace(500, 16).FormatMissing(77, &key);
  const absl::Status status = MeasureFault("readmissing", {key, Fault::Kind::kInvents});
  EXPECT_THAT(std::string(status.message()), HasSubstr("workload readmissing: key " + key));
}

TEST_F(KvWorkloadTest, VerifyFindsWhatAWorkloadDidNotRead) {
  ASSERT_TRUE(Measure("readrandom").ok());
  engine_.fault = {KeySpace(500, 16).Key(3), Fault::Kind::kLoses};
  const absl::Status status = Measure("overwrite").status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("after workload overwrite: "));
  EXPECT_THAT(std::string(status.message()), HasSubstr("key 0000000000000012 is missing"));
}

TEST(KvSettingsTest, SaysWhatIsWrong) {
  const auto error = [](const std::function<void(KvSettings&)>& change) {
    KvSettings settings;
    EXPECT_TRUE(settings.Validate().ok());
    change(settings);
    return std::string(settings.Validate().message());
  };
  EXPECT_THAT(error([](KvSettings& s) { s.key_bytes = 6; }), HasSubstr("--key-size: "));
  EXPECT_THAT(error([](KvSettings& s) { s.value_bytes = 7; }), HasSubstr("--value-size: "));
  EXPECT_THAT(error([](KvSettings& s) { s.keys = 1; }), HasSubstr("--keys: "));
  EXPECT_THAT(error([](KvSettings& s) { s.cache_bytes = 1000; }), HasSubstr("--cache: "));
  EXPECT_THAT(error([](KvSettings& s) { s.memtable_bytes = 1000; }), HasSubstr("--memtable: "));
  EXPECT_THAT(error([](KvSettings& s) { s.concurrency = 600; }), HasSubstr("--concurrency: "));
  const auto threads = [](KvSettings& s) { s.client = ClientKind::kThread; };
  EXPECT_THAT(error([&](KvSettings& s) { threads(s), s.multiget_keys = 100; }),
              HasSubstr("--multiget-keys: "));
  EXPECT_THAT(error([&](KvSettings& s) { threads(s), s.routing = Routing::kOwn; }),
              HasSubstr("--routing: "));
}

}  // namespace
}  // namespace ioengine::kv
