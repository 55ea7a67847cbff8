// MeshMessage: what travels through a Mesh.
#ifndef IOENGINE_SCHED_MESH_MESSAGE_H_
#define IOENGINE_SCHED_MESH_MESSAGE_H_

#include <atomic>

namespace ioengine {

class MeshPort;

// Belongs to the shard that handles it; while it is on its way, to nobody.
class MeshMessage {
 public:
  MeshMessage() = default;
  MeshMessage(const MeshMessage&) = delete;
  MeshMessage& operator=(const MeshMessage&) = delete;

  // It has come to the shard of `at`. Outside of tasks.
  virtual void Deliver(MeshPort& at) = 0;

  // It was sent by the shard of `at`, and the shard that it was sent to has stopped before it took
  // it. From within Send, where that is known already.
  virtual void Return(MeshPort& at) = 0;

  // In the list that it is in.
  MeshMessage* next() const { return next_.load(std::memory_order_relaxed); }
  void set_next(MeshMessage* next) { next_.store(next, std::memory_order_relaxed); }

 protected:
  ~MeshMessage() = default;

 private:
  // Atomic, since the shard whose memory a message is in may look at this word to tell it from
  // memory that is free, while another shard has the message (BlockPool::ForEachBlock).
  std::atomic<MeshMessage*> next_{nullptr};
};

// A FIFO of messages that holds any number of them: they are linked to each other. A message is in
// one list, or in a ring.
class MeshMessageList {
 public:
  MeshMessageList() = default;
  MeshMessageList(const MeshMessageList&) = delete;
  MeshMessageList& operator=(const MeshMessageList&) = delete;

  bool empty() const { return first_ == nullptr; }

  void PushBack(MeshMessage& message) {
    message.set_next(nullptr);
    if (first_ == nullptr) {
      first_ = &message;
    } else {
      last_->set_next(&message);
    }
    last_ = &message;
  }

  // Null when empty.
  MeshMessage* TryPopFront() {
    MeshMessage* const message = first_;
    if (message != nullptr) first_ = message->next();
    return message;
  }

 private:
  MeshMessage* first_ = nullptr;
  MeshMessage* last_ = nullptr;  // of a list that is not empty
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_MESH_MESSAGE_H_
