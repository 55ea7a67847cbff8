#include "ioengine/sched/class_scheduler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

// Virtual times wrap around; those of active classes are close together.
bool Before(uint64_t a, uint64_t b) { return static_cast<int64_t>(a - b) < 0; }

absl::Status CheckShares(uint32_t shares) {
  if (shares >= 1 && shares <= ClassScheduler::kMaxShares) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("TaskQueueOptions::shares is ", shares,
                                                 "; it must be 1 to ", ClassScheduler::kMaxShares));
}

}  // namespace

ClassScheduler::ClassScheduler() {
  fair_.reserve(kMaxClasses);
  with_goal_.reserve(kMaxClasses);
  classes_[0] = std::make_unique<TaskQueue>(ClassId{0}, TaskQueueOptions{.name = "default"});
  size_ = 1;
}

absl::StatusOr<ClassId> ClassScheduler::AddClass(TaskQueueOptions options) {
  if (absl::Status status = CheckShares(options.shares); !status.ok()) return status;
  if (options.latency_goal_ns > kMaxLatencyGoalNs) {
    return absl::InvalidArgumentError(absl::StrCat("TaskQueueOptions::latency_goal_ns is ",
                                                   options.latency_goal_ns, "; it must be at most ",
                                                   kMaxLatencyGoalNs));
  }
  if (size_ == kMaxClasses) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no room for the class '", options.name, "': the shard has ", kMaxClasses,
                     " already, which is all that a ClassId can tell apart"));
  }
  const auto id = static_cast<ClassId>(size_++);
  classes_[id] = std::make_unique<TaskQueue>(id, std::move(options));
  return id;
}

absl::Status ClassScheduler::SetShares(ClassId id, uint32_t shares) {
  if (classes_[id] == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no class ", int{id}));
  }
  if (absl::Status status = CheckShares(shares); !status.ok()) return status;
  classes_[id]->options_.shares = shares;
  return absl::OkStatus();
}

void ClassScheduler::Activate(TaskQueue& queue, uint64_t now_ns) {
  const bool forgotten = now_ns - queue.active_since_ns_ > kForgetNs;
  queue.active_since_ns_ = now_ns;
  if (forgotten || Before(queue.virtual_time_, virtual_now_)) queue.virtual_time_ = virtual_now_;
  Enter(queue);
}

void ClassScheduler::Enter(TaskQueue& queue) {
  queue.active_ = true;
  if (queue.latency_goal_ns() > 0) {
    with_goal_.push_back(&queue);
    return;
  }
  fair_.push_back(&queue);
  std::push_heap(fair_.begin(), fair_.end(), [](const TaskQueue* a, const TaskQueue* b) {
    return Before(b->virtual_time_, a->virtual_time_);
  });
}

bool ClassScheduler::IsUrgent(const TaskQueue& queue) const {
  if (queue.latency_goal_ns() == 0) return false;
  const uint64_t credit = queue.latency_goal_ns() * kUnit / queue.shares();
  return Before(queue.virtual_time_, virtual_now_ + credit);
}

TaskQueue* ClassScheduler::TakeNext(uint64_t now_ns) {
  for (;;) {
    TaskQueue* const queue = Choose();
    if (queue == nullptr) return nullptr;
    if (queue->runnable_.empty()) {  // its tasks were destroyed
      queue->active_ = false;
      queue->active_since_ns_ = now_ns;
      continue;
    }
    const uint64_t wait_ns = now_ns - std::min(queue->active_since_ns_, now_ns);
    ++queue->stats_.slices;
    queue->stats_.wait_ns += wait_ns;
    queue->stats_.longest_wait_ns = std::max(queue->stats_.longest_wait_ns, wait_ns);
    return queue;
  }
}

TaskQueue* ClassScheduler::Choose() {
  TaskQueue** urgent = nullptr;
  TaskQueue** least = nullptr;  // of those with a goal, the smallest v
  for (TaskQueue*& one : with_goal_) {
    if (least == nullptr || Before(one->virtual_time_, (*least)->virtual_time_)) least = &one;
    if (!IsUrgent(*one)) continue;
    if (urgent == nullptr || DeadlineNs(*one) < DeadlineNs(**urgent)) urgent = &one;
  }
  TaskQueue* chosen = nullptr;
  TaskQueue** entry = urgent;
  if (entry == nullptr && least != nullptr &&
      (fair_.empty() || !Before(fair_.front()->virtual_time_, (*least)->virtual_time_))) {
    entry = least;
  }
  if (entry != nullptr) {
    chosen = *entry;
    *entry = with_goal_.back();
    with_goal_.pop_back();
  } else if (!fair_.empty()) {
    std::pop_heap(fair_.begin(), fair_.end(), [](const TaskQueue* a, const TaskQueue* b) {
      return Before(b->virtual_time_, a->virtual_time_);
    });
    chosen = fair_.back();
    fair_.pop_back();
  }
  if (chosen == nullptr) return nullptr;
  if (urgent == nullptr && Before(virtual_now_, chosen->virtual_time_)) {
    virtual_now_ = chosen->virtual_time_;
  }
  return chosen;
}

void ClassScheduler::Return(TaskQueue& queue, uint64_t run_ns, uint64_t now_ns) {
  queue.stats_.run_ns += run_ns;
  // Rounded up, so that no slice is free of charge.
  queue.virtual_time_ += run_ns * kUnit / queue.shares() + 1;
  queue.active_since_ns_ = now_ns;
  if (queue.runnable_.empty()) {
    queue.active_ = false;
  } else {
    Enter(queue);
  }
}

bool ClassScheduler::Preempts(const TaskQueue& waking, const TaskQueue& running) const {
  if (!IsUrgent(waking)) return false;
  return !IsUrgent(running) || DeadlineNs(waking) < DeadlineNs(running);
}

}  // namespace ioengine
