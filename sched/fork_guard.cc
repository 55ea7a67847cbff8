#include "ioengine/sched/fork_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace ioengine {
namespace {

size_t PageBytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

ForkGuard::ForkGuard() {
  void* const page =
      mmap(nullptr, PageBytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw std::bad_alloc();
  // Where the kernel does not know it, children are not recognised; nothing else is lost.
  madvise(page, PageBytes(), MADV_WIPEONFORK);
  page_ = static_cast<char*>(page);
  *page_ = 1;
}

ForkGuard::~ForkGuard() { munmap(page_, PageBytes()); }

}  // namespace ioengine
