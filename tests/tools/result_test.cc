#include "ioengine/tools/benchmark/result.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/tests/tools/temporary_directory.h"

namespace ioengine::bench {
namespace {

using nlohmann::json;

Result GoodResult() {
  return MakeResult("io", "randread", {{"block_size_bytes", 4096}, {"depth", 64}}, "iops",
                    {70000, 69000, 71000});
}

TEST(MakeResultTest, ValueIsTheMedian) {
  const Result odd = GoodResult();
  EXPECT_EQ(odd.value, 70000);
  EXPECT_EQ(odd.min, 69000);
  EXPECT_EQ(odd.max, 71000);
  EXPECT_EQ(odd.repetitions, 3);
  EXPECT_EQ(odd.unit, "1/s");
  EXPECT_EQ(MakeResult("io", "randread", {}, "iops", {4, 1, 3, 2}).value, 2.5);
}

TEST(CheckResultTest, AcceptsAGoodOne) { EXPECT_TRUE(CheckResult(GoodResult()).ok()); }

TEST(CheckResultTest, RefusesAnUnknownMetric) {
  const absl::Status status =
      CheckResult(MakeResult("io", "randread", {}, "furlongs_per_fortnight", {1}));
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(status.message().find("furlongs_per_fortnight"), absl::string_view::npos);
  EXPECT_FALSE(CheckResult(MakeResult("nosuch", "randread", {}, "iops", {1})).ok());
}

TEST(CheckResultTest, RefusesWhatWouldMislead) {
  const auto refused = [](auto change) {
    Result result = GoodResult();
    change(&result);
    return absl::IsInvalidArgument(CheckResult(result));
  };
  EXPECT_TRUE(refused([](Result* r) { r->unit = "kIOPS"; }));
  EXPECT_TRUE(refused([](Result* r) { r->workload.clear(); }));
  EXPECT_TRUE(refused([](Result* r) { r->repetitions = 0; }));
  EXPECT_TRUE(refused([](Result* r) { r->value = std::nan(""); }));
  EXPECT_TRUE(refused([](Result* r) { r->max = std::numeric_limits<double>::infinity(); }));
  EXPECT_TRUE(refused([](Result* r) { r->min = 70001; }));
  EXPECT_TRUE(refused([](Result* r) { r->max = 69999; }));
  EXPECT_TRUE(refused([](Result* r) { r->ratios["fio"] = std::nan(""); }));
}

Report SmallReport() {
  Report report;
  report.environment.kernel = "Linux 6.1.0 x86_64";
  report.environment.degraded = {"buffers not registered"};
  report.results.push_back(GoodResult());
  report.results.back().ratios["fio"] = 1.01;
  return report;
}

TEST(WriteReportTest, WritesTheDocumentedForm) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("result.json");
  ASSERT_TRUE(WriteReport(SmallReport(), path).ok());
  const json expected = json::parse(R"({
    "environment": {"kernel": "Linux 6.1.0 x86_64", "degraded": ["buffers not registered"]},
    "results": [{
      "suite": "io", "workload": "randread",
      "parameters": {"block_size_bytes": 4096, "depth": 64},
      "metric": "iops", "value": 70000.0, "unit": "1/s", "min": 69000.0, "max": 71000.0,
      "repetitions": 3, "ratios": {"fio": 1.01}
    }]
  })");
  EXPECT_EQ(json::parse(ReadFile(path)), expected);
}

TEST(WriteReportTest, NoParametersAndNoRatiosAreEmptyObjects) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("result.json");
  Report report;
  report.results.push_back(MakeResult("io", "null", {}, "iops", {1}));
  ASSERT_TRUE(WriteReport(report, path).ok());
  const json result = json::parse(ReadFile(path)).at("results").at(0);
  EXPECT_EQ(result.at("parameters"), json::object());
  EXPECT_EQ(result.at("ratios"), json::object());
}

TEST(WriteReportTest, ReplacesTheOldFileAndLeavesNothingBeside) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("result.json", "old");
  ASSERT_TRUE(WriteReport(SmallReport(), path).ok());
  EXPECT_TRUE(json::accept(ReadFile(path)));
  int files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    ++files;
  }
  EXPECT_EQ(files, 1);
}

TEST(WriteReportTest, ABadResultLeavesTheOldFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("result.json", "old");
  Report report = SmallReport();
  report.results.push_back(MakeResult("io", "randread", {}, "nosuch", {1}));
  EXPECT_TRUE(absl::IsInvalidArgument(WriteReport(report, path)));
  EXPECT_EQ(ReadFile(path), "old");
}

TEST(WriteReportTest, NamesAFileThatCannotBeWritten) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("missing/result.json");
  const absl::Status status = WriteReport(SmallReport(), path);
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_NE(status.message().find(path), absl::string_view::npos) << status;
}

TEST(WriteReportTest, ADirectoryIsNoFile) {
  const TemporaryDirectory directory;
  EXPECT_FALSE(WriteReport(SmallReport(), directory.path()).ok());
  EXPECT_TRUE(directory.empty());
}

TEST(WriteReportTest, ADeviceIsWrittenIntoAndNotReplaced) {
  ASSERT_TRUE(WriteReport(SmallReport(), "/dev/null").ok());
  struct stat after;
  ASSERT_EQ(stat("/dev/null", &after), 0);
  EXPECT_TRUE(S_ISCHR(after.st_mode));
}

TEST(WriteReportTest, BytesThatAreNotUtf8DoNotStopIt) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("result.json");
  Report report = SmallReport();
  report.environment.path = "/mnt/\xff";
  ASSERT_TRUE(WriteReport(report, path).ok());
  EXPECT_TRUE(json::accept(ReadFile(path)));
}

}  // namespace
}  // namespace ioengine::bench
