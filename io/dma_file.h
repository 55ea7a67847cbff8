// DmaFile: a file that a shard reads and writes with O_DIRECT.
#ifndef IOENGINE_IO_DMA_FILE_H_
#define IOENGINE_IO_DMA_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/io_awaiter.h"
#include "ioengine/io/open_file.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/task.h"

namespace ioengine {

struct DmaFileOptions {
  enum class Access : uint8_t { kReadOnly, kReadWrite };
  enum class Create : uint8_t {
    kNever,      // NotFound when there is none
    kIfMissing,  // with mode 0600
    kMustBeNew,  // AlreadyExists when there is one
  };

  Access access = Access::kReadOnly;
  Create create = Create::kNever;
  // Bypass the page cache (O_DIRECT). Off: for files that refuse it, such as /dev/null.
  bool direct = true;
};

struct WriteOptions {
  // Complete only when these bytes, and the metadata to find them, would survive a power cut
  // (RWF_DSYNC). Says nothing about writes before this one.
  bool durable = false;
};

// An open file. Move-only. I/O on one that is closed, moved from or default-constructed is a
// programming error (CHECK).
//
// Shard: the one that opened it, for every call.
// Ownership: an operation in flight keeps its buffer's memory and the file open until the kernel
// is done, also when the task that awaits it is destroyed (the operation is then cancelled if that
// is still possible). The DmaFile itself must outlive only the co_await expression's start.
// Cost: reads, writes and syncs allocate nothing, and share system calls: one for all of a turn, or
// one for each chunk of eight where a turn starts many.
class DmaFile {
 public:
  // Opens `path`. Errors: those of open(2), naming the path; ResourceExhausted when the shard's
  // file table is full; FailedPrecondition when the file system refuses O_DIRECT. Cost: two
  // operations on the ring, which the kernel hands to a worker thread: about 50 µs.
  static Task<absl::StatusOr<DmaFile>> Open(ShardIo& io, std::string path, DmaFileOptions options);

  DmaFile() = default;
  DmaFile(DmaFile&&) noexcept = default;
  DmaFile& operator=(DmaFile&&) noexcept = default;
  // Closes in the background once no operation is in flight. No sync, and errors are not seen.
  ~DmaFile() = default;

  // Reads `size_bytes` at `offset_bytes` into the front of `buffer`. Gives the number of bytes
  // read, smaller than `size_bytes` only at the end of the file.
  // Units: offset and size are multiples of offset_alignment_bytes().
  // Errors: InvalidArgument (alignment, a buffer that is too small), ResourceExhausted, Internal
  // (the device failed).
  SizeAwaiter Read(uint64_t offset_bytes, const DmaBuffer& buffer, size_t size_bytes) const;

  // Writes the first `size_bytes` of `buffer` at `offset_bytes`: all, or an error. The buffer's
  // bytes must not change until the write completed.
  // Units, Errors: as for Read. ResourceExhausted also when the disk is full.
  StatusAwaiter Write(uint64_t offset_bytes, const DmaBuffer& buffer, size_t size_bytes,
                      WriteOptions options = {}) const;

  // Makes the writes that completed before durable. Errors: Internal, ResourceExhausted. A failure
  // means that they may be lost, and a second call that succeeds does not bring them back: the
  // kernel has dropped them.
  StatusAwaiter Fdatasync() const;

  // Reserves disk space for [offset, offset + size) and extends the file over it; it reads as
  // zeros. The first write to a reserved part still costs more than an overwrite.
  // Errors: ResourceExhausted (no space), Unimplemented (the file system cannot).
  StatusAwaiter Preallocate(uint64_t offset_bytes, uint64_t size_bytes) const;

  // Size (0 for a block device), type and alignments, as of now. Errors: those of statx(2).
  Task<absl::StatusOr<FileStat>> Stat() const;

  // Waits until no operation on the file is in flight, closes it, and gives the error of close(2),
  // if any. The DmaFile is empty once this is awaited. Destroying the task leaves the close
  // to go on by itself.
  Task<absl::Status> Close();

  bool is_open() const { return static_cast<bool>(file_); }
  // Of an open file:
  const std::string& path() const { return file_->path; }
  // 1 for files that are not opened with O_DIRECT.
  uint32_t offset_alignment_bytes() const { return file_->offset_alignment_bytes; }
  uint32_t memory_alignment_bytes() const { return file_->memory_alignment_bytes; }
  // Whether the backend has it in its table of registered files.
  bool registered() const { return file_->registered_index >= 0; }

 private:
  DmaFile(ShardIo& io, FileRef file) : io_(&io), file_(std::move(file)) {}

  void CheckOpen() const;
  bool TransferIsValid(uint64_t offset_bytes, const DmaBuffer& buffer, size_t size_bytes) const;
  // Why TransferIsValid said no.
  absl::Status TransferError(const char* operation, uint64_t offset_bytes, const DmaBuffer& buffer,
                             size_t size_bytes) const;
  IoCommand TransferCommand(IoOpcode opcode, uint64_t offset_bytes, const DmaBuffer& buffer,
                            size_t size_bytes) const;
  IoCommand FileCommand(IoOpcode opcode) const;

  ShardIo* io_ = nullptr;
  FileRef file_;
};

// Removes the name `path`. Errors: those of unlink(2), naming the path. Shard: that of `io`.
Task<absl::Status> RemoveFile(ShardIo& io, std::string path);

}  // namespace ioengine

#endif  // IOENGINE_IO_DMA_FILE_H_
