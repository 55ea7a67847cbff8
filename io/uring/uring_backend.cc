#include "ioengine/io/uring/uring_backend.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/io/io_error.h"
#include "ioengine/io/kernel_values.h"
#include "ioengine/io/uring/prepare_sqe.h"
#include "ioengine/io/uring/register_arena.h"
#include "ioengine/io/uring/user_data.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/clock.h"

namespace ioengine {
namespace {

// The kernel's own codes for a system call that a signal interrupted (ERESTARTSYS and those after
// it): its threads, when they are interrupted, hand them on where EINTR is meant.
int32_t WithoutRestartCodes(int32_t result) {
  constexpr int32_t kFirst = 512;
  constexpr int32_t kLast = 516;
  return result <= -kFirst && result >= -kLast ? -EINTR : result;
}

// When the entries that wait weigh this much, Start submits them before the end of the turn. An
// entry weighs 1 for each 16 KiB that it moves, and 1 at least: eight small ones make a chunk, or
// one of 128 KiB, which would otherwise be merged with its neighbours into one request of the
// device. Eight is what was best of 4, 8, 16 and "never": docs/decisions/0002.
constexpr uint32_t kSubmissionChunk = 8;
constexpr uint32_t kLargestChunk = uint32_t{1} << 20;
constexpr uint32_t kBytesPerWeight = 16384;
// A device that completes within the submission itself gains nothing from chunks, and pays a system
// call for each: they grow for it, and are tried again after so many turns.
constexpr uint64_t kTurnsBetweenTrials = 64;

// For what the ring cannot do: rare, and mostly served from memory.
constexpr size_t kPoolThreads = 2;

constexpr uint32_t Bit(IoOpcode opcode) { return uint32_t{1} << static_cast<unsigned>(opcode); }

// Those of which some need a thread: a look at one word tells the others.
constexpr uint32_t kMayNeedThread = Bit(IoOpcode::kList) | Bit(IoOpcode::kLock) |
                                    Bit(IoOpcode::kExtentHint) | Bit(IoOpcode::kTruncate) |
                                    Bit(IoOpcode::kAdvise);

__kernel_timespec Timespec(uint64_t ns) {
  return {.tv_sec = static_cast<int64_t>(ns / 1'000'000'000),
          .tv_nsec = static_cast<int64_t>(ns % 1'000'000'000)};
}

std::string Mebibytes(size_t size_bytes) { return absl::StrCat(size_bytes >> 20, " MiB"); }

// Refusals of io_uring_enter that pass by themselves: a signal, the end of the wait, or memory
// that is short or completions that must be taken first.
bool IsPassing(int result) {
  return result >= 0 || result == -EINTR || result == -ETIME || result == -EAGAIN ||
         result == -EBUSY || result == -ENOMEM;
}

}  // namespace

absl::StatusOr<std::unique_ptr<UringBackend>> UringBackend::Create(
    const UringBackendOptions& options, bool* refused) {
  std::unique_ptr<UringBackend> backend(new UringBackend(options));
  KernelRingOptions ring_options = options.ring;
  // Every slot may complete, as a pair, its cancellation too, and the wake-up.
  ring_options.completion_entries =
      std::max(ring_options.completion_entries, static_cast<uint32_t>(3 * options.capacity + 8));
  auto ring = KernelRing::Create(ring_options, backend->info_, refused);
  if (!ring.ok()) return ring.status();
  backend->ring_ = *std::move(ring);
  backend->wake_fd_ = eventfd(0, EFD_CLOEXEC);
  if (backend->wake_fd_ < 0) return IoError(errno, "eventfd");
  backend->ArmWake();
  return backend;
}

UringBackend::UringBackend(const UringBackendOptions& options)
    : Backend(options.capacity), options_(options), submission_chunk_(kSubmissionChunk) {
  info_.name = "io_uring";
}

UringBackend::~UringBackend() {
  if (ring_ == nullptr) return;
  Drain();
  pool_.reset();  // its threads wake the shard
  // The kernel writes into wake_value_ until the read is over.
  closing_ = true;
  Wake();
  while (wake_armed_) Wait(kForever);
  ring_.reset();
  if (wake_fd_ >= 0) ::close(wake_fd_);
  if (const int fd = host_fd_.load(std::memory_order_relaxed); fd >= 0) ::close(fd);
}

void UringBackend::Start(IoOperation& operation) {
  ++stats_.operations_started;
  if (NeedsThread(operation.command.request)) [[unlikely]] {
    StartInPool(operation);
    return;
  }
  if (gathered_weight_ >= submission_chunk_) SubmitEarly();
  if (backlog_head_ == nullptr && TrySubmit(operation)) return;
  ++stats_.times_submission_full;
  operation.next = nullptr;
  operation.in_backlog = true;
  (backlog_head_ == nullptr ? backlog_head_ : backlog_tail_->next) = &operation;
  backlog_tail_ = &operation;
}

bool UringBackend::NeedsThread(const IoRequest& request) const {
  if ((kMayNeedThread & Bit(request.opcode)) == 0) [[likely]] {
    return false;
  }
  switch (request.opcode) {
    case IoOpcode::kTruncate:
      return !ring_->has_ftruncate();
    case IoOpcode::kAdvise:
      return request.range_bytes > UINT32_MAX;  // an entry has 32 bits for it, before Linux 6.11
    default:
      return true;
  }
}

void UringBackend::StartInPool(IoOperation& operation) {
  if (pool_ == nullptr) {
    pool_ = std::make_unique<WorkerPool>(
        *this, WorkerPoolOptions{.max_threads = kPoolThreads, .capacity = capacity()});
  }
  operation.next = nullptr;
  pool_->Submit(&operation);
}

void UringBackend::Cancel(IoOperation& operation) {
  if (operation.cancel_requested || operation.command.request.opcode == IoOpcode::kClose) return;
  if (NeedsThread(operation.command.request)) [[unlikely]] {
    operation.cancel_requested = true;
    pool_->Cancel(operation);
    return;
  }
  // One in the backlog is completed there. Where the queue has no room for the cancellation the
  // operation goes on; Drain asks again.
  // Of a pair the kernel finds only the one that runs; if that is the write, OnHalfOfPair asks for
  // the sync's cancellation when the write is over.
  operation.cancel_requested =
      operation.in_backlog || PushCancel(TagOf(operation) | (operation.write_done ? kSyncBit : 0));
}

void UringBackend::Drain() {
  while (in_flight() > 0) {
    operations_.ForEachInFlight([this](IoOperation& operation) { Cancel(operation); });
    Wait(kForever);
  }
}

BufferRegistration UringBackend::RegisterBuffers(std::span<std::byte> arena) {
  if (arena.empty()) return {};
  BufferRegistration registration;
  const int result = options_.ring.allow_registered_buffers
                         ? RegisterArena(*ring_->get(), arena, &registration)
                         : -EOPNOTSUPP;
  if (registration.registered_bytes > 0) info_.features.push_back("registered buffers");
  if (registration.registered_bytes < arena.size()) {
    const bool none = registration.registered_bytes == 0;
    const std::string what =
        none ? "registered buffers"
             : absl::StrCat("registered buffers for all of the ", Mebibytes(arena.size()));
    const std::string rest =
        none ? "" : absl::StrCat(Mebibytes(registration.registered_bytes), " are; of the rest ");
    info_.degraded.push_back(
        {what, std::generic_category().message(-result),
         absl::StrCat(rest, "the kernel maps the pages for each operation (up to 18 % fewer small ",
                      "operations per second); raise RLIMIT_MEMLOCK (ulimit -l) above the size of ",
                      "the buffer pool")});
  }
  return registration;
}

bool UringBackend::RegisterFile(int index, int fd) {
  if (!ring_->has_registered_files() || index < 0 ||
      static_cast<uint32_t>(index) >= ring_->registered_files()) {
    return false;
  }
  return io_uring_register_files_update(ring_->get(), static_cast<unsigned>(index), &fd, 1) == 1;
}

size_t UringBackend::Poll() {
  const uint64_t before = stats_.operations_completed;
  if (++turns_ % kTurnsBetweenTrials == 0) submission_chunk_ = kSubmissionChunk;
  CatchUp();
  const io_uring* const ring = ring_->get();
  if (io_uring_sq_ready(ring) > 0 || (io_uring_cq_ready(ring) == 0 && RingHasCompletions())) {
    Submit();
  }
  Reap();
  if (pool_ != nullptr) pool_->WokeUp();
  return stats_.operations_completed - before;
}

size_t UringBackend::Wait(uint64_t timeout_ns) {
  const uint64_t before = stats_.operations_completed;
  if (++turns_ % kTurnsBetweenTrials == 0) submission_chunk_ = kSubmissionChunk;
  if (!CatchUp() || HasCompletions() || !MaySleep()) {
    Poll();
    return stats_.operations_completed - before;
  }
  io_uring* const ring = ring_->get();
  const unsigned completions = 1 + DisarmFlag();
  StampGathered();
  gathered_weight_ = 0;
  ++stats_.system_calls;
  int result;
  if (timeout_ns == kForever) {
    result = io_uring_submit_and_wait(ring, completions);
  } else {
    __kernel_timespec timeout = Timespec(timeout_ns);
    io_uring_cqe* cqe = nullptr;
    result = io_uring_submit_and_wait_timeout(ring, &cqe, completions, &timeout, nullptr);
  }
  IOENGINE_CHECK(IsPassing(result), "io_uring_enter failed: the ring is broken");
  UndoSplitPair();
  if (pool_ != nullptr) pool_->WokeUp();
  Reap();
  return stats_.operations_completed - before;
}

bool UringBackend::HasCompletions() const {
  return RingHasCompletions() || (pool_ != nullptr && pool_->has_finished());
}

bool UringBackend::RingHasCompletions() const {
  const io_uring* const ring = ring_->get();
  // The kernel sets the flags in the shared ring while we look: read them afresh.
  const unsigned flags = __atomic_load_n(ring->sq.kflags, __ATOMIC_RELAXED);
  return io_uring_cq_ready(ring) > 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

bool UringBackend::HasWork() const {
  return io_uring_sq_ready(ring_->get()) > 0 || backlog_head_ != nullptr || HasCompletions();
}

Poller::Flag UringBackend::flag() const {
  if (!ring_->has_taskrun_flag()) return {};
  return {.word = ring_->get()->sq.kflags, .mask = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW};
}

bool UringBackend::ArmFlag(uint64_t after_ns) {
  IOENGINE_CHECK(!flag_armed_, "the flag is armed twice");
  io_uring_sqe* const sqe = NextSqe();
  if (sqe == nullptr) return false;
  __kernel_timespec timeout = Timespec(after_ns);
  io_uring_prep_timeout(sqe, &timeout, 0, 0);
  io_uring_sqe_set_data64(sqe, kFlagTag);
  flag_armed_ = true;
  StampGathered();
  gathered_weight_ = 0;
  ++stats_.system_calls;
  // Takes no completions: that would be another's turn.
  const int result = io_uring_submit(ring_->get());
  IOENGINE_CHECK(IsPassing(result), "io_uring_enter failed: the ring is broken");
  UndoSplitPair();
  // What was not submitted now refers to `timeout`, which is gone when we return.
  while (io_uring_sq_ready(ring_->get()) > 0) Submit();
  return true;
}

// The flag's timeout must not end a sleep. Returns how many completions that brings: that of the
// timeout, cancelled or over, and that of the cancellation. They are on the ring when the kernel
// has submitted, so a sleep waits for so many more.
unsigned UringBackend::DisarmFlag() {
  if (!flag_armed_) return 0;
  io_uring_sqe* const sqe = NextSqe();
  if (sqe == nullptr) return 0;
  io_uring_prep_timeout_remove(sqe, kFlagTag, 0);
  io_uring_sqe_set_data64(sqe, kCancelTag);
  return 2;
}

bool UringBackend::PrepareWait(uint64_t timeout_ns) {
  if (const int fd = host_fd_.load(std::memory_order_relaxed); fd >= 0) {
    // What it was raised for is taken by now, or found below.
    uint64_t count;
    [[maybe_unused]] const ssize_t size = ::read(fd, &count, sizeof(count));
  }
  if (!CatchUp() || HasCompletions()) return false;
  if (timeout_ns == 0 || !SetHostTimeout(timeout_ns)) return false;
  return !HasCompletions() && MaySleep();
}

bool UringBackend::SetHostTimeout(uint64_t timeout_ns) {
  __kernel_timespec timeout = Timespec(timeout_ns);
  if (timeout_ns != kForever) {
    io_uring_sqe* const sqe = NextSqe();
    if (sqe == nullptr) return false;
    if (host_timeout_armed_) {
      // When it is over already there is a completion, and no wait.
      io_uring_prep_timeout_update(sqe, &timeout, kHostTimeoutTag, 0);
      io_uring_sqe_set_data64(sqe, kCancelTag);
      sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    } else {
      io_uring_prep_timeout(sqe, &timeout, 0, 0);
      io_uring_sqe_set_data64(sqe, kHostTimeoutTag);
      host_timeout_armed_ = true;
    }
  }
  while (io_uring_sq_ready(ring_->get()) > 0) Submit();  // `timeout` is gone when we return
  return true;
}

int UringBackend::fd() {
  int fd = host_fd_.load(std::memory_order_relaxed);
  if (fd >= 0) return fd;
  // Raised at first: something may have come since the host was told that it may sleep.
  fd = ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return -1;
  if (io_uring_register_eventfd(ring_->get(), fd) != 0) {
    ::close(fd);
    return -1;
  }
  host_fd_.store(fd, std::memory_order_release);
  return fd;
}

void UringBackend::Wake() {
  const uint64_t one = 1;
  // Fails only when the counter is full of wake-ups that nobody has seen yet.
  [[maybe_unused]] ssize_t written = ::write(wake_fd_, &one, sizeof(one));
  // A host is told directly: a completion that the write to one eventfd brings about is signalled
  // to another one only the first time (seen on Linux 6.18).
  if (const int fd = host_fd_.load(std::memory_order_acquire); fd >= 0) {
    written = ::write(fd, &one, sizeof(one));
  }
}

io_uring_sqe* UringBackend::NextSqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(ring_->get());
  if (sqe != nullptr) [[likely]] {
    return sqe;
  }
  Submit();
  return io_uring_get_sqe(ring_->get());
}

void UringBackend::Submit() {
  StampGathered();
  gathered_weight_ = 0;
  ++stats_.system_calls;
  const int result = io_uring_submit_and_get_events(ring_->get());
  IOENGINE_CHECK(IsPassing(result), "io_uring_enter failed: the ring is broken");
  UndoSplitPair();
}

void UringBackend::SubmitEarly() {
  // Operations and not entries, of which a pair has two.
  size_t submitted = 0;
  for (const IoOperation* at = gathered_; at != nullptr; at = at->next) ++submitted;
  Submit();
  const size_t completed = io_uring_cq_ready(ring_->get());
  const size_t outstanding = in_flight() - std::min(in_flight(), completed);
  submission_chunk_ =
      outstanding < submitted ? std::min(2 * submission_chunk_, kLargestChunk) : kSubmissionChunk;
}

bool UringBackend::TrySubmit(IoOperation& operation) {
  const bool linked = CanLinkSync(operation);
  if (linked && !MakeRoomForPair()) return false;
  io_uring_sqe* sqe = NextSqe();
  if (sqe == nullptr) return false;
  PrepareSqe(operation.command, *sqe);
  const uint32_t size_bytes = operation.command.request.size_bytes;
  gathered_weight_ += std::max(uint32_t{1}, size_bytes / kBytesPerWeight);
  io_uring_sqe_set_data64(sqe, TagOf(operation));
  if (linked) LinkSync(operation, *sqe);
  operation.next = gathered_;
  gathered_ = &operation;
  return true;
}

// Notes when the operations whose entries are submitted now were: one look at the clock for all.
void UringBackend::StampGathered() {
  if (gathered_ == nullptr) return;
  const uint64_t now_ns = MonotonicClock::Get().NowNs();
  while (gathered_ != nullptr) {
    uint64_t& submitted_ns = gathered_->account.submitted_ns;
    if (submitted_ns == 0) submitted_ns = now_ns;
    gathered_ = std::exchange(gathered_->next, nullptr);
  }
}

bool UringBackend::CatchUp() {
  if (backlog_head_ == nullptr && (wake_armed_ || closing_)) [[likely]] {
    return true;
  }
  const uint64_t before = stats_.operations_completed;
  TryBacklog();
  if (!wake_armed_ && !closing_) ArmWake();
  return backlog_head_ == nullptr && (wake_armed_ || closing_) &&
         stats_.operations_completed == before;
}

void UringBackend::TryBacklog() {
  while (backlog_head_ != nullptr) {
    IoOperation& operation = *backlog_head_;
    IoOperation* const next = operation.next;
    const bool cancelled = operation.cancel_requested;
    if (!cancelled && !TrySubmit(operation)) return;
    backlog_head_ = next;
    operation.next = nullptr;
    operation.in_backlog = false;
    if (cancelled) Complete(operation, -ECANCELED);
  }
}

bool UringBackend::PushCancel(uint64_t user_data) {
  io_uring_sqe* sqe = NextSqe();
  if (sqe == nullptr) return false;
  io_uring_prep_cancel64(sqe, user_data, 0);
  io_uring_sqe_set_data64(sqe, kCancelTag);
  return true;
}

void UringBackend::ArmWake() {
  io_uring_sqe* sqe = NextSqe();
  if (sqe == nullptr) return;  // CatchUp tries again
  io_uring_prep_read(sqe, wake_fd_, &wake_value_, sizeof(wake_value_), 0);
  io_uring_sqe_set_data64(sqe, kWakeTag);
  wake_armed_ = true;
}

void UringBackend::Reap() {
  io_uring* const ring = ring_->get();
  // Only those that are there now: completions may start operations that complete at once.
  for (unsigned left = io_uring_cq_ready(ring); left > 0; --left) {
    io_uring_cqe* cqe = nullptr;
    if (io_uring_peek_cqe(ring, &cqe) != 0) break;
    const uint64_t user_data = cqe->user_data;
    const int32_t result = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    OnCompletion(user_data, result);
  }
  if (pool_ != nullptr) [[unlikely]] {
    pool_->Reap([this](IoOperation& operation, int32_t pooled) { Complete(operation, pooled); });
  }
}

void UringBackend::OnCompletion(uint64_t user_data, int32_t result) {
  if (user_data == kCancelTag) return;  // the cancelled operation completes by itself
  if (user_data == kWakeTag) {
    wake_armed_ = false;
    return;
  }
  if (user_data == kFlagTag) {
    flag_armed_ = false;
    return;
  }
  if (user_data == kHostTimeoutTag) {
    host_timeout_armed_ = false;
    return;
  }
  const bool is_sync = IsLinkedSync(user_data);
  IoOperation* operation = operations_.Find(IndexOf(user_data), GenerationOf(user_data));
  // Of a pair the write completes first, and each of them once.
  if (operation == nullptr || is_sync != operation->write_done) [[unlikely]] {
    ++stats_.stray_completions;
    return;
  }
  if (operation->sync_linked) {
    OnHalfOfPair(*operation, is_sync, WithoutRestartCodes(result));
    return;
  }
  if (result >= 0 && operation->command.path != nullptr) TakeResults(operation->command);
  Complete(*operation, WithoutRestartCodes(result));
}

}  // namespace ioengine
