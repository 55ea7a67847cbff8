// Memory for DmaBufferPools.

#ifndef IOENGINE_TESTS_IO_TEST_ARENA_H_
#define IOENGINE_TESTS_IO_TEST_ARENA_H_

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "ioengine/io/dma_buffer_pool.h"
#include "ioengine/sched/check.h"

namespace ioengine {

// Address space, aligned as a pool wants it; a page of memory comes with its first touch, so that
// it may be larger than the machine's memory.
class TestArena {
 public:
  explicit TestArena(size_t size_bytes)
      : mapped_bytes_(size_bytes + DmaBufferPool::kArenaAlignmentBytes), size_bytes_(size_bytes) {
    mapping_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    IOENGINE_CHECK(mapping_ != MAP_FAILED, "no address space for the test's arena");
  }
  TestArena(const TestArena&) = delete;
  TestArena& operator=(const TestArena&) = delete;
  ~TestArena() { munmap(mapping_, mapped_bytes_); }

  std::span<std::byte> bytes() const {
    constexpr uintptr_t kMask = DmaBufferPool::kArenaAlignmentBytes - 1;
    const uintptr_t start = (reinterpret_cast<uintptr_t>(mapping_) + kMask) & ~kMask;
    return {reinterpret_cast<std::byte*>(start), size_bytes_};
  }

 private:
  size_t mapped_bytes_;
  size_t size_bytes_;
  void* mapping_;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_TEST_ARENA_H_
