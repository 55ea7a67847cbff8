// What one asynchronous operation is, in words that every backend understands.
#ifndef IOENGINE_IO_IO_REQUEST_H_
#define IOENGINE_IO_IO_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/io_site.h"
#include "ioengine/io/open_file.h"
#include "ioengine/sched/runnable.h"

namespace ioengine {

enum class IoOpcode : uint8_t {
  // Of an open file.
  kRead,        // fd, offset, data, size                        → bytes read
  kWrite,       // fd, offset, data, size; kIoDsync, kIoThenSync → bytes written
  kFdatasync,   // fd                                            → 0
  kFsync,       // fd; of a directory: its names                 → 0
  kAllocate,    // fd, offset, range: reserve space, extend      → 0
  kPunch,       // fd, offset, range: give space back            → 0
  kTruncate,    // fd, range: cut or extend the file to so many  → 0
  kAdvise,      // fd, offset, range, argument: an IoAdvice      → 0
  kExtentHint,  // fd, range: reserve space in extents so large  → 0; EOPNOTSUPP: it cannot
  kLock,        // fd, argument: an IoLock                       → 0; EBUSY: another holds it
  kStat,        // fd, or path relative to it (a link itself); fills path->stat → 0
  kList,        // fd of a directory; fills path->entries        → 0
  kClose,       // fd                                            → 0
  // Of names, relative to the directory fd, or to kCurrentDirectory.
  kOpen,           // path; see IoCommand                        → a new descriptor
  kRemove,         // path; kIoDirectory                         → 0
  kRename,         // path, new_path, new_directory; kIoNoReplace → 0
  kLink,           // the same: a second name of a file          → 0
  kMakeDirectory,  // path, mode                                 → 0
};

const char* IoOpcodeName(IoOpcode opcode);

// Flags of an IoRequest.
enum IoFlags : uint8_t {
  kIoNone = 0,
  // Write: durable (data and what is needed to find it) when the operation completes.
  kIoDsync = 1 << 0,
  // Read, write: go on after a short transfer until all bytes are done or the file ends. Sockets
  // and pipes leave it out.
  kIoWhole = 1 << 1,
  // Write: then fdatasync, as one operation: when it completes everything that was written to the
  // file before is durable, and not only these bytes. With kIoWhole.
  kIoThenSync = 1 << 2,
  // Remove: an empty directory.
  kIoDirectory = 1 << 3,
  // Rename: EEXIST when the new name is taken, instead of replacing its file.
  kIoNoReplace = 1 << 4,
};

// What a file's bytes are going to be used for, and held by.
enum class IoAdvice : uint8_t { kSequential, kRandom, kWillNeed, kDontNeed };
// Locks are advisory and belong to the open file: its close lets go of them. They are never waited
// for.
enum class IoLock : uint8_t { kNone, kShared, kExclusive };

// Stands in `IoRequest::fd` for the working directory (AT_FDCWD).
inline constexpr int kCurrentDirectory = -100;

enum class FileKind : uint8_t { kRegular, kDirectory, kSymbolicLink, kBlockDevice, kOther };

// The facts of a file that the library uses. Bytes.
struct FileStat {
  uint64_t size_bytes = 0;
  uint64_t allocated_bytes = 0;  // of disk space
  FileKind kind = FileKind::kOther;
  uint32_t permissions = 0;  // the lower 12 bits of st_mode
  uint32_t owner = 0;        // user id
  uint32_t links = 0;        // names
  // Of buffers and of offsets and sizes for O_DIRECT; 0 when the kernel does not tell.
  uint32_t memory_alignment_bytes = 0;
  uint32_t offset_alignment_bytes = 0;
  uint32_t block_size_bytes = 0;  // st_blksize

  bool is_regular() const { return kind == FileKind::kRegular; }
  bool is_block_device() const { return kind == FileKind::kBlockDevice; }
};

struct DirectoryEntry {
  std::string name;
  FileKind kind = FileKind::kOther;  // also where the file system does not tell
};

// Arguments and results of the rare operations, apart so that IoRequest stays small.
struct PathArguments {
  std::string path;
  std::string new_path;
  int new_directory = kCurrentDirectory;  // of new_path
  // The directories that `fd` and `new_directory` are the descriptors of, if they are files of the
  // shard: they stay open until the completion.
  FileRef directory_file;
  FileRef new_directory_file;
  int open_flags = 0;
  uint32_t mode = 0;
  // Open: below the directory fd and nowhere else, without following any link. What leads out of
  // it gives EXDEV, a link ELOOP.
  bool beneath = false;
  FileStat stat;
  std::vector<DirectoryEntry> entries;  // without "." and ".."; in no order
  // Room for the backend's own form of an argument or result, such as the kernel's struct statx.
  alignas(8) std::byte scratch[256];
};

// Plain data: what a backend needs to run the operation. The memory behind its pointers is kept by
// the IoCommand around it.
struct IoRequest {
  IoOpcode opcode = IoOpcode::kRead;
  ClassId class_id = 0;
  uint8_t flags = kIoNone;
  // Read: log2 of the alignment that the file asks of offsets (O_DIRECT). A read that ends off it
  // has met the end of the file, and could not be continued from there.
  uint8_t alignment_shift = 0;
  uint8_t argument = 0;
  uint16_t registered_buffer = kNotRegistered;
  uint32_t size_bytes = 0;
  int fd = -1;
  int registered_file = -1;  // index in the backend's table, or -1
  uint64_t offset_bytes = 0;
  void* data = nullptr;
  uint64_t range_bytes = 0;
  IoSite site = {};  // who asked for it
};

// A request and the references that keep alive what it uses. Moves from the task that issues it
// to the backend, which holds it until the completion, whatever becomes of the task.
//
// kOpen: `file` is the slot that the IoQueue puts the descriptor into. So whoever holds the last
// reference, the task, the operation or nobody, the descriptor is closed with it.
struct IoCommand {
  IoRequest request;
  DmaBuffer buffer;
  FileRef file;
  std::unique_ptr<PathArguments> path;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_IO_REQUEST_H_
