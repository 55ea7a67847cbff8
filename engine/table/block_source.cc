#include "ioengine/engine/table/block_source.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace ioengine {
namespace {

// Room for a copy of a block, before it is read.
absl::Status MakeRoom(const CopyAccount& account, size_t bytes, LoadedBlock* loaded) {
  loaded->charge = MemoryCharge(account.memory);
  if (account.may_exceed) {
    loaded->charge.Resize(bytes);
  } else if (!loaded->charge.TryResize(bytes)) {
    return ReadersAreFull(*account.memory, bytes);
  }
  loaded->own.resize(bytes);
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadersAreFull(const MemoryBudget& memory, size_t bytes) {
  return absl::ResourceExhaustedError(absl::StrCat(
      "iterators, values and look-ups have ", memory.used_bytes(), " bytes of at most ",
      memory.limit_bytes(), " (StoreOptions::reader_bytes), and ", bytes, " more are needed",
      memory.room_bytes() >= bytes
          ? ", which the shard's memory has no room for (RuntimeOptions::memory_per_shard_bytes)"
          : "",
      "; let go of some"));
}

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
  absl::Status room = MakeRoom(copies_, pin->bytes().size(), &loaded);
  if (!room.ok()) co_return room;
  std::copy(pin->bytes().begin(), pin->bytes().end(), loaded.own.begin());
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
  absl::Status status = MakeRoom(copies_, handle.size_bytes(), &loaded);
  if (!status.ok()) co_return status;
  status = co_await ReadInto(handle, loaded.own);
  if (status.ok()) status = CheckBlock(loaded.own, kind, file_->seed, handle.offset_bytes);
  if (!status.ok()) co_return file_->At(handle, status);
  const absl::StatusOr<Block> block = Block::Parse(loaded.own);
  if (!block.ok()) co_return file_->At(handle, block.status());
  loaded.block = *block;
  co_return loaded;
}

}  // namespace ioengine
