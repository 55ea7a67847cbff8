// `ioengine-compare` as its users meet it, with tiny databases.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "ioengine/tests/tools/temporary_directory.h"
#include "ioengine/tests/tools/tool_fixture.h"

namespace ioengine::bench {
namespace {

using ::testing::HasSubstr;

class CompareCliTest : public ToolTest {
 protected:
  CompareCliTest() : ToolTest("tools/compare/ioengine-compare") {}
};

TEST_F(CompareCliTest, ComparesEachWorkloadWithRocksdb) {
  const std::string json_path = files_.File("compare.json");
  const Finished run = Run({"kv", Dir(), "--keys=2000", "--ops=4000", "--memtable=2M", "--cache=8M",
                            "--triples=1", "--rounds=1", "--verify", "--json=" + json_path});
  ASSERT_EQ(run.exit_status, 0) << run.errors;
  EXPECT_TRUE(data_.empty());
  for (const char* word : {"ratio", "triples", "rocksdb", "HyperClockCache of 8 MiB", "fillsync",
                           "ycsbf", "settled_ops_per_s"}) {
    EXPECT_THAT(run.output, HasSubstr(word));
  }
  const nlohmann::json report = nlohmann::json::parse(ReadFile(json_path));
  std::map<std::string, std::set<std::string>> workloads;  // by engine
  int ratios = 0;
  for (const nlohmann::json& result : report.at("results")) {
    const nlohmann::json& parameters = result.at("parameters");
    const std::string engine = parameters.at("engine");
    workloads[engine].insert(result.at("workload").get<std::string>());
    EXPECT_EQ(parameters.contains("variant"), engine == "rocksdb") << result;
    EXPECT_EQ(parameters.contains("shards"), engine == "ioengine") << result;
    if (!result.contains("ratios")) continue;
    for (const auto& [peer, ratio] : result.at("ratios").items()) {
      EXPECT_EQ(peer, "rocksdb");
      EXPECT_GT(ratio, 0) << result;
      ++ratios;
    }
  }
  EXPECT_EQ(workloads["ioengine"].size(), 17u);
  EXPECT_EQ(workloads["ioengine"], workloads["rocksdb"]);
  EXPECT_GT(ratios, 0);
}

TEST_F(CompareCliTest, SaysWhatIsWrong) {
  Finished run = Run({"kv", "--engines=ioengine,lmdb"});
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.errors, HasSubstr("'lmdb': known are ioengine,rocksdb"));
  run = Run({"kv", "--engines=rocksdb"});
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.errors, HasSubstr("--engines: ioengine and at least one other"));
  EXPECT_EQ(Run({"kv", "--engines=ioengine"}).exit_status, 2);
  EXPECT_EQ(Run({"kv", "--cache=1k"}).exit_status, 2);
  EXPECT_EQ(Run({"kv", "--triples=100"}).exit_status, 2);
  EXPECT_EQ(Run({}).exit_status, 2);
  run = Run({"kv", "--help"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_THAT(run.output, HasSubstr("--engines=LIST"));
}

}  // namespace
}  // namespace ioengine::bench
