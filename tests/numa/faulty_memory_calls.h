// The kernel's memory calls with faults: what is not told to fail goes through to the kernel.

#ifndef IOENGINE_TESTS_NUMA_FAULTY_MEMORY_CALLS_H_
#define IOENGINE_TESTS_NUMA_FAULTY_MEMORY_CALLS_H_

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "ioengine/numa/memory_calls.h"

namespace ioengine {

class FaultyMemoryCalls final : public MemoryCalls {
 public:
  // Asked before each call, by name ("Map", "Map hugetlb", "Advise POPULATE", …), with its count
  // from 0 over all names; what it returns, unless 0, is the errno the call fails with.
  std::function<int(const std::string& call, int count)> fail;

  // Hugetlb pages are granted, though small pages stand behind them.
  bool pretend_hugetlb = false;

  // When set: nodes that the sampled pages are said to be on, repeated as needed.
  std::vector<int> pretended_nodes;

  std::string smaps_path = "/proc/self/smaps";

  // What was mapped and not yet unmapped.
  size_t mapped_bytes() const;
  int call_count() const { return static_cast<int>(calls_.size()); }
  // In order.
  const std::vector<std::string>& calls() const { return calls_; }

  int Map(size_t size_bytes, int protection, int flags, void** address) override;
  int Unmap(void* address, size_t size_bytes) override;
  int Protect(void* address, size_t size_bytes, int protection) override;
  int Advise(void* address, size_t size_bytes, int advice) override;
  int PreferNode(void* address, size_t size_bytes, int node) override;
  int QueryNodes(std::span<void*> pages, std::span<int> nodes) override;
  std::string SmapsPath() override { return smaps_path; }

 private:
  int Fault(const std::string& call);

  std::vector<std::string> calls_;
  std::map<void*, size_t> mappings_;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_NUMA_FAULTY_MEMORY_CALLS_H_
