#include "ioengine/sched/mesh_call.h"

#include <new>

#include "ioengine/sched/executor.h"
#include "ioengine/sched/mesh_port.h"

namespace ioengine {

// Goes to the shard that is called, and comes back.
class MeshCall::ControlMessage final : public MeshMessage {
 public:
  ControlMessage(MeshCall& call, Control control) : call_(call), control_(control) {}

  static void Send(MeshPort& at, MeshCall& call, Control control) {
    void* const place = at.AllocateControl(sizeof(ControlMessage));
    at.Send(call.to_, *::new (place) ControlMessage(call, control));
  }

 private:
  void Deliver(MeshPort& at) override {
    if (comes_back_) {
      End(at);
      return;
    }
    comes_back_ = true;
    call_.OnControl(at, control_);
    at.Send(call_.from_, *this);
  }
  // Also an answer that nobody takes: `at` is then the shard that was called.
  void Return(MeshPort& at) override { End(at); }

  void End(MeshPort& at) {
    MeshCall& call = call_;
    if (at.id() == call.from_) at.FreeControl(this, sizeof(*this));
    --call.controls_;
    call.DestroyIfDone(at);
  }

  MeshCall& call_;
  const Control control_;
  bool comes_back_ = false;
};

void MeshCall::Refuse(MeshPort& at, absl::StatusCode code) {
  DropFunction();
  Finish(at, code);
}

void MeshCall::Finish(MeshPort& at, absl::StatusCode code) {
  code_ = static_cast<uint8_t>(code);
  state_ = State::kFinished;
  at.Send(from_, *this);
}

void MeshCall::FinishAtEndOfTurn(MeshPort& at, absl::StatusCode code) {
  code_ = static_cast<uint8_t>(code);
  state_ = State::kFinished;
  at.AnswerAtEndOfTurn(*this);
}

bool MeshCall::HasExpired(MeshPort& at) const {
  return deadline_ns_ != TaskContext::kNoDeadline && at.executor().clock().NowNs() >= deadline_ns_;
}

void MeshCall::Deliver(MeshPort& at) {
  if (state_ == State::kFinished) {
    OnAnswer(at);
  } else {
    state_ = State::kQueued;
    at.Run(*this);
  }
}

void MeshCall::Return(MeshPort& at) {
  if (state_ == State::kFinished) {
    // An answer to a shard that has stopped: what that knows of the call is ours now.
    answered_ = true;
    DestroyIfDone(at);
    return;
  }
  DropFunction();
  code_ = static_cast<uint8_t>(absl::StatusCode::kUnavailable);
  state_ = State::kFinished;
  OnAnswer(at);
}

void MeshCall::OnAnswer(MeshPort& at) {
  answered_ = true;
  at.CallEnds(to_);
  if (waiter_ != nullptr && !expired_) at.executor().MakeRunnable(*waiter_);
  DestroyIfDone(at);
}

void MeshCall::RequestStop(MeshPort& at) { SendControl(at, Control::kStop); }

void MeshCall::LetGo(MeshPort& at) {
  held_ = false;
  waiter_ = nullptr;
  if (answered_) {
    DestroyIfDone(at);
  } else {
    SendControl(at, Control::kCancel);
  }
}

void MeshCall::Expire(MeshPort& at) {
  if (answered_ || !held_ || expired_) return;
  expired_ = true;
  if (waiter_ != nullptr) at.executor().MakeRunnable(*waiter_);
}

void MeshCall::SendControl(MeshPort& at, Control control) {
  ++controls_;
  ControlMessage::Send(at, *this, control);
}

void MeshCall::OnControl(MeshPort& at, Control control) {
  if (state_ != State::kQueued && state_ != State::kRunning) return;
  if (control == Control::kStop) {
    StopTask();
  } else if (state_ == State::kRunning) {
    EndTask(at, absl::StatusCode::kCancelled);
  } else {
    state_ = State::kCancelled;
  }
}

}  // namespace ioengine
