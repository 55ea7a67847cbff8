// WalWaiters: tasks that wait for records of the log to reach a level.
#ifndef IOENGINE_ENGINE_WAL_WAL_WAITERS_H_
#define IOENGINE_ENGINE_WAL_WAL_WAITERS_H_

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/intrusive_list.h"
#include "ioengine/sched/runnable.h"

namespace ioengine {
namespace internal {

// In the frame of the task that waits; leaves the list with it.
struct WalWaiter : ListLink {
  uint64_t record = 0;
  Runnable* task = nullptr;
  absl::Status status;

  void Wake(absl::Status with) {
    status = std::move(with);
    Executor::Current()->MakeRunnable(*task);
  }
};

// Those of one level. Nearly all come in the order of their records, and are woken from the front;
// those that do not are in a list of their own.
class WalWaiters {
 public:
  void Add(WalWaiter& waiter) {
    if (!in_order_.empty() && waiter.record < last_record_) {
      others_.PushBack(waiter);
      return;
    }
    last_record_ = waiter.record;
    in_order_.PushBack(waiter);
  }

  // Cost: O(those that are woken, and those out of order).
  void WakeThrough(uint64_t record) {
    while (!in_order_.empty() && in_order_.front()->record <= record) {
      in_order_.PopFront().Wake(absl::OkStatus());
    }
    for (WalWaiter* waiter = others_.front(); waiter != nullptr;) {
      WalWaiter* const next = others_.Next(*waiter);
      if (waiter->record <= record) {
        waiter->Unlink();
        waiter->Wake(absl::OkStatus());
      }
      waiter = next;
    }
  }

  void FailAll(const absl::Status& status) {
    while (!in_order_.empty()) in_order_.PopFront().Wake(status);
    while (!others_.empty()) others_.PopFront().Wake(status);
  }

 private:
  IntrusiveList<WalWaiter> in_order_;
  IntrusiveList<WalWaiter> others_;
  uint64_t last_record_ = 0;  // of the last one that came in order
};

}  // namespace internal
}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_WAL_WAITERS_H_
