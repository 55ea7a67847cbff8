// Semaphore: a number of units that tasks take, wait for and give back.
#ifndef IOENGINE_SCHED_SEMAPHORE_H_
#define IOENGINE_SCHED_SEMAPHORE_H_

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <optional>
#include <utility>

#include "ioengine/sched/check.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/intrusive_list.h"
#include "ioengine/sched/runnable.h"

namespace ioengine {

// Fair: tasks get their units in the order in which they asked, so one that asks for many is not
// passed by those that ask for few.
//
// Shard: one.
class Semaphore {
 public:
  // Units that a task holds; they go back when this is destroyed. The semaphore must be there then.
  class [[nodiscard]] Units {
   public:
    Units() = default;
    Units(Units&& other) noexcept
        : semaphore_(std::exchange(other.semaphore_, nullptr)),
          count_(std::exchange(other.count_, 0)) {}
    Units& operator=(Units&& other) noexcept {
      std::swap(semaphore_, other.semaphore_);
      std::swap(count_, other.count_);
      return *this;
    }
    ~Units() { Release(); }

    // Gives them back now.
    void Release() {
      if (semaphore_ == nullptr) return;
      std::exchange(semaphore_, nullptr)->GiveBack(std::exchange(count_, 0));
    }

    size_t count() const { return count_; }

   private:
    friend class Semaphore;
    Units(Semaphore& semaphore, size_t count) : semaphore_(&semaphore), count_(count) {}

    Semaphore* semaphore_ = nullptr;
    size_t count_ = 0;
  };

  explicit Semaphore(size_t units) : total_(units), available_(units) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  // Nobody may hold units of it (CHECK), and so nobody waits for some.
  ~Semaphore() {
    IOENGINE_CHECK(available_ == total_,
                   "a Semaphore is destroyed while tasks hold units of it; declare it before the "
                   "TaskScope of these tasks");
  }

  // `Semaphore::Units units = co_await semaphore.Acquire(3)`: suspends until `count` units are
  // available and all who asked before have theirs. No more than there are at all (CHECK). A task
  // that is destroyed while it waits leaves the queue; one that is destroyed between being given
  // its units and going on gives them back. Cost: O(1), no allocation.
  auto Acquire(size_t count = 1) {
    IOENGINE_CHECK(count <= total_, "a Semaphore is asked for more units than it has");
    return Awaiter(*this, count);
  }

  // The same without waiting: nothing when tasks wait, or too few are left.
  std::optional<Units> TryAcquire(size_t count = 1) {
    if (!waiting_.empty() || count > available_) return std::nullopt;
    available_ -= count;
    return Units(*this, count);
  }

  size_t available() const { return available_; }
  size_t total() const { return total_; }
  bool has_waiters() const { return !waiting_.empty(); }
  // How often Acquire had to wait.
  uint64_t times_full() const { return times_full_; }

 private:
  class [[nodiscard]] Awaiter : public ListLink {
   public:
    Awaiter(Semaphore& semaphore, size_t count) : semaphore_(semaphore), count_(count) {}
    ~Awaiter() {
      if (granted_) {
        semaphore_.GiveBack(count_);
      } else if (linked()) {
        Unlink();
        semaphore_.Grant();  // it may have been first, and the next one may want less
      }
    }

    bool await_ready() noexcept {
      granted_ = semaphore_.waiting_.empty() && count_ <= semaphore_.available_;
      if (granted_) semaphore_.available_ -= count_;
      return granted_;
    }
    template <std::derived_from<Runnable> Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      task_ = &handle.promise();
      ++semaphore_.times_full_;
      semaphore_.waiting_.PushBack(*this);
    }
    Units await_resume() noexcept {
      granted_ = false;
      return Units(semaphore_, count_);
    }

   private:
    friend class Semaphore;

    Semaphore& semaphore_;
    const size_t count_;
    Runnable* task_ = nullptr;
    bool granted_ = false;  // the units are this awaiter's
  };

  void GiveBack(size_t count) {
    available_ += count;
    Grant();
  }

  void Grant() {
    while (Awaiter* const first = waiting_.front()) {
      if (first->count_ > available_) return;
      available_ -= first->count_;
      first->granted_ = true;
      first->Unlink();
      Executor::Current()->MakeRunnable(*first->task_);
    }
  }

  const size_t total_;
  size_t available_;
  uint64_t times_full_ = 0;
  IntrusiveList<Awaiter> waiting_;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_SEMAPHORE_H_
