#include "ioengine/io/readiness_waiter.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "ioengine/io/blocking_call.h"
#include "ioengine/io/worker_thread.h"
#include "ioengine/sched/check.h"

namespace ioengine {

ReadinessWaiter::ReadinessWaiter(Owner& owner, size_t capacity)
    : owner_(owner), capacity_(capacity) {}

ReadinessWaiter::~ReadinessWaiter() {
  if (!started_) return;
  IOENGINE_CHECK(waiting_count_.load(std::memory_order_relaxed) == 0,
                 "an operation waits for a descriptor when its pool ends");
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
  }
  Notify();
  thread_.join();
  ::close(wake_fd_.load(std::memory_order_relaxed));
}

bool ReadinessWaiter::Add(IoOperation& operation) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!started_ && !StartThread()) return false;
    waiting_count_.fetch_add(1, std::memory_order_seq_cst);
    operation.next = arrivals_;
    arrivals_ = &operation;
  }
  Notify();
  return true;
}

bool ReadinessWaiter::StartThread() {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return false;
  operations_.reserve(capacity_);
  descriptors_.reserve(capacity_ + 1);
  descriptors_.push_back({.fd = fd, .events = POLLIN, .revents = 0});
  if (!StartWorkerThread([this] { Main(); }, thread_).ok()) {
    descriptors_.clear();
    ::close(fd);
    return false;
  }
  wake_fd_.store(fd, std::memory_order_release);
  started_ = true;
  return true;
}

void ReadinessWaiter::NotifyCancelled() {
  if (waiting_count_.load(std::memory_order_seq_cst) > 0) Notify();
}

void ReadinessWaiter::Notify() {
  const uint64_t one = 1;
  // Fails only when the counter is full of notices that were not seen yet.
  [[maybe_unused]] const ssize_t written =
      ::write(wake_fd_.load(std::memory_order_acquire), &one, sizeof(one));
}

void ReadinessWaiter::Main() {
  while (TakeArrivals()) {
    HandBack(/*ready_too=*/false);
    if (::poll(descriptors_.data(), descriptors_.size(), -1) <= 0) continue;
    // Before the flags are looked at: a notice that comes later is for the next round.
    uint64_t count;
    [[maybe_unused]] const ssize_t size = ::read(descriptors_[0].fd, &count, sizeof(count));
    HandBack(/*ready_too=*/true);
  }
}

// False when there is nothing left to do.
bool ReadinessWaiter::TakeArrivals() {
  const std::lock_guard<std::mutex> lock(mutex_);
  while (arrivals_ != nullptr) {
    IoOperation& operation = *arrivals_;
    arrivals_ = operation.next;
    const IoRequest& request = operation.command.request;
    operations_.push_back(&operation);
    descriptors_.push_back({.fd = request.fd, .events = WaitEvents(request), .revents = 0});
  }
  return !closing_;
}

void ReadinessWaiter::HandBack(bool ready_too) {
  for (size_t i = 0; i < operations_.size();) {
    IoOperation& operation = *operations_[i];
    const bool ready = ready_too && descriptors_[i + 1].revents != 0;
    if (!ready && !operation.cancelled.load(std::memory_order_seq_cst)) {
      ++i;
      continue;
    }
    operations_[i] = operations_.back();
    operations_.pop_back();
    descriptors_[i + 1] = descriptors_.back();
    descriptors_.pop_back();
    waiting_count_.fetch_sub(1, std::memory_order_seq_cst);
    owner_.Resume(operation);
  }
}

}  // namespace ioengine
