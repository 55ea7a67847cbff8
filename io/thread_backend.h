// ThreadBackend: the Backend over plain system calls in a pool of threads, for where io_uring is
// not to be had.
#ifndef IOENGINE_IO_THREAD_BACKEND_H_
#define IOENGINE_IO_THREAD_BACKEND_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/io/backend.h"
#include "ioengine/io/shard_sleep.h"
#include "ioengine/io/worker_pool.h"
#include "ioengine/sched/fork_guard.h"

namespace ioengine {

struct ThreadBackendOptions {
  // Operations in flight at most.
  size_t capacity = 512;
  // Threads at most; they are started as they are needed. So many operations are with the device at
  // once; more wait for a thread.
  size_t threads = 16;
  // What is degraded already by having this backend: told in info().
  std::vector<Degradation> degraded = {};
};

// Start gathers operations; Poll, Wait and each eighth Start hand them to the pool, under one lock
// and with one wake-up for each thread that is idle. Workers wake a shard that sleeps, once for all
// that finishes until it has looked.
//
// In a child process (after fork) there are no threads: what is in flight completes with ECANCELED,
// and so does whatever is started.
class ThreadBackend final : public Backend {
 public:
  // Starts the first thread. Errors: ResourceExhausted where there can be none.
  static absl::StatusOr<std::unique_ptr<ThreadBackend>> Create(const ThreadBackendOptions& options);

  // Drains, and ends the threads.
  ~ThreadBackend() override;

  void Start(IoOperation& operation) override;
  void Cancel(IoOperation& operation) override;
  void Drain() override;
  BufferRegistration RegisterBuffers(std::span<std::byte> arena) override;
  bool RegisterFile(int index, int fd) override;
  const BackendInfo& info() const override { return info_; }

  size_t Poll() override;
  size_t Wait(uint64_t timeout_ns) override;
  bool HasCompletions() const override { return pool_.has_finished(); }
  bool HasWork() const override { return gathered_first_ != nullptr || HasCompletions(); }
  bool PrepareWait(uint64_t timeout_ns) override;
  int fd() override { return sleep_.fd(); }
  void Wake() override;

  // Those that run.
  size_t threads() const { return pool_.threads(); }

 private:
  explicit ThreadBackend(const ThreadBackendOptions& options);

  void Submit();
  void Reap();
  void Abandon();

  BackendInfo info_;
  const ForkGuard fork_guard_;
  // Started, and not yet the pool's.
  IoOperation* gathered_first_ = nullptr;
  IoOperation* gathered_last_ = nullptr;
  size_t gathered_count_ = 0;
  ShardSleep sleep_;
  WorkerPool pool_;  // goes first: its threads wake the shard
};

}  // namespace ioengine

#endif  // IOENGINE_IO_THREAD_BACKEND_H_
