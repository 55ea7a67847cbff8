#include "ioengine/engine/shard_thread.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/io/make_backend.h"
#include "ioengine/numa/affinity.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

// A ring's write to a pipe or socket that nobody reads raises SIGPIPE in the thread that submits
// it, which ends a host that has not thought of it. On a thread of ours the error is enough.
void BlockBrokenPipes() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

}  // namespace

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
    SetState(State::kEnded);
  }
  return future;
}

absl::Status ShardThread::RunHere() {
  if (absl::Status status = Begin(State::kRunning); !status.ok()) return status;
  executor_->Run();
  End();
  return absl::OkStatus();
}

absl::StatusOr<PumpOutcome> ShardThread::PumpHere(uint64_t max_ns) {
  const State state = state_.load(std::memory_order_acquire);
  if (state == State::kEnded) {
    if (absl::Status status = Ended(); !status.ok()) return status;
    return PumpOutcome::kStopped;
  }
  if (state != State::kPumped) {
    if (absl::Status status = Begin(State::kPumped); !status.ok()) return status;
  }
  const PumpOutcome outcome = executor_->Pump(max_ns);
  if (outcome == PumpOutcome::kStopped) End();
  return outcome;
}

int ShardThread::fd() const {
  IOENGINE_CHECK(state_.load(std::memory_order_acquire) == State::kPumped,
                 "ShardFd of a shard that is not pumped");
  return const_cast<Executor&>(*executor_).fd();
}

// Sets the shard up on the calling thread.
absl::Status ShardThread::Begin(State next) {
  State expected = State::kNew;
  if (!state_.compare_exchange_strong(expected, State::kSettingUp, std::memory_order_acq_rel)) {
    if (expected == State::kEnded || stop_requested_.load(std::memory_order_relaxed)) {
      return absl::UnavailableError(absl::StrCat("shard ", id_, " has stopped"));
    }
    return absl::FailedPreconditionError(
        absl::StrCat("shard ", id_, " has a thread already; it is run or pumped by one"));
  }
  absl::Status status = SetUp();
  set_up_ = status;
  if (!status.ok()) {
    TearDown();
    mesh_.Abandon();
    SetState(State::kEnded);  // from here on this object may be gone
    return status;
  }
  // Before anybody can wake the shard: a wake-up that comes before there is a descriptor to tell
  // the host of it would be lost.
  if (next == State::kPumped) executor_->fd();
  published_.store(&*executor_, std::memory_order_seq_cst);
  if (stop_requested_.load(std::memory_order_seq_cst)) executor_->RequestStop();
  SetState(next);
  return absl::OkStatus();
}

void ShardThread::End() {
  TearDown();
  SetState(State::kEnded);
}

void ShardThread::SetState(State state) {
  state_.store(state, std::memory_order_release);
  state_.notify_all();
}

absl::Status ShardThread::WaitUntilSetUp() {
  for (;;) {
    const State state = state_.load(std::memory_order_acquire);
    if (state == State::kEnded) return Ended();
    if (state != State::kNew && state != State::kSettingUp) return set_up_;
    state_.wait(state, std::memory_order_acquire);
  }
}

// Of a shard that has ended: whether it ran before that.
absl::Status ShardThread::Ended() const {
  if (!set_up_.ok() || published_.load(std::memory_order_acquire) != nullptr) return set_up_;
  return absl::UnavailableError(absl::StrCat("shard ", id_, " was stopped before it ran"));
}

