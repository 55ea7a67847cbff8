#include "ioengine/sched/pulse.h"

#include "ioengine/sched/check.h"
#include "ioengine/sched/executor.h"

namespace ioengine {

void Pulse::Nudge() {
  const std::lock_guard lock(mutex_);
  if (executor_ != nullptr) executor_->WakeUp();
}

void Pulse::Begin(Executor& executor) {
  const std::lock_guard lock(mutex_);
  IOENGINE_CHECK(executor_ == nullptr, "a pulse is that of two executors");
  executor_ = &executor;
}

void Pulse::End() {
  const std::lock_guard lock(mutex_);
  executor_ = nullptr;
}

bool SilenceWatch::IsSilent(uint64_t now_ns) {
  if (pulse_ == nullptr) return false;
  if (const uint64_t turns = pulse_->turns(); turns != turns_) {
    turns_ = turns;
    heard_ns_ = now_ns;
    nudged_ns_ = 0;
    return false;
  }
  if (now_ns - heard_ns_ < silence_ns_ / 4) return false;
  // An idle executor runs no turn by itself. It must have had the time since it was asked: this
  // thread may have been stopped meanwhile, and the executor with it.
  if (nudged_ns_ == 0) nudged_ns_ = now_ns;
  if (now_ns - nudged_ns_ >= silence_ns_ - silence_ns_ / 4) return true;
  pulse_->Nudge();
  return false;
}

}  // namespace ioengine
