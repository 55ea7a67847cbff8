#include "ioengine/numa/node_memory.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/numa/memory_audit.h"
#include "ioengine/numa/topology.h"
#include "ioengine/tests/numa/faulty_memory_calls.h"

namespace ioengine {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr size_t kSizeBytes = 2 * kHugePageBytes;

// Asks the kernel, which answers EFAULT where a plain read would be a SIGSEGV.
bool Readable(const void* address) {
  std::array<int, 2> pipe;
  EXPECT_EQ(::pipe(pipe.data()), 0);
  const bool readable = ::write(pipe[1], address, 1) == 1;
  ::close(pipe[0]);
  ::close(pipe[1]);
  return readable;
}

// Page faults of this thread that needed no I/O.
long MinorFaults() {
  rusage usage = {};
  EXPECT_EQ(::getrusage(RUSAGE_THREAD, &usage), 0);
  return usage.ru_minflt;
}

// Makes the named call, and only that, fail.
auto FailWith(std::string name, int error) {
  return [name = std::move(name), error](const std::string& call, int) {
    return call == name ? error : 0;
  };
}

TEST(NodeMemoryTest, GivesAlignedZeroedWritableBytes) {
  NodeMemory memory = NodeMemory::Allocate(kHugePageBytes + 1, {}).value();
  EXPECT_EQ(memory.size_bytes(), 2 * kHugePageBytes);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % kHugePageBytes, 0u);
  std::byte* end = memory.data() + memory.size_bytes();
  EXPECT_EQ(std::count(memory.data(), end, std::byte{0}), static_cast<int>(memory.size_bytes()));
  std::fill(memory.data(), end, std::byte{0x5a});
  EXPECT_EQ(end[-1], std::byte{0x5a});
}

TEST(NodeMemoryTest, RoundsUpToHugePages) {
  EXPECT_EQ(NodeMemory::Allocate(1, {})->size_bytes(), kHugePageBytes);
  EXPECT_EQ(NodeMemory::Allocate(kHugePageBytes, {})->size_bytes(), kHugePageBytes);
}

TEST(NodeMemoryTest, HasGuardsAtBothEnds) {
  const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {.allow_hugetlb = false}).value();
  const std::byte* end = memory.data() + memory.size_bytes();
  EXPECT_TRUE(Readable(memory.data()));
  EXPECT_TRUE(Readable(end - 1));
  EXPECT_FALSE(Readable(memory.data() - 1));
  EXPECT_FALSE(Readable(end));
}

TEST(NodeMemoryTest, UnmapsInTheEnd) {
  const void* address = nullptr;
  {
    const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {.allow_hugetlb = false}).value();
    address = memory.data();
  }
  EXPECT_FALSE(Readable(address));
}

TEST(NodeMemoryTest, IsNotInheritedByAChildProcess) {
  const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {}).value();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(Readable(memory.data()) ? 1 : 42);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
  EXPECT_TRUE(Readable(memory.data()));
}

// Counts the faults that writing the region takes: 1 for a huge page, up to 512 for small ones (32
// where the kernel gives those 64 KiB at a time). The slack is for the shadow memory of ASan.
TEST(NodeMemoryTest, AuditAgreesWithTheNumberOfPageFaults) {
  constexpr long kHugePages = 16;
  constexpr long kSlack = 1200;
  NodeMemory memory =
      NodeMemory::Allocate(kHugePages * kHugePageBytes, {.allow_hugetlb = false, .prefault = false})
          .value();
  const long before = MinorFaults();
  for (size_t at = 0; at < memory.size_bytes(); at += 4096) memory.data()[at] = std::byte{1};
  const long faults = MinorFaults() - before;
  const long huge_pages = static_cast<long>(memory.Audit().huge_bytes / kHugePageBytes);
  EXPECT_GE(faults, huge_pages + (kHugePages - huge_pages) * 32);
  EXPECT_LE(faults, huge_pages + (kHugePages - huge_pages) * 512 + kSlack);
  EXPECT_EQ(memory.audit().page_kind == PageKind::kTransparentHuge, huge_pages > kHugePages / 2);
}

