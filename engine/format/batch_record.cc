#include "ioengine/engine/format/batch_record.h"

#include "ioengine/engine/format/blob_format.h"

namespace ioengine {
namespace {

constexpr unsigned kKindShift = 28;
constexpr uint32_t kMostCount = (uint32_t{1} << kKindShift) - 1;
// Of a part's tablet, count and size: at most.
constexpr size_t kMostPartHeadBytes = 10 + 5 + 10;

void StoreHead(std::byte* to, Sequence sequence, RecordKind kind, uint32_t count) {
  StoreFixed(to, sequence.epoch);
  StoreFixed(to + 8, sequence.counter);
  StoreFixed(to + 16, count | static_cast<uint32_t>(kind) << kKindShift);
}

void AppendSequence(std::string& to, Sequence sequence) {
  AppendFixed64(to, sequence.epoch);
  AppendFixed64(to, sequence.counter);
}

Sequence TakeSequence(Decoder& decoder) {
  Sequence sequence;
  sequence.epoch = decoder.Fixed<uint64_t>();
  sequence.counter = decoder.Fixed<uint64_t>();
  return sequence;
}

// Of what makes no sense: a count without operations.
OperationReader Nonsense() { return OperationReader({}, 1); }

bool TakePart(Decoder& decoder, BatchPart* part) {
  part->tablet = decoder.Varint();
  const uint64_t count = decoder.Varint();
  part->operations = decoder.Text();
  part->count = static_cast<uint32_t>(count);
  return decoder.ok() && count <= kMostCount;
}

bool IsGood(const BatchPart& part) {
  OperationReader reader(AsBytes(part.operations), part.count);
  Operation operation;
  while (reader.Next(&operation)) {
  }
  return reader.good();
}

// `count` parts.
void TakeCommit(Decoder& decoder, uint32_t count, BatchRecord* record) {
  record->batch.place = record->sequence;
  record->sequence = TakeSequence(decoder);
  record->settled = TakeSequence(decoder);
  record->operations = OperationReader({}, 0);
  bool has_own = false;
  for (uint32_t i = 0; i < count; ++i) {
    BatchPart part;
    const bool good = TakePart(decoder, &part) && IsGood(part) && !(part.tablet == 0 && has_own);
    if (!good) {
      record->operations = Nonsense();
      return;
    }
    if (part.tablet == 0) {
      has_own = true;
      record->operations = OperationReader(AsBytes(part.operations), part.count);
    } else {
      record->others.push_back(part);
    }
  }
  if (!decoder.done() || count == 0) record->operations = Nonsense();
}

}  // namespace

std::array<std::byte, kBatchHeadBytes> EncodeBatchHead(Sequence sequence, uint32_t count) {
  std::array<std::byte, kBatchHeadBytes> head;
  StoreHead(head.data(), sequence, RecordKind::kChanges, count);
  return head;
}

std::array<std::byte, kCopyHeadBytes> EncodeCopyHead(Sequence sequence, uint32_t count,
                                                     const BatchId& batch) {
  std::array<std::byte, kCopyHeadBytes> head;
  StoreHead(head.data(), sequence, RecordKind::kCopy, count);
  StoreFixed(head.data() + kBatchHeadBytes, batch.coordinator);
  StoreFixed(head.data() + kBatchHeadBytes + 8, batch.place.epoch);
  StoreFixed(head.data() + kBatchHeadBytes + 16, batch.place.counter);
  return head;
}

size_t BatchCommitBytes(size_t parts) {
  return kBatchHeadBytes + 2 * sizeof(Sequence) + parts * kMostPartHeadBytes;
}

std::string EncodeBatchCommit(const BatchCommit& commit) {
  std::string record(kBatchHeadBytes, '\0');
  StoreHead(reinterpret_cast<std::byte*>(record.data()), commit.place, RecordKind::kCommit,
            static_cast<uint32_t>(commit.parts.size()));
  AppendSequence(record, commit.sequence);
  AppendSequence(record, commit.settled);
  for (const BatchPart& part : commit.parts) {
    AppendVarint(record, part.tablet);
    AppendVarint(record, part.count);
    AppendVarint(record, part.operations.size());
    record += part.operations;
  }
  return record;
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

BatchRecord DecodeBatchRecord(std::span<const std::byte> bytes) {
  Decoder decoder(bytes);
  BatchRecord record = {.operations = Nonsense()};
  record.sequence = TakeSequence(decoder);
  const auto head = decoder.Fixed<uint32_t>();
  if (!decoder.ok()) return record;
  record.kind = static_cast<RecordKind>(head >> kKindShift);
  const uint32_t count = head & kMostCount;
  switch (record.kind) {
    case RecordKind::kChanges:
      record.operations = OperationReader(decoder.rest(), count);
      break;
    case RecordKind::kCommit:
      TakeCommit(decoder, count, &record);
      break;
    case RecordKind::kCopy:
      record.batch.coordinator = decoder.Fixed<uint64_t>();
      record.batch.place = TakeSequence(decoder);
      if (decoder.ok()) record.operations = OperationReader(decoder.rest(), count);
      break;
  }
  return record;
}

}  // namespace ioengine
