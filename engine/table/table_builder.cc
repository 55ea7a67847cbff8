#include "ioengine/engine/table/table_builder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/record_hash.h"
#include "ioengine/engine/table/block.h"
#include "ioengine/engine/table/bloom_filter.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

// What fits into a block with all that goes with it.
constexpr size_t kMaxValueBytes = size_t{512} << 20;

}  // namespace

Task<absl::StatusOr<std::unique_ptr<TableBuilder>>> TableBuilder::Create(
    ShardIo& io, FileSystem& files, std::string name, Uuid uuid, TableOptions options,
    MemoryBudget* memory) {
  const DmaFileOptions file_options = {.access = DmaFileOptions::Access::kReadWrite,
                                       .create = DmaFileOptions::Create::kMustBeNew};
  absl::StatusOr<DmaFile> file = co_await files.OpenFile(std::move(name), file_options);
  if (!file.ok()) co_return file.status();
  co_return std::unique_ptr<TableBuilder>(
      new TableBuilder(io, *std::move(file), uuid, options,
                       memory != nullptr ? memory : io.executor().memory().get()));
}

TableBuilder::TableBuilder(ShardIo& io, DmaFile file, Uuid uuid, TableOptions options,
                           MemoryBudget* memory)
    : options_(options),
      file_(std::move(file)),
      writer_(io, file_,
              {.buffer_bytes = options.write_bytes, .write_behind = options.write_behind}),
      seed_(TableSeed(uuid)),
      data_(options.least_block_pages),
      data_separator_{"", kMaxSequence},
      index_(options.least_block_pages),
      index_separator_{"", kMaxSequence},
      charge_(memory) {
  table_.info.uuid = uuid;
}

void TableBuilder::Count(const BlockRecord& record) {
  TableInfo& info = table_.info;
  const bool is_new_key = info.records == 0 || record.key != last_key_;
  if (info.records == 0) info.smallest_key = record.key;
  ++info.records;
  if (record.kind == OperationKind::kDelete) ++info.deletes;
  if (record.kind == OperationKind::kPutBlob) CountBlob(record.value);
  info.key_bytes += record.key.size();
  info.value_bytes += record.value.size();
  info.smallest_sequence = std::min(info.smallest_sequence, record.sequence);
  info.largest_sequence = std::max(info.largest_sequence, record.sequence);
  info.records_hash += RecordHash(record.kind, record.key, record.sequence, record.value);
  last_sequence_ = record.sequence;
  if (!is_new_key) return;
  ++info.keys;
  last_key_ = record.key;
  key_hashes_.Add(TableKeyHash(record.key, seed_));
}

void TableBuilder::CountBlob(std::string_view value) {
  BlobPointer pointer;
  IOENGINE_CHECK(DecodeBlobPointer(value, &pointer), "a pointer to a blob makes no sense");
  if (blob_ == nullptr || blob_->file != pointer.file) {
    blob_ = &blobs_[pointer.file];
    blob_->file = pointer.file;
  }
  ++blob_->values;
  blob_->stored_bytes += pointer.stored_bytes();
}

bool TableBuilder::TryAdd(OperationKind kind, std::string_view key, Sequence sequence,
                          std::string_view value) {
  IOENGINE_CHECK(key.size() <= kMaxKeyBytes && value.size() <= kMaxValueBytes,
                 "a record is too long for a table");
  IOENGINE_CHECK(HasValue(kind) || value.empty(), "only a put has a value");
  IOENGINE_CHECK(
      records() == 0 || last_key_ < key || (last_key_ == key && sequence < last_sequence_),
      "records of a table are added in their order");
  const BlockRecord record = {kind, key, sequence, value};
  if (data_.IsFullBefore(record)) return false;
  Count(record);
  data_.Add(record, Fingerprint(key_hashes_.last()));
  return true;
}

Task<absl::Status> TableBuilder::Add(OperationKind kind, std::string_view key, Sequence sequence,
                                     std::string_view value) {
  if (TryAdd(kind, key, sequence, value)) co_return absl::OkStatus();
  Separator next = SeparatorBetween(last_key_, last_sequence_, key);
  if (absl::Status status = co_await WriteData(); !status.ok()) co_return status;
  data_separator_ = std::move(next);
  IOENGINE_CHECK(TryAdd(kind, key, sequence, value), "an empty block is full");
  co_return absl::OkStatus();
}

Task<absl::Status> TableBuilder::WriteData() {
  EncodeInto(data_, BlockKind::kData, &block_);
  ChargeMemory();
  data_.Clear();
  const absl::StatusOr<BlockHandle> handle = co_await WriteBlock();
  if (!handle.ok()) co_return handle.status();
  AddToIndex(std::move(data_separator_), *handle);
  co_return absl::OkStatus();
}

// Once for each block: what a record takes is part of that.
void TableBuilder::ChargeMemory() {
  charge_.Resize(sizeof(*this) + key_hashes_.memory_bytes() + index_bytes_ + block_.capacity() +
                 data_.memory_bytes() + index_.memory_bytes());
}

void TableBuilder::EncodeInto(const BlockBuilder& builder, BlockKind kind,
                              std::vector<std::byte>* block) {
  block->resize(builder.pages() * kBlockPageBytes);
  builder.Encode(kind, *block);
}

