// Which CPUs a thread may run on, as the kernel keeps it.
#ifndef IOENGINE_NUMA_AFFINITY_H_
#define IOENGINE_NUMA_AFFINITY_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ioengine {

// The CPUs that the calling thread may run on: its affinity mask, which its cpuset bounds.
// Ascending. Errors: what sched_getaffinity(2) says.
absl::StatusOr<std::vector<int>> AllowedCpus();

// Binds the calling thread to `cpu`, until it is bound anew. Threads that it starts inherit this.
// Errors: InvalidArgument when `cpu` is offline or outside of the process's cpuset; otherwise what
// sched_setaffinity(2) says (PermissionDenied under a strict seccomp filter).
absl::Status PinCurrentThread(int cpu);

// The CPUs that the calling thread might run on before it was first pinned by PinCurrentThread;
// empty when it was not, or when they are not known.
std::vector<int> CpusBeforePinning();

// Lets the calling thread run on any of `cpus`. Errors: as of PinCurrentThread.
absl::Status AllowCurrentThread(const std::vector<int>& cpus);

}  // namespace ioengine

#endif  // IOENGINE_NUMA_AFFINITY_H_
