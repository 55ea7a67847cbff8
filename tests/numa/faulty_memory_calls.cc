#include "ioengine/tests/numa/faulty_memory_calls.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "gtest/gtest.h"
#include "ioengine/numa/memory_calls.h"
#include "ioengine/numa/node_memory.h"

namespace ioengine {
namespace {

std::string AdviceName(int advice) {
  switch (advice) {
    case MADV_HUGEPAGE:
      return "Advise HUGEPAGE";
    case MADV_DONTFORK:
      return "Advise DONTFORK";
    case MADV_POPULATE_WRITE:
      return "Advise POPULATE";
  }
  return "Advise other";
}

// What hugetlb would give: aligned, without a guard.
void* MapAligned(size_t size_bytes) {
  char* whole =
      static_cast<char*>(::mmap(nullptr, size_bytes + kHugePageBytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  const size_t before = kHugePageBytes - reinterpret_cast<uintptr_t>(whole) % kHugePageBytes;
  ::munmap(whole, before);
  if (before < kHugePageBytes) {
    ::munmap(whole + before + size_bytes, kHugePageBytes - before);
  }
  return whole + before;
}

}  // namespace

int FaultyMemoryCalls::Fault(const std::string& call) {
  const int count = static_cast<int>(calls_.size());
  calls_.push_back(call);
  return fail ? fail(call, count) : 0;
}

size_t FaultyMemoryCalls::mapped_bytes() const {
  size_t total_bytes = 0;
  for (const auto& [address, size_bytes] : mappings_) total_bytes += size_bytes;
  return total_bytes;
}

int FaultyMemoryCalls::Map(size_t size_bytes, int protection, int flags, void** address) {
  const bool hugetlb = (flags & MAP_HUGETLB) != 0;
  int error = Fault(hugetlb ? "Map hugetlb" : "Map");
  if (error == 0 && hugetlb && pretend_hugetlb) {
    *address = MapAligned(size_bytes);
  } else if (error == 0) {
    error = MemoryCalls::Map(size_bytes, protection, flags, address);
  }
  if (error == 0) mappings_[*address] = size_bytes;
  return error;
}

int FaultyMemoryCalls::Unmap(void* address, size_t size_bytes) {
  EXPECT_EQ(mappings_.count(address), 1u) << "unmaps what it has not mapped";
  EXPECT_EQ(mappings_[address], size_bytes);
  mappings_.erase(address);
  return MemoryCalls::Unmap(address, size_bytes);
}

int FaultyMemoryCalls::Protect(void* address, size_t size_bytes, int protection) {
  const int error = Fault("Protect");
  return error != 0 ? error : MemoryCalls::Protect(address, size_bytes, protection);
}

int FaultyMemoryCalls::Advise(void* address, size_t size_bytes, int advice) {
  const int error = Fault(AdviceName(advice));
  return error != 0 ? error : MemoryCalls::Advise(address, size_bytes, advice);
}

int FaultyMemoryCalls::PreferNode(void* address, size_t size_bytes, int node) {
  const int error = Fault("PreferNode");
  return error != 0 ? error : MemoryCalls::PreferNode(address, size_bytes, node);
}

int FaultyMemoryCalls::QueryNodes(std::span<void*> pages, std::span<int> nodes) {
  const int error = Fault("QueryNodes");
  if (error != 0) return error;
  if (pretended_nodes.empty()) return MemoryCalls::QueryNodes(pages, nodes);
  for (size_t i = 0; i < nodes.size(); ++i) {
    nodes[i] = pretended_nodes[i % pretended_nodes.size()];
  }
  return 0;
}

}  // namespace ioengine
