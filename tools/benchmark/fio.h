// fio as a peer, at its best: io_uring with fixed buffers and a registered file, buffers on huge
// pages, one thread per shard, each pinned as our shard is and in a region of the file that is as
// large.
#ifndef IOENGINE_TOOLS_BENCHMARK_FIO_H_
#define IOENGINE_TOOLS_BENCHMARK_FIO_H_

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/tools/benchmark/peer.h"

namespace ioengine::bench {

// How fio hands over operations: what is best depends on the device, the block and the depth.
enum class FioVariant {
  kOneByOne,  // one io_uring_enter per operation: fio's default
  kBatched,   // an eighth of the depth at once, and as many completions as there are
};

// "one by one" or "batched".
std::string_view FioVariantName(FioVariant variant);

// The variants worth trying for `job`, the likely best one first; at depth 1 they are the same one.
std::vector<FioVariant> FioVariants(const PeerJob& job);

// The program and its arguments. fio neither creates nor extends a file with them.
std::vector<std::string> FioCommand(const PeerJob& job, FioVariant variant);

// Runs fio and waits for it, about half a second longer than the job's duration.
//
// Latencies are fio's total ones (submission and completion). CPU time is that of its threads,
// without the kernel's io_uring workers: fio does not count those, and so looks no worse than it
// is.
//
// Errors: InvalidArgument for a bad job or a file that is too small; Unimplemented for `null`,
// which fio cannot run (RunRawLoop does); NotFound if fio is not installed; Cancelled;
// DeadlineExceeded; Internal with fio's own message if it fails or its output cannot be understood.
absl::StatusOr<PeerOutcome> RunFio(const PeerJob& job, FioVariant variant,
                                   const std::atomic<bool>& cancelled);

// Reads what `fio --output-format=json --unified_rw_reporting=mixed` prints; text before the object
// is passed over. `command` is left empty. Errors: Internal names what is missing, or the error
// that fio met.
absl::StatusOr<PeerOutcome> ParseFioOutput(std::string_view output);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_FIO_H_
