#include "ioengine/numa/node_memory.h"

#include <linux/mman.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/numa/cpu_list.h"
#include "ioengine/numa/errno_status.h"
#include "ioengine/numa/memory_audit.h"
#include "ioengine/numa/memory_calls.h"
#include "ioengine/numa/topology.h"

namespace ioengine {
namespace {

std::string Mebibytes(size_t size_bytes) { return absl::StrCat(size_bytes >> 20, " MiB"); }

// Where an administrator sets hugetlb pages aside for memory of `node`; -1: for any.
std::string HugetlbSetting(int node) {
  if (node < 0) return "vm.nr_hugepages";
  return absl::StrCat("/sys/devices/system/node/node", node,
                      "/hugepages/hugepages-2048kB/nr_hugepages");
}

// "node 1", or "nodes 1,3": all that hold sampled pages, but `node`.
std::string OtherNodes(const MemoryAudit& audit, int node) {
  std::vector<int> others;
  for (const auto& [id, pages] : audit.pages_by_node) {
    if (id != node) others.push_back(id);
  }
  return absl::StrCat(others.size() == 1 ? "node " : "nodes ", FormatCpuList(others));
}

// `doing` is "map", "populate" or the like.
absl::Status CannotHave(std::string_view doing, size_t size_bytes, int error) {
  const std::string what =
      absl::StrCat("cannot ", std::string(doing), " ", Mebibytes(size_bytes), " of I/O memory");
  const absl::Status status = ErrnoStatus(error, what);
  if (error != ENOMEM) return status;
  return absl::ResourceExhaustedError(
      absl::StrCat(status.message(),
                   "; ask for less, or raise what limits it: free memory, cgroup memory.max, "
                   "ulimit -v, vm.overcommit_memory, vm.max_map_count"));
}

}  // namespace

absl::StatusOr<NodeMemory> NodeMemory::Allocate(size_t size_bytes, const Options& options,
                                                MemoryCalls& calls) {
  // Rounding up and the guards must not wrap around.
  constexpr size_t kMaxBytes = std::numeric_limits<size_t>::max() / 2;
  if (size_bytes == 0 || size_bytes > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot allocate I/O memory of ", size_bytes, " bytes: use 1 to ", kMaxBytes));
  }
  if (options.node < -1 || options.node >= kMaxNodes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "NUMA node ", options.node, " cannot be: use -1 for any, or a node below ", kMaxNodes));
  }
  const size_t rounded_bytes = (size_bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  NodeMemory memory(options, calls);
  if (!options.allow_hugetlb || !memory.MapHugetlb(rounded_bytes)) {
    absl::Status mapped = memory.MapOrdinary(rounded_bytes);
    if (!mapped.ok()) return mapped;
  }
  memory.Audit();
  return memory;
}

NodeMemory::NodeMemory(NodeMemory&& other) noexcept
    : options_(other.options_),
      calls_(other.calls_),
      mapping_(std::exchange(other.mapping_, {})),
      bind_error_(other.bind_error_),
      audit_(std::exchange(other.audit_, {})) {}

NodeMemory& NodeMemory::operator=(NodeMemory&& other) noexcept {
  if (this == &other) return *this;
  Release();
  options_ = other.options_;
  calls_ = other.calls_;
  mapping_ = std::exchange(other.mapping_, {});
  bind_error_ = other.bind_error_;
  audit_ = std::exchange(other.audit_, {});
  return *this;
}

NodeMemory::~NodeMemory() { Release(); }

void NodeMemory::Release() {
  if (mapping_.whole != nullptr) calls_->Unmap(mapping_.whole, mapping_.whole_bytes);
  mapping_ = {};
}

bool NodeMemory::MapHugetlb(size_t size_bytes) {
  void* address = nullptr;
  constexpr int kFlags = MAP_HUGETLB | MAP_HUGE_2MB;
  if (calls_->Map(size_bytes, PROT_READ | PROT_WRITE, kFlags, &address) != 0) return false;
  mapping_ = {static_cast<std::byte*>(address), size_bytes, address, size_bytes, true};
  // Populated in any case: the pool can be empty on the node, or a cgroup's limit lower than the
  // pool, and a page that is missing on first touch is a SIGBUS.
  if (BindToNode().ok() && KeepFromChildren().ok() && Prefault().ok() && !IsOnAnotherNode()) {
    return true;
  }
  Release();
  return false;
}

// Where the pool of the node asked for is too small, the kernel takes hugetlb pages of other nodes.
// Ordinary memory of the right node is better: it may be on huge pages as well, and each access to
// the wrong node costs more than what hugetlb saves. Where no node can be chosen it would be no
// nearer.
bool NodeMemory::IsOnAnotherNode() {
  if (options_.node < 0 || bind_error_ != 0) return false;
  const MemoryAudit audit =
      AuditMemory({mapping_.data, mapping_.size_bytes}, mapping_.hugetlb, *calls_);
  return audit.PagesOn(options_.node) < audit.resident_pages;
}

