// Memory for one shard's I/O buffers: one region of fixed size, on huge pages and on one NUMA node
// where the machine grants that. The region is the bound: it never grows.
//
//   ask       Options                                what is tried, in this order
//   pages     allow_hugetlb                          MAP_HUGETLB pages, which an administrator has
//                                                    set aside (vm.nr_hugepages), if `node` has
//                                                    enough of them: near goes before hugetlb; else
//             always                                 MADV_HUGEPAGE on a 2 MiB-aligned mapping;
//                                                    the kernel falls back to 4 KiB pages itself
//   node      node                                   MPOL_PREFERRED: a full node gives memory of
//                                                    the next one. MPOL_BIND would have the kernel
//                                                    kill the process instead
//
// None of these is sure to be granted, so what was *achieved* is looked up afterwards (Audit) and
// reported; only running out of memory, or a node that is not there, is an error.
//
// The region is not inherited by fork (MADV_DONTFORK). With a child that shares its pages, the
// first to write gets a copy: the parent could be left with the copy while the device goes on
// writing into the original, which is then the child's. Also fork need not copy its page tables.
// A child that touches the region gets SIGSEGV.
#ifndef IOENGINE_NUMA_NODE_MEMORY_H_
#define IOENGINE_NUMA_NODE_MEMORY_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/numa/memory_audit.h"
#include "ioengine/numa/memory_calls.h"

namespace ioengine {

inline constexpr size_t kHugePageBytes = size_t{2} << 20;

// Move-only; a moved-from one holds nothing (size_bytes() is 0).
// Shard: any thread allocates and frees; the bytes belong to whom the owner gives them.
class NodeMemory {
 public:
  struct Options {
    int node = -1;              // NUMA node; -1: that of the thread that writes a page first
    bool allow_hugetlb = true;  // take pages that the administrator set aside
    bool prefault = true;       // have every page there on return; hugetlb pages always are
  };

  // Maps `size_bytes`, rounded up to a multiple of kHugePageBytes, aligned to kHugePageBytes,
  // zero-filled, and audits it. Between two guard pages (unless hugetlb), so that an overrun is a
  // SIGSEGV. Ownership: `calls` must outlive the result; only tests give their own.
  // Errors: InvalidArgument for a size of 0 or more than an address space, or a node that does not
  // exist, has no memory or is outside of the cpuset; ResourceExhausted when memory, address
  // space or the number of mappings is; each names the size and what to do.
  // Cost: with prefault, zeroing the region (≈ 0.1 s per GiB), and an Audit. Start-up only: blocks.
  static absl::StatusOr<NodeMemory> Allocate(size_t size_bytes, const Options& options,
                                             MemoryCalls& calls = MemoryCalls::Kernel());

  NodeMemory(NodeMemory&& other) noexcept;
  NodeMemory& operator=(NodeMemory&& other) noexcept;
  ~NodeMemory();

  // Ownership: valid until this object is destroyed or assigned to.
  std::byte* data() const { return mapping_.data; }
  size_t size_bytes() const { return mapping_.size_bytes; }

  // Looks up again what the kernel gives now: khugepaged and the balancer change it in time.
  // Cost: as AuditMemory.
  const MemoryAudit& Audit();

  // As of Allocate or the last Audit. Its degraded_reason also tells where the result falls short
  // of the Options.
  const MemoryAudit& audit() const { return audit_; }

  // One line for people: "64 MiB, 64 MiB of it on transparent huge pages, 64 of 64 sampled pages
  // on node 0 (asked for: any)", and what is degraded.
  std::string Describe() const;

 private:
  struct Mapping {
    std::byte* data = nullptr;
    size_t size_bytes = 0;
    void* whole = nullptr;  // what is unmapped in the end: the data with its guards
    size_t whole_bytes = 0;
    bool hugetlb = false;
  };

  NodeMemory(const Options& options, MemoryCalls& calls) : options_(options), calls_(&calls) {}

  bool MapHugetlb(size_t size_bytes);
  absl::Status MapOrdinary(size_t size_bytes);
  absl::Status BindToNode();
  absl::Status KeepFromChildren();
  absl::Status Prefault();
  bool IsOnAnotherNode();
  void Release();

  Options options_;
  MemoryCalls* calls_;
  Mapping mapping_;
  int bind_error_ = 0;  // why no node can be chosen here; 0 when one can
  MemoryAudit audit_;
};

}  // namespace ioengine

#endif  // IOENGINE_NUMA_NODE_MEMORY_H_
