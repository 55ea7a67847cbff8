// The list syntax that the kernel, taskset and our flags share: "0-3,8,10-11".
#ifndef IOENGINE_NUMA_CPU_LIST_H_
#define IOENGINE_NUMA_CPU_LIST_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace ioengine {

// Ids at or above this are taken for garbage: no Linux kernel is built for more CPUs (NR_CPUS).
// It bounds what a hostile or broken file such as "0-99999999999" can make us allocate.
inline constexpr int kMaxCpus = 8192;

// Parses `text` into ids, in the order written and with what is written twice kept twice, so that
// the caller decides what a duplicate means. White space around the whole is ignored; the empty
// text is the empty list (what the kernel prints for a node without CPUs).
// Errors: InvalidArgument, quoting the part that is wrong: not a number, a range that runs
// backwards, an id of `limit` or more, more than `limit` ids in all. `limit` is at least 1.
absl::StatusOr<std::vector<int>> ParseCpuList(std::string_view text, int limit = kMaxCpus);

// The shortest text for the ids of `cpus` in ascending order, without duplicates: "0-3,8".
// "none" for an empty list, since the result is read by people.
std::string FormatCpuList(std::vector<int> cpus);

}  // namespace ioengine

#endif  // IOENGINE_NUMA_CPU_LIST_H_
