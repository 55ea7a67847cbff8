#include "ioengine/engine/table/block_source.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"

namespace ioengine {

Task<absl::StatusOr<LoadedBlock>> CachedBlocks::Read(BlockHandle handle, BlockKind kind) {
  LoadedBlock loaded;
  loaded.pin = cache_.TryRead(*file_, handle, kind);
  if (!loaded.pin.valid()) {
    absl::StatusOr<BlockCache::Pin> pin = co_await cache_.Read(file_, handle, kind);
    if (absl::IsResourceExhausted(pin.status())) co_return co_await ReadCopy(handle, kind);
    if (!pin.ok()) co_return pin.status();
    loaded.pin = *std::move(pin);
  }
  loaded.block = loaded.pin.block();
  co_return loaded;
}

Task<absl::StatusOr<LoadedBlock>> CachedBlocks::ReadCopy(BlockHandle handle, BlockKind kind) {
  const absl::StatusOr<BlockCache::Pin> pin =
      co_await cache_.Read(file_, handle, kind, PinUse::kShort);
  if (!pin.ok()) co_return pin.status();
  LoadedBlock loaded;
  loaded.own.assign(pin->bytes().begin(), pin->bytes().end());
  const absl::StatusOr<Block> block = Block::Parse(loaded.own);
  if (!block.ok()) co_return block.status();
  loaded.block = *block;
  co_return loaded;
}

Task<absl::Status> ReadAheadBlocks::ReadInto(BlockHandle handle, std::span<std::byte> into) {
  if (handle.end_bytes() <= data_bytes_) {
    if (reader_ == nullptr || reader_->offset_bytes() != handle.offset_bytes) {
      const SequentialReaderOptions options = {.begin_bytes = handle.offset_bytes,
                                               .end_bytes = data_bytes_,
                                               .buffer_bytes = options_.buffer_bytes,
                                               .read_ahead = options_.read_ahead};
      reader_ = std::make_unique<SequentialReader>(io_, file_->file, options);
    }
    const absl::Status status = co_await reader_->ReadExactly(into);
    if (!status.ok()) reader_ = nullptr;
    if (absl::IsOutOfRange(status)) co_return absl::DataLossError("the file ends before it");
    co_return status;
  }
  const FileRange range = {handle.offset_bytes, handle.size_bytes()};
  const absl::StatusOr<FileBytes> read = co_await file_->file.ReadRange(range);
  if (!read.ok()) co_return read.status();
  if (read->bytes.size() != into.size()) co_return absl::DataLossError("the file ends before it");
  std::copy(read->bytes.begin(), read->bytes.end(), into.begin());
  co_return absl::OkStatus();
}

Task<absl::StatusOr<LoadedBlock>> ReadAheadBlocks::Read(BlockHandle handle, BlockKind kind) {
  LoadedBlock loaded;
  loaded.own.resize(handle.size_bytes());
  absl::Status status = co_await ReadInto(handle, loaded.own);
  if (status.ok()) status = CheckBlock(loaded.own, kind, file_->seed, handle.offset_bytes);
  if (!status.ok()) co_return file_->At(handle, status);
  const absl::StatusOr<Block> block = Block::Parse(loaded.own);
  if (!block.ok()) co_return file_->At(handle, block.status());
  loaded.block = *block;
  co_return loaded;
}

}  // namespace ioengine
