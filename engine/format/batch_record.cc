#include "ioengine/engine/format/batch_record.h"

#include "ioengine/engine/format/blob_format.h"

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
  if (!HasValue(operation.kind)) return;
  AppendVarint(to, operation.value.size());
  to += operation.value;
}

size_t OperationBytes(const Operation& operation) {
  const size_t key_bytes = 1 + VarintBytes(operation.key.size()) + operation.key.size();
  if (operation.kind != OperationKind::kPut) return key_bytes;
  return key_bytes + VarintBytes(operation.value.size()) + operation.value.size();
}

bool OperationReader::Next(Operation* operation) {
  if (read_ == count_ || !decoder_.ok()) return false;
  const uint8_t kind = decoder_.Fixed<uint8_t>();
  operation->kind = static_cast<OperationKind>(kind);
  operation->key = decoder_.Text();
  operation->value = {};
  if (!IsOperationKind(operation->kind)) return false;
  if (HasValue(operation->kind)) operation->value = decoder_.Text();
  if (!decoder_.ok() || operation->key.size() > kMaxKeyBytes) return false;
  BlobPointer pointer;
  const bool has_pointer = operation->kind == OperationKind::kPutBlob;
  if (has_pointer && !DecodeBlobPointer(operation->value, &pointer)) return false;
  ++read_;
  return true;
}

BatchRecord DecodeBatchRecord(std::span<const std::byte> record) {
  Decoder decoder(record);
  Sequence sequence;
  sequence.epoch = decoder.Fixed<uint64_t>();
  sequence.counter = decoder.Fixed<uint64_t>();
  const uint32_t count = decoder.Fixed<uint32_t>();
  // Without operations a count of 1 is not good.
  return {sequence, OperationReader(decoder.rest(), decoder.ok() ? count : 1)};
}

}  // namespace ioengine
