// Bugs that are planted on purpose are found by the same power cuts that find nothing otherwise.

#include <cstdint>
#include <string>

#include "gtest/gtest.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/sched/canary.h"
#include "ioengine/tests/engine/wal/wal_program.h"

namespace ioengine {
namespace {

constexpr uint64_t kMostCuts = 3'000;

struct CanaryCase {
  const char* name;
  WalSync sync = WalSync::kDsync;
  uint64_t kill_one_in = 0;
};

class WalCanaryTest : public testing::TestWithParam<CanaryCase> {
 protected:
  ~WalCanaryTest() override { SetCanary(""); }
};

TEST_P(WalCanaryTest, IsFoundByPowerCuts) {
  SetCanary(GetParam().name);
  WalWorld world;
  world.options.sync = GetParam().sync;
  world.kill_one_in = GetParam().kill_one_in;
  std::string message;
  const uint64_t cuts = CutsUntilBroken(world, {}, kMostCuts, &message);
  EXPECT_LT(cuts, kMostCuts);
  EXPECT_NE(message.find("seed "), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(All, WalCanaryTest,
                         testing::Values(CanaryCase{"wal-ack-before-sync", WalSync::kFlush},
                                         CanaryCase{"wal-dsync-covers-earlier"},
                                         CanaryCase{"wal-no-directory-sync"},
                                         CanaryCase{"wal-skip-checksum"},
                                         CanaryCase{"wal-ack-out-of-order"},
                                         CanaryCase{"wal-no-recovery-sync", WalSync::kDsync, 40},
                                         CanaryCase{"wal-sync-covers-later", WalSync::kFlush},
                                         CanaryCase{"wal-sync-one-segment", WalSync::kFlush},
                                         CanaryCase{"wal-release-begun-record"},
                                         CanaryCase{"wal-claims-what-is-written"}),
                         [](const testing::TestParamInfo<CanaryCase>& tested) {
                           std::string name;
                           for (const char* c = tested.param.name; *c != 0; ++c)
                             name += *c == '-' ? '_' : *c;
                           return name;
                         });

}  // namespace
}  // namespace ioengine
