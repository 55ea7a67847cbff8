// BlockCache: blocks of tables in the memory that the device read them into.
//
//            Read: a miss                  the read ends well
//   nothing ─────────────► loading ───────────────────────────► ready ──evicted──► nothing
//                             │ pins wait for it                  │ pinned, read without a copy
//                             └─ it fails: nothing; those who waited get the error, and the next
//                                Read tries again
//
// What is evicted is decided by S3-FIFO (J. Yang et al., "FIFO queues are all you need for cache
// eviction", SOSP 2023): a new block comes into the small queue. At its end it goes on to the main
// queue if it was read again meanwhile, and else it goes; but a ghost of it stays, and when the
// block comes again while that is there, it comes into the main queue at once. A block at the end
// of the main queue begins there anew as often as it was read since, at most three times. So a
// scan passes through the small queue, a tenth of the cache, and pushes nothing else out.
#ifndef IOENGINE_ENGINE_TABLE_BLOCK_CACHE_H_
#define IOENGINE_ENGINE_TABLE_BLOCK_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/table/block.h"
#include "ioengine/engine/table/block_format.h"
#include "ioengine/engine/table/ghost_queue.h"
#include "ioengine/engine/table/table_file.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/intrusive_list.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine {

struct BlockCacheOptions {
  // Of the shard's DmaBuffers, which come in powers of two pages.
  size_t capacity_bytes = size_t{64} << 20;
  // Of blocks that are held (PinUse) at one time; less than the capacity, or look-ups may fail when
  // all of it is.
  size_t max_pinned_bytes = size_t{32} << 20;
};

// What a block is pinned for.
enum class PinUse : uint8_t {
  kHeld,   // for as long as its user likes: refused where too much is
  kShort,  // for a moment, in which nobody waits for another block: waits where there is no room
};

struct BlockCacheStats {
  uint64_t hits = 0;    // also of a block that was being read
  uint64_t misses = 0;  // each a read of the device
  uint64_t evictions = 0;
  uint64_t damaged = 0;  // blocks that did not pass their check
  uint64_t full = 0;     // reads that were refused: everything is pinned, or too much
  uint64_t waits = 0;    // for room, of short reads
};

// Shard: one.
class BlockCache {
 private:
  struct Frame;

 public:
  // Keeps a block where it is. Move-only. Ownership: must be gone before the cache.
  class Pin {
   public:
    Pin() = default;
    Pin(Pin&& other) noexcept
        : cache_(std::exchange(other.cache_, nullptr)),
          frame_(std::exchange(other.frame_, nullptr)),
          use_(other.use_) {}
    Pin& operator=(Pin&& other) noexcept {
      std::swap(cache_, other.cache_);
      std::swap(frame_, other.frame_);
      std::swap(use_, other.use_);
      return *this;
    }
    ~Pin() { Release(); }

    void Release();
    // From now on it is held (PinUse); false, and it stays short, where too much is.
    // REQUIRES: valid().
    bool TryHold();
    bool valid() const { return frame_ != nullptr; }
    // REQUIRES: valid(), here and below.
    std::span<const std::byte> bytes() const;
    // Of data and index.
    const Block& block() const;

   private:
    friend class BlockCache;
    Pin(BlockCache& cache, Frame& frame, PinUse use) : cache_(&cache), frame_(&frame), use_(use) {}

    BlockCache* cache_ = nullptr;
    Frame* frame_ = nullptr;
    PinUse use_ = PinUse::kHeld;
  };

  // Borrows `io`. Charges what it needs to know of blocks, for as many as there may be, to the
  // shard's memory.
  BlockCache(ShardIo& io, BlockCacheOptions options);
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;
  // Nothing may be pinned (CHECK).
  ~BlockCache();

  // The block, checked. Those who ask for one that is being read wait for that read; it goes on
  // when the task that began it is destroyed.
  // Errors: those of the read; DataLoss, naming the file and the offset, for a damaged block, which
  // is not kept, or for one of another size or kind than is asked for; ResourceExhausted when there
  // is no room and no short pin or read that will make some, or max_pinned_bytes are held. Cost: a
  // hit is a look-up in a hash table and no suspension.
  Task<absl::StatusOr<Pin>> Read(std::shared_ptr<const TableFile> file, BlockHandle handle,
                                 BlockKind kind, PinUse use = PinUse::kHeld);

  // The same if it is there already; else a Pin that is not valid().
  Pin TryRead(const TableFile& file, const BlockHandle& handle, BlockKind kind,
              PinUse use = PinUse::kHeld);

  // For who looks for several blocks in turn: asks for the memory that TryRead reads, at first for
  // the place in the table of blocks, and then for what is there. Cost: does not wait for memory
  // if they are called in this order, some time apart.
  void PrefetchPlace(const TableFile& file, const BlockHandle& handle) const {
    frames_.prefetch(FrameKey{file.id, handle.offset_bytes});
  }
  void PrefetchBlock(const TableFile& file, const BlockHandle& handle) const;

  // What is charged: about a tenth of the capacity.
  static size_t DirectoryBytes(const BlockCacheOptions& options);

  uint64_t NewFileId() { return ++last_file_id_; }

  size_t used_bytes() const { return small_bytes_ + main_bytes_; }
  size_t pinned_bytes() const { return pinned_bytes_; }
  const BlockCacheStats& stats() const { return stats_; }

 private:
  struct FrameKey {
    uint64_t file_id;
    uint64_t offset_bytes;

    friend bool operator==(const FrameKey&, const FrameKey&) = default;
    template <typename H>
    friend H AbslHashValue(H hash, const FrameKey& key) {
      return H::combine(std::move(hash), key.file_id, key.offset_bytes);
    }
  };

  static uint64_t GhostHash(const FrameKey& key);
  absl::StatusOr<Frame*> StartLoad(const std::shared_ptr<const TableFile>& file, BlockHandle handle,
                                   BlockKind kind);
  static Task<> Load(BlockCache* cache, Frame* frame, std::shared_ptr<const TableFile> file);
  static absl::Status CheckLoaded(Frame& frame, const TableFile& file);
  absl::StatusOr<DmaBuffer> TakeBuffer(size_t size_bytes);
  absl::Status MayPin(size_t bytes, PinUse use);
  absl::StatusOr<Pin> PinFrame(Frame& frame, PinUse use);
  bool TryHold(Frame& frame);
  void Unpin(Frame& frame, PinUse use);
  void WakeWaiting();

  bool EvictOne();
  bool EvictFromSmall();
  bool EvictFromMain();
  void Remove(Frame& frame);
  // Out of the queues and the accounts; the frame lives on.
  std::unique_ptr<Frame> Detach(Frame& frame);

  ShardIo& io_;
  const BlockCacheOptions options_;
  absl::flat_hash_map<FrameKey, std::unique_ptr<Frame>> frames_;
  // Whose read failed, and that are waited for.
  absl::flat_hash_map<Frame*, std::unique_ptr<Frame>> failed_;
  IntrusiveList<Frame> small_;
  IntrusiveList<Frame> main_;
  GhostQueue ghosts_;
  size_t small_bytes_ = 0;
  size_t main_bytes_ = 0;
  size_t pinned_bytes_ = 0;
  size_t held_bytes_ = 0;  // of those
  size_t short_pins_ = 0;
  size_t loading_ = 0;  // frames
  Event unpinned_;      // pulsed
  uint64_t last_file_id_ = 0;
  BlockCacheStats stats_;
  MemoryCharge charge_;
  TaskScope loads_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_BLOCK_CACHE_H_