TEST(NodeMemoryTest, FewerHugePagesThanAskedForAreReported) {
  const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {.allow_hugetlb = false}).value();
  EXPECT_EQ(memory.audit().huge_bytes < memory.size_bytes(),
            memory.audit().degraded_reason.find("on huge pages") != std::string::npos)
      << memory.Describe();
}

// On a machine of one node this proves little; the same test runs on larger ones.
TEST(NodeMemoryTest, AchievesEachNodeOfThisMachine) {
  const Topology topology = Topology::Read().value();
  for (const NodeInfo& node : topology.nodes()) {
    if (!node.has_memory) continue;
    const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {.node = node.id}).value();
    if (memory.audit().degraded_reason.find("mbind") != std::string::npos) continue;  // a container
    EXPECT_EQ(memory.audit().node, node.id) << memory.Describe();
    EXPECT_EQ(memory.audit().pages_on_node, 64u);
    EXPECT_EQ(memory.audit().resident_pages, 64u);
    EXPECT_EQ(memory.audit().sampled_pages, 64u);
  }
}

TEST(NodeMemoryTest, WithoutPrefaultPagesComeWhenWritten) {
  NodeMemory memory =
      NodeMemory::Allocate(kSizeBytes, {.allow_hugetlb = false, .prefault = false}).value();
  EXPECT_EQ(memory.audit().resident_pages, 0u);
  EXPECT_EQ(memory.audit().node, -1);
  EXPECT_EQ(memory.audit().degraded_reason, "");
  EXPECT_THAT(memory.Describe(), HasSubstr("on no known node"));
  memory.data()[0] = std::byte{1};
  EXPECT_GE(memory.Audit().resident_pages, 1u);
  EXPECT_GE(memory.audit().node, 0);
}

TEST(NodeMemoryTest, MovesAndFreesOnce) {
  FaultyMemoryCalls calls;
  {
    NodeMemory first = NodeMemory::Allocate(kSizeBytes, {}, calls).value();
    std::byte* data = first.data();
    NodeMemory second = std::move(first);
    EXPECT_EQ(second.data(), data);
    EXPECT_EQ(first.data(), nullptr);  // NOLINT(bugprone-use-after-move): the contract under test
    EXPECT_EQ(first.size_bytes(), 0u);
    EXPECT_EQ(first.Audit().sampled_pages, 0u);
    NodeMemory third = NodeMemory::Allocate(kSizeBytes, {}, calls).value();
    const size_t both_bytes = calls.mapped_bytes();
    third = std::move(second);
    EXPECT_EQ(calls.mapped_bytes(), both_bytes / 2);
    EXPECT_EQ(third.data(), data);
    EXPECT_TRUE(Readable(data));
  }
  EXPECT_EQ(calls.mapped_bytes(), 0u);
}

TEST(NodeMemoryTest, DescribesInOneLine) {
  FaultyMemoryCalls calls;
  calls.pretend_hugetlb = true;
  calls.pretended_nodes = {0};
  const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {.node = 0}, calls).value();
  EXPECT_EQ(memory.Describe(),
            "4 MiB, 4 MiB of it on hugetlb pages, 64 of 64 sampled pages on node 0 (asked for: "
            "node 0)");
}

TEST(NodeMemoryTest, RefusesSizesAndNodesThatCannotBe) {
  constexpr size_t kMax = std::numeric_limits<size_t>::max();
  for (const size_t size_bytes : {size_t{0}, kMax, kMax / 2 + 1}) {
    const absl::Status status = NodeMemory::Allocate(size_bytes, {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << size_bytes;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat(size_bytes, " bytes")));
  }
  for (const int node : {-2, kMaxNodes, std::numeric_limits<int>::max()}) {
    const absl::Status status = NodeMemory::Allocate(kSizeBytes, {.node = node}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << node;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("node ", node)));
  }
}

