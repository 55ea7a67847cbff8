#include "ioengine/engine/table/table_reader.h"

#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/table/table_index.h"
#include "ioengine/sched/canary.h"

namespace ioengine {

Task<absl::StatusOr<std::unique_ptr<TableReader>>> TableReader::Open(
    ShardIo& io, FileSystem& files, std::string name, BlockCache& cache,
    std::optional<TableIdentity> expected) {
  std::unique_ptr<TableReader> reader(new TableReader(io, cache));
  absl::StatusOr<DmaFile> file = co_await files.OpenFile(name);
  if (!file.ok()) co_return file.status();
  reader->file_->file = *std::move(file);
  reader->file_->name = std::move(name);
  reader->file_->id = cache.NewFileId();
  const absl::Status status = co_await reader->Load(std::move(expected));
  if (!status.ok()) {
    co_return absl::Status(status.code(), absl::StrCat("table ", reader->file_->name, ": ",
                                                       std::string(status.message())));
  }
  co_return reader;
}

Task<absl::Status> TableReader::Load(std::optional<TableIdentity> expected) {
  const absl::StatusOr<FileStat> stat = co_await file_->file.Stat();
  if (!stat.ok()) co_return stat.status();
  table_.info.file_bytes = stat->size_bytes;
  if (expected.has_value() && expected->file_bytes != stat->size_bytes) {
    co_return absl::DataLossError(
        absl::StrCat("it has ", stat->size_bytes, " bytes instead of ", expected->file_bytes));
  }
  if (stat->size_bytes < kBlockPageBytes || stat->size_bytes % kBlockPageBytes != 0) {
    co_return absl::DataLossError(
        absl::StrCat("it has ", stat->size_bytes, " bytes, as no table has"));
  }
  if (absl::Status status = co_await LoadFooter(); !status.ok()) co_return status;
  if (absl::Status status = co_await LoadRootAndBounds(); !status.ok()) co_return status;
  if (expected.has_value() && *expected != IdentityOf(table_.info)) {
    co_return absl::DataLossError("it is another table than the one that was written");
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<DmaBuffer>> TableReader::ReadBlock(BlockHandle handle) {
  absl::StatusOr<DmaBuffer> buffer = io_.AllocateBuffer(handle.size_bytes());
  if (!buffer.ok()) co_return buffer.status();
  const absl::StatusOr<size_t> read =
      co_await file_->file.Read(handle.offset_bytes, *buffer, handle.size_bytes());
  if (!read.ok()) co_return read.status();
  if (*read != handle.size_bytes()) co_return absl::DataLossError("it is cut short");
  co_return std::move(*buffer);
}

Task<absl::Status> TableReader::LoadFooter() {
  const BlockHandle handle = {table_.info.file_bytes - kBlockPageBytes, 1};
  const absl::StatusOr<DmaBuffer> page = co_await ReadBlock(handle);
  if (!page.ok()) co_return page.status();
  absl::StatusOr<TableDescription> table = DecodeTableFooter(page->bytes(), table_.info.file_bytes);
  if (!table.ok()) co_return table.status();
  table_ = *std::move(table);
  file_->seed = TableSeed(table_.info.uuid);
  co_return absl::OkStatus();
}

Task<absl::Status> TableReader::LoadRootAndBounds() {
  const BlockHandle root = table_.layout.root;
  absl::StatusOr<DmaBuffer> buffer = co_await ReadBlock(root);
  if (!buffer.ok()) co_return buffer.status();
  root_buffer_ = *std::move(buffer);
  const std::span<const std::byte> root_bytes = root_buffer_.bytes();
  absl::Status status = CheckBlock(root_bytes, BlockKind::kIndex, file_->seed, root.offset_bytes);
  absl::StatusOr<Block> parsed = status.ok() ? Block::Parse(root_bytes) : status;
  if (!parsed.ok()) co_return file_->At(root, parsed.status());
  root_ = *parsed;

  const BlockHandle bounds = table_.layout.bounds;
  const absl::StatusOr<DmaBuffer> body = co_await ReadBlock(bounds);
  if (!body.ok()) co_return body.status();
  const std::span<const std::byte> bytes = body->bytes();
  status = CheckBlock(bytes, BlockKind::kBounds, file_->seed, bounds.offset_bytes);
  if (!status.ok()) co_return file_->At(bounds, status);
  const size_t body_bytes = LoadBlockHeader(bytes).used_bytes - sizeof(BlockHeader);
  if (!DecodeTableBounds(bytes.subspan(sizeof(BlockHeader), body_bytes), &table_.info)) {
    co_return file_->At(bounds, absl::DataLossError("it has no bounds"));
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<BlockCache::Pin>> TableReader::ReadThrough(BlockHandle handle, BlockKind kind) {
  BlockCache::Pin there = cache_.TryRead(*file_, handle, kind, PinUse::kShort);
  if (there.valid()) co_return std::move(there);
  std::shared_ptr<const TableFile> file = file_;
  co_return co_await cache_.Read(std::move(file), handle, kind, PinUse::kShort);
}

// A filter that cannot be read says nothing.
Task<bool> TableReader::MayContain(uint64_t key_hash) {
  const BloomFilterShape& filter = table_.layout.filter;
  if (filter.buckets == 0) co_return true;
  if (IsCanary("table-filter-wrong-seed")) key_hash ^= key_hash << 7;
  const BlockHandle handle = {
      table_.layout.filter_offset_bytes + filter.PageOf(key_hash) * kBlockPageBytes, 1};
  const absl::StatusOr<BlockCache::Pin> page = co_await ReadThrough(handle, BlockKind::kFilter);
  co_return !page.ok() || filter.MayContain(key_hash, page->bytes());
}

// The block of data that has the key, if the table has.
Task<absl::StatusOr<BlockCache::Pin>> TableReader::FindBlock(std::string_view key, Sequence at) {
  const size_t root_at = root_.Covering(key, at);
  const absl::StatusOr<BlockHandle> index_handle =
      HandleAt(root_, root_at, table_.layout.root.offset_bytes);
  if (!index_handle.ok()) co_return index_handle.status();
  absl::StatusOr<BlockCache::Pin> index = co_await ReadThrough(*index_handle, BlockKind::kIndex);
  if (!index.ok()) co_return WithLostKeys(index.status(), root_, root_at);
  const size_t index_at = index->block().Covering(key, at);
  const absl::StatusOr<BlockHandle> handle =
      HandleAt(index->block(), index_at, table_.layout.data_bytes);
  if (!handle.ok()) co_return file_->At(*index_handle, handle.status());
  // Whoever waits for a block has none.
  index->Release();
  absl::StatusOr<BlockCache::Pin> data = co_await ReadThrough(*handle, BlockKind::kData);
  if (data.ok() || !absl::IsDataLoss(data.status())) co_return data;
  const absl::Status damage = data.status();
  index = co_await ReadThrough(*index_handle, BlockKind::kIndex);
  co_return index.ok() ? WithLostKeys(damage, index->block(), index_at) : damage;
}

Task<absl::StatusOr<std::optional<TableFound>>> TableReader::Get(std::string_view key,
                                                                 Sequence at) {
  const TableInfo& table = info();
  if (table.records == 0 || key < table.smallest_key || key > table.largest_key ||
      at < table.smallest_sequence) {
    co_return std::nullopt;
  }
  const uint64_t key_hash = TableKeyHash(key, file_->seed);
  const bool may_contain = co_await MayContain(key_hash);
  if (!may_contain) co_return std::nullopt;
  absl::StatusOr<BlockCache::Pin> pin = co_await FindBlock(key, at);
  if (!pin.ok()) {
    if (absl::IsDataLoss(pin.status()) && IsCanary("table-damage-is-absence"))
      co_return std::nullopt;
    co_return pin.status();
  }
  const Block& block = pin->block();
  const size_t found = block.Find(key, key_hash, at);
  if (found == block.size()) co_return std::nullopt;
  const Block::Record record = block.At(found);
  std::optional<TableFound> result;
  result.emplace(TableFound{record.kind, record.sequence, record.value, *std::move(pin)});
  co_return result;
}

std::unique_ptr<BlockSource> TableReader::CachedSource() const {
  return std::make_unique<CachedBlocks>(cache_, file_);
}

std::unique_ptr<BlockSource> TableReader::ReadAheadSource(ReadAheadOptions options) const {
  return std::make_unique<ReadAheadBlocks>(io_, file_, table_.layout.data_bytes, options);
}

}  // namespace ioengine
