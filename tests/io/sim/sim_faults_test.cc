// SimFaults that are addressed by the place that asked for the operation.

#include "ioengine/io/sim/sim_faults.h"

#include <cerrno>
#include <cstdint>
#include <source_location>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/io/io_request.h"
#include "ioengine/io/io_site.h"
#include "ioengine/sched/random.h"

namespace ioengine {
namespace {

class SiteFaultsTest : public testing::Test {
 protected:
  SimFaultDraw Draw(IoOpcode opcode, IoSite site) {
    IoRequest request;
    request.opcode = opcode;
    request.site = site;
    return faults_.Draw(request, "/x", random_);
  }

  SimFaults faults_;
  Random random_{1};
};

TEST_F(SiteFaultsTest, MeetTheirSiteAtItsNthUse) {
  const IoSite here = std::source_location::current();
  const IoSite there = std::source_location::current();
  faults_.Add({.fault = SimFault::kError, .site = here, .skip = 1, .times = 2, .argument = ENOSPC});
  std::vector<bool> met;
  for (int i = 0; i < 4; ++i) {
    met.push_back(Draw(IoOpcode::kWrite, here).fault == SimFault::kError);
    EXPECT_EQ(Draw(IoOpcode::kWrite, there).fault, SimFault::kNone);
    EXPECT_EQ(Draw(IoOpcode::kWrite, IoSite()).fault, SimFault::kNone);
  }
  EXPECT_EQ(met, std::vector<bool>({false, true, true, false}));
}

TEST_F(SiteFaultsTest, TellOpcodesOfOneSiteApart) {
  const IoSite here = std::source_location::current();
  faults_.Add({.fault = SimFault::kRefused,
               .opcode = IoOpcode::kStat,
               .site = here,
               .times = UINT64_MAX,
               .argument = EAGAIN});
  EXPECT_EQ(Draw(IoOpcode::kOpen, here).fault, SimFault::kNone);
  const SimFaultDraw draw = Draw(IoOpcode::kStat, here);
  EXPECT_EQ(draw.fault, SimFault::kRefused);
  EXPECT_EQ(draw.argument, EAGAIN);
  EXPECT_EQ(faults_.count(SimFault::kRefused), 1u);
}

TEST_F(SiteFaultsTest, CountWhoStartsWhat) {
  const IoSite here = std::source_location::current();
  const IoSite there = std::source_location::current();
  Draw(IoOpcode::kRead, there);
  EXPECT_TRUE(faults_.site_uses().empty());
  faults_.RecordSites();
  Draw(IoOpcode::kRead, here);
  Draw(IoOpcode::kWrite, there);
  Draw(IoOpcode::kRead, here);
  Draw(IoOpcode::kWrite, here);
  ASSERT_EQ(faults_.site_uses().size(), 3u);
  const SimSiteUses& first = faults_.site_uses()[0];
  EXPECT_TRUE(first.site == here);
  EXPECT_EQ(first.opcode, IoOpcode::kRead);
  EXPECT_EQ(first.path, "/x");
  EXPECT_EQ(first.uses, 2u);
  EXPECT_TRUE(faults_.site_uses()[1].site == there);
  EXPECT_EQ(faults_.site_uses()[2].uses, 1u);
}

}  // namespace
}  // namespace ioengine
