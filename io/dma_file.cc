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
#include "ioengine/io/path_command.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

// What O_DIRECT needs on every file system when the kernel (before 6.1) does not tell.
constexpr uint32_t kSafeAlignmentBytes = 4096;
// read(2) and write(2) move no more than this at once (MAX_RW_COUNT); also keeps results in int32.
constexpr size_t kMaxTransferBytes = 0x7ffff000;

using Direct = DmaFileOptions::Direct;

int OpenFlags(const DmaFileOptions& options, bool direct) {
  int flags = O_CLOEXEC | O_NOCTTY;
  flags |= options.access == DmaFileOptions::Access::kReadOnly ? O_RDONLY : O_RDWR;
  if (options.create != DmaFileOptions::Create::kNever) flags |= O_CREAT;
  if (options.create == DmaFileOptions::Create::kMustBeNew) flags |= O_EXCL;
  if (direct) flags |= O_DIRECT;
  return flags;
}

absl::Status DirectError(const std::string& path) {
  return absl::FailedPreconditionError(absl::StrCat(
      "open ", path, ": it refuses O_DIRECT, as directories and some file systems do; keep the ",
      "data in a regular file on ext4 or XFS or on a block device, or open it with ",
      "DmaFileOptions::Direct::kIfPossible, which takes the page cache instead"));
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

Task<absl::StatusOr<DmaFile>> DmaFile::Open(ShardIo& io, std::string path, DmaFileOptions options,
                                            IoSite site) {
  return OpenAt(io, FileRef(), path, path, options, site);
}

Task<absl::StatusOr<DmaFile>> DmaFile::OpenAt(ShardIo& io, FileRef directory, std::string path,
                                              std::string display_path, DmaFileOptions options,
                                              IoSite site) {
  if (absl::Status status = CheckPath("open", path); !status.ok()) co_return status;
  FileRef file = io.files().Reserve();
  if (!file) {
    co_return absl::ResourceExhaustedError(
        absl::StrCat("open ", display_path, ": the shard has ", io.files().capacity(),
                     " files open already; close some or raise max_open_files"));
  }
  file->path = std::move(display_path);
  file->site = site;
  file->is_direct = options.direct != Direct::kNever;

  for (;;) {
    IoCommand command = PathCommand(IoOpcode::kOpen, path, site);
    if (directory) {
      command.request.fd = directory->fd;
      command.path->directory_file = directory.Share();
      command.path->beneath = true;
    }
    command.path->open_flags = OpenFlags(options, file->is_direct);
    command.path->mode = 0600;
    command.file = file.Share();
    StatusAwaiter open(io.queue(), std::move(command));
    absl::Status status = co_await open;
    if (status.ok()) break;
    // open(2): EINVAL with O_DIRECT means that the file or its file system does not support it.
    const bool refused = open.result() == -EINVAL && file->is_direct;
    if (!refused) {
      // Beneath a directory `path` is one name: it is a link itself.
      if (directory && open.result() == -ELOOP) {
        co_return WithIoSite(absl::InvalidArgumentError(
                                 absl::StrCat("open ", file->path, ": it is a symbolic link")),
                             site);
      }
      co_return directory ? IoError(-open.result(), absl::StrCat("open ", file->path), site)
                          : status;
    }
    if (options.direct == Direct::kRequired) co_return WithIoSite(DirectError(file->path), site);
    file->is_direct = false;
    // A new file may be there already: the kernel makes it before it refuses.
    if (options.create == DmaFileOptions::Create::kMustBeNew) {
      options.create = DmaFileOptions::Create::kIfMissing;
    }
  }

  DmaFile result(io, std::move(file));
  if (options.direct != Direct::kNever) {
    absl::StatusOr<FileStat> stat = co_await result.Stat(site);
    if (!stat.ok()) co_return stat.status();
    if (stat->kind == FileKind::kDirectory) {
      co_return absl::FailedPreconditionError(
          absl::StrCat("open ", result.path(), ": it is a directory; see FileSystem"));
    }
    if (result.is_direct()) SetAlignment(*result.file_, *stat);
  }
  const int index = io.files().IndexOf(*result.file_);
  if (io.backend().RegisterFile(index, result.file_->fd)) {
    result.file_->registered_index = index;
  }
  co_return result;
}

SizeAwaiter DmaFile::Read(uint64_t offset_bytes, const DmaBuffer& buffer, size_t size_bytes,
                          size_t to_bytes, IoSite site) const {
  const Transfer transfer{offset_bytes, buffer, size_bytes, to_bytes, site};
  if (!IsValid(transfer)) [[unlikely]] {
    return SizeAwaiter(io_->queue(), WithIoSite(TransferError("read", transfer), site));
  }
  return SizeAwaiter(io_->queue(), TransferCommand(IoOpcode::kRead, transfer));
}

StatusAwaiter DmaFile::Write(uint64_t offset_bytes, const DmaBuffer& buffer, size_t size_bytes,
                             WriteOptions options, IoSite site) const {
  const Transfer transfer{offset_bytes, buffer, size_bytes, options.from_bytes, site};
  if (!IsValid(transfer)) [[unlikely]] {
    return StatusAwaiter(io_->queue(), WithIoSite(TransferError("write", transfer), site));
  }
  IoCommand command = TransferCommand(IoOpcode::kWrite, transfer);
  if (options.durable) command.request.flags |= kIoDsync;
  if (options.then_sync) command.request.flags |= kIoThenSync;
  return StatusAwaiter(io_->queue(), std::move(command));
}

StatusAwaiter DmaFile::Fdatasync(IoSite site) const {
  IoCommand command = FileCommand(IoOpcode::kFdatasync, site);
  return StatusAwaiter(io_->queue(), std::move(command));
}

StatusAwaiter DmaFile::Preallocate(uint64_t offset_bytes, uint64_t size_bytes, IoSite site) const {
  return OnRange(IoOpcode::kAllocate, offset_bytes, size_bytes, site);
}

StatusAwaiter DmaFile::Punch(uint64_t offset_bytes, uint64_t size_bytes, IoSite site) const {
  return OnRange(IoOpcode::kPunch, offset_bytes, size_bytes, site);
}

StatusAwaiter DmaFile::Truncate(uint64_t size_bytes, IoSite site) const {
  return OnRange(IoOpcode::kTruncate, 0, size_bytes, site);
}

StatusAwaiter DmaFile::SetExtentHint(uint64_t size_bytes, IoSite site) const {
  return OnRange(IoOpcode::kExtentHint, 0, size_bytes, site);
}

StatusAwaiter DmaFile::OnRange(IoOpcode opcode, uint64_t offset_bytes, uint64_t range_bytes,
                               IoSite site) const {
  IoCommand command = FileCommand(opcode, site);
  command.request.offset_bytes = offset_bytes;
  command.request.range_bytes = range_bytes;
  return StatusAwaiter(io_->queue(), std::move(command));
}

StatusAwaiter DmaFile::Advise(uint64_t offset_bytes, uint64_t size_bytes, IoAdvice advice,
                              IoSite site) const {
  IoCommand command = FileCommand(IoOpcode::kAdvise, site);
  command.request.offset_bytes = offset_bytes;
  command.request.range_bytes = size_bytes;
  command.request.argument = static_cast<uint8_t>(advice);
  return StatusAwaiter(io_->queue(), std::move(command));
}

Task<absl::Status> DmaFile::Lock(IoLock lock, IoSite site) const {
  IoCommand command = FileCommand(IoOpcode::kLock, site);
  command.request.argument = static_cast<uint8_t>(lock);
  const std::string path = file_->path;
  StatusAwaiter awaiter(io_->queue(), std::move(command));
  absl::Status status = co_await awaiter;
  if (awaiter.result() == -EBUSY) {
    co_return WithIoSite(
        absl::UnavailableError(
            absl::StrCat("lock ", path, ": somebody else who has the file open holds its lock")),
        site);
  }
  co_return status;
}

Task<absl::StatusOr<FileStat>> DmaFile::Stat(IoSite site) const {
  IoCommand command = FileCommand(IoOpcode::kStat, site);
  command.path = std::make_unique<PathArguments>();
  StatusAwaiter awaiter(io_->queue(), std::move(command));
  if (absl::Status status = co_await awaiter; !status.ok()) co_return status;
  co_return awaiter.command().path->stat;
}

Task<absl::Status> DmaFile::Close(IoSite site) {
  CheckOpen();
  file_->site = site;
  const std::string path = file_->path;
  const int32_t result = co_await CloseAwaiter(std::move(file_), io_->executor());
  if (result < 0) co_return IoError(-result, absl::StrCat("close ", path), site);
  co_return absl::OkStatus();
}

Task<absl::Status> RemoveFile(ShardIo& io, std::string path, IoSite site) {
  if (absl::Status status = CheckPath("unlink", path); !status.ok()) co_return status;
  co_return co_await StatusAwaiter(io.queue(),
                                   PathCommand(IoOpcode::kRemove, std::move(path), site));
}

void DmaFile::CheckOpen() const {
  IOENGINE_CHECK(is_open(), "I/O on a DmaFile that is closed or was moved from");
}

bool DmaFile::IsValid(const Transfer& transfer) const {
  CheckOpen();
  const size_t buffer_bytes = transfer.buffer.size_bytes();
  const uint64_t misaligned =
      ((transfer.offset_bytes | transfer.size_bytes) & (file_->offset_alignment_bytes - 1)) |
      (transfer.at_bytes & (file_->memory_alignment_bytes - 1));
  return misaligned == 0 && transfer.at_bytes <= buffer_bytes &&
         transfer.size_bytes <= buffer_bytes - transfer.at_bytes && transfer.size_bytes > 0 &&
         transfer.size_bytes <= kMaxTransferBytes &&
         transfer.offset_bytes <= INT64_MAX - kMaxTransferBytes;
}

absl::Status DmaFile::TransferError(const char* operation, const Transfer& transfer) const {
  const size_t size_bytes = transfer.size_bytes;
  const size_t buffer_bytes = transfer.buffer.size_bytes();
  const std::string what = absl::StrCat(operation, " ", file_->path, " (", size_bytes,
                                        " bytes at offset ", transfer.offset_bytes, "): ");
  if (transfer.at_bytes > buffer_bytes || size_bytes > buffer_bytes - transfer.at_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, "the buffer has only ", buffer_bytes, " bytes",
        transfer.at_bytes == 0 ? ""
                               : absl::StrCat(", and ", transfer.at_bytes, " of it are skipped")));
  }
  if (size_bytes == 0 || size_bytes > kMaxTransferBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, "the size must be 1 to ", kMaxTransferBytes, " bytes"));
  }
  if (transfer.offset_bytes > INT64_MAX - kMaxTransferBytes) {
    return absl::InvalidArgumentError(absl::StrCat(what, "the offset is too large for a file"));
  }
  if ((transfer.at_bytes & (file_->memory_alignment_bytes - 1)) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, "the place in the buffer is ", transfer.at_bytes, "; it must be a multiple of ",
        file_->memory_alignment_bytes, " bytes for direct I/O on this file"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat(what, "offset and size of direct I/O on this file must be multiples of ",
                   file_->offset_alignment_bytes, " bytes"));
}

IoCommand DmaFile::TransferCommand(IoOpcode opcode, const Transfer& transfer) const {
  IoCommand command = FileCommand(opcode, transfer.site);
  command.request.flags = kIoWhole;
  command.request.alignment_shift =
      static_cast<uint8_t>(std::countr_zero(file_->offset_alignment_bytes));
  command.request.registered_buffer = transfer.buffer.registered_index();
  command.request.size_bytes = static_cast<uint32_t>(transfer.size_bytes);
  command.request.offset_bytes = transfer.offset_bytes;
  command.request.data = transfer.buffer.data() + transfer.at_bytes;
  command.buffer = transfer.buffer.Share();
  return command;
}

IoCommand DmaFile::FileCommand(IoOpcode opcode, IoSite site) const {
  CheckOpen();
  IoCommand command;
  command.request.opcode = opcode;
  command.request.fd = file_->fd;
  command.request.site = site;
  command.request.registered_file = file_->registered_index;
  command.file = file_.Share();
  return command;
}

}  // namespace ioengine
