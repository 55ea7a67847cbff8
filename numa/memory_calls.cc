#include "ioengine/numa/memory_calls.h"

#include <numaif.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <span>
#include <string>

#include "ioengine/numa/topology.h"

namespace ioengine {
namespace {

class KernelCalls final : public MemoryCalls {};

int ErrnoUnless(bool ok) { return ok ? 0 : errno; }

}  // namespace

MemoryCalls& MemoryCalls::Kernel() {
  static constinit KernelCalls calls;  // stateless, so that this is no global state
  return calls;
}

int MemoryCalls::Map(size_t size_bytes, int protection, int flags, void** address) {
  *address = ::mmap(nullptr, size_bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return ErrnoUnless(*address != MAP_FAILED);
}

int MemoryCalls::Unmap(void* address, size_t size_bytes) {
  return ErrnoUnless(::munmap(address, size_bytes) == 0);
}

int MemoryCalls::Protect(void* address, size_t size_bytes, int protection) {
  return ErrnoUnless(::mprotect(address, size_bytes, protection) == 0);
}

int MemoryCalls::Advise(void* address, size_t size_bytes, int advice) {
  return ErrnoUnless(::madvise(address, size_bytes, advice) == 0);
}

int MemoryCalls::PreferNode(void* address, size_t size_bytes, int node) {
  constexpr size_t kBitsPerWord = sizeof(unsigned long) * CHAR_BIT;
  std::array<unsigned long, kMaxNodes / kBitsPerWord> mask = {};
  mask[static_cast<size_t>(node) / kBitsPerWord] = 1UL
                                                   << (static_cast<size_t>(node) % kBitsPerWord);
  // The kernel looks at one bit less than it is told of.
  return ErrnoUnless(::mbind(address, size_bytes, MPOL_PREFERRED, mask.data(), kMaxNodes + 1, 0) ==
                     0);
}

int MemoryCalls::QueryNodes(std::span<void*> pages, std::span<int> nodes) {
  return ErrnoUnless(::move_pages(0, pages.size(), pages.data(), nullptr, nodes.data(), 0) == 0);
}

size_t MemoryCalls::PageBytes() const { return static_cast<size_t>(::sysconf(_SC_PAGESIZE)); }

std::string MemoryCalls::SmapsPath() { return "/proc/self/smaps"; }

}  // namespace ioengine
