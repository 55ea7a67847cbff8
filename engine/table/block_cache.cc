#include "ioengine/engine/table/block_cache.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "absl/strings/str_cat.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

constexpr uint8_t kMostReuse = 3;
constexpr size_t kCacheLineBytes = 64;

size_t BufferBytes(const BlockHandle& handle) {
  return std::bit_ceil(size_t{handle.pages}) * kBlockPageBytes;
}

}  // namespace

struct BlockCache::Frame : ListLink {
  enum class State : uint8_t { kLoading, kReady, kFailed };

  // A handle that was damaged may lead to the same place and mean another block.
  bool Is(const BlockHandle& other, BlockKind other_kind) const {
    return handle == other && kind == other_kind;
  }

  FrameKey key;
  BlockHandle handle;
  BlockKind kind = BlockKind::kData;
  size_t bytes = 0;  // of the buffer
  DmaBuffer buffer;
  Block block;
  State state = State::kLoading;
  bool in_main = false;
  uint8_t reuse = 0;
  size_t pins = 0;
  size_t held = 0;  // of the pins
  absl::Status status;
  Event loaded;
};

void BlockCache::Pin::Release() {
  if (frame_ != nullptr)
    std::exchange(cache_, nullptr)->Unpin(*std::exchange(frame_, nullptr), use_);
}

bool BlockCache::Pin::TryHold() {
  if (use_ == PinUse::kShort && cache_->TryHold(*frame_)) use_ = PinUse::kHeld;
  return use_ == PinUse::kHeld;
}

std::span<const std::byte> BlockCache::Pin::bytes() const {
  return frame_->buffer.bytes().first(frame_->handle.size_bytes());
}

const Block& BlockCache::Pin::block() const { return frame_->block; }

BlockCache::BlockCache(ShardIo& io, BlockCacheOptions options)
    : io_(io),
      options_(options),
      ghosts_(options.capacity_bytes / kBlockPageBytes),
      charge_(io.executor().memory().get(), DirectoryBytes(options)),
      loads_(io.executor(), {.detached = true}) {}

size_t BlockCache::DirectoryBytes(const BlockCacheOptions& options) {
  // A hash table has up to 16/7 places for each entry, with a byte of its own, and another half of
  // them while it grows.
  constexpr size_t kPlaces = 4;
  constexpr size_t kHeapHead = 16;
  constexpr size_t kFrame =
      sizeof(Frame) + kHeapHead + kPlaces * (sizeof(FrameKey) + sizeof(void*) + 1);
  constexpr size_t kGhost = sizeof(uint64_t) + kPlaces * (2 * sizeof(uint64_t) + 1);
  return options.capacity_bytes / kBlockPageBytes * (kFrame + kGhost);
}

BlockCache::~BlockCache() {
  loads_.Cancel();
  IOENGINE_CHECK(pinned_bytes_ == 0, "a BlockCache is destroyed while blocks of it are pinned");
}

Task<absl::StatusOr<BlockCache::Pin>> BlockCache::Read(std::shared_ptr<const TableFile> file,
                                                       BlockHandle handle, BlockKind kind,
                                                       PinUse use) {
  Frame* frame = nullptr;
  while (frame == nullptr) {
    const auto found = frames_.find(FrameKey{file->id, handle.offset_bytes});
    if (found != frames_.end()) {
      frame = found->second.get();
      if (!frame->Is(handle, kind)) {
        co_return file->At(handle, absl::DataLossError("another block begins there"));
      }
      ++stats_.hits;
      if (frame->reuse < kMostReuse) ++frame->reuse;
      break;
    }
    const absl::Status may = MayPin(BufferBytes(handle), use);
    const absl::StatusOr<Frame*> started =
        may.ok() ? StartLoad(file, handle, kind) : absl::StatusOr<Frame*>(may);
    if (started.ok()) {
      frame = *started;
      break;
    }
    // Those who wanted the blocks that are being read may be gone.
    const bool will_be_room = short_pins_ > 0 || loading_ > 0;
    const bool waits =
        use == PinUse::kShort && will_be_room && absl::IsResourceExhausted(started.status());
    if (!waits) {
      if (may.ok()) ++stats_.full;
      co_return file->At(handle, started.status());
    }
    ++stats_.waits;
    co_await unpinned_.Wait();
  }
  absl::StatusOr<Pin> pin = PinFrame(*frame, use);
  if (!pin.ok()) co_return file->At(handle, pin.status());
  if (frame->state == Frame::State::kLoading && !IsCanary("cache-use-while-loading")) {
    co_await frame->loaded.Wait();
  }
  if (frame->state == Frame::State::kFailed) co_return frame->status;
  co_return pin;
}

