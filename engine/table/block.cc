#include "ioengine/engine/table/block.h"

#include <cstring>

#include "absl/status/status.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/key_head.h"

namespace ioengine {
namespace {

uint32_t SuffixHead(std::string_view suffix) {
  return static_cast<uint32_t>(KeyHead(suffix) >> 32);
}

}  // namespace

uint64_t TableKeyHash(std::string_view key, uint64_t table_seed) {
  return Checksum(AsBytes(key), table_seed);
}

absl::StatusOr<Block> Block::Parse(std::span<const std::byte> bytes) {
  const BlockHeader header = LoadBlockHeader(bytes);
  Block block;
  block.bytes_ = AsText(bytes).data();
  block.used_bytes_ = header.used_bytes;
  if (!block.ParseRecords(header)) {
    return absl::DataLossError("its checksum is good, and its records make no sense");
  }
  return block;
}

bool Block::ParseRecords(const BlockHeader& header) {
  constexpr size_t kSlotAndFingerprint = sizeof(BlockSlot) + 1;
  if (header.records > (used_bytes_ - sizeof(header)) / kSlotAndFingerprint) return false;
  records_ = header.records;
  const size_t slots_end = sizeof(header) + records_ * sizeof(BlockSlot);
  const size_t prefix_begin = slots_end + records_;
  if (header.prefix_bytes > used_bytes_ - prefix_begin) return false;
  fingerprints_ = {bytes_ + slots_end, records_};
  prefix_ = {bytes_ + prefix_begin, header.prefix_bytes};
  size_t end = prefix_begin + header.prefix_bytes;
  for (size_t i = 0; i < records_; ++i) {
    const BlockSlot slot = SlotAt(i);
    if (i == 0 ? slot.offset != end : slot.offset <= end) return false;
    if (slot.offset >= used_bytes_) return false;
    end = slot.offset;
  }
  for (size_t i = 0; i < records_; ++i) {
    Record record;
    if (!Decode(RecordBytes(i), &record) || SlotAt(i).head != SuffixHead(record.suffix) ||
        prefix_.size() + record.suffix.size() > kMaxKeyBytes) {
      return false;
    }
    BlobPointer pointer;
    const bool has_pointer = record.kind == OperationKind::kPutBlob;
    if (has_pointer && !DecodeBlobPointer(record.value, &pointer)) return false;
  }
  return records_ > 0 || end == used_bytes_;
}

void Block::Prefetch() const {
  constexpr size_t kMostBytes = 1024;
  const char* const end = prefix_.data() + prefix_.size();
  for (const char* at = bytes_; at < end && at < bytes_ + kMostBytes; at += 64) {
    __builtin_prefetch(at);
  }
}

BlockSlot Block::SlotAt(size_t at) const {
  BlockSlot slot;
  std::memcpy(&slot, bytes_ + sizeof(BlockHeader) + at * sizeof(BlockSlot), sizeof(slot));
  return slot;
}

std::string_view Block::RecordBytes(size_t at) const {
  const size_t begin = SlotAt(at).offset;
  const size_t end = at + 1 < records_ ? SlotAt(at + 1).offset : used_bytes_;
  return {bytes_ + begin, end - begin};
}

bool Block::Decode(std::string_view bytes, Record* record) {
  Decoder decoder(AsBytes(bytes));
  const uint8_t mark = decoder.Fixed<uint8_t>();
  record->kind = static_cast<OperationKind>(mark & ~kNewestSequenceMark);
  record->sequence = kMaxSequence;
  if ((mark & kNewestSequenceMark) == 0) {
    record->sequence.epoch = decoder.Varint();
    record->sequence.counter = decoder.Varint();
  }
  uint64_t value_bytes = 0;
  if (!IsOperationKind(record->kind)) return false;
  if (HasValue(record->kind)) value_bytes = decoder.Varint();
  const std::string_view rest = AsText(decoder.rest());
  if (!decoder.ok() || value_bytes > rest.size()) return false;
  record->suffix = rest.substr(0, rest.size() - value_bytes);
  record->value = rest.substr(record->suffix.size());
  return true;
}

Block::Record Block::At(size_t at) const {
  Record record;
  Decode(RecordBytes(at), &record);  // Parse found it good
  return record;
}

std::string Block::KeyAt(size_t at) const {
  std::string key(prefix_);
  key += At(at).suffix;
  return key;
}

bool Block::IsBefore(size_t at, uint32_t head, std::string_view suffix, Sequence sequence) const {
  const uint32_t own_head = SlotAt(at).head;
  if (own_head != head) return own_head < head;
  const Record record = At(at);
  const int order = record.suffix.compare(suffix);
  return order != 0 ? order < 0 : record.sequence > sequence;
}

size_t Block::LowerBound(std::string_view key, Sequence sequence) const {
  const int order = key.substr(0, prefix_.size()).compare(prefix_);
  if (order != 0) return order < 0 ? 0 : records_;
  const std::string_view suffix = key.substr(prefix_.size());
  const uint32_t head = SuffixHead(suffix);
  size_t begin = 0;
  size_t end = records_;
  while (begin < end) {
    const size_t middle = begin + (end - begin) / 2;
    if (IsBefore(middle, head, suffix, sequence)) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

size_t Block::Covering(std::string_view key, Sequence sequence) const {
  const size_t at = LowerBound(key, sequence);
  if (at < records_) {
    const Record record = At(at);
    if (record.sequence == sequence && key.size() == prefix_.size() + record.suffix.size() &&
        key.ends_with(record.suffix) && key.starts_with(prefix_)) {
      return at;
    }
  }
  return at > 0 ? at - 1 : records_;
}

size_t Block::Find(std::string_view key, uint64_t key_hash, Sequence at) const {
  if (!key.starts_with(prefix_)) return records_;
  const std::string_view suffix = key.substr(prefix_.size());
  const char fingerprint = static_cast<char>(Fingerprint(key_hash));
  size_t found = 0;
  while ((found = fingerprints_.find(fingerprint, found)) != std::string_view::npos) {
    const Record record = At(found);
    if (record.suffix == suffix && record.sequence <= at) return found;
    ++found;
  }
  return records_;
}

}  // namespace ioengine
