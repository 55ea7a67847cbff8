#include "ioengine/io/dma_file.h"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <coroutine>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/io/io_error.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

static_assert(kCurrentDirectory == AT_FDCWD);

// What O_DIRECT needs on every file system when the kernel (before 6.1) does not tell.
constexpr uint32_t kSafeAlignmentBytes = 4096;
// read(2) and write(2) move no more than this at once (MAX_RW_COUNT); also keeps results in int32.
constexpr size_t kMaxTransferBytes = 0x7ffff000;

int OpenFlags(const DmaFileOptions& options) {
  int flags = O_CLOEXEC | O_NOCTTY;
  flags |= options.access == DmaFileOptions::Access::kReadOnly ? O_RDONLY : O_RDWR;
  if (options.create != DmaFileOptions::Create::kNever) flags |= O_CREAT;
  if (options.create == DmaFileOptions::Create::kMustBeNew) flags |= O_EXCL;
  if (options.direct) flags |= O_DIRECT;
  return flags;
}

IoCommand PathCommand(IoOpcode opcode, std::string path) {
  IoCommand command;
  command.request.opcode = opcode;
  command.request.fd = kCurrentDirectory;
  command.path = std::make_unique<PathArguments>();
  command.path->path = std::move(path);
  return command;
}

absl::Status OpenError(const std::string& path, const DmaFileOptions& options, absl::Status error,
                       int32_t result) {
  // open(2): EINVAL with O_DIRECT means that the file or its file system does not support it.
  if (result == -EINVAL && options.direct) {
    return absl::FailedPreconditionError(absl::StrCat(
        "open ", path, ": it refuses O_DIRECT, as directories and some file systems do; keep the ",
        "data in a regular file on ext4 or XFS or on a block device, or open it with ",
        "DmaFileOptions::direct = false"));
  }
  return error;
}

// The kernel takes a path to end at its first NUL: it would open, or remove, another file.
absl::Status CheckPath(const char* operation, const std::string& path) {
  if (path.find('\0') == std::string::npos) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(operation, " ", path.c_str(),
                                                 ": the path goes on after a NUL character, which "
                                                 "no file name can hold"));
}

void SetAlignment(OpenFile& file, const FileStat& stat) {
  file.memory_alignment_bytes =
      stat.memory_alignment_bytes != 0 ? stat.memory_alignment_bytes : kSafeAlignmentBytes;
  file.offset_alignment_bytes =
      stat.offset_alignment_bytes != 0 ? stat.offset_alignment_bytes : kSafeAlignmentBytes;
}

// Drops the last handle of a file and waits until its descriptor is closed.
class CloseAwaiter final : public CloseListener {
 public:
  CloseAwaiter(FileRef file, Executor& executor) : file_(std::move(file)), executor_(executor) {}
  CloseAwaiter(const CloseAwaiter&) = delete;
  CloseAwaiter& operator=(const CloseAwaiter&) = delete;
  ~CloseAwaiter() {
    if (open_file_ != nullptr) open_file_->close_listener = nullptr;
  }

  bool await_ready() const noexcept { return false; }

  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    task_ = &handle.promise();
    open_file_ = &*file_;
    open_file_->close_listener = this;
    file_.Reset();  // operations in flight may hold more references; the last one closes
  }

  int32_t await_resume() const noexcept { return result_; }

 private:
  void OnClosed(int32_t result) override {
    open_file_ = nullptr;
    result_ = result;
    executor_.MakeRunnable(*task_);
  }

  FileRef file_;
  Executor& executor_;
  OpenFile* open_file_ = nullptr;
  Runnable* task_ = nullptr;
  int32_t result_ = 0;
};

}  // namespace

Task<absl::StatusOr<DmaFile>> DmaFile::Open(ShardIo& io, std::string path, DmaFileOptions options) {
  if (absl::Status status = CheckPath("open", path); !status.ok()) co_return status;
  FileRef file = io.files().Reserve();
  if (!file) {
    co_return absl::ResourceExhaustedError(
        absl::StrCat("open ", path, ": the shard has ", io.files().capacity(),
                     " files open already; close some or raise max_open_files"));
  }
  file->path = path;

  IoCommand command = PathCommand(IoOpcode::kOpen, std::move(path));
  command.path->open_flags = OpenFlags(options);
  command.path->mode = 0600;
  command.file = file.Share();
  StatusAwaiter open(io.queue(), std::move(command));
  if (absl::Status status = co_await open; !status.ok()) {
    co_return OpenError(file->path, options, std::move(status), open.result());
  }

  DmaFile result(io, std::move(file));
  if (options.direct) {
    absl::StatusOr<FileStat> stat = co_await result.Stat();
    if (!stat.ok()) co_return stat.status();
    SetAlignment(*result.file_, *stat);
  }
  const int index = io.files().IndexOf(*result.file_);
  if (io.backend().RegisterFile(index, result.file_->fd)) {
    result.file_->registered_index = index;
  }
  co_return result;
}