BlockCache::Pin BlockCache::TryRead(const TableFile& file, const BlockHandle& handle,
                                    BlockKind kind, PinUse use) {
  const auto found = frames_.find(FrameKey{file.id, handle.offset_bytes});
  if (found == frames_.end() || found->second->state != Frame::State::kReady) return {};
  if (!found->second->Is(handle, kind)) return {};
  absl::StatusOr<Pin> pin = PinFrame(*found->second, use);
  if (!pin.ok()) return {};
  ++stats_.hits;
  if (found->second->reuse < kMostReuse) ++found->second->reuse;
  return *std::move(pin);
}

void BlockCache::PrefetchBlock(const TableFile& file, const BlockHandle& handle) const {
  const auto found = frames_.find(FrameKey{file.id, handle.offset_bytes});
  if (found == frames_.end()) return;
  const char* const frame = reinterpret_cast<const char*>(found->second.get());
  for (size_t at = 0; at < sizeof(Frame); at += kCacheLineBytes) __builtin_prefetch(frame + at);
}

absl::StatusOr<BlockCache::Frame*> BlockCache::StartLoad(
    const std::shared_ptr<const TableFile>& file, BlockHandle handle, BlockKind kind) {
  const size_t bytes = BufferBytes(handle);
  absl::StatusOr<DmaBuffer> buffer = TakeBuffer(bytes);
  if (!buffer.ok()) return buffer.status();
  auto frame = std::make_unique<Frame>();
  frame->key = {file->id, handle.offset_bytes};
  frame->handle = handle;
  frame->kind = kind;
  frame->bytes = bytes;
  frame->buffer = *std::move(buffer);
  frame->in_main = ghosts_.Contains(GhostHash(frame->key));
  Frame* const loading = frame.get();
  (loading->in_main ? main_ : small_).PushBack(*loading);
  (loading->in_main ? main_bytes_ : small_bytes_) += bytes;
  ++stats_.misses;
  ++loading_;
  frames_[loading->key] = std::move(frame);
  loads_.Spawn(Load(this, loading, file));
  return loading;
}

Task<> BlockCache::Load(BlockCache* cache, Frame* frame, std::shared_ptr<const TableFile> file) {
  const absl::StatusOr<size_t> read = co_await file->file.Read(
      frame->handle.offset_bytes, frame->buffer, frame->handle.size_bytes());
  absl::Status status = read.status();
  if (read.ok() && *read != frame->handle.size_bytes()) {
    status = absl::DataLossError("the file ends before it");
  }
  if (status.ok()) status = cache->CheckLoaded(*frame, *file);
  if (absl::IsDataLoss(status)) ++cache->stats_.damaged;
  frame->status = file->At(frame->handle, status);
  frame->state = status.ok() ? Frame::State::kReady : Frame::State::kFailed;
  frame->loaded.Set();
  --cache->loading_;
  cache->WakeWaiting();
  if (status.ok()) co_return;
  std::unique_ptr<Frame> failed = cache->Detach(*frame);
  if (frame->pins > 0) cache->failed_[frame] = std::move(failed);
}

absl::Status BlockCache::CheckLoaded(Frame& frame, const TableFile& file) {
  const std::span<const std::byte> bytes = frame.buffer.bytes().first(frame.handle.size_bytes());
  absl::Status status = CheckBlock(bytes, frame.kind, file.seed, frame.handle.offset_bytes);
  const bool has_records = frame.kind == BlockKind::kData || frame.kind == BlockKind::kIndex;
  if (!status.ok() || !has_records) return status;
  const absl::StatusOr<Block> block = Block::Parse(bytes);
  if (block.ok()) frame.block = *block;
  return block.status();
}

absl::StatusOr<DmaBuffer> BlockCache::TakeBuffer(size_t size_bytes) {
  while (used_bytes() + size_bytes > options_.capacity_bytes) {
    if (!EvictOne()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("all ", used_bytes(), " bytes of the block cache are in use"));
    }
  }
  // The shard's buffers may be used up by others, or be in pieces.
  for (;;) {
    absl::StatusOr<DmaBuffer> buffer = io_.AllocateBuffer(size_bytes);
    if (buffer.ok() || !EvictOne()) return buffer;
  }
}

