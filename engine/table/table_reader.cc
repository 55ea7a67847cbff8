#include "ioengine/engine/table/table_reader.h"

#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/table/table_lookup.h"

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
  // Not where the device put it: buffers are few, and there may be many tables.
  root_bytes_.assign(buffer->data(), buffer->data() + root.size_bytes());
  const std::span<const std::byte> root_bytes = root_bytes_;
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
  charge_.Resize(sizeof(*this) + sizeof(*file_) + file_->name.capacity() + root_bytes_.capacity() +
                 table_.info.smallest_key.capacity() + table_.info.largest_key.capacity());
  co_return absl::OkStatus();
}

Task<absl::StatusOr<std::optional<TableFound>>> TableReader::Get(std::string_view key,
                                                                 Sequence at) {
  TableLookup lookup(*this, key, at);
  if (!lookup.TryFinish()) co_await lookup.Finish();
  if (!lookup.status().ok()) co_return lookup.status();
  co_return std::move(lookup.found());
}

std::unique_ptr<BlockSource> TableReader::CachedSource(CopyAccount copies) const {
  return std::make_unique<CachedBlocks>(cache_, file_, copies);
}

std::unique_ptr<BlockSource> TableReader::ReadAheadSource(ReadAheadOptions options,
                                                          CopyAccount copies) const {
  return std::make_unique<ReadAheadBlocks>(io_, file_, table_.layout.data_bytes, options, copies);
}

}  // namespace ioengine
