// What the suite `probe` makes of its figures, and what it reads of the device.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>

#include "ioengine/io/device_profile.h"
#include "ioengine/tests/tools/temporary_directory.h"
#include "ioengine/tools/benchmark/probe_device.h"
#include "ioengine/tools/benchmark/probe_result.h"
#include "ioengine/tools/benchmark/probe_sync.h"

namespace ioengine::bench {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint64_t kKiB = 1024;

ProbeResult Sample() {
  ProbeResult result;
  result.facts.name = "vda";
  result.facts.volatile_cache = true;
  result.direct = true;
  result.offset_alignment_bytes = 512;
  // More at 256, but not by 5 %.
  result.random = {
      {1, 10e3, 9e3}, {4, 30e3, 40e3}, {16, 60e3, 41e3}, {64, 97e3, 39e3}, {256, 100e3, 42e3}};
  result.sequential = {{64 * kKiB, 1e9, 2e9}, {256 * kKiB, 2e9, 2e9}, {1024 * kKiB, 2e9, 2e9}};
  result.sync_us = {{"dsync_written", 120.5}};
  return result;
}

TEST(ProbeTest, TheUsefulScaleIsTheFirstThatIsNearlyTheBest) {
  EXPECT_EQ(UsefulScale(Sample().random, &ProbeRate::read), 64u);
  EXPECT_EQ(UsefulScale(Sample().random, &ProbeRate::write), 4u);
  EXPECT_EQ(UsefulScale({{1, 0, 0}}, &ProbeRate::read), 1u);
}

TEST(ProbeTest, TheLibraryReadsItsJson) {
  const std::string text = ToJson(Sample()).dump(2);
  const auto profile = DeviceProfile::Parse(text);
  ASSERT_TRUE(profile.ok()) << profile.status() << text;
  EXPECT_EQ(profile->device, "vda");
  EXPECT_EQ(profile->useful_read_depth, 64u);
  EXPECT_EQ(profile->useful_write_depth, 4u);
  EXPECT_EQ(profile->useful_sequential_bytes, 8 * 256 * kKiB);
  EXPECT_EQ(profile->read_iops, 100e3);
  EXPECT_EQ(profile->write_bytes_per_s, 2e9);
  EXPECT_THAT(text,
              AllOf(HasSubstr("\"volatile_cache\": \"yes\""), HasSubstr("\"fua\": \"unknown\""),
                    HasSubstr("\"random_read_iops_depth_16\": 60000.0"),
                    HasSubstr("\"sequential_write_bytes_per_s_64_kib\": 2000000000.0"),
                    HasSubstr("\"sync_dsync_written_p50_us\": 120.5")));
}

TEST(ProbeTest, PrintsWhatIsUnknownAsUnknown) {
  EXPECT_THAT(FormatProbe(Sample()),
              AllOf(HasSubstr("volatile cache: yes; FUA: unknown"),
                    HasSubstr("alignment of memory unknown, of offsets 512 B"),
                    HasSubstr("useful depth: 64 for reads, 4 for writes")));
}

TEST(ProbeTest, ReadsTheFactsOfTheWholeDisk) {
  TemporaryDirectory root;
  namespace fs = std::filesystem;
  const fs::path disk = fs::path(root.path()) / "sys/devices/d/vdx";
  fs::create_directories(disk / "queue");
  fs::create_directories(disk / "vdx1");
  std::ofstream(disk / "vdx1" / "partition") << "1\n";
  fs::create_directories(fs::path(root.path()) / "sys/dev/block");
  fs::create_directories(fs::path(root.path()) / "sys/block");
  fs::create_symlink(disk / "vdx1", fs::path(root.path()) / "sys/dev/block/7:1");
  fs::create_symlink(disk, fs::path(root.path()) / "sys/block/vdx");
  const auto facts = [&] { return ReadDeviceFacts(makedev(7, 1), root.path()); };
  EXPECT_EQ(facts().name, "vdx");
  EXPECT_EQ(facts().volatile_cache, std::nullopt);
  EXPECT_EQ(facts().max_sectors_kb, std::nullopt);
  std::ofstream(disk / "queue" / "write_cache") << "write back\n";
  std::ofstream(disk / "queue" / "fua") << "0\n";
  std::ofstream(disk / "queue" / "rotational") << "1\n";
  std::ofstream(disk / "queue" / "max_sectors_kb") << "1280\n";
  EXPECT_EQ(facts().volatile_cache, true);
  EXPECT_EQ(facts().fua, false);
  EXPECT_EQ(facts().rotational, true);
  EXPECT_EQ(facts().max_sectors_kb, 1280u);
  std::ofstream(disk / "queue" / "write_cache") << "write through\n";
  std::ofstream(disk / "queue" / "max_sectors_kb") << "many\n";
  EXPECT_EQ(facts().volatile_cache, false);
  EXPECT_EQ(facts().max_sectors_kb, std::nullopt);
  EXPECT_EQ(ReadDeviceFacts(makedev(7, 2), root.path()).name, std::nullopt);
}

TEST(ProbeTest, MeasuresEachKindOfSync) {
  TemporaryDirectory directory;
  const std::string path = directory.File("data");
  const std::atomic<bool> cancelled{false};
  EXPECT_FALSE(MeasureSync(path, SyncKind::kDsyncWritten, 64 * kKiB, 1, cancelled).ok());
  close(open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  for (const SyncKind kind : {SyncKind::kDsyncExtending, SyncKind::kDsyncWritten,
                              SyncKind::kFdatasync, SyncKind::kDsyncPreallocated}) {
    const auto found = MeasureSync(path, kind, 64 * kKiB, 5, cancelled);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_GT(*found, 0);
    EXPECT_EQ(std::filesystem::file_size(path), 64 * kKiB);
  }
  const std::atomic<bool> stop{true};
  EXPECT_TRUE(
      absl::IsCancelled(MeasureSync(path, SyncKind::kDsyncWritten, 64 * kKiB, 5, stop).status()));
}

}  // namespace
}  // namespace ioengine::bench
