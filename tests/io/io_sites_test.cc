// IoSite: errors, slow operations and closes tell who asked for them, and every place that asks is
// known without running it.

#include "ioengine/tests/io/io_sites.h"

#include <cerrno>
#include <cstdint>
#include <optional>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/io_error.h"
#include "ioengine/io/io_site.h"
#include "ioengine/tests/io/scripted_io_fixture.h"

namespace ioengine {
namespace {

using testing::Contains;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

constexpr char kThisFile[] = "tests/io/io_sites_test.cc";

std::string Place(int line) { return std::string(kThisFile) + ":" + std::to_string(line); }

// Never called.
Task<absl::Status> NeverRuns(DmaFile* file) { co_return co_await file->Truncate(1); }
constexpr uint32_t kNeverRunsLine = __LINE__ - 1;

// Hands on the place of its caller.
Task<absl::Status> HandsOn(DmaFile* file, IoSite site = std::source_location::current()) {
  co_return co_await file->Fdatasync(site);
}

class IoSiteTest : public ScriptedIoFixture {
 protected:
  static Task<> SyncBoth(DmaFile* file, std::vector<absl::Status>* statuses) {
    statuses->push_back(co_await file->Fdatasync());
    statuses->push_back(co_await HandsOn(file));
  }
  static constexpr int kSyncLine = __LINE__ - 3;
};

TEST(IoSiteListTest, KnowsACallThatNeverRuns) {
  Task<absl::Status> (*volatile kept)(DmaFile*) = NeverRuns;
  ASSERT_NE(kept, nullptr);
  std::vector<std::string> places;
  for (const CallSite& site : IoSitesIn(kThisFile)) places.push_back(site.ToString());
  EXPECT_THAT(places, Contains(Place(kNeverRunsLine)));
  EXPECT_THAT(places, Not(Contains(Place(1))));
}

// Whoever hands an operation on inside of the library gives its caller's place.
TEST(IoSiteListTest, TheLibraryHasNoPlacesOfItsOwnInIo) {
  std::vector<std::string> places;
  for (const CallSite& site : IoSitesIn("io/")) places.push_back(site.ToString());
  EXPECT_THAT(places, testing::IsEmpty());
}

TEST(IoSiteListTest, PlacesAreToldApart) {
  const IoSite first = std::source_location::current();
  const IoSite second = std::source_location::current();
  EXPECT_TRUE(first == first);
  EXPECT_FALSE(first == second);
  EXPECT_TRUE(first.known());
  EXPECT_FALSE(IoSite().known());
  EXPECT_EQ(IoSite().ToString(), "");
}

TEST(IoSiteListTest, IsNoPartOfTheMessage) {
  const IoSite site = std::source_location::current();
  const absl::Status status = IoError(EIO, "read /x", site);
  EXPECT_EQ(IoSiteOf(status), site.ToString());
  EXPECT_EQ(status.message(), IoError(EIO, "read /x").message());
  EXPECT_THAT(status.ToString(), HasSubstr(site.ToString()));
  EXPECT_EQ(IoSiteOf(IoError(EIO, "read /x")), "");
  EXPECT_EQ(IoSiteOf(absl::OkStatus()), "");
  EXPECT_TRUE(WithIoSite(absl::OkStatus(), site).ok());
}

TEST_F(IoSiteTest, GoesWithTheOperationAndItsError) {
  OpenFile();
  std::vector<absl::Status> statuses;
  Run({[&] { executor_->Spawn(SyncBoth(&file_, &statuses)); }, [&] { backend_.Finish(0, -EIO); },
       [&] { backend_.Finish(0, -EIO); }});
  ASSERT_EQ(statuses.size(), 2u);
  EXPECT_EQ(backend_.requests[0].site.ToString(), Place(kSyncLine));
  EXPECT_EQ(IoSiteOf(statuses[0]), Place(kSyncLine));
  EXPECT_EQ(IoSiteOf(statuses[1]), Place(kSyncLine + 1)) << "that of the caller";
}

TEST_F(IoSiteTest, ACloseThatNobodyAskedForHasThatOfTheOpen) {
  OpenFile();
  file_ = DmaFile();
  ASSERT_EQ(backend_.requests.size(), 1u);
  EXPECT_EQ(backend_.requests[0].opcode, IoOpcode::kClose);
  EXPECT_THAT(backend_.requests[0].site.file(), EndsWith("scripted_io_fixture.h"));
  OpenFile();
  std::optional<absl::Status> closed;
  Run({[&] { executor_->Spawn(Close(&file_, &closed)); }});
  EXPECT_NE(backend_.requests[0].site.line(), 0u);
}

TEST_F(IoSiteTest, SlowOperationsTellWhoAsked) {
  SlowIo slow;
  slow.opcode = IoOpcode::kFdatasync;
  slow.path = "/x";
  EXPECT_THAT(slow.Describe(), HasSubstr("fdatasync /x took"));
  slow.site = std::source_location::current();
  EXPECT_THAT(slow.Describe(), HasSubstr("fdatasync /x at " + slow.site.ToString() + " took"));
  std::string reported;
  MakeIo({.queue_depth = 1,
          .max_open_files = 3,
          .slow_io = {.threshold_ns = 1,
                      .report = [&](const SlowIo& io) { reported = io.site.ToString(); }}});
  OpenFile();
  std::vector<absl::Status> statuses;
  Run({[&] { executor_->Spawn(SyncBoth(&file_, &statuses)); }, [&] { backend_.Finish(0, 0); }});
  EXPECT_EQ(reported, Place(kSyncLine));
  // The close is slow too, and `reported` is told of it.
  file_ = DmaFile();
  MakeIo({});
}

}  // namespace
}  // namespace ioengine
