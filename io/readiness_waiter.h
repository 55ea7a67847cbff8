// ReadinessWaiter: waits for pipes and sockets, so that no worker has to.
#ifndef IOENGINE_IO_READINESS_WAITER_H_
#define IOENGINE_IO_READINESS_WAITER_H_

#include <poll.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "ioengine/io/io_operation.h"

namespace ioengine {

// One thread, which polls the descriptors of all operations that would have waited, and hands each
// back when it may go on or is cancelled. So a shard's operations on pipes and sockets never keep
// the workers from its files, and any number of them ends soon after it is cancelled. The thread is
// started for the first one.
class ReadinessWaiter {
 public:
  // Who is handed the operations, on the waiter's thread: to be run again, or to be completed where
  // they are cancelled.
  class Owner {
   public:
    virtual void Resume(IoOperation& operation) = 0;

   protected:
    ~Owner() = default;
  };

  // Borrows `owner`. At most `capacity` operations are given to it at a time.
  ReadinessWaiter(Owner& owner, size_t capacity);
  ReadinessWaiter(const ReadinessWaiter&) = delete;
  ReadinessWaiter& operator=(const ReadinessWaiter&) = delete;
  // Ends the thread. No operation may be left.
  ~ReadinessWaiter();

  // Takes `operation` until it is handed back. False: there is no thread or descriptor for it.
  // Any thread.
  bool Add(IoOperation& operation);

  // Has it look for operations that are `cancelled`. The flag is set before, sequentially
  // consistent. Any thread. Cost: a load; a system call when any operation waits.
  void NotifyCancelled();

 private:
  bool StartThread();
  void Main();
  void Notify();
  bool TakeArrivals();
  void HandBack(bool ready_too);

  Owner& owner_;
  const size_t capacity_;
  std::atomic<int> wake_fd_{-1};
  // Operations given and not handed back: raised before one is listed, so that who sets a flag and
  // then finds it 0 knows that the flag will be seen.
  std::atomic<size_t> waiting_count_{0};

  std::mutex mutex_;
  IoOperation* arrivals_ = nullptr;
  bool closing_ = false;
  bool started_ = false;

  // Of the thread. descriptors_[0] is wake_fd_, the others are those of operations_, one off.
  std::vector<IoOperation*> operations_;
  std::vector<pollfd> descriptors_;
  std::thread thread_;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_READINESS_WAITER_H_
