// DmaFile: a file that a shard reads and writes with O_DIRECT.
#ifndef IOENGINE_IO_DMA_FILE_H_
#define IOENGINE_IO_DMA_FILE_H_

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/io_awaiter.h"
#include "ioengine/io/io_site.h"
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
  enum class Direct : uint8_t {
    // Bypass the page cache (O_DIRECT). A file that refuses it (those of tmpfs and of some FUSE
    // file
    // systems do, and /dev/null) is used through the page cache: `DmaFile::is_direct()` tells.
    kIfPossible,
    kRequired,  // FailedPrecondition when it is refused
    kNever,
  };
  Direct direct = Direct::kIfPossible;
};

struct WriteOptions {
  // Complete only when these bytes, and the metadata to find them, would survive a power cut
  // (RWF_DSYNC). Says nothing about writes before this one.
  bool durable = false;
  // Then make all that was written to the file before durable too, as Fdatasync does, in the same
  // operation.
  bool then_sync = false;
  // Where in the buffer the bytes begin.
  size_t from_bytes = 0;
};

// A part of a file. Any alignment.
struct FileRange {
  uint64_t offset_bytes = 0;
  size_t size_bytes = 0;
};

// Bytes of a file, where the device put them. Keeps their buffer, which others may share.
struct FileBytes {
  DmaBuffer buffer;
  std::span<const std::byte> bytes;
};

struct ReadManyOptions {
  // Ranges are read together when so much lies between them at most (it is read and not used) …
  size_t max_gap_bytes = 4096;
  // … and the whole is not larger than this.
  size_t max_merged_bytes = size_t{128} << 10;
};

