// SequentialReader: reads a file from one place to another, ahead of whoever uses the bytes.
#ifndef IOENGINE_IO_SEQUENTIAL_READER_H_
#define IOENGINE_IO_SEQUENTIAL_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/io_site.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine {

struct SequentialReaderOptions {
  // From where to where; any alignment. What lies behind the end of the file is not there.
  uint64_t begin_bytes = 0;
  uint64_t end_bytes = UINT64_MAX;
  // Each read is so large …
  size_t buffer_bytes = size_t{128} << 10;
  // … and so many are under way, as far as there is memory for their buffers. At least 1.
  size_t read_ahead = 4;
};

// The bytes come in the buffers that the device wrote them into. Reads have the class of the task
// that makes the reader.
//
//   SequentialReader reader(io, file, {});
//   for (;;) {
//     auto bytes = co_await reader.Next();
//     if (!bytes.ok() || bytes->empty()) break;   // an error, or the end
//     …
//   }
//
// Each read has the `site` of the call that started it; see IoSite.
//
// Shard: that of the file. One task at a time.
// Ownership: borrows both; a reader that is destroyed ends its reads.
class SequentialReader {
 public:
  SequentialReader(ShardIo& io, const DmaFile& file, SequentialReaderOptions options);
  SequentialReader(const SequentialReader&) = delete;
  SequentialReader& operator=(const SequentialReader&) = delete;
  ~SequentialReader();

  // The next bytes, valid until the call after this; none at the end. Errors: those of
  // DmaFile::Read and AllocateBuffer; the same again when called again.
  Task<absl::StatusOr<std::span<const std::byte>>> Next(
      IoSite site = std::source_location::current());

  // Copies the next `into.size()` bytes. OutOfRange when there are fewer (they are then skipped).
  // Not after Next on the same bytes. Cost: a copy, counted in ShardIo::bytes_copied.
  Task<absl::Status> ReadExactly(std::span<std::byte> into,
                                 IoSite site = std::source_location::current());

  // Where what was given so far ends, and what comes next begins.
  uint64_t offset_bytes() const { return offset_bytes_ - rest_.size(); }

 private:
  // A buffer, and the read into it that is under way or done.
  struct Slot {
    DmaBuffer buffer;
    uint64_t offset_bytes = 0;  // of the read
    size_t size_bytes = 0;      // of the read
    absl::StatusOr<size_t> result = size_t{0};
    Event done;
  };

  absl::Status Begin(IoSite site);
  void StartNext(Slot& slot, IoSite site);
  static Task<> Read(const DmaFile* file, Slot* slot, IoSite site);
  std::span<const std::byte> BytesOf(const Slot& slot) const;

  ShardIo& io_;
  const DmaFile& file_;
  const SequentialReaderOptions options_;
  std::vector<std::unique_ptr<Slot>> slots_;
  size_t current_ = 0;               // the slot whose bytes come next
  bool given_ = false;               // the bytes of the current slot were given
  uint64_t next_read_bytes_;         // where the next read begins
  uint64_t offset_bytes_;            // the end of what Next gave
  std::span<const std::byte> rest_;  // of the current slot, for ReadExactly
  absl::Status status_;
  bool at_end_ = false;
  TaskScope scope_;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_SEQUENTIAL_READER_H_