TEST(NodeMemoryTest, MissingNodeIsAnError) {
  FaultyMemoryCalls calls;
  const absl::Status status =
      NodeMemory::Allocate(kSizeBytes, {.node = kMaxNodes - 1}, calls).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("4 MiB from NUMA node 1023"), HasSubstr("or -1 for any")));
  EXPECT_EQ(calls.mapped_bytes(), 0u);
}

TEST(NodeMemoryTest, MoreThanTheAddressSpaceIsExhausted) {
  for (const size_t size_bytes : {size_t{1} << 47, std::numeric_limits<size_t>::max() / 2}) {
    const absl::Status status = NodeMemory::Allocate(size_bytes, {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("MiB"), HasSubstr("ask for less")));
  }
}

TEST(NodeMemoryTest, HugetlbIsTriedFirstAndOnlyWhenAllowed) {
  FaultyMemoryCalls calls;
  calls.pretend_hugetlb = true;
  const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {.prefault = false}, calls).value();
  EXPECT_EQ(memory.audit().page_kind, PageKind::kHugetlb);
  EXPECT_EQ(memory.audit().huge_bytes, kSizeBytes);
  EXPECT_THAT(calls.calls(), Contains("Advise POPULATE")) << "or the first touch may be a SIGBUS";
  FaultyMemoryCalls ordinary;
  ordinary.pretend_hugetlb = true;
  EXPECT_TRUE(NodeMemory::Allocate(kSizeBytes, {.allow_hugetlb = false}, ordinary).ok());
  EXPECT_THAT(ordinary.calls(), Not(Contains("Map hugetlb")));
}

TEST(NodeMemoryTest, HugetlbThatCannotBePopulatedFallsBack) {
  for (const int error : {ENOMEM, EFAULT, EINVAL}) {
    FaultyMemoryCalls calls;
    calls.pretend_hugetlb = true;
    bool failed = false;
    calls.fail = [&](const std::string& call, int) {
      if (call != "Advise POPULATE" || failed) return 0;
      failed = true;
      return error;
    };
    {
      const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {}, calls).value();
      EXPECT_NE(memory.audit().page_kind, PageKind::kHugetlb);
      EXPECT_EQ(memory.audit().resident_pages, 64u);
      EXPECT_GE(calls.mapped_bytes(), kSizeBytes);
      EXPECT_LT(calls.mapped_bytes(), 2 * kSizeBytes);
    }
    EXPECT_EQ(calls.mapped_bytes(), 0u);
  }
}

TEST(NodeMemoryTest, HugetlbPagesOfAnotherNodeAreGivenBack) {
  FaultyMemoryCalls calls;
  calls.pretend_hugetlb = true;
  calls.pretended_nodes = {0, 0, 0, 1};
  calls.fail = [&](const std::string& call, int) {
    if (call == "Map") calls.pretended_nodes = {0};  // What follows is on the node asked for.
    return 0;
  };
  {
    const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {.node = 0}, calls).value();
    EXPECT_THAT(calls.calls(), AllOf(Contains("Map hugetlb"), Contains("Map")));
    EXPECT_NE(memory.audit().page_kind, PageKind::kHugetlb);
    EXPECT_EQ(memory.audit().pages_on_node, 64u);
    EXPECT_LT(calls.mapped_bytes(), 2 * kSizeBytes);
  }
  EXPECT_EQ(calls.mapped_bytes(), 0u);
}

// Giving them back would gain nothing: the next pages may be as far away.
TEST(NodeMemoryTest, HugetlbPagesStayWhereNoNodeCanBeChosenOrIsAskedFor) {
  for (const int node : {0, -1}) {
    FaultyMemoryCalls calls;
    calls.pretend_hugetlb = true;
    calls.pretended_nodes = {1};
    calls.fail = FailWith("PreferNode", EPERM);
    const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {.node = node}, calls).value();
    EXPECT_EQ(memory.audit().page_kind, PageKind::kHugetlb);
    EXPECT_EQ(memory.audit().degraded_reason.find("only 0 of 64 sampled pages on node 0") ==
                  std::string::npos,
              node == -1);
  }
}

