// The log's records: golden bytes, and bytes that may be anything.

#include "ioengine/engine/format/batch_record.h"

#include <cstddef>
#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/tests/engine/format/hex.h"

namespace ioengine {
namespace {

TEST(BatchRecordTest, GoldenBytes) {
  const auto head = EncodeBatchHead({.epoch = 1, .counter = 0x0203}, 2);
  std::string record(AsText(head));
  AppendOperation(record, {.kind = OperationKind::kPut, .key = "key", .value = "value"});
  AppendOperation(record, {.kind = OperationKind::kDelete, .key = "k2"});
  EXPECT_EQ(Hex(record),
            "0100000000000000"
            "0302000000000000"
            "02000000"
            "01"
            "03"
            "6b6579"
            "05"
            "76616c7565"
            "02"
            "02"
            "6b32");
  BatchRecord read = DecodeBatchRecord(AsBytes(record));
  EXPECT_EQ(read.kind, RecordKind::kChanges);
  EXPECT_EQ(read.sequence, (Sequence{.epoch = 1, .counter = 0x0203}));
  OperationReader& reader = read.operations;
  Operation operation;
  ASSERT_TRUE(reader.Next(&operation));
  EXPECT_EQ(operation.key, "key");
  EXPECT_EQ(operation.value, "value");
  ASSERT_TRUE(reader.Next(&operation));
  EXPECT_EQ(operation.kind, OperationKind::kDelete);
  EXPECT_FALSE(reader.Next(&operation));
  EXPECT_TRUE(reader.good());
  for (size_t size = 0; size < record.size(); ++size) {
    BatchRecord cut = DecodeBatchRecord(AsBytes(std::string_view(record).substr(0, size)));
    while (cut.operations.Next(&operation)) {
    }
    EXPECT_FALSE(cut.operations.good()) << size;
  }
}

std::string SomePut() {
  std::string operations;
  AppendOperation(operations, {.kind = OperationKind::kPut, .key = "key", .value = "v"});
  return operations;
}

std::string SomeDelete() {
  std::string operations;
  AppendOperation(operations, {.kind = OperationKind::kDelete, .key = "k"});
  return operations;
}

std::string SomeCommit() {
  const std::string own = SomePut();
  const std::string other = SomeDelete();
  return EncodeBatchCommit({.place = {.epoch = 1, .counter = 9},
                            .sequence = {.epoch = 1, .counter = 7},
                            .settled = {.epoch = 1, .counter = 5},
                            .parts = {{.tablet = 0, .count = 1, .operations = own},
                                      {.tablet = 3, .count = 1, .operations = other}}});
}

std::string SomeCopy() {
  const BatchId batch = {.coordinator = 3, .place = {.epoch = 1, .counter = 9}};
  return std::string(AsText(EncodeCopyHead({.epoch = 1, .counter = 7}, 1, batch))) + SomePut();
}

TEST(BatchRecordTest, GoldenBytesOfACommit) {
  EXPECT_EQ(Hex(SomeCommit()),
            "01000000000000000900000000000000"
            "02000010"
            "01000000000000000700000000000000"
            "01000000000000000500000000000000"
            "000107"
            "01036b65790176"
            "030103"
            "02016b");
  const std::string commit = SomeCommit();
  BatchRecord read = DecodeBatchRecord(AsBytes(commit));
  EXPECT_EQ(read.kind, RecordKind::kCommit);
  EXPECT_EQ(read.sequence, (Sequence{.epoch = 1, .counter = 7}));
  EXPECT_EQ(read.batch.place, (Sequence{.epoch = 1, .counter = 9}));
  EXPECT_EQ(read.settled, (Sequence{.epoch = 1, .counter = 5}));
  EXPECT_EQ(read.last(), read.batch.place);
  ASSERT_EQ(read.others.size(), 1u);
  EXPECT_EQ(read.others[0].tablet, 3u);
  EXPECT_EQ(read.others[0].operations, SomeDelete());
  Operation operation;
  ASSERT_TRUE(read.operations.Next(&operation));
  EXPECT_EQ(operation.key, "key");
  EXPECT_FALSE(read.operations.Next(&operation));
  EXPECT_TRUE(read.operations.good());
}

TEST(BatchRecordTest, GoldenBytesOfACopy) {
  EXPECT_EQ(Hex(SomeCopy()),
            "01000000000000000700000000000000"
            "01000020"
            "0300000000000000"
            "01000000000000000900000000000000"
            "01036b65790176");
  const std::string copy = SomeCopy();
  BatchRecord read = DecodeBatchRecord(AsBytes(copy));
  EXPECT_EQ(read.kind, RecordKind::kCopy);
  EXPECT_EQ(read.sequence, (Sequence{.epoch = 1, .counter = 7}));
  EXPECT_EQ(read.batch.coordinator, 3u);
  EXPECT_EQ(read.batch.place, (Sequence{.epoch = 1, .counter = 9}));
  EXPECT_TRUE(read.others.empty());
  Operation operation;
  ASSERT_TRUE(read.operations.Next(&operation));
  EXPECT_FALSE(read.operations.Next(&operation));
  EXPECT_TRUE(read.operations.good());
}

// Also a commit that has a part which makes no sense, or its own one twice.
TEST(BatchRecordTest, CutOrRepeatedPartsAreNoBatch) {
  Operation operation;
  for (const std::string& whole : {SomeCommit(), SomeCopy()}) {
    for (size_t size = 0; size < whole.size(); ++size) {
      BatchRecord cut = DecodeBatchRecord(AsBytes(std::string_view(whole).substr(0, size)));
      while (cut.operations.Next(&operation)) {
      }
      EXPECT_FALSE(cut.operations.good()) << size;
    }
  }
  const std::string own = SomePut();
  const BatchPart part = {.tablet = 0, .count = 1, .operations = own};
  const std::string twice = EncodeBatchCommit({.place = {}, .sequence = {}, .parts = {part, part}});
  EXPECT_FALSE(DecodeBatchRecord(AsBytes(twice)).operations.good());
  const std::string none = EncodeBatchCommit({.place = {}, .sequence = {}});
  EXPECT_FALSE(DecodeBatchRecord(AsBytes(none)).operations.good());
}

void ReadEveryChangedByte(const std::string& record) {
  for (size_t at = 0; at < record.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = record;
      changed[at] = static_cast<char>(value);
      BatchRecord read = DecodeBatchRecord(AsBytes(changed));
      Operation operation;
      size_t bytes = 0;
      while (read.operations.Next(&operation)) {
        bytes += operation.key.size() + operation.value.size();
        ASSERT_TRUE(operation.kind == OperationKind::kPut ||
                    operation.kind == OperationKind::kDelete);
      }
      for (const BatchPart& part : read.others) bytes += part.operations.size();
      ASSERT_LE(bytes, record.size());
    }
  }
}

TEST(BatchRecordTest, AnyBytesAreReadWithoutHarm) {
  std::string record(AsText(EncodeBatchHead({.epoch = 1, .counter = 2}, 3)));
  for (int i = 0; i < 3; ++i) record += SomePut();
  ReadEveryChangedByte(record);
  ReadEveryChangedByte(SomeCommit());
  ReadEveryChangedByte(SomeCopy());
}

}  // namespace
}  // namespace ioengine
