// Where an executor meets what happens outside its tasks: the backend's completions. The only way
// in which `sched` knows of I/O.
#ifndef IOENGINE_SCHED_POLLER_H_
#define IOENGINE_SCHED_POLLER_H_

#include <cstddef>
#include <cstdint>

namespace ioengine {

// A source of completions that an executor polls once per turn and sleeps in when it is idle.
//
// Shard: all but `Wake` only by the thread that runs the executor.
class Poller {
 public:
  // Stands for "no limit" in `Wait`.
  static constexpr uint64_t kForever = UINT64_MAX;

  virtual ~Poller() = default;

  // Submits what gathered since the last call, in one system call as a rule, and hands on the
  // completions that are due (which makes tasks runnable). Never sleeps. Returns how many
  // completions it handed on. Cost: no system call when nothing is to submit or to collect.
  virtual size_t Poll() = 0;

  // Like Poll, but sleeps in the kernel until there is a completion, a `Wake`, or `timeout_ns`
  // passed. May return early with 0 (a signal). Submitting and sleeping is one system call.
  virtual size_t Wait(uint64_t timeout_ns) = 0;

  // True when Poll would find a completion; false negatives are allowed only while something is
  // still to be submitted. Cost: a few loads, no system call: for spinning before a sleep.
  virtual bool HasCompletions() const = 0;

  // Whether a Poll would do anything: submit or hand on. Cost: as HasCompletions.
  virtual bool HasWork() const { return HasCompletions(); }

  // A word of memory in which the kernel sets a bit when there is something for Poll to do. Looking
  // at it is how a shard learns for the price of one load that a completion is due.
  struct Flag {
    const unsigned* word = nullptr;  // null: this poller has none
    unsigned mask = 0;
  };
  virtual Flag flag() const { return {}; }

  // Has the flag raised `after_ns` from now, once, without waiting for a Poll to submit that; false
  // when it cannot. One at a time: not before `flag_armed()` is false again. Does not wake a Wait
  // as a rule, but may. Cost: one system call.
  virtual bool ArmFlag(uint64_t /*after_ns*/) { return false; }
  // Whether the time of the last ArmFlag is still to come, or has come unseen by Poll.
  virtual bool flag_armed() const { return false; }

  // Like the first half of Wait, for a shard that sleeps in its host's event loop: submits what
  // gathered, and has `fd()` become readable when there is a completion, a Wake, or `timeout_ns`
  // passed. Then Poll takes what came. False when there is something for Poll already.
  virtual bool PrepareWait(uint64_t /*timeout_ns*/) { return false; }
  // For poll, epoll and the like; -1: this poller cannot be waited for in that way.
  virtual int fd() { return -1; }

  // Makes a Wait that is under way, or the next one, return soon. Any thread; async-signal-safe.
  // Cost: one system call.
  virtual void Wake() = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_POLLER_H_
