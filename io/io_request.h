// What one asynchronous operation is, in words that every backend understands.
#ifndef IOENGINE_IO_IO_REQUEST_H_
#define IOENGINE_IO_IO_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/open_file.h"
#include "ioengine/sched/runnable.h"

namespace ioengine {

enum class IoOpcode : uint8_t {
  kRead,       // fd, offset, data, size                      → bytes read
  kWrite,      // fd, offset, data, size; kDsync              → bytes written
  kFdatasync,  // fd                                          → 0
  kFsync,      // fd                                          → 0
  kAllocate,   // fd, offset, allocate_bytes: reserve extents → 0
  kOpen,       // path (relative to fd, or kCurrentDirectory) → a new descriptor; see IoCommand
  kStat,       // fd; fills path->stat                        → 0
  kRemove,     // path: unlink                                → 0
  kClose,      // fd                                          → 0
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
};

// Stands in `IoRequest::fd` for the working directory (AT_FDCWD).
inline constexpr int kCurrentDirectory = -100;

// The facts of a file that the library uses. Bytes.
struct FileStat {
  uint64_t size_bytes = 0;
  bool is_regular = false;
  bool is_block_device = false;
  // Of buffers and of offsets and sizes for O_DIRECT; 0 when the kernel does not tell.
  uint32_t memory_alignment_bytes = 0;
  uint32_t offset_alignment_bytes = 0;
  uint32_t block_size_bytes = 0;  // st_blksize
};

// Arguments and results of the rare operations, apart so that IoRequest stays small.
struct PathArguments {
  std::string path;
  int open_flags = 0;
  uint32_t mode = 0;
  FileStat stat;
  // Room for the backend's own form of a result, such as the kernel's struct statx.
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
  uint16_t registered_buffer = kNotRegistered;
  uint32_t size_bytes = 0;
  int fd = -1;
  int registered_file = -1;  // index in the backend's table, or -1
  uint64_t offset_bytes = 0;
  void* data = nullptr;
  uint64_t allocate_bytes = 0;
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
