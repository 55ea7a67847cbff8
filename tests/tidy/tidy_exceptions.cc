#include "ioengine/tests/tidy/tidy_exceptions.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/tests/tidy/tidy_rules.h"

namespace ioengine::tidy {

const std::vector<Exception>& Exceptions() {
  static const std::vector<Exception> exceptions = {
      {"CheckConsole", "sched/check.cc",
       "a failed CHECK is about to end the process: there is nobody left to return a report to"},
      {"CheckNamedInBuild", "tests/embed/main.cc",
       "tests/embed/run builds it outside of Bazel, as an embedder would"},
      {"CheckLocks", "sched/pulse.h", "holds the lock that pulse.cc takes; see there"},
      {"CheckLocks", "sched/pulse.cc",
       "taken by a foreign thread whose shard is silent, and by an executor that ends; by no turn"},
      {"CheckSystemCalls", "engine/client.cc",
       "a foreign thread waits for room in an inbox: it is no shard (CHECK)"},
      {"CheckSystemCalls", "sched/completion_flag.cc",
       "a foreign thread waits for a shard; a shard wakes one, which takes no time of the shard's"},
      {"CheckSystemCalls", "io/uring/",
       "lies behind the seam: it owns the ring's descriptors and the eventfd that wakes it"},
      {"CheckSystemCalls", "io/blocking_call.cc",
       "lies behind the seam: what a worker thread runs for a backend"},
      {"CheckSystemCalls", "io/readiness_waiter.cc",
       "lies behind the seam: a thread of its own waits for pipes and sockets, and no shard does"},
      {"CheckLocks", "io/readiness_waiter.h", "holds the lock that readiness_waiter.cc takes"},
      {"CheckLocks", "io/readiness_waiter.cc",
       "taken by workers that hand over what would have waited; by no shard"},
      {"CheckSystemCalls", "io/device_profile.cc",
       "reads its file for what a runtime is started with, before there is a Backend"},
      {"CheckSystemCalls", "io/shard_sleep.cc",
       "lies behind the seam: where a shard without a ring sleeps, and what wakes it"},
      {"CheckLocks", "io/worker_pool.cc",
       "taken to hand operations to worker threads, whose holders run no system call; a shard with "
       "a ring takes it only for what the ring cannot do"},
      {"CheckSystemCalls", "sched/stack_sampler.cc",
       "a perf event has no other way in; it is opened before the executor runs"},
      {"CheckSystemCalls", "numa/kernel_file.cc",
       "reads /sys and /proc at start-up, before there is a Backend"},
  };
  return exceptions;
}

std::vector<Violation> Excuse(std::string_view rule, const std::vector<Exception>& exceptions,
                              std::vector<Violation> violations) {
  for (const Exception& exception : exceptions) {
    if (exception.rule != rule) continue;
    const size_t excused = std::erase_if(violations, [&](const Violation& violation) {
      return violation.path == exception.path_prefix ||
             (exception.path_prefix.ends_with('/') &&
              violation.path.starts_with(exception.path_prefix));
    });
    if (excused > 0) continue;
    violations.push_back({std::string(exception.path_prefix), 0,
                          absl::StrCat("is excused from ", std::string(rule), " in ",
                                       "tests/tidy/tidy_exceptions.cc, but does not need it (any ",
                                       "more): take the exception out")});
  }
  return violations;
}

}  // namespace ioengine::tidy
