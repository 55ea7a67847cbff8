#include "ioengine/io/worker_thread.h"

#include <pthread.h>
#include <signal.h>

#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/numa/affinity.h"

namespace ioengine {
namespace {

// While it lives threads are started with all signals blocked.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

absl::Status StartWorkerThread(std::function<void()> function, std::thread& thread) {
  const BlockedSignals blocked;
  try {
    thread = std::thread([run = std::move(function), cpus = CpusBeforePinning()] {
      // A shard's pinning is inherited, and its workers would take its CPU from it. Where they
      // cannot be freed they work there.
      if (!cpus.empty()) AllowCurrentThread(cpus).IgnoreError();
      pthread_setname_np(pthread_self(), "ioengine/work");  // at most 15 characters
      run();
    });
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot start a thread for I/O: ", error.code().message(),
                     "; raise the limit on threads (ulimit -u, or pids.max of the control group)"));
  }
  return absl::OkStatus();
}

}  // namespace ioengine
