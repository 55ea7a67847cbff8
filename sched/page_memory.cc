#include "ioengine/sched/page_memory.h"

#include <sys/mman.h>

#include <new>

namespace ioengine {

PageMemory::PageMemory(size_t size_bytes, Touch touch) : size_bytes_(RoundUp(size_bytes)) {
  if (size_bytes_ == 0) return;
  const int touched = touch == Touch::kNow ? MAP_POPULATE : 0;
  void* const mapped = mmap(nullptr, size_bytes_, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | touched, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(mapped);
}

PageMemory::~PageMemory() {
  if (data_ != nullptr) munmap(data_, size_bytes_);
}

}  // namespace ioengine
