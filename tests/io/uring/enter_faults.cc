#include "ioengine/tests/io/uring/enter_faults.h"

#include <signal.h>

#include <algorithm>
#include <cstdint>

#include "ioengine/io/uring/kernel_ring.h"
#include "ioengine/sched/check.h"

// The names that the linker's --wrap gives to what it wraps, and to the wrappers.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" {
int __real_io_uring_submit_and_get_events(io_uring* ring);
int __real_io_uring_submit_and_wait(io_uring* ring, unsigned wait_nr);
int __real_io_uring_submit_and_wait_timeout(io_uring* ring, io_uring_cqe** cqe, unsigned wait_nr,
                                            __kernel_timespec* timeout, sigset_t* signals);
int __wrap_io_uring_submit_and_get_events(io_uring* ring);
int __wrap_io_uring_submit_and_wait(io_uring* ring, unsigned wait_nr);
int __wrap_io_uring_submit_and_wait_timeout(io_uring* ring, io_uring_cqe** cqe, unsigned wait_nr,
                                            __kernel_timespec* timeout, sigset_t* signals);
}

namespace ioengine {
namespace {

thread_local EnterFaults* current_faults = nullptr;

}  // namespace

// One call that the library makes: whether it goes on to the kernel, and with how many entries.
class WrappedEnter {
 public:
  explicit WrappedEnter(io_uring* ring) : ring_(ring), faults_(current_faults) {}

  // Minus an errno where the call is to fail; 0 where it passes.
  int Failure() {
    if (faults_ == nullptr) return 0;
    ++faults_->calls_;
    if (faults_->pass_ > 0) {
      --faults_->pass_;
      return 0;
    }
    if (faults_->fail_ == 0) return 0;
    --faults_->fail_;
    return -faults_->error_;
  }

  bool HasTooMany() const {
    return faults_ != nullptr && io_uring_sq_ready(ring_) > faults_->limit_;
  }

  // Submits as many as the limit allows. Like the kernel, it does not sleep then.
  int SubmitSome() {
    const unsigned tail = ring_->sq.sqe_tail;
    const unsigned waiting = tail - ring_->sq.sqe_head;
    const unsigned in_ring = io_uring_sq_ready(ring_) - waiting;
    ring_->sq.sqe_tail -= std::min(waiting, in_ring + waiting - faults_->limit_);
    const int result = __real_io_uring_submit_and_get_events(ring_);
    ring_->sq.sqe_tail = tail;
    return result;
  }

 private:
  io_uring* ring_;
  EnterFaults* faults_;
};

EnterFaults::EnterFaults() {
  IOENGINE_CHECK(current_faults == nullptr, "one EnterFaults at a time");
  current_faults = this;
}

EnterFaults::~EnterFaults() { current_faults = nullptr; }

void EnterFaults::FailAfter(uint64_t calls, uint64_t count, int error) {
  pass_ = calls;
  fail_ = count;
  error_ = error;
}

}  // namespace ioengine

int __wrap_io_uring_submit_and_get_events(io_uring* ring) {
  ioengine::WrappedEnter enter(ring);
  if (const int failure = enter.Failure(); failure != 0) return failure;
  return enter.HasTooMany() ? enter.SubmitSome() : __real_io_uring_submit_and_get_events(ring);
}

int __wrap_io_uring_submit_and_wait(io_uring* ring, unsigned wait_nr) {
  ioengine::WrappedEnter enter(ring);
  if (const int failure = enter.Failure(); failure != 0) return failure;
  return enter.HasTooMany() ? enter.SubmitSome() : __real_io_uring_submit_and_wait(ring, wait_nr);
}

int __wrap_io_uring_submit_and_wait_timeout(io_uring* ring, io_uring_cqe** cqe, unsigned wait_nr,
                                            __kernel_timespec* timeout, sigset_t* signals) {
  ioengine::WrappedEnter enter(ring);
  if (const int failure = enter.Failure(); failure != 0) return failure;
  return enter.HasTooMany()
             ? enter.SubmitSome()
             : __real_io_uring_submit_and_wait_timeout(ring, cqe, wait_nr, timeout, signals);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