absl::Status NodeMemory::MapOrdinary(size_t size_bytes) {
  // Reserved without access, larger than needed: room to align in, and for a guard page at either
  // end. The guards also keep the kernel from merging this mapping with a neighbour, so that its
  // entry in smaps is about this region alone.
  const size_t guard_bytes = calls_->PageBytes();
  const size_t whole_bytes = size_bytes + kHugePageBytes + 2 * guard_bytes;
  void* whole = nullptr;
  if (const int error = calls_->Map(whole_bytes, PROT_NONE, MAP_NORESERVE, &whole); error != 0) {
    return CannotHave("map", size_bytes, error);
  }
  const size_t past_guard = reinterpret_cast<uintptr_t>(whole) + guard_bytes;
  const size_t padding_bytes = (kHugePageBytes - past_guard % kHugePageBytes) % kHugePageBytes;
  std::byte* data = static_cast<std::byte*>(whole) + guard_bytes + padding_bytes;
  mapping_ = {data, size_bytes, whole, whole_bytes, false};

  if (const int error = calls_->Protect(data, size_bytes, PROT_READ | PROT_WRITE); error != 0) {
    return CannotHave("map", size_bytes, error);
  }
  // Refused by a kernel without transparent huge pages; the audit finds out.
  calls_->Advise(data, size_bytes, MADV_HUGEPAGE);
  if (absl::Status bound = BindToNode(); !bound.ok()) return bound;
  if (absl::Status kept = KeepFromChildren(); !kept.ok()) return kept;
  return options_.prefault ? Prefault() : absl::OkStatus();
}

absl::Status NodeMemory::BindToNode() {
  if (options_.node < 0) return absl::OkStatus();
  const int error = calls_->PreferNode(mapping_.data, mapping_.size_bytes, options_.node);
  switch (error) {
    case 0:
      return absl::OkStatus();
    case EPERM:   // Docker's default seccomp profile
    case ENOSYS:  // a kernel without NUMA
      bind_error_ = error;
      return absl::OkStatus();
    case EINVAL:
      return absl::InvalidArgumentError(
          absl::StrCat("cannot take ", Mebibytes(mapping_.size_bytes), " from NUMA node ",
                       options_.node, ": there is no such node, it has no memory, or it is ",
                       "outside of this process's cpuset; choose another, or -1 for any"));
    default:
      return CannotHave(absl::StrCat("bind to NUMA node ", options_.node), mapping_.size_bytes,
                        error);
  }
}

absl::Status NodeMemory::KeepFromChildren() {
  const int error = calls_->Advise(mapping_.data, mapping_.size_bytes, MADV_DONTFORK);
  return error == 0 ? absl::OkStatus()
                    : CannotHave("keep from child processes", mapping_.size_bytes, error);
}

absl::Status NodeMemory::Prefault() {
  int error = 0;
  do {
    error = calls_->Advise(mapping_.data, mapping_.size_bytes, MADV_POPULATE_WRITE);
  } while (error == EINTR);
  if (error == EINVAL && !mapping_.hugetlb) {  // a kernel before 5.14
    for (size_t at = 0; at < mapping_.size_bytes; at += calls_->PageBytes()) {
      *const_cast<volatile std::byte*>(mapping_.data + at) = std::byte{0};
    }
    return absl::OkStatus();
  }
  return error == 0 ? absl::OkStatus() : CannotHave("populate", mapping_.size_bytes, error);
}

const MemoryAudit& NodeMemory::Audit() {
  audit_ = MemoryAudit();
  if (mapping_.data == nullptr) return audit_;
  audit_ = AuditMemory({mapping_.data, mapping_.size_bytes}, mapping_.hugetlb, *calls_);
  if (audit_.huge_bytes < mapping_.size_bytes && options_.prefault) {
    audit_.Degraded(absl::StrCat("only ", Mebibytes(audit_.huge_bytes),
                                 " on huge pages: memory is fragmented, or ",
                                 "/sys/kernel/mm/transparent_hugepage/enabled is never; ",
                                 HugetlbSetting(options_.node), " sets some aside"));
  }
  if (bind_error_ != 0) {
    audit_.Degraded(absl::StrCat("cannot ask for node ", options_.node, ": ",
                                 ErrnoStatus(bind_error_, "mbind").message(),
                                 "; a container needs CAP_SYS_NICE"));
  }
  const size_t right = audit_.PagesOn(options_.node);
  if (options_.node >= 0 && right < audit_.resident_pages) {
    audit_.Degraded(absl::StrCat("only ", right, " of ", audit_.resident_pages,
                                 " sampled pages on node ", options_.node, ", the others on ",
                                 OtherNodes(audit_, options_.node),
                                 ": it was full, or the kernel moved them; free memory there"));
  }
  return audit_;
}

std::string NodeMemory::Describe() const {
  std::string text = absl::StrCat(Mebibytes(mapping_.size_bytes), ", ");
  if (audit_.huge_bytes > 0) {
    absl::StrAppend(&text, Mebibytes(audit_.huge_bytes), " of it on ",
                    mapping_.hugetlb ? "hugetlb" : "transparent huge", " pages, ");
  } else {
    absl::StrAppend(&text, std::string(PageKindName(audit_.page_kind)), ", ");
  }
  if (audit_.node < 0) {
    absl::StrAppend(&text, "on no known node");
  } else {
    absl::StrAppend(&text, audit_.pages_on_node, " of ", audit_.sampled_pages,
                    " sampled pages on node ", audit_.node);
  }
  absl::StrAppend(&text,
                  " (asked for: ", options_.node < 0 ? "any" : absl::StrCat("node ", options_.node),
                  ")");
  if (!audit_.degraded_reason.empty()) absl::StrAppend(&text, "; ", audit_.degraded_reason);
  return text;
}

}  // namespace ioengine
