// PageMemory: whole pages from the system, and back to it.
#ifndef IOENGINE_SCHED_PAGE_MEMORY_H_
#define IOENGINE_SCHED_PAGE_MEMORY_H_

#include <cstddef>
#include <utility>

namespace ioengine {

// For what is large, and comes and goes: a heap keeps what is freed for as long as something else
// lies behind it, so a process would have more memory than is in use. What is whole huge pages is
// made of such where the kernel gives them. Zeros. Move-only.
//
// Shard: any. Cost: a system call, and one when it is given back; so much again for the pages, at
// once or when they are first touched.
class PageMemory {
 public:
  static constexpr size_t kPageBytes = 4096;
  static constexpr size_t kHugePageBytes = size_t{2} << 20;
  // Less is not worth a system call.
  static constexpr size_t kLeastBytes = size_t{64} << 10;

  enum class Touch : bool {
    kLater,  // it may be that not all of it will be used
    kNow,
  };

  static constexpr size_t RoundUp(size_t bytes) {
    return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  }

  PageMemory() = default;
  // Rounded up to pages. Where the system has none it is as with `new`: std::bad_alloc.
  PageMemory(size_t size_bytes, Touch touch);
  PageMemory(PageMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_bytes_(std::exchange(other.size_bytes_, 0)) {}
  PageMemory& operator=(PageMemory&& other) noexcept {
    PageMemory taken(std::move(other));
    std::swap(data_, taken.data_);
    std::swap(size_bytes_, taken.size_bytes_);
    return *this;
  }
  ~PageMemory();

  std::byte* data() const { return data_; }
  size_t size_bytes() const { return size_bytes_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_bytes_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_PAGE_MEMORY_H_
