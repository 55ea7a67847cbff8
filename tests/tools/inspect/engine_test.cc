// ioengine-inspect on a database of several shards.

#include "ioengine/engine/engine.h"

#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/tests/io/test_directory.h"
#include "ioengine/tools/inspect/print.h"
#include "ioengine/tools/inspect/report.h"
#include "ioengine/tools/inspect/salvage.h"

namespace ioengine::inspect {
namespace {

class InspectEngineTest : public testing::Test {
 protected:
  InspectEngineTest() {
    auto runtime = Runtime::Start({.shard_count = 2});
    EXPECT_TRUE(runtime.ok()) << runtime.status();
    auto engine = Engine::Open(**runtime, path_);
    EXPECT_TRUE(engine.ok()) << engine.status();
    EngineClient client = (*engine)->NewClient();
    for (int i = 0; i < 20; ++i) {
      EXPECT_TRUE(client.Put(absl::StrCat("key", i), "value", Durability::kMemory).Wait().ok());
    }
    EXPECT_EQ((*engine)->CloseAndWait(), absl::OkStatus());
  }

  std::string Path(const std::string& name) const { return path_ + "/" + name; }

  TestDirectory directory_;
  const std::string path_ = directory_.File("db");
};

TEST_F(InspectEngineTest, TellsOfAllTablets) {
  const absl::StatusOr<DatabaseReport> report = InspectDatabase(path_);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->tablets.size(), 2u);
  uint64_t puts = 0;
  for (const DatabaseReport& tablet : report->tablets) {
    for (const StreamReport& stream : tablet.streams) puts += stream.puts;
  }
  EXPECT_EQ(puts, 20u);
  EXPECT_TRUE(report->problems.empty()) << report->problems.front();
  const std::string text = StatsText(*report);
  EXPECT_NE(text.find("2 tablets, by hash"), std::string::npos) << text;
  EXPECT_NE(text.find(Path("T-2")), std::string::npos) << text;
  EXPECT_NE(Json(*report).find("\"of_tablets\""), std::string::npos);
  EXPECT_NE(VerifyText(*report).find("all is well"), std::string::npos);
}

TEST_F(InspectEngineTest, ATabletThatIsDamagedExchangedOrMissingIsAProblem) {
  std::filesystem::rename(Path("T-1"), Path("aside"));
  std::filesystem::rename(Path("T-2"), Path("T-1"));
  std::filesystem::rename(Path("aside"), Path("T-2"));
  absl::StatusOr<DatabaseReport> report = InspectDatabase(path_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->problems.size(), 2u);
  std::filesystem::remove_all(Path("T-2"));
  std::filesystem::rename(Path("T-1"), Path("T-2"));
  std::filesystem::resize_file(Path("T-2/ROOT"), 100);
  report = InspectDatabase(path_);
  ASSERT_TRUE(report.ok()) << report.status();
  const std::string text = VerifyText(*report);
  EXPECT_NE(text.find("T-1, a tablet that ROOT names, is missing"), std::string::npos) << text;
  EXPECT_NE(text.find("T-2: "), std::string::npos) << text;
}

TEST_F(InspectEngineTest, SalvagesATabletAlone) {
  const absl::Status whole = Salvage(path_, directory_.File("new")).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(whole)) << whole;
  EXPECT_NE(whole.message().find("T-1"), std::string::npos) << whole;
  uint64_t keys = 0;
  for (const char* const name : {"T-1", "T-2"}) {
    const absl::StatusOr<SalvageReport> report =
        Salvage(Path(name), directory_.File(absl::StrCat("new-", name)));
    ASSERT_TRUE(report.ok()) << report.status();
    keys += report->keys;
  }
  EXPECT_EQ(keys, 20u);
}

}  // namespace
}  // namespace ioengine::inspect