SizeAwaiter DmaFile::Read(uint64_t offset_bytes, const DmaBuffer& buffer, size_t size_bytes) const {
  if (!TransferIsValid(offset_bytes, buffer, size_bytes)) [[unlikely]] {
    return SizeAwaiter(io_->queue(), TransferError("read", offset_bytes, buffer, size_bytes));
  }
  return SizeAwaiter(io_->queue(),
                     TransferCommand(IoOpcode::kRead, offset_bytes, buffer, size_bytes));
}

StatusAwaiter DmaFile::Write(uint64_t offset_bytes, const DmaBuffer& buffer, size_t size_bytes,
                             WriteOptions options) const {
  if (!TransferIsValid(offset_bytes, buffer, size_bytes)) [[unlikely]] {
    return StatusAwaiter(io_->queue(), TransferError("write", offset_bytes, buffer, size_bytes));
  }
  IoCommand command = TransferCommand(IoOpcode::kWrite, offset_bytes, buffer, size_bytes);
  if (options.durable) command.request.flags |= kIoDsync;
  return StatusAwaiter(io_->queue(), std::move(command));
}

StatusAwaiter DmaFile::Fdatasync() const {
  IoCommand command = FileCommand(IoOpcode::kFdatasync);
  return StatusAwaiter(io_->queue(), std::move(command));
}

StatusAwaiter DmaFile::Preallocate(uint64_t offset_bytes, uint64_t size_bytes) const {
  IoCommand command = FileCommand(IoOpcode::kAllocate);
  command.request.offset_bytes = offset_bytes;
  command.request.range_bytes = size_bytes;
  return StatusAwaiter(io_->queue(), std::move(command));
}

Task<absl::StatusOr<FileStat>> DmaFile::Stat() const {
  IoCommand command = FileCommand(IoOpcode::kStat);
  command.path = std::make_unique<PathArguments>();
  StatusAwaiter awaiter(io_->queue(), std::move(command));
  if (absl::Status status = co_await awaiter; !status.ok()) co_return status;
  co_return awaiter.command().path->stat;
}

Task<absl::Status> DmaFile::Close() {
  CheckOpen();
  const std::string path = file_->path;
  const int32_t result = co_await CloseAwaiter(std::move(file_), io_->executor());
  if (result < 0) co_return IoError(-result, absl::StrCat("close ", path));
  co_return absl::OkStatus();
}

Task<absl::Status> RemoveFile(ShardIo& io, std::string path) {
  if (absl::Status status = CheckPath("unlink", path); !status.ok()) co_return status;
  co_return co_await StatusAwaiter(io.queue(), PathCommand(IoOpcode::kRemove, std::move(path)));
}

void DmaFile::CheckOpen() const {
  IOENGINE_CHECK(is_open(), "I/O on a DmaFile that is closed or was moved from");
}

bool DmaFile::TransferIsValid(uint64_t offset_bytes, const DmaBuffer& buffer,
                              size_t size_bytes) const {
  CheckOpen();
  const uint64_t misaligned = (offset_bytes | size_bytes) & (file_->offset_alignment_bytes - 1);
  return misaligned == 0 && size_bytes <= buffer.size_bytes() && size_bytes > 0 &&
         size_bytes <= kMaxTransferBytes && offset_bytes <= INT64_MAX - kMaxTransferBytes;
}

absl::Status DmaFile::TransferError(const char* operation, uint64_t offset_bytes,
                                    const DmaBuffer& buffer, size_t size_bytes) const {
  const std::string what = absl::StrCat(operation, " ", file_->path, " (", size_bytes,
                                        " bytes at offset ", offset_bytes, "): ");
  if (size_bytes > buffer.size_bytes()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, "the buffer has only ", buffer.size_bytes(), " bytes"));
  }
  if (size_bytes == 0 || size_bytes > kMaxTransferBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, "the size must be 1 to ", kMaxTransferBytes, " bytes"));
  }
  if (offset_bytes > INT64_MAX - kMaxTransferBytes) {
    return absl::InvalidArgumentError(absl::StrCat(what, "the offset is too large for a file"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat(what, "offset and size of direct I/O on this file must be multiples of ",
                   file_->offset_alignment_bytes, " bytes"));
}

IoCommand DmaFile::TransferCommand(IoOpcode opcode, uint64_t offset_bytes, const DmaBuffer& buffer,
                                   size_t size_bytes) const {
  IoCommand command = FileCommand(opcode);
  command.request.flags = kIoWhole;
  command.request.alignment_shift =
      static_cast<uint8_t>(std::countr_zero(file_->offset_alignment_bytes));
  command.request.registered_buffer = buffer.registered_index();
  command.request.size_bytes = static_cast<uint32_t>(size_bytes);
  command.request.offset_bytes = offset_bytes;
  command.request.data = buffer.data();
  command.buffer = buffer.Share();
  return command;
}

IoCommand DmaFile::FileCommand(IoOpcode opcode) const {
  CheckOpen();
  IoCommand command;
  command.request.opcode = opcode;
  command.request.fd = file_->fd;
  command.request.registered_file = file_->registered_index;
  command.file = file_.Share();
  return command;
}

}  // namespace ioengine