TEST(NodeMemoryTest, WithoutHugePagesItSaysSo) {
  FaultyMemoryCalls calls;
  calls.fail = FailWith("Advise HUGEPAGE", EINVAL);
  const NodeMemory memory =
      NodeMemory::Allocate(kSizeBytes, {.allow_hugetlb = false}, calls).value();
  // A machine whose policy is "always" gives them unasked.
  if (memory.audit().huge_bytes < kSizeBytes) {
    EXPECT_EQ(memory.audit().page_kind, PageKind::kSmall);
    EXPECT_THAT(memory.Describe(), AllOf(HasSubstr("only 0 MiB on huge pages"),
                                         HasSubstr("transparent_hugepage/enabled"),
                                         HasSubstr("; vm.nr_hugepages sets some aside")));
    calls.pretended_nodes = {0};
    const NodeMemory near =
        NodeMemory::Allocate(kSizeBytes, {.node = 0, .allow_hugetlb = false}, calls).value();
    EXPECT_THAT(near.Describe(), HasSubstr("node0/hugepages/hugepages-2048kB/nr_hugepages sets"));
  }
}

TEST(NodeMemoryTest, UnreadableSmapsCountsAsSmallAndSaysSo) {
  FaultyMemoryCalls calls;
  calls.smaps_path = "/nonexistent/smaps";
  const NodeMemory memory =
      NodeMemory::Allocate(kSizeBytes, {.allow_hugetlb = false}, calls).value();
  EXPECT_EQ(memory.audit().page_kind, PageKind::kSmall);
  EXPECT_THAT(memory.audit().degraded_reason,
              AllOf(HasSubstr("size of pages not known"), HasSubstr("/nonexistent/smaps")));
}

TEST(NodeMemoryTest, OldKernelsArePopulatedByHand) {
  FaultyMemoryCalls calls;
  calls.fail = FailWith("Advise POPULATE", EINVAL);
  const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {}, calls).value();
  EXPECT_EQ(memory.audit().resident_pages, 64u);
}

TEST(NodeMemoryTest, InterruptedPopulationGoesOn) {
  FaultyMemoryCalls calls;
  int interruptions = 0;
  calls.fail = [&](const std::string& call, int) {
    return call == "Advise POPULATE" && interruptions++ < 3 ? EINTR : 0;
  };
  EXPECT_EQ(NodeMemory::Allocate(kSizeBytes, {}, calls)->audit().resident_pages, 64u);
  EXPECT_EQ(interruptions, 4);
}

TEST(NodeMemoryTest, RefusedBindIsReportedAndNotAnError) {
  for (const int error : {EPERM, ENOSYS}) {
    FaultyMemoryCalls calls;
    calls.fail = FailWith("PreferNode", error);
    const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {.node = 0}, calls).value();
    EXPECT_THAT(memory.audit().degraded_reason, HasSubstr("cannot ask for node 0: mbind"));
  }
}

TEST(NodeMemoryTest, AuditTellsWhenANodeWasFull) {
  FaultyMemoryCalls calls;
  calls.pretended_nodes = {1, 1, 1, 0};
  const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {.node = 0}, calls).value();
  EXPECT_EQ(memory.audit().node, 1);
  EXPECT_EQ(memory.audit().pages_on_node, 48u);
  EXPECT_THAT(
      memory.audit().degraded_reason,
      HasSubstr("only 16 of 64 sampled pages on node 0, the others on node 1: it was full"));
  calls.pretended_nodes = {0, 0, 0, 1};
  NodeMemory better = NodeMemory::Allocate(kSizeBytes, {.node = 0}, calls).value();
  EXPECT_EQ(better.audit().node, 0);
  EXPECT_THAT(better.audit().degraded_reason, HasSubstr("only 48 of 64 sampled pages on node 0"));
  calls.pretended_nodes = {2, 1, 3, 1};
  better.Audit();
  EXPECT_THAT(better.Describe(), AllOf(HasSubstr("32 of 64 sampled pages on node 1"),
                                       HasSubstr("only 0 of 64 sampled pages on node 0, the "
                                                 "others on nodes 1-3")));
  calls.pretended_nodes = {0, -ENOENT};
  EXPECT_EQ(better.Audit().resident_pages, 32u);
  EXPECT_THAT(better.audit().degraded_reason, Not(HasSubstr("on node 0")));
}

