// MeshCall: a function on its way to another shard, and its result on its way back.
#ifndef IOENGINE_SCHED_MESH_CALL_H_
#define IOENGINE_SCHED_MESH_CALL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/intrusive_list.h"
#include "ioengine/sched/mesh_message.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/shard_id.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_context.h"
#include "ioengine/sched/task_owner.h"

namespace ioengine {

class MeshPort;

// Lives in memory of the shard that calls, and is used by one shard at a time:
//
//      the shard that calls                    the shard that is called
//   made ──────────────────────┼────────► queued ────────► running ──┐
//                              │             └──► cancelled ──────┐  │
//   answered ◄─────────────────┼───────────────────────────────── finished
//
// The calling shard asks it to end by a *control* message, which follows it and comes back. The
// called shard never hears of a call that is gone, since a call goes only when it is answered, its
// MeshResult is gone, and none of its controls is on its way.
//
// Shard: as drawn.
class MeshCall : public MeshMessage {
 public:
  enum class Control : uint8_t { kCancel, kStop };

  ShardId from() const { return from_; }
  ShardId to() const { return to_; }
  ClassId class_id() const { return class_id_; }

  // On the shard that is called, in a task of the class: runs the function, or begins the
  // coroutine. Not of a call that was cancelled.
  virtual void Execute(MeshPort& at) = 0;
  bool cancelled() const { return state_ == State::kCancelled; }
  // The same, instead: ends it with an error.
  void Refuse(MeshPort& at, absl::StatusCode code);

  // On the shard that calls, by the one MeshResult.
  bool ready() const { return answered_ || expired_; }
  absl::StatusCode code() const { return static_cast<absl::StatusCode>(code_); }
  bool expired() const { return expired_; }
  void set_waiter(Runnable* task) { waiter_ = task; }
  void RequestStop(MeshPort& at);
  // Its result is not waited for any more.
  void LetGo(MeshPort& at);

  // On the shard that calls: the other one gives no sign of life. A MeshResult that waits gets
  // DeadlineExceeded.
  void Expire(MeshPort& at);

 protected:
  MeshCall(ShardId from, ShardId to, ClassId class_id, uint64_t deadline_ns)
      : class_id_(class_id),
        deadline_ns_(deadline_ns),
        from_(static_cast<uint16_t>(from)),
        to_(static_cast<uint16_t>(to)) {}
  ~MeshCall() = default;

  // Destroys what is to be called.
  virtual void DropFunction() = 0;
  // Destroys the call. Gives its memory back, if `at` is where it came from.
  virtual void Destroy(MeshPort& at) = 0;
  // Of a coroutine that runs; plain functions do not stop on the way.
  virtual void EndTask(MeshPort& /*at*/, absl::StatusCode /*code*/) {}
  virtual void StopTask() {}

  uint64_t deadline_ns() const { return deadline_ns_; }
  bool HasExpired(MeshPort& at) const;
  void set_running() { state_ = State::kRunning; }
  // The last that happens to it on the shard that is called: it goes back. At the end of the turn,
  // where something of it is still to be destroyed in this one.
  void Finish(MeshPort& at, absl::StatusCode code);
  void FinishAtEndOfTurn(MeshPort& at, absl::StatusCode code);

  // Which object the storage of a TypedMeshCall holds. Here, where there is a byte to spare.
  enum class Holds : uint8_t { kNothing, kFunction, kResult };
  Holds holds_ = Holds::kFunction;

 private:
  class ControlMessage;

  enum class State : uint8_t { kMade, kQueued, kRunning, kCancelled, kFinished };

  void Deliver(MeshPort& at) final;
  void Return(MeshPort& at) final;
  void OnAnswer(MeshPort& at);
  void SendControl(MeshPort& at, Control control);
  void OnControl(MeshPort& at, Control control);
  void DestroyIfDone(MeshPort& at) {
    if (answered_ && !held_ && controls_ == 0) Destroy(at);
  }

