// Runtime::Start: what it refuses, and what it tells of what it got.

#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/runtime_options.h"
#include "ioengine/numa/affinity.h"
#include "ioengine/numa/placement.h"
#include "ioengine/numa/topology.h"
#include "ioengine/tests/engine/runtime_fixture.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

struct BadOptions {
  std::string name;
  RuntimeOptions options;
  std::string text;
};

class BadOptionsTest : public testing::TestWithParam<BadOptions> {};

TEST_P(BadOptionsTest, AreRefusedAndNamed) {
  const int fds = CountOpenFds();
  const absl::Status status = Runtime::Start(GetParam().options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().text));
  EXPECT_EQ(CountOpenFds(), fds);
}

INSTANTIATE_TEST_SUITE_P(
    Options, BadOptionsTest,
    testing::Values(
        BadOptions{"no_pool", {.buffer_pool_bytes = 0}, "buffer_pool_bytes is 0"},
        BadOptions{"no_depth", {.queue_depth = 0}, "queue_depth is 0; it must be 1 to"},
        BadOptions{"deep", {.queue_depth = 1 << 20}, "queue_depth is 1048576"},
        BadOptions{"no_bytes", {.max_bytes_in_flight = 0}, "max_bytes_in_flight is 0"},
        BadOptions{"no_background", {.max_background_bytes = 0}, "max_background_bytes is 0"},
        BadOptions{"no_device",
                   {.device = DeviceProfile()},
                   "RuntimeOptions::device: DeviceProfile::useful_read_depth is 0"},
        BadOptions{"no_files", {.max_open_files = 0}, "max_open_files is 0"},
        BadOptions{"many_files", {.max_open_files = 1 << 30}, "max_open_files is 1073741824"},
        BadOptions{"no_inbox", {.inbox_capacity = 0}, "inbox_capacity is 0"},
        BadOptions{"large_inbox", {.inbox_capacity = SIZE_MAX}, "inbox_capacity is"},
        BadOptions{"long_spin", {.idle_spin_us = 2'000'000}, "idle_spin_us is 2000000"},
        BadOptions{"slow_io_to_nobody", {.slow_io = {.threshold_ns = 1}}, "slow_io: give"},
        BadOptions{"no_io_is_slow", {.slow_io = {.report = [](const SlowIo&) {}}}, "slow_io: give"},
        BadOptions{"no_slow_io_is_told",
                   {.slow_io = {.threshold_ns = 1,
                                .report = [](const SlowIo&) {},
                                .max_reports_per_minute = 0}},
                   "slow_io.max_reports_per_minute is 0"},
        BadOptions{"no_shards", {.shard_count = 0}, "shard"},
        BadOptions{"negative_shards", {.shard_count = -1}, "shard"},
        BadOptions{"more_shards_than_cpus",
                   {.shard_count = 60000, .placement = {PlacementPolicy::kPack, {}}},
                   "60000"},
        BadOptions{"no_such_cpu", {.placement = {PlacementPolicy::kCustom, {100'000}}}, "100000"}),
    [](const auto& parameter) { return parameter.param.name; });

TEST(RuntimeStartTest, TheLargestAndSmallestOptionsWork) {
  EXPECT_NE(
      StartRuntime(
          {.buffer_pool_bytes = 1, .queue_depth = 1, .max_open_files = 1, .inbox_capacity = 1}),
      nullptr);
  EXPECT_NE(StartRuntime({.buffer_pool_bytes = kSmallPoolBytes, .queue_depth = 16384}), nullptr);
}

TEST(RuntimeStartTest, TellsWhatItWasGranted) {
  const auto runtime = StartRuntime({.shard_count = 2, .buffer_pool_bytes = kSmallPoolBytes});
  const RuntimeInfo& info = runtime->Info();
  EXPECT_THAT(info.placement, HasSubstr("unbound"));
  ASSERT_EQ(info.shards.size(), 2u);
  EXPECT_EQ(runtime->shard_count(), 2u);
  for (const ShardInfo& shard : info.shards) {
    EXPECT_EQ(shard.cpu, -1);
    EXPECT_THAT(shard.memory, HasSubstr("2 MiB"));
    EXPECT_EQ(shard.backend.name, "io_uring");
    EXPECT_FALSE(shard.backend.features.empty());
  }
}

TEST(RuntimeStartTest, TellsTheBoundsAndClassesOfItsShards) {
  const auto runtime =
      StartRuntime({.shard_count = 2,
                    .threads = ShardThreads::kOwn,
                    .memory_per_shard_bytes = size_t{32} << 20,
                    .buffer_pool_bytes = 1,
                    .queue_depth = 32,
                    .max_open_files = 7,
                    .inbox_capacity = 9,
                    .mesh_ring_capacity = 70,
                    .mesh_call_bytes = 1 << 20,
                    .classes = {{.name = "wal", .shares = 300},
                                {.name = "scrub", .shares = 10, .latency_goal_ns = 1'000'000}}});
  const RuntimeInfo& info = runtime->Info();
  EXPECT_EQ(info.threads, ShardThreads::kOwn);
  for (const ShardInfo& shard : info.shards) {
    EXPECT_EQ(shard.memory_limit_bytes, size_t{32} << 20);
    EXPECT_EQ(shard.buffer_pool_bytes, kSmallPoolBytes) << "rounded up";
    EXPECT_GT(shard.mesh_ring_bytes, 70 * sizeof(void*));
    EXPECT_GT(shard.table_bytes, 0u);
    EXPECT_EQ(shard.queue_depth, 32u);
    EXPECT_EQ(shard.max_open_files, 7u);
    EXPECT_EQ(shard.inbox_capacity, 9u);
    EXPECT_EQ(shard.mesh_ring_capacity, 70u);
    EXPECT_EQ(shard.mesh_call_bytes, size_t{1} << 20);
    ASSERT_EQ(shard.classes.size(), 3u);
    EXPECT_EQ(shard.classes[0].name, "default");
    EXPECT_EQ(shard.classes[1].name, "wal");
    EXPECT_EQ(shard.classes[2].shares, 10u);
  }
  EXPECT_THAT(info.Describe(),
              AllOf(HasSubstr("2 shards on threads of their own"), HasSubstr("shards 0 to 1: "),
                    HasSubstr("wal (300 shares)"), HasSubstr("latency goal 1000 us"),
                    HasSubstr("32 operations, 7 files, 9 foreign calls")));
}

DeviceProfile SomeDevice() {
  DeviceProfile device;
  device.device = "disk7";
  device.useful_read_depth = 32;
  device.useful_write_depth = 16;
  device.useful_sequential_bytes = 2 << 20;
  device.read_iops = device.write_iops = 50'000;
  device.read_bytes_per_s = device.write_bytes_per_s = 1e9;
  return device;
}

TEST(RuntimeStartTest, ADeviceDecidesTheBoundsThatNobodyElseDoes) {
  const auto runtime = StartRuntime({.buffer_pool_bytes = kSmallPoolBytes, .device = SomeDevice()});
  const ShardInfo& shard = runtime->Info().shards[0];
  EXPECT_EQ(shard.queue_depth, 64u);
  EXPECT_EQ(shard.max_bytes_in_flight, size_t{8} << 20);
  EXPECT_EQ(shard.max_background_bytes, size_t{2} << 20);
  EXPECT_THAT(runtime->Info().Describe(),
              AllOf(HasSubstr("device: disk7: 50000 reads/s (32 in flight)"),
                    HasSubstr("8388608 bytes of I/O in flight, 2097152 of them")));

  const auto decided = StartRuntime({.buffer_pool_bytes = kSmallPoolBytes,
                                     .queue_depth = 5,
                                     .max_bytes_in_flight = 6 << 20,
                                     .max_background_bytes = 7 << 20,
                                     .device = SomeDevice()});
  const ShardInfo& asked = decided->Info().shards[0];
  EXPECT_EQ(asked.queue_depth, 5u);
  EXPECT_EQ(asked.max_bytes_in_flight, size_t{6} << 20);
  EXPECT_EQ(asked.max_background_bytes, size_t{7} << 20);
}

TEST(RuntimeStartTest, AClassThatCannotBeMadeIsNamed) {
  const auto runtime = Runtime::Start({.classes = {{.name = "lost", .shares = 0}}});
  ASSERT_TRUE(absl::IsInvalidArgument(runtime.status())) << runtime.status();
  EXPECT_THAT(runtime.status().message(), AllOf(HasSubstr("'lost'"), HasSubstr("shares")));
}

// What was asked for, and what the audit found. A container may keep the latter from it.
TEST(RuntimeStartTest, TellsOnWhichNodeTheMemoryOfItsShardsIs) {
  const Topology topology = Topology::Read().value();
  for (const PlacementPolicy policy :
       {PlacementPolicy::kUnbound, PlacementPolicy::kPack, PlacementPolicy::kSpread}) {
    const auto runtime =
        StartRuntime({.placement = {policy, {}}, .buffer_pool_bytes = kSmallPoolBytes});
    const ShardInfo& shard = runtime->Info().shards[0];
    const int node =
        shard.cpu < 0 ? -1 : topology.NearestMemoryNode(topology.FindCpu(shard.cpu)->node_id);
    const std::string asked = node < 0 ? "any" : absl::StrCat("node ", node);
    EXPECT_THAT(shard.memory, HasSubstr(absl::StrCat("(asked for: ", asked, ")")));
    EXPECT_THAT(shard.memory, testing::AnyOf(HasSubstr(" of 64 sampled pages on node "),
                                             HasSubstr("node not known: move_pages")));
  }
}

TEST(RuntimeInfoTest, NamesEachDegradationOnce) {
  const Degradation buffers{"registered buffers", "no memory", "slower"};
  const Degradation files{"registered files", "no memory", "slower"};
  const Degradation other_reason{"registered files", "not known", "slower"};
  RuntimeInfo info;
  info.shards.resize(3);
  info.shards[0].degraded = {buffers};
  info.shards[1].degraded = {files, buffers};
  info.shards[2].degraded = {buffers, other_reason};
  std::vector<std::string> told;
  for (const Degradation& one : info.Degraded()) told.push_back(one.feature + ": " + one.reason);
  EXPECT_THAT(told, ElementsAre("registered buffers: no memory", "registered files: no memory",
                                "registered files: not known"));
  EXPECT_TRUE(RuntimeInfo().Degraded().empty());
}

Task<absl::StatusOr<std::vector<int>>> CpusOfShard(Shard& /*shard*/) { co_return AllowedCpus(); }

TEST(RuntimeStartTest, PinsShardsToTheirCpus) {
  const std::vector<int> allowed = AllowedCpus().value();
  const auto packed = StartRuntime(
      {.placement = {PlacementPolicy::kPack, {}}, .buffer_pool_bytes = kSmallPoolBytes});
  const int cpu = packed->Info().shards[0].cpu;
  EXPECT_THAT(allowed, testing::Contains(cpu));
  EXPECT_THAT(packed->Submit(0, CpusOfShard).Wait().value(), ElementsAre(cpu));

  const auto custom = StartRuntime({.placement = {PlacementPolicy::kCustom, {allowed.back()}},
                                    .buffer_pool_bytes = kSmallPoolBytes});
  EXPECT_EQ(custom->Info().shards[0].cpu, allowed.back());
  EXPECT_THAT(custom->Submit(0, CpusOfShard).Wait().value(), ElementsAre(allowed.back()));

  const auto unbound = StartRuntime({.buffer_pool_bytes = kSmallPoolBytes});
  EXPECT_EQ(unbound->Submit(0, CpusOfShard).Wait().value(), allowed);
  EXPECT_EQ(AllowedCpus().value(), allowed) << "the caller's own thread is left alone";
}

TEST(RuntimeStartTest, MoreMemoryThanThereIsIsRefusedWithoutATrace) {
  const int fds = CountOpenFds();
  const int threads = CountThreads();
  const absl::Status status =
      Runtime::Start({.shard_count = 2, .buffer_pool_bytes = size_t{1} << 46}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("buffer_pool_bytes is 70368744177664"));
  EXPECT_EQ(CountOpenFds(), fds);
  EXPECT_TRUE(ThreadsFallTo(threads));
}

// What a child process, with limits of its own, is told.
[[noreturn]] void ExitWithStartOf(const RuntimeOptions& options, absl::StatusCode code,
                                  const std::string& text) {
  const absl::Status status = Runtime::Start(options).status();
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  const bool right =
      status.code() == code && std::string(status.message()).find(text) != std::string::npos;
  _exit(right ? 0 : 1);
}

[[noreturn]] void StartWithoutThreads() {
  const rlimit limit{1, 1};
  if (setrlimit(RLIMIT_NPROC, &limit) != 0) _exit(10);
  // Root has no limit; each child is a user of its own, who runs no other process.
  const uid_t user = 61234 + static_cast<uid_t>(getpid());
  if (geteuid() == 0 && setresuid(user, user, user) != 0) _exit(10);
  ExitWithStartOf({.shard_count = 4, .buffer_pool_bytes = kSmallPoolBytes},
                  absl::StatusCode::kResourceExhausted, "ulimit -u");
}

TEST(RuntimeStartDeathTest, NoMoreThreads) {
  EXPECT_EXIT(StartWithoutThreads(), testing::ExitedWithCode(0), "");
}

[[noreturn]] void StartWithoutDescriptors() {
  // UBSan's check of an object's type makes a pipe the first time that it meets the type, and takes
  // having no descriptor for a wrong type. So let it meet all of them before.
  if (!Runtime::Start({.shard_count = 4, .buffer_pool_bytes = kSmallPoolBytes}).ok()) _exit(10);
  const auto used = static_cast<rlim_t>(CountOpenFds());
  const rlimit limit{used + 3, used + 3};  // some shards of four get theirs
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(10);
  ExitWithStartOf({.shard_count = 4, .buffer_pool_bytes = kSmallPoolBytes},
                  absl::StatusCode::kResourceExhausted, "ulimit -n");
}

TEST(RuntimeStartDeathTest, NoMoreDescriptors) {
  EXPECT_EXIT(StartWithoutDescriptors(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace ioengine
