// StopSource and StopToken: asking tasks to end in an orderly way.
//
//   StopSource stop;
//   scope.Spawn(Flush(stop.token()));         // Flush looks at token.stop_requested() now and then
//   …
//   stop.RequestStop();
//
// A request is only that: a task that does not look goes on. `WithStop` (with_stop.h) ends the wait
// for anything when it comes; `TaskScope::Cancel` ends tasks without asking them.
#ifndef IOENGINE_SCHED_STOP_TOKEN_H_
#define IOENGINE_SCHED_STOP_TOKEN_H_

#include <cstdint>
#include <utility>

#include "ioengine/sched/intrusive_list.h"

namespace ioengine {

// Told once when the stop that it is registered with is requested. Destroying it takes it off.
class StopCallback : public ListLink {
 public:
  StopCallback() = default;

  // On the shard, from within RequestStop. May destroy or register any callbacks.
  virtual void OnStop() = 0;

 protected:
  ~StopCallback() = default;
};

// Those to be told.
class StopCallbackList {
 public:
  void Add(StopCallback& callback) { callbacks_.PushBack(callback); }

  // Takes over those of `other`.
  void Take(StopCallbackList& other) {
    while (!other.callbacks_.empty()) callbacks_.PushBack(other.callbacks_.PopFront());
  }

  // Tells each, in the order in which they came.
  void CallAll() {
    while (!callbacks_.empty()) callbacks_.PopFront().OnStop();
  }

 private:
  IntrusiveList<StopCallback> callbacks_;
};

namespace internal {

// What source and tokens share.
struct StopState {
  uint32_t references = 0;
  bool requested = false;
  StopCallbackList callbacks;
};

}  // namespace internal

// Whether a stop was requested, and a place to wait for that. Copies share one state, which lives
// as long as any of them.
//
// Shard: one: source, tokens and callbacks.
class StopToken {
 public:
  // A token that never stops.
  StopToken() = default;
  StopToken(const StopToken& other) : StopToken(other.state_) {}
  StopToken(StopToken&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  StopToken& operator=(StopToken other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~StopToken() {
    if (state_ != nullptr) Release(*state_);
  }

  // Cost: one load.
  bool stop_requested() const { return state_ != nullptr && state_->requested; }

  // False for a token that can never be asked to stop.
  bool stop_possible() const { return state_ != nullptr; }

  // Registers `callback` and returns true; or returns false, because the stop was requested
  // before. Nothing happens on a token that never stops. Borrows `callback` until it was called.
  bool Register(StopCallback& callback) const {
    if (state_ == nullptr) return true;
    if (state_->requested) return false;
    state_->callbacks.Add(callback);
    return true;
  }

 private:
  friend class StopSource;
  friend class TaskContext;

  explicit StopToken(internal::StopState* state) : state_(state) {
    if (state_ != nullptr) ++state_->references;
  }

  // Not inline: g++ 12 takes what it would inline for uses of freed memory.
  static void Release(internal::StopState& state);

  internal::StopState* state_ = nullptr;
};

// Who may ask. Copies are sources of the same stop.
//
// Shard: one. Cost: one allocation.
class StopSource {
 public:
  StopSource() : token_(new internal::StopState()) {}

  StopToken token() const { return token_; }

  // Asks; a second time does nothing. Tells the callbacks before it returns; tasks that wait are
  // made runnable.
  void RequestStop() {
    const StopToken keep = token_;  // a callback may destroy this source
    if (std::exchange(keep.state_->requested, true)) return;
    keep.state_->callbacks.CallAll();
  }

  bool stop_requested() const { return token_.stop_requested(); }

 private:
  StopToken token_;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_STOP_TOKEN_H_
