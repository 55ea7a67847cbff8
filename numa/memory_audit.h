// What the kernel really gave for a region of memory: the size of its pages, and their node.
#ifndef IOENGINE_NUMA_MEMORY_AUDIT_H_
#define IOENGINE_NUMA_MEMORY_AUDIT_H_

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "ioengine/numa/memory_calls.h"

namespace ioengine {

enum class PageKind { kHugetlb, kTransparentHuge, kSmall };

// "hugetlb pages", "transparent huge pages" or "small pages".
std::string_view PageKindName(PageKind kind);

struct MemoryAudit {
  PageKind page_kind = PageKind::kSmall;  // of the greater part of the region
  size_t huge_bytes = 0;                  // on huge pages of either kind

  // Of up to 64 pages evenly spread over the region. Those never written are on no node yet.
  size_t sampled_pages = 0;
  size_t resident_pages = 0;
  size_t pages_on_node = 0;  // on `node`
  int node = -1;             // where most of the resident ones are; -1: none, or not known
  std::map<int, size_t> pages_by_node = {};  // of the resident ones

  // What could not be learned, or fell short, and why; empty when nothing did.
  std::string degraded_reason = {};

  // How many of the resident sampled pages are on `node_id`.
  size_t PagesOn(int node_id) const;

  // Adds a reason.
  void Degraded(std::string_view what);
};

// Audits `region`, which is page-aligned, not empty, and one mapping of its own in smaps.
// `hugetlb`: it was mapped with MAP_HUGETLB, which leaves no doubt about its pages.
// Cost: one pass over /proc/self/smaps unless `hugetlb` (see smaps.h), and one move_pages; blocks.
MemoryAudit AuditMemory(std::span<std::byte> region, bool hugetlb, MemoryCalls& calls);

}  // namespace ioengine

#endif  // IOENGINE_NUMA_MEMORY_AUDIT_H_
