#include "ioengine/sched/page_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace ioengine {

namespace {

constexpr size_t kHuge = PageMemory::kHugePageBytes;

std::byte* Map(size_t size_bytes) {
  void* const mapped =
      mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(mapped);
}

// At a multiple of a huge page: more is mapped, and what is around it given back.
std::byte* MapHuge(size_t size_bytes) {
  std::byte* const mapped = Map(size_bytes + kHuge);
  const size_t before = (kHuge - reinterpret_cast<uintptr_t>(mapped) % kHuge) % kHuge;
  if (before > 0) munmap(mapped, before);
  munmap(mapped + before + size_bytes, kHuge - before);
  // A request only: without huge pages it is slower, and nothing else.
  madvise(mapped + before, size_bytes, MADV_HUGEPAGE);
  return mapped + before;
}

// Linux 5.14 has a call for it.
void TouchAll(std::byte* data, size_t size_bytes) {
  constexpr int kPopulateWrite = 23;
  if (madvise(data, size_bytes, kPopulateWrite) == 0) return;
  for (size_t at = 0; at < size_bytes; at += PageMemory::kPageBytes) {
    *const_cast<volatile std::byte*>(data + at) = std::byte{0};
  }
}

}  // namespace

PageMemory::PageMemory(size_t size_bytes, Touch touch) : size_bytes_(RoundUp(size_bytes)) {
  if (size_bytes_ == 0) return;
  data_ = size_bytes_ % kHuge == 0 ? MapHuge(size_bytes_) : Map(size_bytes_);
  if (touch == Touch::kNow) TouchAll(data_, size_bytes_);
}

PageMemory::~PageMemory() {
  if (data_ != nullptr) munmap(data_, size_bytes_);
}

}  // namespace ioengine
