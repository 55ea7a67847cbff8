#include "ioengine/io/thread_backend.h"

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace ioengine {
namespace {

// So many operations are handed to the pool before the end of the turn, so that the device works on
// them while tasks ask for more.
constexpr size_t kChunk = 8;

}  // namespace

absl::StatusOr<std::unique_ptr<ThreadBackend>> ThreadBackend::Create(
    const ThreadBackendOptions& options) {
  std::unique_ptr<ThreadBackend> backend(new ThreadBackend(options));
  if (absl::Status status = backend->pool_.StartFirstThread(); !status.ok()) return status;
  return backend;
}

ThreadBackend::ThreadBackend(const ThreadBackendOptions& options)
    : Backend(options.capacity),
      pool_(*this, {.max_threads = options.threads, .capacity = options.capacity}) {
  info_.name = "thread pool";
  info_.degraded = options.degraded;
  info_.features.push_back(absl::StrCat("up to ", options.threads, " threads"));
}

ThreadBackend::~ThreadBackend() { Drain(); }

void ThreadBackend::Start(IoOperation& operation) {
  ++stats_.operations_started;
  if (fork_guard_.in_child()) return;  // Abandon finds it
  operation.next = nullptr;
  operation.in_backlog = true;
  (gathered_first_ == nullptr ? gathered_first_ : gathered_last_->next) = &operation;
  gathered_last_ = &operation;
  if (++gathered_count_ >= kChunk) Submit();
}

void ThreadBackend::Cancel(IoOperation& operation) {
  if (operation.cancel_requested || operation.command.request.opcode == IoOpcode::kClose) return;
  operation.cancel_requested = true;
  // The pool is told with the operation where it has it not yet.
  if (!operation.in_backlog && !fork_guard_.in_child()) pool_.Cancel(operation);
}

void ThreadBackend::Drain() {
  while (in_flight() > 0) {
    operations_.ForEachInFlight([this](IoOperation& operation) { Cancel(operation); });
    Wait(kForever);
  }
}

BufferRegistration ThreadBackend::RegisterBuffers(std::span<std::byte> /*arena*/) {
  info_.degraded.push_back({"registered buffers", "plain system calls do not know them",
                            "the kernel maps the pages for each operation"});
  return {};
}

bool ThreadBackend::RegisterFile(int /*index*/, int /*fd*/) { return false; }

size_t ThreadBackend::Poll() {
  const uint64_t before = stats_.operations_completed;
  if (fork_guard_.in_child()) {
    Abandon();
  } else {
    pool_.WokeUp();
    Submit();
    Reap();
  }
  return stats_.operations_completed - before;
}

size_t ThreadBackend::Wait(uint64_t timeout_ns) {
  const size_t completed = Poll();
  // What Poll started again is not with the pool yet.
  if (completed > 0 || timeout_ns == 0 || HasWork() || fork_guard_.in_child()) return completed;
  if (pool_.PrepareToSleep()) {
    ++stats_.system_calls;
    sleep_.Sleep(timeout_ns);
  }
  pool_.WokeUp();
  const uint64_t before = stats_.operations_completed;
  Reap();
  return stats_.operations_completed - before;
}

bool ThreadBackend::PrepareWait(uint64_t timeout_ns) {
  if (fork_guard_.in_child()) return false;
  Submit();
  if (timeout_ns == 0 || HasCompletions()) return false;
  ++stats_.system_calls;
  return sleep_.PrepareHostSleep(timeout_ns) && pool_.PrepareToSleep();
}

void ThreadBackend::Wake() {
  if (!fork_guard_.in_child()) sleep_.Wake();
}

void ThreadBackend::Submit() {
  if (gathered_first_ == nullptr) return;
  for (IoOperation* at = gathered_first_; at != nullptr; at = at->next) at->in_backlog = false;
  gathered_count_ = 0;
  pool_.Submit(std::exchange(gathered_first_, nullptr));
}

void ThreadBackend::Reap() {
  pool_.Reap([this](IoOperation& operation, int32_t result) { Complete(operation, result); });
}

// In a child process, whose threads are not here: nobody uses the operations but this copy of the
// shard.
void ThreadBackend::Abandon() {
  gathered_first_ = nullptr;
  gathered_count_ = 0;
  operations_.ForEachInFlight([this](IoOperation& operation) {
    operation.in_backlog = false;
    operation.cancel_requested = true;
    Complete(operation, -ECANCELED);
  });
}

}  // namespace ioengine
