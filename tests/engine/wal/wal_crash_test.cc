// Power cuts and kills at any turn: nothing that was promised is lost, nothing comes back that was
// not appended, and no undamaged log is called damaged.

#include <cstdint>
#include <string>

#include "gtest/gtest.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/tests/engine/wal/wal_program.h"

namespace ioengine {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr uint64_t kCuts = 300;
#else
constexpr uint64_t kCuts = 3'000;
#endif

struct CrashCase {
  const char* name;
  WalSync sync = WalSync::kDsync;
  bool fua = true;
  uint64_t kill_one_in = 0;
};

class WalCrashTest : public testing::TestWithParam<CrashCase> {};

TEST_P(WalCrashTest, KeepsWhatItPromised) {
  WalWorld world;
  world.options.sync = GetParam().sync;
  world.kill_one_in = GetParam().kill_one_in;
  std::string message;
  EXPECT_EQ(CutsUntilBroken(world, {.disk = {.fua = GetParam().fua}}, kCuts, &message), kCuts)
      << message;
}

INSTANTIATE_TEST_SUITE_P(All, WalCrashTest,
                         testing::Values(CrashCase{"DsyncFua"},
                                         CrashCase{"DsyncNoFua", WalSync::kDsync, false},
                                         CrashCase{"FlushFua", WalSync::kFlush},
                                         CrashCase{"FlushNoFua", WalSync::kFlush, false},
                                         CrashCase{"Killed", WalSync::kDsync, true, 40},
                                         CrashCase{"KilledFlush", WalSync::kFlush, true, 40}),
                         [](const testing::TestParamInfo<CrashCase>& tested) {
                           return std::string(tested.param.name);
                         });

}  // namespace
}  // namespace ioengine
