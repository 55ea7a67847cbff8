// The kernel calls that NodeMemory makes, behind virtual functions so that a test can let each of
// them fail in turn. They are made at start-up only, so the indirection costs nothing.
#ifndef IOENGINE_NUMA_MEMORY_CALLS_H_
#define IOENGINE_NUMA_MEMORY_CALLS_H_

#include <cstddef>
#include <span>
#include <string>

namespace ioengine {

// Each function returns 0 or an errno, and never sets errno itself.
// Shard: any thread; without state.
class MemoryCalls {
 public:
  // The real ones.
  static MemoryCalls& Kernel();

  // mmap(2) of private anonymous memory at an address that the kernel chooses.
  virtual int Map(size_t size_bytes, int protection, int flags, void** address);
  virtual int Unmap(void* address, size_t size_bytes);
  virtual int Protect(void* address, size_t size_bytes, int protection);
  virtual int Advise(void* address, size_t size_bytes, int advice);

  // mbind(2) with MPOL_PREFERRED.
  virtual int PreferNode(void* address, size_t size_bytes, int node);

  // move_pages(2) that moves nothing: fills nodes[i] with the node of the page at pages[i], or
  // with a negative errno. The spans are of one length.
  virtual int QueryNodes(std::span<void*> pages, std::span<int> nodes);

  // The size of a small page.
  size_t PageBytes() const;

  // Where the page sizes of this process's mappings are shown.
  virtual std::string SmapsPath();

 protected:
  MemoryCalls() = default;
  ~MemoryCalls() = default;  // not virtual: Kernel() must not need an exit handler
};

}  // namespace ioengine

#endif  // IOENGINE_NUMA_MEMORY_CALLS_H_