  // Bytes, not bits: a bit would have to be read to be written, just after its neighbours were.
  State state_ = State::kMade;
  uint8_t code_ = 0;
  // The calling shard's.
  bool answered_ = false;
  bool held_ = true;
  bool expired_ = false;
  uint8_t controls_ = 0;  // on their way
  const ClassId class_id_;
  Runnable* waiter_ = nullptr;
  const uint64_t deadline_ns_;
  const uint16_t from_;
  const uint16_t to_;
};

// What is called, and with what.
template <typename Function, typename... Args>
struct Invocation {
  auto operator()() {
    return std::apply([this](Args&... unpacked) { return function(std::move(unpacked)...); }, args);
  }

  [[no_unique_address]] Function function;
  [[no_unique_address]] std::tuple<Args...> args;
};

// A call that gives a T.
template <typename T>
class ResultMeshCall : public MeshCall {
 public:
  // void, as an object.
  struct Nothing {};
  using Result = std::conditional_t<std::is_void_v<T>, Nothing, T>;

  // Of one that was answered without an error.
  virtual Result& result() = 0;

 protected:
  using MeshCall::MeshCall;
  ~ResultMeshCall() = default;
};

// The same with a place for function or result.
template <typename T, typename Called>
class TypedMeshCall : public ResultMeshCall<T> {
 public:
  using typename ResultMeshCall<T>::Result;
  using Holds = MeshCall::Holds;

  Result& result() final { return result_; }

 protected:
  TypedMeshCall(ShardId from, ShardId to, ClassId class_id, uint64_t deadline_ns, Called called)
      : ResultMeshCall<T>(from, to, class_id, deadline_ns), called_(std::move(called)) {}
  ~TypedMeshCall() {
    DropFunction();
    if (this->holds_ == Holds::kResult) std::destroy_at(&result_);
  }

  Called& called() { return called_; }

  void DropFunction() final {
    if (this->holds_ != Holds::kFunction) return;
    this->holds_ = Holds::kNothing;
    std::destroy_at(&called_);
  }

  // Destroys the function first: nothing of it is left when the caller goes on.
  void Keep(Result result) {
    DropFunction();
    std::construct_at(&result_, std::move(result));
    this->holds_ = Holds::kResult;
  }

 private:
  union {
    Called called_;
    Result result_;
  };
};

// A coroutine that runs for another shard.
class MeshTask : public ListLink {
 public:
  // Destroys it; the call gets an error.
  virtual void End(MeshPort& at, absl::StatusCode code) = 0;

 protected:
  ~MeshTask() = default;
};

// Of a plain function.
template <typename T, typename Called>
class FunctionMeshCall final : public TypedMeshCall<T, Called> {
 public:
  FunctionMeshCall(ShardId from, ShardId to, ClassId class_id, uint64_t deadline_ns, Called called)
      : TypedMeshCall<T, Called>(from, to, class_id, deadline_ns, std::move(called)) {}

  void Execute(MeshPort& at) override;

 private:
  void Destroy(MeshPort& at) override;
};

// Of a coroutine.
template <typename T, typename Called>
class TaskMeshCall final : public TypedMeshCall<T, Called>, private MeshTask, private TaskOwner {
 public:
  TaskMeshCall(ShardId from, ShardId to, ClassId class_id, uint64_t deadline_ns, Called called)
      : TypedMeshCall<T, Called>(from, to, class_id, deadline_ns, std::move(called)) {}

  void Execute(MeshPort& at) override;

 private:
  void Destroy(MeshPort& at) override;
  void EndTask(MeshPort& at, absl::StatusCode code) override { End(at, code); }
  void StopTask() override;

  void End(MeshPort& at, absl::StatusCode code) override;

  std::coroutine_handle<> OnTaskDone(Runnable& task) noexcept override;
  bool keeps_frame() const noexcept override { return false; }
  TaskContext* context() noexcept override { return context_.has_value() ? &*context_ : nullptr; }

  MeshPort* at_ = nullptr;
  internal::TaskPromise<T>* task_ = nullptr;  // while it runs
  std::optional<TaskContext> context_;        // on the shard that is called
  bool stop_requested_ = false;               // before it began
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_MESH_CALL_H_
