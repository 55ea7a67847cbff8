#include "ioengine/io/kernel_values.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include <cstdio>
#include <memory>
#include <new>
#include <utility>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

namespace ioengine {
namespace {

static_assert(sizeof(struct statx) <= sizeof(PathArguments::scratch));
static_assert(alignof(struct statx) <= 8);
static_assert(sizeof(open_how) <= sizeof(PathArguments::scratch));

FileKind KindOfMode(uint32_t mode) {
  if (S_ISREG(mode)) return FileKind::kRegular;
  if (S_ISDIR(mode)) return FileKind::kDirectory;
  if (S_ISLNK(mode)) return FileKind::kSymbolicLink;
  if (S_ISBLK(mode)) return FileKind::kBlockDevice;
  return FileKind::kOther;
}

void TakeStat(PathArguments& path) {
  const auto* kernel = std::launder(reinterpret_cast<const struct statx*>(path.scratch));
  FileStat& stat = path.stat;
  stat = FileStat();
  stat.size_bytes = kernel->stx_size;
  stat.allocated_bytes = kernel->stx_blocks * 512;
  stat.kind = KindOfMode(kernel->stx_mode);
  stat.permissions = kernel->stx_mode & 07777;
  stat.owner = kernel->stx_uid;
  stat.links = kernel->stx_nlink;
  stat.block_size_bytes = kernel->stx_blksize;
  if ((kernel->stx_mask & STATX_DIOALIGN) != 0) {
    stat.memory_alignment_bytes = kernel->stx_dio_mem_align;
    stat.offset_alignment_bytes = kernel->stx_dio_offset_align;
  }
}

using Entries = std::vector<DirectoryEntry>;

void TakeEntries(PathArguments& path) {
  const std::unique_ptr<Entries> entries(*std::launder(reinterpret_cast<Entries**>(path.scratch)));
  path.entries = std::move(*entries);
}

}  // namespace

int KernelAdvice(const IoRequest& request) {
  switch (static_cast<IoAdvice>(request.argument)) {
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

int AllocateMode(const IoRequest& request) {
  return request.opcode == IoOpcode::kPunch ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : 0;
}

int RemoveFlags(const IoRequest& request) {
  return (request.flags & kIoDirectory) != 0 ? AT_REMOVEDIR : 0;
}

unsigned RenameFlags(const IoRequest& request) {
  return (request.flags & kIoNoReplace) != 0 ? RENAME_NOREPLACE : 0;
}

open_how* PrepareOpenHow(PathArguments& path, int open_flags) {
  auto* const how = ::new (path.scratch) open_how();
  how->flags = static_cast<unsigned>(open_flags);
  how->mode = (open_flags & O_CREAT) != 0 ? path.mode : 0;
  how->resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  return how;
}

int StatxFlags(const PathArguments& path) {
  return path.path.empty() ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
}

struct statx* PrepareStatx(PathArguments& path) {
  return ::new (path.scratch) struct statx();
}

unsigned StatxMask() { return STATX_BASIC_STATS | STATX_DIOALIGN; }

void KeepEntries(PathArguments& path, std::unique_ptr<Entries> entries) {
  ::new (path.scratch) Entries*(entries.release());
}

void TakeResults(IoCommand& command) {
  switch (command.request.opcode) {
    case IoOpcode::kStat:
      TakeStat(*command.path);
      return;
    case IoOpcode::kList:
      TakeEntries(*command.path);
      return;
    default:
      return;
  }
}

FileKind KindOfEntry(uint8_t type) {
  switch (type) {
    case DT_REG:
      return FileKind::kRegular;
    case DT_DIR:
      return FileKind::kDirectory;
    case DT_LNK:
      return FileKind::kSymbolicLink;
    case DT_BLK:
      return FileKind::kBlockDevice;
    default:
      return FileKind::kOther;
  }
}

}  // namespace ioengine
