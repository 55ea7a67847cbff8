#include "ioengine/io/uring/prepare_sqe.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <new>

#include "ioengine/sched/check.h"

// uapi/linux/fs.h; not included here, because it defines macros that collide with others.
#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif

namespace ioengine {
namespace {

static_assert(sizeof(struct statx) <= sizeof(PathArguments::scratch));
static_assert(alignof(struct statx) <= 8);

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

}  // namespace

void PrepareSqe(IoCommand& command, io_uring_sqe& sqe) {
  const IoRequest& request = command.request;
  PathArguments* const path = command.path.get();
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
      io_uring_prep_fallocate(&sqe, request.fd, 0, static_cast<off_t>(request.offset_bytes),
                              static_cast<off_t>(request.allocate_bytes));
      break;
    case IoOpcode::kOpen:
      io_uring_prep_openat(&sqe, request.fd, path->path.c_str(), path->open_flags, path->mode);
      return;
    case IoOpcode::kStat:
      io_uring_prep_statx(&sqe, request.fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_DIOALIGN,
                          ::new (path->scratch) struct statx());
      return;
    case IoOpcode::kRemove:
      io_uring_prep_unlinkat(&sqe, request.fd, path->path.c_str(), 0);
      return;
    case IoOpcode::kClose:
      io_uring_prep_close(&sqe, request.fd);
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
  stat.size_bytes = kernel->stx_size;
  stat.is_regular = S_ISREG(kernel->stx_mode);
  stat.is_block_device = S_ISBLK(kernel->stx_mode);
  stat.block_size_bytes = kernel->stx_blksize;
  if ((kernel->stx_mask & STATX_DIOALIGN) != 0) {
    stat.memory_alignment_bytes = kernel->stx_dio_mem_align;
    stat.offset_alignment_bytes = kernel->stx_dio_offset_align;
  }
}

}  // namespace ioengine
