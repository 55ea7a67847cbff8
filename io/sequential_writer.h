// SequentialWriter: writes a file from front to back, behind whoever makes the bytes.
#ifndef IOENGINE_IO_SEQUENTIAL_WRITER_H_
#define IOENGINE_IO_SEQUENTIAL_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/io_site.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/semaphore.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine {

struct SequentialWriterOptions {
  // Where the first byte goes; a multiple of the file's offset_alignment_bytes().
  uint64_t begin_bytes = 0;
  // Each write is so large …
  size_t buffer_bytes = size_t{128} << 10;
  // … and so many are under way at most; then Append waits. At least 1.
  size_t write_behind = 4;
};

// Nothing is synced unless that is asked for. Writes have the class of the task that makes the
// writer.
//
//   appending ──Finish──► finished
//       └── a write fails ──► failed: each call gives that error
//
// Each write has the `site` of the call that filled its buffer; see IoSite.
//
// Shard: that of the file. One task at a time.
// Ownership: borrows both. A writer that is destroyed before Finish ends its writes: any of them
// may be missing, and what is in its last buffer is.
class SequentialWriter {
 public:
  SequentialWriter(ShardIo& io, const DmaFile& file, SequentialWriterOptions options);
  SequentialWriter(const SequentialWriter&) = delete;
  SequentialWriter& operator=(const SequentialWriter&) = delete;
  ~SequentialWriter();

  // Copies `bytes` behind what there is; they may change once it is done. Suspends while
  // `write_behind` writes are under way. Errors: InvalidArgument (begin_bytes); those of an earlier
  // write, and of AllocateBuffer. Cost: a copy, counted in ShardIo::bytes_copied.
  Task<absl::Status> Append(std::span<const std::byte> bytes,
                            IoSite site = std::source_location::current());

  // The same without a copy: gives at least one byte of room behind what there is, and
  // Commit tells how many of them were filled. Errors: those of Append.
  Task<absl::StatusOr<std::span<std::byte>>> Room();
  void Commit(size_t size_bytes, IoSite site = std::source_location::current());

  enum class Sync : uint8_t { kNo, kYes };
  // Writes what is left, and waits for all writes. The file then ends with the last byte that was
  // appended, if it did not go on behind it before (a direct write is padded with zeros to a whole
  // block, and the file cut again). With kYes the bytes are durable then, as after Fdatasync.
  Task<absl::Status> Finish(Sync sync, IoSite site = std::source_location::current());

  // Of all that was appended.
  uint64_t size_bytes() const { return size_bytes_; }

 private:
  Task<absl::Status> TakeBuffer();
  void StartWrite(size_t write_bytes, IoSite site);
  static Task<> Write(SequentialWriter* writer, uint64_t offset_bytes, DmaBuffer buffer,
                      size_t write_bytes, Semaphore::Units turn, IoSite site);

  ShardIo& io_;
  const DmaFile& file_;
  const SequentialWriterOptions options_;
  DmaBuffer buffer_;         // that is being filled; not valid() between two
  Semaphore::Units turn_;    // what lets it be written
  size_t filled_bytes_ = 0;  // of it
  uint64_t offset_bytes_;    // where it goes
  uint64_t size_bytes_ = 0;
  bool finished_ = false;
  absl::Status status_;
  Semaphore turns_;
  TaskScope scope_;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_SEQUENTIAL_WRITER_H_