Task<absl::StatusOr<BlockHandle>> TableBuilder::WriteBlock() {
  const uint64_t checksum = SealBlock(block_, seed_, offset_bytes_);
  table_.info.digest = Checksum(std::as_bytes(std::span(&checksum, size_t{1})), table_.info.digest);
  const BlockHandle handle = {offset_bytes_,
                              static_cast<uint32_t>(block_.size() / kBlockPageBytes)};
  const absl::Status status = co_await writer_.Append(block_);
  if (!status.ok()) co_return status;
  offset_bytes_ += block_.size();
  co_return handle;
}

void TableBuilder::AddToIndex(Separator separator, BlockHandle handle) {
  const std::string value = EncodeBlockHandle(handle);
  const BlockRecord record = {OperationKind::kPut, separator.key, separator.sequence, value};
  if (index_.IsFullBefore(record)) EndIndexBlock();
  if (index_.empty()) index_separator_ = separator;
  index_.Add(record, Fingerprint(TableKeyHash(separator.key, seed_)));
}

void TableBuilder::EndIndexBlock() {
  IndexBlock& block = index_blocks_.emplace_back();
  block.separator = std::move(index_separator_);
  EncodeInto(index_, BlockKind::kIndex, &block.bytes);
  index_bytes_ += sizeof(block) + block.separator.key.size() + block.bytes.size();
  index_.Clear();
}

// The index blocks, and the root that leads to them.
Task<absl::Status> TableBuilder::WriteIndex() {
  BlockBuilder root(1);
  if (!index_.empty()) EndIndexBlock();
  for (IndexBlock& index_block : index_blocks_) {
    block_ = std::move(index_block.bytes);
    const absl::StatusOr<BlockHandle> handle = co_await WriteBlock();
    if (!handle.ok()) co_return handle.status();
    const std::string value = EncodeBlockHandle(*handle);
    const BlockRecord record = {OperationKind::kPut, index_block.separator.key,
                                index_block.separator.sequence, value};
    root.Add(record, Fingerprint(TableKeyHash(record.key, seed_)));
  }
  EncodeInto(root, BlockKind::kIndex, &block_);
  const absl::StatusOr<BlockHandle> handle = co_await WriteBlock();
  if (!handle.ok()) co_return handle.status();
  table_.layout.root = *handle;
  co_return absl::OkStatus();
}

Task<absl::Status> TableBuilder::WriteFilter() {
  const BloomFilterShape shape =
      BloomFilterShape::For(key_hashes_.size(), options_.filter_bits_per_key);
  table_.layout.filter = shape;
  table_.layout.filter_offset_bytes = offset_bytes_;
  // In the order of their pages, so that one page is in memory at a time.
  std::sort(key_hashes_.begin(), key_hashes_.end());
  const uint64_t* next = key_hashes_.begin();
  for (uint64_t page = 0; page < shape.pages(); ++page) {
    block_.assign(kBlockPageBytes, std::byte{0});
    FillBlockHeader(block_, {.kind = BlockKind::kFilter, .used_bytes = kBlockPageBytes});
    for (; next != key_hashes_.end() && shape.PageOf(*next) == page; ++next) {
      shape.Insert(*next, block_);
    }
    const absl::StatusOr<BlockHandle> handle = co_await WriteBlock();
    if (!handle.ok()) co_return handle.status();
  }
  IOENGINE_CHECK(shape.buckets == 0 || next == key_hashes_.end(), "a filter has lost keys");
  co_return absl::OkStatus();
}

Task<absl::Status> TableBuilder::WriteBounds() {
  const std::string body = EncodeTableBounds(table_.info);
  const size_t used_bytes = sizeof(BlockHeader) + body.size();
  block_.assign((used_bytes + kBlockPageBytes - 1) / kBlockPageBytes * kBlockPageBytes,
                std::byte{0});
  FillBlockHeader(block_, {.kind = BlockKind::kBounds, .used_bytes = used_bytes});
  std::memcpy(block_.data() + sizeof(BlockHeader), body.data(), body.size());
  const absl::StatusOr<BlockHandle> handle = co_await WriteBlock();
  if (!handle.ok()) co_return handle.status();
  table_.layout.bounds = *handle;
  co_return absl::OkStatus();
}

Task<absl::Status> TableBuilder::WriteAll() {
  if (!data_.empty()) {
    if (absl::Status status = co_await WriteData(); !status.ok()) co_return status;
  }
  table_.info.largest_key = last_key_;
  for (const auto& [file, blob] : blobs_) table_.info.blobs.push_back(blob);
  table_.layout.data_bytes = offset_bytes_;
  if (absl::Status status = co_await WriteIndex(); !status.ok()) co_return status;
  if (absl::Status status = co_await WriteFilter(); !status.ok()) co_return status;
  if (absl::Status status = co_await WriteBounds(); !status.ok()) co_return status;
  table_.info.file_bytes = offset_bytes_ + kBlockPageBytes;
  block_.assign(kBlockPageBytes, std::byte{0});
  EncodeTableFooter(table_, block_);
  co_return co_await writer_.Append(block_);
}

Task<absl::StatusOr<TableInfo>> TableBuilder::Finish() {
  if (absl::Status status = co_await WriteAll(); !status.ok()) co_return status;
  const SequentialWriter::Sync sync =
      IsCanary("table-skip-fdatasync") ? SequentialWriter::Sync::kNo : SequentialWriter::Sync::kYes;
  if (absl::Status status = co_await writer_.Finish(sync); !status.ok()) co_return status;
  if (absl::Status status = co_await file_.Close(); !status.ok()) co_return status;
  co_return table_.info;
}

}  // namespace ioengine
