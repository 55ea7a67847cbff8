#include "ioengine/io/uring/prepare_sqe.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>
#include <new>

#include "ioengine/sched/check.h"

// uapi/linux/fs.h; not included here, because it defines macros that collide with others.
#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

namespace ioengine {
namespace {

static_assert(sizeof(struct statx) <= sizeof(PathArguments::scratch));
static_assert(alignof(struct statx) <= 8);
static_assert(sizeof(open_how) <= sizeof(PathArguments::scratch));

// IORING_OP_FTRUNCATE (Linux 6.9), which liburing 2.3 does not know.
constexpr int kOpFtruncate = 55;

void PrepareTransfer(IoCommand& command, io_uring_sqe& sqe) {
  const IoRequest& request = command.request;
  const bool fixed = request.registered_buffer != kNotRegistered;
  const bool write = request.opcode == IoOpcode::kWrite;
  int opcode;
  if (write) {
    opcode = fixed ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE;
  } else {
    opcode = fixed ? IORING_OP_READ_FIXED : IORING_OP_READ;
  }
  io_uring_prep_rw(opcode, &sqe, request.fd, request.data, request.size_bytes,
                   request.offset_bytes);
  if (fixed) sqe.buf_index = request.registered_buffer;
  if ((request.flags & kIoDsync) != 0) sqe.rw_flags = RWF_DSYNC;
}

// Fills in an operation on names: they are relative to a directory, never on a registered file.
void PreparePath(IoCommand& command, io_uring_sqe& sqe) {
  const IoRequest& request = command.request;
  PathArguments& path = *command.path;
  switch (request.opcode) {
    case IoOpcode::kOpen:
      if (path.beneath) {
        auto* const how = ::new (path.scratch) open_how();
        how->flags = static_cast<unsigned>(path.open_flags);
        how->mode = (path.open_flags & O_CREAT) != 0 ? path.mode : 0;
        how->resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
        io_uring_prep_openat2(&sqe, request.fd, path.path.c_str(), how);
      } else {
        io_uring_prep_openat(&sqe, request.fd, path.path.c_str(), path.open_flags, path.mode);
      }
      return;
    case IoOpcode::kStat:
      io_uring_prep_statx(&sqe, request.fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_DIOALIGN,
                          ::new (path.scratch) struct statx());
      return;
    case IoOpcode::kRemove:
      io_uring_prep_unlinkat(&sqe, request.fd, path.path.c_str(),
                             (request.flags & kIoDirectory) != 0 ? AT_REMOVEDIR : 0);
      return;
    case IoOpcode::kRename:
      io_uring_prep_renameat(&sqe, request.fd, path.path.c_str(), path.new_directory,
                             path.new_path.c_str(),
                             (request.flags & kIoNoReplace) != 0 ? RENAME_NOREPLACE : 0);
      return;
    case IoOpcode::kLink:
      io_uring_prep_linkat(&sqe, request.fd, path.path.c_str(), path.new_directory,
                           path.new_path.c_str(), 0);
      return;
    case IoOpcode::kMakeDirectory:
      io_uring_prep_mkdirat(&sqe, request.fd, path.path.c_str(), path.mode);
      return;
    default:
      IOENGINE_CHECK(false, "not an operation on names");
  }
}

int KernelAdvice(uint8_t advice) {
  switch (static_cast<IoAdvice>(advice)) {
    case IoAdvice::kSequential:
      return POSIX_FADV_SEQUENTIAL;
    case IoAdvice::kRandom:
      return POSIX_FADV_RANDOM;
    case IoAdvice::kWillNeed:
      return POSIX_FADV_WILLNEED;
    case IoAdvice::kDontNeed:
      return POSIX_FADV_DONTNEED;
  }
  return POSIX_FADV_NORMAL;
}

FileKind KindOf(uint32_t mode) {
  if (S_ISREG(mode)) return FileKind::kRegular;
  if (S_ISDIR(mode)) return FileKind::kDirectory;
  if (S_ISLNK(mode)) return FileKind::kSymbolicLink;
  if (S_ISBLK(mode)) return FileKind::kBlockDevice;
  return FileKind::kOther;
}

}  // namespace

void PrepareSqe(IoCommand& command, io_uring_sqe& sqe) {
  const IoRequest& request = command.request;
  const auto offset = static_cast<off_t>(request.offset_bytes);
  const auto range = static_cast<off_t>(request.range_bytes);
  switch (request.opcode) {
    case IoOpcode::kRead:
    case IoOpcode::kWrite:
      PrepareTransfer(command, sqe);
      break;
    case IoOpcode::kFdatasync:
      io_uring_prep_fsync(&sqe, request.fd, IORING_FSYNC_DATASYNC);
      break;
    case IoOpcode::kFsync:
      io_uring_prep_fsync(&sqe, request.fd, 0);
      break;
    case IoOpcode::kAllocate:
      io_uring_prep_fallocate(&sqe, request.fd, 0, offset, range);
      break;
    case IoOpcode::kPunch:
      io_uring_prep_fallocate(&sqe, request.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                              range);
      break;
    case IoOpcode::kTruncate:
      // The new size stands where a transfer has its offset.
      io_uring_prep_rw(kOpFtruncate, &sqe, request.fd, nullptr, 0, request.range_bytes);
      break;
    case IoOpcode::kAdvise:
      io_uring_prep_fadvise(&sqe, request.fd, request.offset_bytes, range,
                            KernelAdvice(request.argument));
      break;
    case IoOpcode::kClose:
      io_uring_prep_close(&sqe, request.fd);
      return;
    default:
      PreparePath(command, sqe);
      return;
  }
  if (request.registered_file >= 0) {
    sqe.fd = request.registered_file;
    sqe.flags |= IOSQE_FIXED_FILE;
  }
}

void TakeResults(IoCommand& command) {
  if (command.request.opcode != IoOpcode::kStat) return;
  const auto* kernel = std::launder(reinterpret_cast<const struct statx*>(command.path->scratch));
  FileStat& stat = command.path->stat;
  stat = FileStat();
  stat.size_bytes = kernel->stx_size;
  stat.allocated_bytes = kernel->stx_blocks * 512;
  stat.kind = KindOf(kernel->stx_mode);
  stat.permissions = kernel->stx_mode & 07777;
  stat.owner = kernel->stx_uid;
  stat.links = kernel->stx_nlink;
  stat.block_size_bytes = kernel->stx_blksize;
  if ((kernel->stx_mask & STATX_DIOALIGN) != 0) {
    stat.memory_alignment_bytes = kernel->stx_dio_mem_align;
    stat.offset_alignment_bytes = kernel->stx_dio_offset_align;
  }
}

}  // namespace ioengine
