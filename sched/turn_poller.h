// TurnPoller: a source of work without a file descriptor, such as a mesh of rings between shards.
#ifndef IOENGINE_SCHED_TURN_POLLER_H_
#define IOENGINE_SCHED_TURN_POLLER_H_

#include <cstddef>

#include "ioengine/sched/intrusive_list.h"

namespace ioengine {

// An executor looks at it once in each turn.
//
// Shard: the executor's, all calls.
class TurnPoller : public ListLink {
 public:
  TurnPoller() = default;

  // Takes what has come and makes tasks runnable; returns how much it was. Bounded: what comes
  // without end must not keep the shard from its tasks.
  virtual size_t Poll() = 0;

  // Whether Poll would find something. Cost: it is called in a loop while the shard spins.
  virtual bool HasWork() const = 0;

  // The shard is about to sleep. From here on, until WokeUp, whoever brings work calls
  // Executor::WakeUp. Returns whether it may sleep: false when something came before.
  virtual bool PrepareToSleep() = 0;
  virtual void WokeUp() = 0;

  // The tasks of the turn have run: what they sent is to go on its way. Once in each turn at least.
  virtual void EndTurn() {}

  // The executor stops: before and after its tasks are destroyed. Poll is not called any more.
  virtual void Stopping() {}
  virtual void Stopped() {}

 protected:
  ~TurnPoller() = default;
};

// What a shard does when it has nothing else to do, before it spins or sleeps.
class IdleWork {
 public:
  // Does a small piece of work (some 10 µs); false when there is none left for now. It is asked
  // again after each piece, as long as nothing else comes, and once before each sleep.
  virtual bool RunPiece() = 0;

 protected:
  ~IdleWork() = default;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_TURN_POLLER_H_
