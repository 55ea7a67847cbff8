// The oracle complains about what no store may answer, and about nothing else.

#include "ioengine/tools/sim/oracle.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace ioengine::sim {
namespace {

using testing::Test;

class OracleTest : public Test {
 protected:
  Oracle::WriteId Put(std::string key, Promise promise = Promise::kPowerCut) {
    return oracle_.Begin({{std::move(key), false}}, promise);
  }
  Oracle::WriteId Delete(std::string key, Promise promise = Promise::kPowerCut) {
    return oracle_.Begin({{std::move(key), true}}, promise);
  }
  void Ack(Oracle::WriteId id, uint64_t order, Promise reached = Promise::kPowerCut) {
    oracle_.Acknowledge(id, {1, order}, reached);
  }
  std::string Value(Oracle::WriteId id, std::string_view key) {
    return Oracle::ValueOf(id, key, 0);
  }
  void Read(std::string_view key, std::optional<std::string> value) {
    const Oracle::ReadFloor floor = oracle_.BeginRead(key);
    oracle_.EndRead(floor,
                    value.has_value() ? std::optional<std::string_view>(*value) : std::nullopt);
  }
  bool Complains(std::string_view text) {
    return oracle_.complaint().find(text) != std::string::npos;
  }

  Oracle oracle_;
};

TEST_F(OracleTest, LikesWhatIsRight) {
  Read("a", std::nullopt);
  const auto first = Put("a");
  Read("a", std::nullopt);
  Read("a", Value(first, "a"));
  Ack(first, 1);
  Read("a", Value(first, "a"));
  const auto second = Delete("a");
  Read("a", Value(first, "a"));
  Read("a", std::nullopt);
  Ack(second, 2);
  Read("a", std::nullopt);
  oracle_.Recovered(Ending::kPowerCut, {});
  EXPECT_EQ(oracle_.complaint(), "");
}

TEST_F(OracleTest, FindsAReadThatMissesAnAcknowledgedWrite) {
  Ack(Put("a"), 1);
  Read("a", std::nullopt);
  EXPECT_TRUE(Complains("is not found")) << oracle_.complaint();
}

TEST_F(OracleTest, FindsAnOldValue) {
  const auto first = Put("a");
  Ack(first, 1);
  Ack(Put("a"), 2);
  Read("a", Value(first, "a"));
  EXPECT_TRUE(Complains("newer write")) << oracle_.complaint();
}

TEST_F(OracleTest, FindsAValueThatNobodyWrote) {
  const auto first = Put("a");
  Read("a", Value(first, "a") + "x");
  EXPECT_TRUE(Complains("nobody wrote")) << oracle_.complaint();
}

TEST_F(OracleTest, FindsAValueOfAnotherKey) {
  const auto first = Put("a");
  Put("b");
  Read("b", Value(first, "a"));
  EXPECT_TRUE(Complains("nobody wrote")) << oracle_.complaint();
}

TEST_F(OracleTest, FindsAFailedWriteThatIsSeen) {
  const auto first = Put("a");
  oracle_.Fail(first);
  Read("a", Value(first, "a"));
  EXPECT_TRUE(Complains("which failed")) << oracle_.complaint();
}

TEST_F(OracleTest, FindsAWriteThatWasSeenAndFailed) {
  const auto first = Put("a");
  Read("a", Value(first, "a"));
  oracle_.Fail(first);
  EXPECT_TRUE(Complains("was read, and failed")) << oracle_.complaint();
}

TEST_F(OracleTest, FindsALowerLevel) {
  Ack(Put("a"), 1, Promise::kKill);
  EXPECT_TRUE(Complains("lower level")) << oracle_.complaint();
}

TEST_F(OracleTest, KnowsWhatEachEndingTakes) {
  for (const Ending ending : {Ending::kClean, Ending::kKill, Ending::kPowerCut}) {
    for (const Promise promise : {Promise::kNothing, Promise::kKill, Promise::kPowerCut}) {
      oracle_ = Oracle();
      Ack(Put("a", promise), 1, promise);
      oracle_.Recovered(ending, {});
      const bool must = ending == Ending::kClean || promise == Promise::kPowerCut ||
                        (promise == Promise::kKill && ending == Ending::kKill);
      EXPECT_EQ(!oracle_.complaint().empty(), must)
          << static_cast<int>(ending) << static_cast<int>(promise);
    }
  }
}

TEST_F(OracleTest, FindsTheLossOfWhatWasSeenBeforeItWasAcknowledged) {
  const auto first = Put("a");
  Read("a", Value(first, "a"));
  oracle_.Recovered(Ending::kPowerCut, {});
  EXPECT_TRUE(Complains("lost")) << oracle_.complaint();
}

TEST_F(OracleTest, TakesAWriteInFlightEitherWay) {
  for (const bool there : {false, true}) {
    oracle_ = Oracle();
    const auto first = Put("a");
    std::map<std::string, std::string> contents;
    if (there) contents["a"] = Value(first, "a");
    oracle_.Recovered(Ending::kPowerCut, contents);
    EXPECT_EQ(oracle_.complaint(), "");
  }
}

TEST_F(OracleTest, FindsAHoleInTheLog) {
  Ack(Put("a", Promise::kNothing), 1, Promise::kNothing);
  const auto second = Put("b", Promise::kNothing);
  Ack(second, 2, Promise::kNothing);
  oracle_.Recovered(Ending::kPowerCut, {{"b", Value(second, "b")}});
  EXPECT_TRUE(Complains("hole")) << oracle_.complaint();
}

TEST_F(OracleTest, FindsWhatComesBack) {
  const auto first = Put("a", Promise::kNothing);
  Ack(first, 1, Promise::kNothing);
  oracle_.Recovered(Ending::kPowerCut, {});
  EXPECT_EQ(oracle_.complaint(), "");
  oracle_.Recovered(Ending::kPowerCut, {{"a", Value(first, "a")}});
  EXPECT_TRUE(Complains("came back")) << oracle_.complaint();
}

TEST_F(OracleTest, FindsADeletedKeyThatComesBack) {
  const auto first = Put("a");
  Ack(first, 1);
  Ack(Delete("a"), 2);
  oracle_.Recovered(Ending::kPowerCut, {{"a", Value(first, "a")}});
  EXPECT_TRUE(Complains("lost")) << oracle_.complaint();
}

TEST_F(OracleTest, FindsHalfABatch) {
  const auto old = Put("b");
  Ack(old, 1);
  oracle_.Recovered(Ending::kClean, {{"b", Value(old, "b")}});
  const auto batch = oracle_.Begin({{"a", false}, {"b", false}}, Promise::kPowerCut);
  oracle_.Recovered(Ending::kPowerCut, {{"a", Value(batch, "a")}, {"b", Value(old, "b")}});
  EXPECT_TRUE(Complains("half a batch")) << oracle_.complaint();
}

TEST_F(OracleTest, FindsASnapshotThatChanges) {
  const auto first = Put("a");
  const auto id = oracle_.AddSnapshot(oracle_.BeginSnapshot(), {1, 5});
  oracle_.ReadAt(id, "a", std::nullopt);
  oracle_.ReadAt(id, "a", Value(first, "a"));
  EXPECT_TRUE(Complains("changed within a snapshot")) << oracle_.complaint();
}

TEST_F(OracleTest, FindsASnapshotThatMissesWhatWasBeforeIt) {
  Ack(Put("a"), 1);
  const auto id = oracle_.AddSnapshot(oracle_.BeginSnapshot(), {1, 5});
  oracle_.ReadAt(id, "a", std::nullopt);
  EXPECT_TRUE(Complains("does not show")) << oracle_.complaint();
}

TEST_F(OracleTest, FindsASnapshotThatShowsWhatCameAfterIt) {
  const auto id = oracle_.AddSnapshot(oracle_.BeginSnapshot(), {1, 5});
  const auto later = Put("a");
  Ack(later, 6);
  oracle_.ReadAt(id, "a", Value(later, "a"));
  EXPECT_TRUE(Complains("behind the snapshot")) << oracle_.complaint();
}

}  // namespace
}  // namespace ioengine::sim
