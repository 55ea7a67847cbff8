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

  // Makes a Wait that is under way, or the next one, return soon. Any thread; async-signal-safe.
  // Cost: one system call.
  virtual void Wake() = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_POLLER_H_
