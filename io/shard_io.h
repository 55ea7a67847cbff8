// ShardIo: everything that one shard's tasks need to do I/O.
#ifndef IOENGINE_IO_SHARD_IO_H_
#define IOENGINE_IO_SHARD_IO_H_

#include <cstddef>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/io/backend.h"
#include "ioengine/io/dma_buffer_pool.h"
#include "ioengine/io/io_queue.h"
#include "ioengine/io/open_file.h"
#include "ioengine/sched/executor.h"

namespace ioengine {

struct ShardIoOptions {
  // Operations in flight at most; more wait in their tasks. Cut to the backend's capacity.
  size_t queue_depth = 256;
  // Bytes in flight at most, and those of the background among them; see IoQueueOptions.
  size_t max_bytes_in_flight = size_t{64} << 20;
  size_t max_background_bytes = size_t{8} << 20;
  // Files that may be open at once.
  size_t max_open_files = 256;
  SlowIoOptions slow_io = {};
};

// A shard's queue, buffers and files over one backend.
//
// Shard: one; made, used and destroyed on its thread.
class ShardIo final : private FileCloser {
 public:
  // Borrows all three: `backend` and `executor` belong together; `arena` is the memory of the
  // buffers, see DmaBufferPool. Registers the arena with the backend; where that is refused,
  // or granted for a part, buffers are plain memory or may be, and backend.info() tells.
  ShardIo(Backend& backend, Executor& executor, std::span<std::byte> arena,
          const ShardIoOptions& options);
  ShardIo(const ShardIo&) = delete;
  ShardIo& operator=(const ShardIo&) = delete;
  // Drains. No task and no DmaBuffer or DmaFile of this shard may be left.
  ~ShardIo();

  // A buffer for direct I/O, see DmaBufferPool::Allocate.
  absl::StatusOr<DmaBuffer> AllocateBuffer(size_t size_bytes) {
    return buffers_.Allocate(size_bytes);
  }

  // How many bytes were copied between users' memory and buffers: by ReadExactly and Append of the
  // sequential reader and writer, and by nothing else here.
  uint64_t bytes_copied() const { return bytes_copied_; }
  void CountCopy(size_t size_bytes) { bytes_copied_ += size_bytes; }

  Backend& backend() { return backend_; }
  IoQueue& queue() { return queue_; }
  DmaBufferPool& buffers() { return buffers_; }
  FileTable& files() { return files_; }
  Executor& executor() { return executor_; }

 private:
  class Closing;

  void CloseFile(OpenFile& file) override;

  Backend& backend_;
  Executor& executor_;
  DmaBufferPool buffers_;
  IoQueue queue_;
  FileTable files_;
  uint64_t bytes_copied_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_SHARD_IO_H_
