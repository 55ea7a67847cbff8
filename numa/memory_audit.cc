#include "ioengine/numa/memory_audit.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/numa/errno_status.h"
#include "ioengine/numa/memory_calls.h"
#include "ioengine/numa/smaps.h"

namespace ioengine {
namespace {

constexpr size_t kMaxSampledPages = 64;

void AuditPageKind(std::span<std::byte> region, MemoryCalls& calls, MemoryAudit* audit) {
  const uintptr_t start = reinterpret_cast<uintptr_t>(region.data());
  const absl::StatusOr<size_t> huge_bytes =
      AnonHugeBytes(calls.SmapsPath(), start, start + region.size());
  if (!huge_bytes.ok()) {
    audit->Degraded(
        absl::StrCat("size of pages not known, taken for small: ", huge_bytes.status().message()));
    return;
  }
  audit->huge_bytes = *huge_bytes;
  if (*huge_bytes > region.size() / 2) audit->page_kind = PageKind::kTransparentHuge;
}

void AuditNode(std::span<std::byte> region, MemoryCalls& calls, MemoryAudit* audit) {
  const size_t page_bytes = calls.PageBytes();
  const size_t page_count = region.size() / page_bytes;
  const size_t samples = std::min(page_count, kMaxSampledPages);
  std::array<void*, kMaxSampledPages> page_array = {};
  std::array<int, kMaxSampledPages> node_array = {};
  const std::span<void*> pages = std::span(page_array).first(samples);
  const std::span<int> nodes = std::span(node_array).first(samples);
  for (size_t i = 0; i < samples; ++i) {  // the first and the last page among them
    const size_t page = samples == 1 ? 0 : i * (page_count - 1) / (samples - 1);
    pages[i] = region.data() + page * page_bytes;
  }
  if (const int error = calls.QueryNodes(pages, nodes); error != 0) {
    audit->Degraded(absl::StrCat("node not known: ", ErrnoStatus(error, "move_pages").message()));
    return;
  }
  audit->sampled_pages = samples;
  for (const int node : nodes) {
    if (node < 0) continue;  // an errno: nothing is there yet
    ++audit->resident_pages;
    const size_t pages_there = ++audit->pages_by_node[node];
    if (pages_there <= audit->pages_on_node) continue;
    audit->pages_on_node = pages_there;
    audit->node = node;
  }
}

}  // namespace

std::string_view PageKindName(PageKind kind) {
  switch (kind) {
    case PageKind::kHugetlb:
      return "hugetlb pages";
    case PageKind::kTransparentHuge:
      return "transparent huge pages";
    case PageKind::kSmall:
      return "small pages";
  }
  return "unknown pages";
}

size_t MemoryAudit::PagesOn(int node_id) const {
  const auto found = pages_by_node.find(node_id);
  return found == pages_by_node.end() ? 0 : found->second;
}

void MemoryAudit::Degraded(std::string_view what) {
  absl::StrAppend(&degraded_reason, degraded_reason.empty() ? "" : "; ", std::string(what));
}

MemoryAudit AuditMemory(std::span<std::byte> region, bool hugetlb, MemoryCalls& calls) {
  MemoryAudit audit;
  if (hugetlb) {
    audit.page_kind = PageKind::kHugetlb;
    audit.huge_bytes = region.size();
  } else {
    AuditPageKind(region, calls, &audit);
  }
  AuditNode(region, calls, &audit);
  return audit;
}

}  // namespace ioengine