absl::Status ShardThread::Call(std::unique_ptr<ForeignCall>& call) {
  Executor* const executor = published_.load(std::memory_order_acquire);
  if (executor == nullptr) {
    if (state_.load(std::memory_order_acquire) == State::kEnded) {
      return absl::UnavailableError(absl::StrCat("shard ", id_, " has stopped"));
    }
    return absl::FailedPreconditionError(absl::StrCat(
        "shard ", id_,
        " is not set up yet: the host has to lend it a thread "
        "(Runtime::RunShard or PumpShard), and others wait for that (WaitUntilRunning)"));
  }
  switch (executor->TryCall(call)) {
    case CallOutcome::kAccepted:
      return absl::OkStatus();
    case CallOutcome::kInboxFull:
      return absl::ResourceExhaustedError(absl::StrCat(
          "shard ", id_, " has ", options_.inbox_capacity,
          " calls waiting; wait for some of them, or raise RuntimeOptions::inbox_capacity"));
    case CallOutcome::kMemoryFull:
      return absl::ResourceExhaustedError(absl::StrCat(
          "shard ", id_, " has used up its memory of ", executor->memory()->limit_bytes(),
          " bytes; wait until some of its tasks have ended, or raise ",
          "RuntimeOptions::memory_per_shard_bytes"));
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
  stop_requested_.store(true, std::memory_order_seq_cst);
  Executor* const executor = published_.load(std::memory_order_seq_cst);
  if (executor != nullptr) {
    executor->RequestStop();
    return;
  }
  // One that has no thread gets none any more.
  State expected = State::kNew;
  if (state_.compare_exchange_strong(expected, State::kSettingUp, std::memory_order_acq_rel)) {
    mesh_.Abandon();
    SetState(State::kEnded);
  }
}

void ShardThread::Stop() {
  IOENGINE_CHECK(Executor::Current() == nullptr || published_.load() == nullptr,
                 "a runtime is stopped from a shard, which would wait for itself");
  RequestStop();
  for (;;) {
    const State state = state_.load(std::memory_order_acquire);
    if (state == State::kEnded || state == State::kPumped) break;
    state_.wait(state, std::memory_order_acquire);
  }
  if (thread_.joinable()) thread_.join();
}

ShardThread::~ShardThread() {
  Stop();
  IOENGINE_CHECK(state_.load(std::memory_order_acquire) == State::kEnded,
                 "a Runtime is destroyed while its host pumps a shard; after Stop call PumpShard "
                 "until it gives kStopped");
}

void ShardThread::Main(Promise<absl::Status> started) {
  // At most 15 characters, which top and perf show.
  pthread_setname_np(pthread_self(), absl::StrCat("ioengine/", id_).c_str());
  // The kernel may wake a sleeping thread 50 µs after its time, to save wake-ups; shards ration
  // theirs by themselves (WakeBudget). Where it is refused timers are late by so much.
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  BlockBrokenPipes();
  absl::Status status = Begin(State::kRunning);
  const bool ok = status.ok();
  started.Set(std::move(status));
  if (!ok) return;
  executor_->Run();
  End();
}

absl::Status ShardThread::SetUp() {
  if (placement_.cpu >= 0) {
    if (absl::Status status = PinCurrentThread(placement_.cpu); !status.ok()) return status;
    info_.cpu = placement_.cpu;
  }
  if (absl::Status status = ChargeFixedMemory(); !status.ok()) return status;
  auto memory = NodeMemory::Allocate(options_.buffer_pool_bytes, {.node = placement_.memory_node});
  if (!memory.ok()) return memory.status();
  memory_ = *std::move(memory);
  info_.memory = memory_->Describe();
  if (const std::string& reason = memory_->audit().degraded_reason; !reason.empty()) {
    info_.degraded.push_back({"node-local huge pages", reason,
                              "large transfers may be split, and memory may be on another node"});
  }

  auto backend = MakeBackend({.choice = options_.backend,
                              .capacity = options_.queue_depth,
                              .registered_files = options_.max_open_files});
  if (!backend.ok()) return backend.status();
  backend_ = *std::move(backend);

  executor_.emplace(*backend_,
                    ExecutorOptions{.inbox_capacity = options_.inbox_capacity,
                                    .idle_spin_ns = uint64_t{options_.idle_spin_us} * 1000,
                                    .timer_batch_ns = uint64_t{options_.timer_batch_us} * 1000,
                                    .memory = budget_,
                                    .stall = options_.stall,
                                    .pulse = pulse_});
  if (absl::Status status = MakeClasses(); !status.ok()) return status;
  io_.emplace(*backend_, *executor_, std::span(memory_->data(), memory_->size_bytes()),
              ShardIoOptions{.queue_depth = options_.queue_depth,
                             .max_bytes_in_flight = options_.max_bytes_in_flight,
                             .max_background_bytes = options_.max_background_bytes,
                             .max_open_files = options_.max_open_files,
                             .slow_io = options_.slow_io});
  shard_.emplace(*executor_, *io_, mesh_);
  mesh_.Attach(*executor_);
  info_.backend = backend_->info();
  info_.queue_depth = io_->queue().depth();
  info_.max_bytes_in_flight = options_.max_bytes_in_flight;
  info_.max_background_bytes = options_.max_background_bytes;
  info_.slow_io_ns = options_.slow_io.threshold_ns;
  info_.max_open_files = io_->files().capacity();
  info_.inbox_capacity = options_.inbox_capacity;
  info_.mesh_ring_bytes = mesh_.ring_bytes();
  info_.mesh_ring_capacity = mesh_.options().ring_capacity;
  info_.mesh_call_bytes = mesh_.options().max_call_bytes;
  info_.degraded.insert(info_.degraded.end(), info_.backend.degraded.begin(),
                        info_.backend.degraded.end());
  return absl::OkStatus();
}

// Charges what the shard takes at once and keeps (but the mesh's rings, which the port charges),
// and sees to it that there is something left for tasks.
absl::Status ShardThread::ChargeFixedMemory() {
  constexpr size_t kBesideBuffers = size_t{256} << 20;
  constexpr size_t kLeastForTasks = size_t{1} << 20;
  constexpr size_t kKernelBytesPerEntry = 64 + 4 + 2 * 16;  // an SQE, its index, two CQEs
  info_.buffer_pool_bytes = (options_.buffer_pool_bytes + DmaBufferPool::kArenaAlignmentBytes - 1) /
                            DmaBufferPool::kArenaAlignmentBytes *
                            DmaBufferPool::kArenaAlignmentBytes;
  info_.table_bytes =
      options_.queue_depth * (sizeof(IoOperation) + kKernelBytesPerEntry) +
      options_.max_open_files * sizeof(OpenFile) + options_.inbox_capacity * sizeof(void*) +
      info_.buffer_pool_bytes / DmaBufferPool::kPageBytes * sizeof(internal::BufferBlock);
  const size_t fixed_bytes = info_.buffer_pool_bytes + info_.table_bytes;
  info_.memory_limit_bytes = options_.memory_per_shard_bytes != 0
                                 ? options_.memory_per_shard_bytes
                                 : fixed_bytes + mesh_.ring_bytes() + kBesideBuffers;
  budget_ = std::make_shared<MemoryBudget>(info_.memory_limit_bytes);
  const size_t least_bytes = fixed_bytes + mesh_.ring_bytes() + kLeastForTasks;
  if (info_.memory_limit_bytes < least_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("RuntimeOptions::memory_per_shard_bytes is ", info_.memory_limit_bytes,
                     "; it must be at least ", least_bytes, ": ", info_.buffer_pool_bytes,
                     " of buffers, ", info_.table_bytes, " of tables, ", mesh_.ring_bytes(),
                     " of rings and ", kLeastForTasks, " for tasks"));
  }
  budget_->Charge(fixed_bytes);
  return absl::OkStatus();
}

absl::Status ShardThread::MakeClasses() {
  for (const TaskQueueOptions& one : options_.classes) {
    absl::StatusOr<ClassId> id = executor_->CreateClass(one);
    if (!id.ok()) {
      return absl::Status(id.status().code(), absl::StrCat("RuntimeOptions::classes, '", one.name,
                                                           "': ", id.status().message()));
    }
  }
  for (size_t id = 0; id < executor_->class_count(); ++id) {
    const TaskQueue& made = *executor_->FindClass(static_cast<ClassId>(id));
    info_.classes.push_back(
        {made.name(), made.shares(), made.latency_goal_ns(), made.is_background()});
  }
  return absl::OkStatus();
}

void ShardThread::TearDown() {
  shard_.reset();
  io_.reset();
  backend_.reset();
  memory_.reset();
}

}  // namespace ioengine
