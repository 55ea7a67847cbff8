#include "ioengine/engine/shard_thread.h"

#include <pthread.h>
#include <sys/prctl.h>

#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/io/uring/uring_backend.h"
#include "ioengine/numa/affinity.h"
#include "ioengine/sched/check.h"

namespace ioengine {

Future<absl::Status> ShardThread::Start() {
  Promise<absl::Status> started;
  Future<absl::Status> future = started.future();
  try {
    thread_ = std::thread(&ShardThread::Main, this, std::move(started));
  } catch (const std::system_error& error) {
    Promise<absl::Status> failed;
    future = failed.future();
    failed.Set(absl::ResourceExhaustedError(absl::StrCat(
        "cannot start a thread for shard ", id_, ": ", error.code().message(),
        "; raise the limit on threads (ulimit -u, or pids.max of the control group)")));
  }
  return future;
}

absl::Status ShardThread::Call(std::unique_ptr<ForeignCall>& call) {
  switch (executor_->TryCall(call)) {
    case CallOutcome::kAccepted:
      return absl::OkStatus();
    case CallOutcome::kInboxFull:
      return absl::ResourceExhaustedError(absl::StrCat(
          "shard ", id_, " has ", options_.inbox_capacity,
          " calls waiting; wait for some of them, or raise RuntimeOptions::inbox_capacity"));
    case CallOutcome::kForked:
      return absl::FailedPreconditionError(absl::StrCat(
          "shard ", id_, " belongs to the parent of this process: after fork a child must call ",
          "exec, or start a runtime of its own"));
    case CallOutcome::kStopped:
      break;
  }
  return absl::UnavailableError(absl::StrCat("shard ", id_, " has stopped"));
}

void ShardThread::RequestStop() {
  if (executor_.has_value()) executor_->RequestStop();
}

void ShardThread::Stop() {
  if (!thread_.joinable()) return;
  IOENGINE_CHECK(Executor::Current() == nullptr,
                 "a runtime is stopped from a shard, which would wait for itself");
  RequestStop();
  thread_.join();
}

void ShardThread::Main(Promise<absl::Status> started) {
  // At most 15 characters, which top and perf show.
  pthread_setname_np(pthread_self(), absl::StrCat("ioengine/", id_).c_str());
  // The kernel may wake a sleeping thread 50 µs after its time, to save wake-ups; shards ration
  // theirs by themselves (WakeBudget). Where it is refused timers are late by so much.
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  absl::Status status = SetUp();
  const bool ok = status.ok();
  started.Set(std::move(status));
  if (ok) executor_->Run();
  TearDown();
}

absl::Status ShardThread::SetUp() {
  if (placement_.cpu >= 0) {
    if (absl::Status status = PinCurrentThread(placement_.cpu); !status.ok()) return status;
    info_.cpu = placement_.cpu;
  }
  auto memory = NodeMemory::Allocate(options_.buffer_pool_bytes, {.node = placement_.memory_node});
  if (!memory.ok()) return memory.status();
  memory_ = *std::move(memory);
  info_.memory = memory_->Describe();
  if (const std::string& reason = memory_->audit().degraded_reason; !reason.empty()) {
    info_.degraded.push_back({"node-local huge pages", reason,
                              "large transfers may be split, and memory may be on another node"});
  }

  UringBackendOptions backend_options;
  backend_options.capacity = options_.queue_depth;
  backend_options.ring.entries = static_cast<uint32_t>(options_.queue_depth);
  backend_options.ring.registered_files = static_cast<uint32_t>(options_.max_open_files);
  auto backend = UringBackend::Create(backend_options);
  if (!backend.ok()) return backend.status();
  backend_ = *std::move(backend);

  executor_.emplace(*backend_,
                    ExecutorOptions{.inbox_capacity = options_.inbox_capacity,
                                    .idle_spin_ns = uint64_t{options_.idle_spin_us} * 1000,
                                    .stall = options_.stall});
  io_.emplace(*backend_, *executor_, std::span(memory_->data(), memory_->size_bytes()),
              ShardIoOptions{.queue_depth = options_.queue_depth,
                             .max_open_files = options_.max_open_files});
  shard_.emplace(*executor_, *io_, mesh_);
  mesh_.Attach(*executor_);
  info_.backend = backend_->info();
  info_.degraded.insert(info_.degraded.end(), info_.backend.degraded.begin(),
                        info_.backend.degraded.end());
  return absl::OkStatus();
}

void ShardThread::TearDown() {
  shard_.reset();
  io_.reset();
  backend_.reset();
  memory_.reset();
}

}  // namespace ioengine
