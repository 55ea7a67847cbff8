#include "ioengine/io/uring/prepare_sqe.h"

#include <fcntl.h>

#include "ioengine/io/kernel_values.h"
#include "ioengine/sched/check.h"

// uapi/linux/fs.h; not included here, because it defines macros that collide with others.
#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif

namespace ioengine {
namespace {

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
        io_uring_prep_openat2(&sqe, request.fd, path.path.c_str(),
                              PrepareOpenHow(path, path.open_flags));
      } else {
        io_uring_prep_openat(&sqe, request.fd, path.path.c_str(), path.open_flags, path.mode);
      }
      return;
    case IoOpcode::kStat:
      io_uring_prep_statx(&sqe, request.fd, path.path.c_str(), StatxFlags(path), StatxMask(),
                          PrepareStatx(path));
      return;
    case IoOpcode::kRemove:
      io_uring_prep_unlinkat(&sqe, request.fd, path.path.c_str(), RemoveFlags(request));
      return;
    case IoOpcode::kRename:
      io_uring_prep_renameat(&sqe, request.fd, path.path.c_str(), path.new_directory,
                             path.new_path.c_str(), RenameFlags(request));
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
    case IoOpcode::kPunch:
      io_uring_prep_fallocate(&sqe, request.fd, AllocateMode(request), offset, range);
      break;
    case IoOpcode::kTruncate:
      // The new size stands where a transfer has its offset.
      io_uring_prep_rw(kOpFtruncate, &sqe, request.fd, nullptr, 0, request.range_bytes);
      break;
    case IoOpcode::kAdvise:
      io_uring_prep_fadvise(&sqe, request.fd, request.offset_bytes, range, KernelAdvice(request));
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

}  // namespace ioengine
