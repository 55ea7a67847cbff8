// BackgroundWindow: what it makes of latencies.

#include "ioengine/io/background_window.h"

#include <cstddef>
#include <cstdint>

#include "gtest/gtest.h"

namespace ioengine {
namespace {

constexpr size_t kLeast = 128 << 10;
constexpr size_t kMost = 1 << 20;
constexpr uint64_t kUs = 1000;

class BackgroundWindowTest : public testing::Test {
 protected:
  // So many reads, one after the other.
  void Reads(size_t count, uint64_t latency_ns, bool alone) {
    for (size_t i = 0; i < count; ++i) {
      window_.OnForegroundStart(now_ns_);
      now_ns_ += latency_ns;
      window_.OnForegroundEnd(now_ns_, latency_ns, /*is_read=*/true, alone);
    }
  }
  size_t Limit() const { return window_.LimitBytes(now_ns_); }

  BackgroundWindow window_{kLeast, kMost};
  uint64_t now_ns_ = 1'000'000'000;
};

TEST_F(BackgroundWindowTest, AllWithoutAForegroundAndTheLeastWithOne) {
  EXPECT_EQ(Limit(), kMost);
  window_.OnForegroundStart(now_ns_);
  EXPECT_EQ(Limit(), kLeast);
  now_ns_ += 10 * BackgroundWindow::kIdleNs;
  EXPECT_EQ(Limit(), kLeast) << "it is still in flight";
  window_.OnForegroundEnd(now_ns_, 1, true, true);
  now_ns_ += BackgroundWindow::kIdleNs;
  EXPECT_EQ(Limit(), kLeast);
  now_ns_ += 1;
  EXPECT_EQ(Limit(), kMost);
}

TEST_F(BackgroundWindowTest, GrowsWhileTheForegroundIsAsFastAsAlone) {
  Reads(BackgroundWindow::kSamples, 100 * kUs, /*alone=*/true);
  EXPECT_EQ(window_.usual_latency_ns(), 100 * kUs);
  EXPECT_EQ(Limit(), kLeast);
  Reads(BackgroundWindow::kSamples, 110 * kUs, /*alone=*/false);
  EXPECT_EQ(Limit(), kLeast + BackgroundWindow::kStepBytes);
  Reads(100 * BackgroundWindow::kSamples, 110 * kUs, /*alone=*/false);
  EXPECT_EQ(Limit(), kMost);
}

TEST_F(BackgroundWindowTest, HalvesWhenTheForegroundSuffers) {
  Reads(BackgroundWindow::kSamples, 100 * kUs, /*alone=*/true);
  Reads(100 * BackgroundWindow::kSamples, 100 * kUs, /*alone=*/false);
  ASSERT_EQ(Limit(), kMost);
  Reads(BackgroundWindow::kSamples, 200 * kUs, /*alone=*/false);
  EXPECT_EQ(Limit(), kMost / 2);
  Reads(10 * BackgroundWindow::kSamples, 200 * kUs, /*alone=*/false);
  EXPECT_EQ(Limit(), kLeast);
}

// One slow read is borne, two are not.
TEST_F(BackgroundWindowTest, ItIsTheSlowestButOneThatCounts) {
  Reads(BackgroundWindow::kSamples, 100 * kUs, /*alone=*/true);
  Reads(1, 5000 * kUs, /*alone=*/false);
  Reads(BackgroundWindow::kSamples - 1, 100 * kUs, /*alone=*/false);
  EXPECT_EQ(Limit(), kLeast + BackgroundWindow::kStepBytes);
  Reads(2, 5000 * kUs, /*alone=*/false);
  Reads(BackgroundWindow::kSamples - 2, 100 * kUs, /*alone=*/false);
  EXPECT_EQ(Limit(), kLeast);
}

// Where it was too much before, it grows slowly, so that it is seldom too much again.
TEST_F(BackgroundWindowTest, IsCautiousNearWhatWasTooMuch) {
  Reads(BackgroundWindow::kSamples, 100 * kUs, /*alone=*/true);
  Reads(100 * BackgroundWindow::kSamples, 100 * kUs, /*alone=*/false);
  Reads(BackgroundWindow::kSamples, 200 * kUs, /*alone=*/false);
  ASSERT_EQ(Limit(), kMost / 2);
  Reads(4 * BackgroundWindow::kSamples, 100 * kUs, /*alone=*/false);
  EXPECT_EQ(Limit(), kMost / 4 * 3);
  Reads(BackgroundWindow::kSamples, 100 * kUs, /*alone=*/false);
  EXPECT_EQ(Limit(), kMost / 4 * 3 + BackgroundWindow::kCautiousStepBytes);
}

// Without reads that are alone the best that was seen stands for them, and a device that has become
// slower is found out while the background has the least.
TEST_F(BackgroundWindowTest, LearnsWhatIsUsualBesideABackgroundThatNeverEnds) {
  Reads(BackgroundWindow::kSamples, 100 * kUs, /*alone=*/false);
  EXPECT_EQ(window_.usual_latency_ns(), 100 * kUs);
  Reads(BackgroundWindow::kSamples, 80 * kUs, /*alone=*/false);
  EXPECT_EQ(window_.usual_latency_ns(), 80 * kUs);
  Reads(200 * BackgroundWindow::kSamples, 300 * kUs, /*alone=*/false);
  EXPECT_GT(window_.usual_latency_ns(), 230 * kUs);
  EXPECT_GT(Limit(), kLeast);
}

TEST_F(BackgroundWindowTest, OtherOperationsAreNotCompared) {
  Reads(BackgroundWindow::kSamples, 100 * kUs, /*alone=*/true);
  for (size_t i = 0; i < 10 * BackgroundWindow::kSamples; ++i) {
    window_.OnForegroundStart(now_ns_);
    window_.OnForegroundEnd(now_ns_, 9'000 * kUs, /*is_read=*/false, /*alone=*/false);
  }
  EXPECT_EQ(Limit(), kLeast);
  EXPECT_EQ(window_.usual_latency_ns(), 100 * kUs);
}

}  // namespace
}  // namespace ioengine
