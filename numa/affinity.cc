#include "ioengine/numa/affinity.h"

#include <sched.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ioengine/numa/cpu_list.h"
#include "ioengine/numa/errno_status.h"

namespace ioengine {
namespace {

struct FreeMask {
  void operator()(cpu_set_t* mask) const { CPU_FREE(mask); }
};

// cpu_set_t itself ends at 1,024 CPUs, with which sched_getaffinity fails on larger machines.
using CpuMask = std::unique_ptr<cpu_set_t, FreeMask>;

size_t MaskBytes() { return CPU_ALLOC_SIZE(kMaxCpus); }

CpuMask NewEmptyMask() {
  CpuMask mask(CPU_ALLOC(kMaxCpus));
  if (mask != nullptr) CPU_ZERO_S(MaskBytes(), mask.get());
  return mask;
}

thread_local std::vector<int> cpus_before_pinning;

absl::Status NoMemory() { return absl::ResourceExhaustedError("no memory for a mask of CPUs"); }

}  // namespace

absl::StatusOr<std::vector<int>> AllowedCpus() {
  const CpuMask mask = NewEmptyMask();
  if (mask == nullptr) return NoMemory();
  if (::sched_getaffinity(0, MaskBytes(), mask.get()) != 0) {
    return ErrnoStatus(errno, "cannot learn which CPUs this thread may use");
  }
  std::vector<int> allowed;
  for (int cpu = 0; cpu < kMaxCpus; ++cpu) {
    if (CPU_ISSET_S(static_cast<size_t>(cpu), MaskBytes(), mask.get())) allowed.push_back(cpu);
  }
  return allowed;
}

absl::Status PinCurrentThread(int cpu) {
  if (cpus_before_pinning.empty()) {
    absl::StatusOr<std::vector<int>> before = AllowedCpus();
    if (before.ok()) cpus_before_pinning = *std::move(before);
  }
  return AllowCurrentThread({cpu});
}

std::vector<int> CpusBeforePinning() { return cpus_before_pinning; }

absl::Status AllowCurrentThread(const std::vector<int>& cpus) {
  const CpuMask mask = NewEmptyMask();
  if (mask == nullptr) return NoMemory();
  for (const int cpu : cpus) {
    if (cpu < 0 || cpu >= kMaxCpus) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot pin to CPU ", cpu, ": CPUs are numbered from 0 to ", kMaxCpus - 1));
    }
    CPU_SET_S(static_cast<size_t>(cpu), MaskBytes(), mask.get());
  }
  if (::sched_setaffinity(0, MaskBytes(), mask.get()) == 0) return absl::OkStatus();
  const int error = errno;
  const std::string what = absl::StrCat("cannot pin to CPU ", absl::StrJoin(cpus, ", "));
  if (error == EINVAL) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": it is offline, or outside of this process's cpuset; choose another"));
  }
  return ErrnoStatus(error, what);
}

}  // namespace ioengine