// An open file. Move-only. I/O on one that is closed, moved from or default-constructed is a
// programming error (CHECK).
//
// Each call's `site` is the place that it is called from; see IoSite. A close without Close has
// that of the open.
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
  static Task<absl::StatusOr<DmaFile>> Open(ShardIo& io, std::string path, DmaFileOptions options,
                                            IoSite site = std::source_location::current());

  DmaFile() = default;
  DmaFile(DmaFile&&) noexcept = default;
  DmaFile& operator=(DmaFile&&) noexcept = default;
  // Closes in the background once no operation is in flight. No sync, and errors are not seen.
  ~DmaFile() = default;

  // Reads `size_bytes` at `offset_bytes` into `buffer`, `to_bytes` behind its front. Gives the
  // number of bytes read, smaller than `size_bytes` only at the end of the file.
  // Units: offset and size are multiples of offset_alignment_bytes(), `to_bytes` of
  // memory_alignment_bytes().
  // Errors: InvalidArgument (alignment, a buffer that is too small), ResourceExhausted, Internal
  // (the device failed).
  SizeAwaiter Read(uint64_t offset_bytes, const DmaBuffer& buffer, size_t size_bytes,
                   size_t to_bytes = 0, IoSite site = std::source_location::current()) const;

  // Reads a range of any alignment, through a window around it that is aligned; copies nothing.
  // Gives fewer bytes only at the end of the file. Errors: those of Read and AllocateBuffer.
  Task<absl::StatusOr<FileBytes>> ReadRange(FileRange range,
                                            IoSite site = std::source_location::current()) const;

  // The same for many ranges, at most 65536, in any order, at once; result i is that of ranges[i].
  // Neighbours are read by one operation and share its buffer, so a result that is kept keeps the
  // others' memory too. Gives the first error, if there is one, once no read is in flight.
  Task<absl::StatusOr<std::vector<FileBytes>>> ReadMany(
      std::vector<FileRange> ranges, ReadManyOptions options = {},
      IoSite site = std::source_location::current()) const;

  // Writes `size_bytes` of `buffer` at `offset_bytes`: all, or an error. The buffer's
  // bytes must not change until the write completed.
  // Units, Errors: as for Read. ResourceExhausted also when the disk is full.
  StatusAwaiter Write(uint64_t offset_bytes, const DmaBuffer& buffer, size_t size_bytes,
                      WriteOptions options = {},
                      IoSite site = std::source_location::current()) const;

  // Makes the writes that completed before durable. Errors: Internal, ResourceExhausted. A failure
  // means that they may be lost, and a second call that succeeds does not bring them back: the
  // kernel has dropped them.
  StatusAwaiter Fdatasync(IoSite site = std::source_location::current()) const;

  // Reserves disk space for [offset, offset + size) and extends the file over it; it reads as
  // zeros. The first write to a reserved part still costs more than an overwrite.
  // Errors: ResourceExhausted (no space), Unimplemented (the file system cannot).
  StatusAwaiter Preallocate(uint64_t offset_bytes, uint64_t size_bytes,
                            IoSite site = std::source_location::current()) const;

  // Gives the disk space of [offset, offset + size) back, as far as whole blocks go; the range
  // reads as zeros, the file's size stays. Errors: Unimplemented (the file system cannot).
  StatusAwaiter Punch(uint64_t offset_bytes, uint64_t size_bytes,
                      IoSite site = std::source_location::current()) const;

  // Cuts the file to `size_bytes`, or extends it by zeros that take no space.
  StatusAwaiter Truncate(uint64_t size_bytes, IoSite site = std::source_location::current()) const;

  // Has the file system reserve space in extents of `size_bytes` (XFS), so that a file that grows
  // by small writes stays in few pieces. Errors: Unimplemented (the file system has no such hint).
  StatusAwaiter SetExtentHint(uint64_t size_bytes,
                              IoSite site = std::source_location::current()) const;

  // Tells the kernel what the range is going to be used for; of use for files that are not direct.
  StatusAwaiter Advise(uint64_t offset_bytes, uint64_t size_bytes, IoAdvice advice,
                       IoSite site = std::source_location::current()) const;

  // Takes the file's advisory lock, or gives it back (kNone); never waits for it. Held until then,
  // or until the file is closed, against everybody who opened the file, in this process too.
  // Errors: Unavailable when another holds it.
  Task<absl::Status> Lock(IoLock lock, IoSite site = std::source_location::current()) const;

  // Size (0 for a block device), type and alignments, as of now. Errors: those of statx(2).
  Task<absl::StatusOr<FileStat>> Stat(IoSite site = std::source_location::current()) const;

  // Waits until no operation on the file is in flight, closes it, and gives the error of close(2),
  // if any. The DmaFile is empty once this is awaited. Destroying the task leaves the close
  // to go on by itself.
  Task<absl::Status> Close(IoSite site = std::source_location::current());

  bool is_open() const { return static_cast<bool>(file_); }
  // Of an open file:
  const std::string& path() const { return file_->path; }
  // Whether it bypasses the page cache.
  bool is_direct() const { return file_->is_direct; }
  // 1 for files that do not.
  uint32_t offset_alignment_bytes() const { return file_->offset_alignment_bytes; }
  uint32_t memory_alignment_bytes() const { return file_->memory_alignment_bytes; }
  // Whether the backend has it in its table of registered files.
  // Of its operations that have completed since it was opened. Changes with each; copy it to keep
  // it.
  const IoFileStats& stats() const { return file_->stats; }
  bool registered() const { return file_->registered_index >= 0; }

 private:
  friend class FileSystem;

  DmaFile(ShardIo& io, FileRef file) : io_(&io), file_(std::move(file)) {}

  // Opens `path` beneath `directory`; or relative to the working directory, if that is empty.
  static Task<absl::StatusOr<DmaFile>> OpenAt(ShardIo& io, FileRef directory, std::string path,
                                              std::string display_path, DmaFileOptions options,
                                              IoSite site);

  void CheckOpen() const;
  // What is moved: bytes of `buffer` from `at_bytes` on.
  struct Transfer {
    uint64_t offset_bytes;
    const DmaBuffer& buffer;
    size_t size_bytes;
    size_t at_bytes;
    IoSite site;
  };
  bool IsValid(const Transfer& transfer) const;
  // Why IsValid said no.
  absl::Status TransferError(const char* operation, const Transfer& transfer) const;
  IoCommand TransferCommand(IoOpcode opcode, const Transfer& transfer) const;
  IoCommand FileCommand(IoOpcode opcode, IoSite site) const;
  StatusAwaiter OnRange(IoOpcode opcode, uint64_t offset_bytes, uint64_t range_bytes,
                        IoSite site) const;

  static Task<absl::Status> ReadInto(const DmaFile& file, FileRange window, FileBytes* result,
                                     IoSite site);

  ShardIo* io_ = nullptr;
  FileRef file_;
};

// Removes the name `path`. Errors: those of unlink(2), naming the path. Shard: that of `io`.
Task<absl::Status> RemoveFile(ShardIo& io, std::string path,
                              IoSite site = std::source_location::current());

}  // namespace ioengine

#endif  // IOENGINE_IO_DMA_FILE_H_
