#include "ioengine/tools/benchmark/table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace ioengine::bench {
namespace {

using Align = Table::Align;

TEST(TableTest, GoldenText) {
  Table table({{"name", Align::kLeft}, {"p50 µs"}, {"MB/s"}});
  table.AddRow({"randread", "42.0", "1"});
  table.AddRow({"x", "7"});
  EXPECT_EQ(table.ToString(),
            "name      p50 µs  MB/s\n"
            "--------  ------  ----\n"
            "randread    42.0     1\n"
            "x              7\n");
}

TEST(TableTest, WithoutRowsItIsItsHeader) {
  const Table table({{"a"}, {"b", Align::kLeft}});
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(table.ToString(), "a  b\n-  -\n");
}

TEST(TableDeathTest, ARowWithTooManyCells) {
  Table table({{"a"}});
  EXPECT_DEATH(table.AddRow({"1", "2"}), "a row of 2 cells for 1 columns");
}

TEST(FormatNumberTest, ThreeDigitsOrMore) {
  EXPECT_EQ(FormatNumber(0), "0");
  EXPECT_EQ(FormatNumber(0.1234), "0.12");
  EXPECT_EQ(FormatNumber(9.994), "9.99");
  EXPECT_EQ(FormatNumber(9.996), "10.0");
  EXPECT_EQ(FormatNumber(42.04), "42.0");
  EXPECT_EQ(FormatNumber(99.96), "100");
  EXPECT_EQ(FormatNumber(264916.4), "264916");
  EXPECT_EQ(FormatNumber(-3.14159), "-3.14");
  EXPECT_EQ(FormatNumber(std::nan("")), "-");
}

TEST(FormatBytesTest, BinaryUnits) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(512), "512 B");
  EXPECT_EQ(FormatBytes(4096), "4 KiB");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(uint64_t{1} << 20), "1 MiB");
  EXPECT_EQ(FormatBytes(uint64_t{24} << 30), "24 GiB");
  EXPECT_EQ(FormatBytes(UINT64_MAX), "16 EiB");
}

TEST(DisplayWidthTest, CountsCharacters) {
  EXPECT_EQ(DisplayWidth(""), 0);
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("p50 µs"), 6);
}

void AddRun(std::vector<Result>* results, const std::string& workload, int block, int depth,
            double iops, double scale) {
  const std::map<std::string, nlohmann::json> parameters = {
      {"block_size_bytes", block}, {"depth", depth}, {"shards", 2}, {"placement", "spread"}};
  results->push_back(MakeResult("io", workload, parameters, "iops", {iops}));
  results->push_back(MakeResult("io", workload, parameters, "bytes_per_s", {iops * block}));
  results->push_back(MakeResult("io", workload, parameters, "p50_us", {42 * scale}));
  results->push_back(MakeResult("io", workload, parameters, "p99_us", {188.4 * scale}));
  results->push_back(MakeResult("io", workload, parameters, "p999_us", {1234.5 * scale}));
  results->push_back(MakeResult("io", workload, parameters, "max_us", {40123 * scale}));
  results->push_back(MakeResult("io", workload, parameters, "cpu_us_per_op", {3.014 * scale}));
}

TEST(FormatResultsTest, GoldenText) {
  std::vector<Result> results;
  AddRun(&results, "seqread", 1 << 20, 8, 1987.25, 10);
  AddRun(&results, "randread", 4096, 64, 70123.4, 1);
  EXPECT_EQ(
      FormatResults(results),
      "io: placement spread, shards 2\n"
      "\n"
      "workload  block size  depth  MB/s   IOPS  p50 µs  p99 µs  p99.9 µs  max µs  CPU µs/op\n"
      "--------  ----------  -----  ----  -----  ------  ------  --------  ------  ---------\n"
      "seqread        1 MiB      8  2084   1987     420    1884     12345  401230       30.1\n"
      "randread       4 KiB     64   287  70123    42.0     188      1234   40123       3.01\n");
}

TEST(FormatResultsTest, WhatWasNotMeasuredIsADash) {
  std::vector<Result> results;
  results.push_back(MakeResult("io", "null", {{"depth", 64}}, "iops", {3e6}));
  results.push_back(
      MakeResult("io", "randread", {{"depth", 64}, {"seed", 7}}, "bytes_per_s", {1e6}));
  EXPECT_EQ(FormatResults(results),
            "io: depth 64\n"
            "\n"
            "workload  seed  MB/s     IOPS\n"
            "--------  ----  ----  -------\n"
            "null         -     -  3000000\n"
            "randread     7  1.00        -\n");
}

TEST(FormatResultsTest, FitsATerminal) {
  std::vector<Result> results;
  AddRun(&results, "syncwrite", 131072, 1024, 99999999, 1000);
  AddRun(&results, "randwrite", 4096, 1, 1, 1);
  const std::string text = FormatResults(results);
  for (size_t start = 0; start < text.size();) {
    const size_t end = text.find('\n', start);
    EXPECT_LE(DisplayWidth(text.substr(start, end - start)), 100);
    start = end + 1;
  }
}

TEST(FormatResultsTest, NothingIsNothing) { EXPECT_EQ(FormatResults({}), ""); }

}  // namespace
}  // namespace ioengine::bench
