// MeshResult<T>: what a task holds of a call to another shard; and MeshPort::SubmitTo.
#ifndef IOENGINE_SCHED_MESH_RESULT_H_
#define IOENGINE_SCHED_MESH_RESULT_H_

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/mesh_call.h"
#include "ioengine/sched/mesh_port.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/stop_token.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_context.h"
#include "ioengine/sched/task_result.h"

namespace ioengine {

// The result of a call, to be awaited once: `co_await port.SubmitTo(…)`, or later. Destroyed before
// it has come, it ends the call. May be moved until it is awaited.
//
// Shard: the one that calls.
template <typename T>
class [[nodiscard]] MeshResult final : private StopCallback {
 public:
  MeshResult(MeshResult&& other) noexcept
      : port_(other.port_), to_(other.to_), call_(std::exchange(other.call_, nullptr)) {
    TakePlaceOf(other);
  }
  MeshResult& operator=(MeshResult&&) = delete;
  ~MeshResult() {
    if (call_ != nullptr) call_->LetGo(port_);
  }

  // Whether `co_await` would go on at once.
  bool ready() const { return call_ == nullptr || call_->ready(); }

  auto operator co_await() { return Awaiter(*this); }

 private:
  friend class MeshPort;

  // In the frame of the task that waits; the result may outlive that.
  class Awaiter {
   public:
    explicit Awaiter(MeshResult& result) : result_(result) {}
    Awaiter(const Awaiter&) = delete;
    Awaiter& operator=(const Awaiter&) = delete;
    ~Awaiter() {
      if (waits_) result_.call_->set_waiter(nullptr);
    }

    bool await_ready() const noexcept { return result_.ready(); }
    template <std::derived_from<Runnable> Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      waits_ = true;
      result_.call_->set_waiter(&handle.promise());
    }
    ResultOrError<T> await_resume() {
      waits_ = false;
      return result_.Take();
    }

   private:
    MeshResult& result_;
    bool waits_ = false;
  };

  // `call` may be null: there was no room for it.
  MeshResult(MeshPort& port, ShardId to, ResultMeshCall<T>* call)
      : port_(port), to_(to), call_(call) {}

  ResultOrError<T> Take() {
    if (call_ == nullptr) return port_.ErrorOf(absl::StatusCode::kResourceExhausted, to_);
    if (call_->expired()) return port_.SilentPeerError(to_);
    if (call_->code() != absl::StatusCode::kOk) return port_.ErrorOf(call_->code(), to_);
    if constexpr (std::is_void_v<T>) {
      return absl::OkStatus();
    } else {
      return std::move(call_->result());
    }
  }

  void OnStop() override {
    if (!call_->ready()) call_->RequestStop(port_);
  }

  MeshPort& port_;
  const ShardId to_;
  ResultMeshCall<T>* call_;
};

template <typename Function, typename... Args>
auto MeshPort::SubmitTo(ShardId to, Function function, Args... args) {
  using Called = Invocation<Function, Args...>;
  using Returned = std::invoke_result_t<Called&>;
  using T = typename internal::CallReturns<Returned>::type;
  using Call = std::conditional_t<internal::CallReturns<Returned>::kIsTask, TaskMeshCall<T, Called>,
                                  FunctionMeshCall<T, Called>>;
  static_assert(sizeof(Call) <= BlockPool::kMaxBlockBytes,
                "arguments and result of a call between shards are too large; box them");
  static_assert(alignof(Call) <= 2 * sizeof(void*),
                "arguments or result of a call between shards are over-aligned; box them");
  IOENGINE_CHECK(Executor::Current() == executor_, "SubmitTo through the port of another shard");
  IOENGINE_CHECK(to < peers_.size(), "SubmitTo to a shard that does not exist");

  void* const place = TryAllocateCall(sizeof(Call));
  if (place == nullptr) [[unlikely]] {
    return MeshResult<T>(*this, to, nullptr);
  }
  TaskContext* const context = TaskContext::Current();
  const uint64_t deadline_ns =
      context == nullptr ? TaskContext::kNoDeadline : context->deadline_ns();
  auto* const call = ::new (place) Call(id_, to, executor_->current_class(), deadline_ns,
                                        Called{std::move(function), {std::move(args)...}});
  MeshResult<T> result(*this, to, call);
  Begin(*call);
  if (context != nullptr) context->WatchStop(result);
  return result;
}

template <typename T, typename Called>
void FunctionMeshCall<T, Called>::Execute(MeshPort& at) {
  if (this->HasExpired(at)) return this->Refuse(at, absl::StatusCode::kDeadlineExceeded);
  this->set_running();
  if constexpr (std::is_void_v<T>) {
    this->called()();
    this->Keep({});
  } else {
    this->Keep(this->called()());
  }
  this->Finish(at, absl::StatusCode::kOk);
}

template <typename T, typename Called>
void FunctionMeshCall<T, Called>::Destroy(MeshPort& at) {
  const bool is_home = at.id() == this->from();
  std::destroy_at(this);
  if (is_home) at.FreeCall(this, sizeof(*this));
}

template <typename T, typename Called>
void TaskMeshCall<T, Called>::Execute(MeshPort& at) {
  if (this->HasExpired(at)) return this->Refuse(at, absl::StatusCode::kDeadlineExceeded);
  this->set_running();
  at_ = &at;
  context_.emplace(nullptr, this->deadline_ns());
  if (stop_requested_) context_->RequestStop();
  task_ = &internal::TaskAccess::Release(this->called()());
  task_->EndInOwner(*this);
  task_->set_class_id(internal::this_thread.task->class_id());
  at.AddTask(*this);
  // From here on it may be gone.
  internal::this_thread.task = task_;
  task_->Resume();
}

template <typename T, typename Called>
std::coroutine_handle<> TaskMeshCall<T, Called>::OnTaskDone(Runnable& /*task*/) noexcept {
  internal::TaskPromise<T>& task = *std::exchange(task_, nullptr);
  this->Unlink();
  context_.reset();
  // The frame destroys itself after this, and with it the coroutine's arguments, whose destructors
  // may ask whose task it is.
  task.EndDetached();
  if constexpr (std::is_void_v<T>) {
    this->Keep({});
  } else {
    this->Keep(task.TakeResult());
  }
  this->FinishAtEndOfTurn(*at_, absl::StatusCode::kOk);
  return nullptr;
}

template <typename T, typename Called>
void TaskMeshCall<T, Called>::StopTask() {
  if (context_.has_value()) {
    context_->RequestStop();
  } else {
    stop_requested_ = true;
  }
}

template <typename T, typename Called>
void TaskMeshCall<T, Called>::End(MeshPort& at, absl::StatusCode code) {
  this->Unlink();
  std::exchange(task_, nullptr)->Destroy();
  context_.reset();
  this->Refuse(at, code);
}

template <typename T, typename Called>
void TaskMeshCall<T, Called>::Destroy(MeshPort& at) {
  const bool is_home = at.id() == this->from();
  std::destroy_at(this);
  if (is_home) at.FreeCall(this, sizeof(*this));
}

}  // namespace ioengine

#endif  // IOENGINE_SCHED_MESH_RESULT_H_
