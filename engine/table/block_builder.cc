#include "ioengine/engine/table/block_builder.h"

#include <algorithm>
#include <cstring>

#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/key_head.h"
#include "ioengine/engine/table/block.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

// One page in so many may be empty.
constexpr size_t kPagesForOneOfWaste = 20;

// What each record takes beside its own bytes.
constexpr size_t kSlotBytes = sizeof(BlockSlot) + 1;

size_t HeadBytes(const BlockRecord& record) {
  size_t bytes = 1;
  if (record.sequence != kMaxSequence) {
    bytes += VarintBytes(record.sequence.epoch) + VarintBytes(record.sequence.counter);
  }
  if (HasValue(record.kind)) bytes += VarintBytes(record.value.size());
  return bytes;
}

void AppendHead(std::string& to, const BlockRecord& record) {
  const bool newest = record.sequence == kMaxSequence;
  const auto kind = static_cast<uint8_t>(record.kind);
  to += static_cast<char>(newest ? kind | kNewestSequenceMark : kind);
  if (!newest) {
    AppendVarint(to, record.sequence.epoch);
    AppendVarint(to, record.sequence.counter);
  }
  if (HasValue(record.kind)) AppendVarint(to, record.value.size());
}

char* Append(char* to, std::string_view bytes) { return std::copy(bytes.begin(), bytes.end(), to); }

}  // namespace

std::string_view BlockBuilder::first_key() const {
  return std::string_view(heap_).substr(records_[0].head_bytes, records_[0].key_bytes);
}

// Keys are in order, so what the first and the last begin with is what all begin with.
size_t BlockBuilder::PrefixWith(std::string_view key) const {
  if (empty()) return key.size();
  return SharedPrefixBytes(first_key().substr(0, prefix_bytes_), key);
}

size_t BlockBuilder::UsedBytesWith(const BlockRecord& record) const {
  const size_t prefix_bytes = PrefixWith(record.key);
  // A shorter prefix is longer suffixes.
  const size_t before =
      used_bytes_ + (empty() ? 0 : prefix_bytes_ - prefix_bytes) * (records() - 1);
  return before + kSlotBytes + HeadBytes(record) + record.key.size() + record.value.size() -
         (empty() ? 0 : prefix_bytes);
}

bool BlockBuilder::IsFullBefore(const BlockRecord& record) const {
  if (empty()) return false;
  const size_t pages = PagesFor(used_bytes_);
  if (PagesFor(UsedBytesWith(record)) <= std::max(pages, least_pages_)) return false;
  const size_t wasted_bytes = pages * kBlockPageBytes - used_bytes_;
  if ((prefix_bytes_ - PrefixWith(record.key)) * records() > wasted_bytes) return true;
  return wasted_bytes * kPagesForOneOfWaste <= pages * kBlockPageBytes;
}

void BlockBuilder::Add(const BlockRecord& record, uint8_t fingerprint) {
  used_bytes_ = UsedBytesWith(record);
  prefix_bytes_ = PrefixWith(record.key);
  if (empty()) first_sequence_ = record.sequence;
  const size_t begin = heap_.size();
  AppendHead(heap_, record);
  records_.push_back({static_cast<uint32_t>(heap_.size() - begin),
                      static_cast<uint32_t>(record.key.size()),
                      static_cast<uint32_t>(record.value.size()), fingerprint});
  heap_ += record.key;
  heap_ += record.value;
}

void BlockBuilder::Encode(BlockKind kind, std::span<std::byte> block) const {
  IOENGINE_CHECK(block.size() == pages() * kBlockPageBytes, "a block is written into another size");
  FillBlockHeader(block, {kind, used_bytes_, records(), prefix_bytes_});
  char* const begin = reinterpret_cast<char*>(block.data());
  char* fingerprints = begin + sizeof(BlockHeader) + records() * sizeof(BlockSlot);
  char* slots = begin + sizeof(BlockHeader);
  std::string_view rest = heap_;
  char* to = fingerprints + records();
  if (!empty()) to = Append(to, first_key().substr(0, prefix_bytes_));
  for (const Pending& record : records_) {
    const std::string_view suffix =
        rest.substr(record.head_bytes + prefix_bytes_, record.key_bytes - prefix_bytes_);
    const BlockSlot slot = {static_cast<uint32_t>(KeyHead(suffix) >> 32),
                            static_cast<uint32_t>(to - begin)};
    std::memcpy(slots, &slot, sizeof(slot));
    slots += sizeof(slot);
    *fingerprints++ = static_cast<char>(record.fingerprint);
    to = Append(to, rest.substr(0, record.head_bytes));
    to = Append(to, suffix);
    to = Append(to, rest.substr(record.head_bytes + record.key_bytes, record.value_bytes));
    rest.remove_prefix(record.head_bytes + record.key_bytes + record.value_bytes);
  }
  IOENGINE_CHECK(static_cast<size_t>(to - begin) == used_bytes_, "a block was measured wrong");
}

void BlockBuilder::Clear() {
  heap_.clear();
  records_.clear();
  prefix_bytes_ = 0;
  used_bytes_ = sizeof(BlockHeader);
}

}  // namespace ioengine
