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
  auto [sequence, reader] = DecodeBatchRecord(AsBytes(record));
  EXPECT_EQ(sequence, (Sequence{.epoch = 1, .counter = 0x0203}));
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

TEST(BatchRecordTest, AnyBytesAreReadWithoutHarm) {
  std::string record(AsText(EncodeBatchHead({.epoch = 1, .counter = 2}, 3)));
  for (int i = 0; i < 3; ++i) {
    AppendOperation(record, {.kind = OperationKind::kPut, .key = "some key", .value = "v"});
  }
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
      ASSERT_LE(bytes, record.size());
    }
  }
}

}  // namespace
}  // namespace ioengine
