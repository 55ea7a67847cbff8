#include "ioengine/engine/format/batch_record.h"

namespace ioengine {

std::array<std::byte, kBatchHeadBytes> EncodeBatchHead(Sequence sequence, uint32_t count) {
  std::array<std::byte, kBatchHeadBytes> head;
  StoreFixed(head.data(), sequence.epoch);
  StoreFixed(head.data() + 8, sequence.counter);
  StoreFixed(head.data() + 16, count);
  return head;
}

void AppendOperation(std::string& to, const Operation& operation) {
  to += static_cast<char>(operation.kind);
  AppendVarint(to, operation.key.size());
  to += operation.key;
  if (operation.kind != OperationKind::kPut) return;
  AppendVarint(to, operation.value.size());
  to += operation.value;
}

BatchRecordReader::BatchRecordReader(std::span<const std::byte> record) : decoder_(record) {
  sequence_.epoch = decoder_.Fixed<uint64_t>();
  sequence_.counter = decoder_.Fixed<uint64_t>();
  count_ = decoder_.Fixed<uint32_t>();
}

bool BatchRecordReader::Next(Operation* operation) {
  if (read_ == count_ || !decoder_.ok()) return false;
  const uint8_t kind = decoder_.Fixed<uint8_t>();
  operation->kind = static_cast<OperationKind>(kind);
  operation->key = decoder_.Text();
  operation->value = {};
  if (operation->kind == OperationKind::kPut) {
    operation->value = decoder_.Text();
  } else if (operation->kind != OperationKind::kDelete) {
    return false;
  }
  if (!decoder_.ok() || operation->key.size() > kMaxKeyBytes) return false;
  ++read_;
  return true;
}

}  // namespace ioengine
