// The judge of histories, judged by some of which it is known.

#include "ioengine/tests/engine/history.h"

#include "gtest/gtest.h"

namespace ioengine {
namespace {

HistoryOperation Write(uint64_t begin, uint64_t end, int value, size_t key = 0) {
  return {.begin = begin, .end = end, .writes = {{key, value}}};
}

HistoryOperation Read(uint64_t begin, uint64_t end, int value, size_t key = 0) {
  return {.begin = begin, .end = end, .reads = {{key, value}}};
}

History Of(std::vector<HistoryOperation> operations, size_t keys = 1) {
  History history(keys);
  for (HistoryOperation& operation : operations) history.Add(std::move(operation));
  return history;
}

TEST(HistoryTest, OneAfterTheOther) {
  EXPECT_TRUE(Of({}).IsLinearizable());
  EXPECT_TRUE(Of({Write(1, 2, 1), Read(3, 4, 1), Write(5, 6, 2), Read(7, 8, 2)}).IsLinearizable());
  EXPECT_FALSE(Of({Write(1, 2, 1), Read(3, 4, 0)}).IsLinearizable()) << "it was acknowledged";
  EXPECT_FALSE(Of({Read(1, 2, 1), Write(3, 4, 1)}).IsLinearizable()) << "it had not begun";
}

TEST(HistoryTest, AtOneTime) {
  EXPECT_TRUE(Of({Write(1, 4, 1), Read(2, 3, 1)}).IsLinearizable());
  EXPECT_TRUE(Of({Write(1, 4, 1), Read(2, 3, 0)}).IsLinearizable());
  EXPECT_FALSE(Of({Write(1, 6, 1), Read(2, 3, 1), Read(4, 5, 0)}).IsLinearizable())
      << "a read shows what an earlier one did";
  EXPECT_TRUE(Of({Write(1, 8, 1), Write(2, 7, 2), Read(3, 4, 1), Read(5, 6, 2)}).IsLinearizable());
  EXPECT_FALSE(Of({Write(1, 10, 1), Write(2, 9, 2), Read(3, 4, 1), Read(5, 6, 2), Read(7, 8, 1)})
                   .IsLinearizable());
}

TEST(HistoryTest, UpdatesOfOneKeyLoseNone) {
  const HistoryOperation first = {.begin = 1, .end = 4, .reads = {{0, 0}}, .writes = {{0, 1}}};
  HistoryOperation second = {.begin = 2, .end = 3, .reads = {{0, 0}}, .writes = {{0, 2}}};
  EXPECT_FALSE(Of({first, second}).IsLinearizable());
  second.reads[0] = 1;
  EXPECT_TRUE(Of({first, second}).IsLinearizable());
}

// w1 is acknowledged, then w2 begins; a snapshot of later has w2 and not w1.
TEST(HistoryTest, ASnapshotHasWhatCameBeforeWhatItHas) {
  const HistoryOperation snapshot = {.begin = 5, .end = 5, .reads = {{0, 0}, {1, 2}}};
  const History history = Of({Write(1, 2, 1, 0), Write(3, 6, 2, 1), snapshot}, 2);
  EXPECT_FALSE(history.IsLinearizable());
  EXPECT_FALSE(history.OfSnapshotsAndWrites().IsLinearizable());
  EXPECT_FALSE(history.OfKey(0).IsLinearizable());
  EXPECT_TRUE(history.OfKey(1).IsLinearizable());
}

TEST(HistoryTest, ABatchIsThereWhollyOrNotAtAll) {
  const HistoryOperation batch = {.begin = 1, .end = 6, .writes = {{0, 1}, {1, 1}}};
  const HistoryOperation torn = {.begin = 3, .end = 3, .reads = {{0, 1}, {1, 0}}};
  EXPECT_FALSE(Of({batch, torn}, 2).OfSnapshotsAndWrites().IsLinearizable());
  // Reads of single keys may see it in parts.
  const History parts = Of({batch, Read(2, 3, 1, 0), Read(4, 5, 0, 1)}, 2);
  EXPECT_TRUE(parts.OfSnapshotsAndWrites().IsLinearizable());
  EXPECT_TRUE(parts.OfKey(0).IsLinearizable());
  EXPECT_TRUE(parts.OfKey(1).IsLinearizable());
}

}  // namespace
}  // namespace ioengine