TEST(NodeMemoryTest, UnknownNodeIsReported) {
  FaultyMemoryCalls calls;
  calls.fail = FailWith("QueryNodes", EPERM);
  const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {}, calls).value();
  EXPECT_EQ(memory.audit().node, -1);
  EXPECT_EQ(memory.audit().sampled_pages, 0u);
  EXPECT_THAT(memory.audit().degraded_reason, HasSubstr("node not known: move_pages"));
}

// Every call fails once, with each errno: the result is an error that names the size, or memory
// that works; and nothing leaks.
TEST(NodeMemoryTest, EveryCallFailsOnce) {
  for (const bool pretend_hugetlb : {false, true}) {
    for (const int error : {ENOMEM, EPERM, EINVAL, EAGAIN, EIO}) {
      for (int victim = 0;; ++victim) {
        SCOPED_TRACE(
            absl::StrCat("hugetlb ", pretend_hugetlb, ", errno ", error, " in call ", victim));
        FaultyMemoryCalls calls;
        calls.pretend_hugetlb = pretend_hugetlb;
        calls.fail = [&](const std::string&, int count) { return count == victim ? error : 0; };
        {
          absl::StatusOr<NodeMemory> memory = NodeMemory::Allocate(kSizeBytes, {.node = 0}, calls);
          if (memory.ok()) {
            memory->data()[memory->size_bytes() - 1] = std::byte{1};
          } else {
            EXPECT_THAT(std::string(memory.status().message()), HasSubstr("4 MiB"));
          }
        }
        EXPECT_EQ(calls.mapped_bytes(), 0u);
        if (calls.call_count() <= victim) break;  // every call there is has failed by now
      }
    }
  }
}

// Two faults at once reach what a fallback does when it fails in turn.
TEST(NodeMemoryTest, EveryPairOfCallsFails) {
  for (int first = 0; first < 12; ++first) {
    for (int second = first + 1; second < 14; ++second) {
      FaultyMemoryCalls calls;
      calls.pretend_hugetlb = true;
      calls.fail = [&](const std::string&, int count) {
        return count == first || count == second ? ENOMEM : 0;
      };
      const absl::Status status = NodeMemory::Allocate(kSizeBytes, {.node = 0}, calls).status();
      EXPECT_TRUE(status.ok() || absl::IsResourceExhausted(status)) << status;
      EXPECT_EQ(calls.mapped_bytes(), 0u) << first << ", " << second;
    }
  }
}

TEST(MemoryAuditTest, NamesOfPageKinds) {
  EXPECT_EQ(PageKindName(PageKind::kHugetlb), "hugetlb pages");
  EXPECT_EQ(PageKindName(PageKind::kTransparentHuge), "transparent huge pages");
  EXPECT_EQ(PageKindName(PageKind::kSmall), "small pages");
}

TEST(MemoryAuditTest, SampleOfASmallRegionHoldsEachPage) {
  FaultyMemoryCalls calls;
  calls.pretended_nodes = {3};
  const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {}).value();
  for (const size_t pages : {1, 2, 63}) {
    const MemoryAudit audit =
        AuditMemory({memory.data(), pages * calls.PageBytes()}, /*hugetlb=*/true, calls);
    EXPECT_EQ(audit.sampled_pages, pages);
    EXPECT_EQ(audit.pages_on_node, pages);
    EXPECT_EQ(audit.node, 3);
  }
}

}  // namespace
}  // namespace ioengine