// Whether another block of this size may be pinned so.
absl::Status BlockCache::MayPin(size_t bytes, PinUse use) {
  if (use == PinUse::kShort || held_bytes_ + bytes <= options_.max_pinned_bytes) {
    return absl::OkStatus();
  }
  ++stats_.full;
  return absl::ResourceExhaustedError(
      absl::StrCat("too much of the block cache is pinned: ", held_bytes_, " bytes of at most ",
                   options_.max_pinned_bytes, "; let go of iterators and values"));
}

absl::StatusOr<BlockCache::Pin> BlockCache::PinFrame(Frame& frame, PinUse use) {
  if (use == PinUse::kHeld && frame.held == 0) {
    if (absl::Status may = MayPin(frame.bytes, use); !may.ok()) return may;
    held_bytes_ += frame.bytes;
  }
  ++(use == PinUse::kShort ? short_pins_ : frame.held);
  if (frame.pins++ == 0) pinned_bytes_ += frame.bytes;
  return Pin(*this, frame, use);
}

// Of a short pin.
bool BlockCache::TryHold(Frame& frame) {
  if (frame.held == 0) {
    if (held_bytes_ + frame.bytes > options_.max_pinned_bytes) return false;
    held_bytes_ += frame.bytes;
  }
  ++frame.held;
  --short_pins_;
  WakeWaiting();
  return true;
}

void BlockCache::Unpin(Frame& frame, PinUse use) {
  if (use == PinUse::kShort) {
    --short_pins_;
  } else if (--frame.held == 0) {
    held_bytes_ -= frame.bytes;
  }
  if (--frame.pins == 0) {
    pinned_bytes_ -= frame.bytes;
    if (frame.state == Frame::State::kFailed) failed_.erase(&frame);
  }
  WakeWaiting();
}

// Each time that there is room, or one short pin less to wait for.
void BlockCache::WakeWaiting() {
  if (!unpinned_.has_waiters()) return;
  unpinned_.Set();
  unpinned_.Reset();
}

uint64_t BlockCache::GhostHash(const FrameKey& key) {
  return (key.file_id * 0x9e37'79b9'7f4a'7c15) ^ key.offset_bytes;
}

bool BlockCache::EvictOne() {
  const bool small_first = small_bytes_ * 10 >= options_.capacity_bytes;
  if (small_first) return EvictFromSmall() || EvictFromMain();
  // What goes on from the small queue makes the main one worth another look.
  return EvictFromMain() || EvictFromSmall() || EvictFromMain();
}

bool BlockCache::EvictFromSmall() {
  // Each of the queue once: what is pinned or being read is passed over.
  for (size_t left = frames_.size(); left > 0 && !small_.empty(); --left) {
    Frame& frame = *small_.front();
    frame.Unlink();
    if (frame.state == Frame::State::kReady && frame.reuse > 0) {
      small_bytes_ -= frame.bytes;
      main_bytes_ += frame.bytes;
      frame.in_main = true;
      frame.reuse = 0;
      main_.PushBack(frame);
      continue;
    }
    small_.PushBack(frame);
    if (frame.state != Frame::State::kReady || frame.pins > 0) continue;
    ghosts_.Push(GhostHash(frame.key));
    Remove(frame);
    return true;
  }
  return false;
}

bool BlockCache::EvictFromMain() {
  // After so many rounds nothing is left that was read again.
  for (size_t left = (kMostReuse + 1) * frames_.size(); left > 0 && !main_.empty(); --left) {
    Frame& frame = *main_.front();
    frame.Unlink();
    main_.PushBack(frame);
    if (frame.reuse > 0) {
      --frame.reuse;
      continue;
    }
    if (frame.state != Frame::State::kReady || frame.pins > 0) continue;
    Remove(frame);
    return true;
  }
  return false;
}

void BlockCache::Remove(Frame& frame) {
  IOENGINE_CHECK(frame.pins == 0, "a block is evicted while it is pinned");
  ++stats_.evictions;
  Detach(frame);
}

std::unique_ptr<BlockCache::Frame> BlockCache::Detach(Frame& frame) {
  (frame.in_main ? main_bytes_ : small_bytes_) -= frame.bytes;
  frame.Unlink();
  const auto at = frames_.find(frame.key);
  std::unique_ptr<Frame> detached = std::move(at->second);
  frames_.erase(at);
  return detached;
}

}  // namespace ioengine
