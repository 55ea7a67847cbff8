// `ioengine-bench kv` as its users meet it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "ioengine/tests/tools/temporary_directory.h"
#include "ioengine/tests/tools/tool_fixture.h"
#include "ioengine/tools/benchmark/metrics.h"

namespace ioengine::bench {
namespace {

using ::testing::HasSubstr;

class KvCliTest : public ToolTest {
 protected:
  KvCliTest() : ToolTest("tools/ioengine-bench") {}

  // A small run, with memtables that are flushed many times.
  Finished RunSmall(std::vector<std::string> more) {
    std::vector<std::string> words = {
        "kv", Dir(), "--keys=3000", "--ops=6000", "--memtable=1M", "--cache=4M", "--verify"};
    words.insert(words.end(), more.begin(), more.end());
    return Run(words);
  }
};

void CheckReport(const nlohmann::json& report) {
  std::set<std::string> workloads;
  std::set<std::string> metrics;
  for (const nlohmann::json& result : report.at("results")) {
    const std::string metric = result.at("metric");
    const std::string workload = result.at("workload");
    EXPECT_EQ(result.at("suite"), "kv");
    EXPECT_NE(FindMetric("kv", metric), nullptr) << metric;
    workloads.insert(workload);
    metrics.insert(metric);
    for (const char* parameter : {"keys", "value_bytes", "shards", "client", "distribution"}) {
      EXPECT_TRUE(result.at("parameters").contains(parameter)) << parameter;
    }
    if (metric == "ops_per_s" || metric == "settled_ops_per_s") {
      EXPECT_GT(result.at("value"), 0) << result;
    }
    const bool is_fill = workload.starts_with("fill");
    if (is_fill && (metric == "write_amplification" || metric == "space_amplification")) {
      EXPECT_GT(result.at("value"), 1) << result;
    }
  }
  EXPECT_EQ(workloads.size(), 17u);
  std::set<std::string> all;
  for (const Metric& metric : Metrics()) {
    if (metric.suite == "kv") all.insert(std::string(metric.name));
  }
  EXPECT_EQ(metrics, all);
}

TEST_F(KvCliTest, EachWorkloadRunsWithBothClientsAndPlacements) {
  for (const char* how : {"--client=native", "--client=thread"}) {
    for (const char* placement : {"--placement=hash", "--placement=range"}) {
      const std::string json_path = files_.File("kv.json");
      const Finished run = RunSmall({how, placement, "--concurrency=8", "--json=" + json_path});
      ASSERT_EQ(run.exit_status, 0) << how << " " << placement << ": " << run.errors;
      EXPECT_TRUE(data_.empty());
      CheckReport(nlohmann::json::parse(ReadFile(json_path)));
    }
  }
}

TEST_F(KvCliTest, NativeClientsMayKeepToTheirShardsKeys) {
  for (const char* placement : {"--placement=hash", "--placement=range"}) {
    const Finished run = RunSmall({"--routing=own", placement, "--shards=3", "--durability=memory",
                                   "--distribution=zipfian", "--value-size=1000", "--ops=1000"});
    ASSERT_EQ(run.exit_status, 0) << placement << ": " << run.errors;
    EXPECT_TRUE(data_.empty());
  }
}

TEST_F(KvCliTest, RunsForADuration) {
  const Finished run =
      Run({"kv", Dir(), "--keys=3000", "--duration=100ms", "--shards=1", "--concurrency=1",
           "--repetitions=2", "--workloads=fillsync,readrandom,readwhilewriting,deleterandom"});
  ASSERT_EQ(run.exit_status, 0) << run.errors;
  EXPECT_THAT(run.output, HasSubstr("1 shards"));
  EXPECT_THAT(run.output, HasSubstr("readwhilewriting"));
}

TEST_F(KvCliTest, SaysWhatIsWrongWithItsFlags) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"--workloads=fillseq,filll", "'filll': known are fillseq,fillrandom"},
      {"--client=foreign", "'foreign': known are native,thread"},
      {"--durability=none", "'none': known are memory,written,durable"},
      {"--distribution=normal", "'normal': known are uniform,zipfian,latest"},
      {"--placement=list", "'list': known are hash,range"},
      {"--keys=0", "--keys=0: give a whole number"},
      {"--key-size=3", "--key-size: for so many keys at least 7"},
      {"--concurrency=2000", "--concurrency=2000: give a whole number from 1 to 1023"},
      {"--engines=rocksdb", "--engines=rocksdb: no such flag"},
      {"word", "unexpected word: word"}};
  for (const auto& [flag, error] : cases) {
    const Finished run = Run({"kv", flag});
    EXPECT_EQ(run.exit_status, 2) << flag;
    EXPECT_THAT(run.errors, HasSubstr(error));
  }
  const Finished elsewhere = Run({"kv", "--dir=/no/such/place"});
  EXPECT_EQ(elsewhere.exit_status, 1);
  EXPECT_THAT(elsewhere.errors, HasSubstr("/no/such/place"));
  const Finished help = Run({"kv", "--help"});
  EXPECT_EQ(help.exit_status, 0);
  EXPECT_THAT(help.output, HasSubstr("readwhilewriting"));
  EXPECT_THAT(help.output, HasSubstr("--concurrency=N"));
}

}  // namespace
}  // namespace ioengine::bench
