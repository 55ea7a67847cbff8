// ExecutionOrder: the order in which runnable tasks run; as they came, or shuffled from a seed.
#ifndef IOENGINE_SCHED_SHUFFLE_H_
#define IOENGINE_SCHED_SHUFFLE_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "ioengine/sched/random.h"
#include "ioengine/sched/runnable.h"

namespace ioengine {

// Tasks become runnable in an order that production may never show in the same way again. Shuffling
// finds code that relies on it; the seed gives the order again.
//
// Shard: one.
class ExecutionOrder {
 public:
  // 0: as they came.
  explicit ExecutionOrder(uint64_t seed) : shuffles_(seed != 0), random_(seed) {}

  bool shuffles() const { return shuffles_; }

  // Gives the tasks of `queue` a random order. Cost: O(length), allocates: for tests.
  void Shuffle(RunnableList& queue) {
    tasks_.clear();
    while (Runnable* const task = queue.TryPopFront()) tasks_.push_back(task);
    for (size_t left = tasks_.size(); left > 0; --left) {
      std::swap(tasks_[left - 1], tasks_[random_.Below(left)]);
      queue.PushBack(*tasks_[left - 1]);
    }
  }

 private:
  const bool shuffles_;
  Random random_;
  std::vector<Runnable*> tasks_;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_SHUFFLE_H_
