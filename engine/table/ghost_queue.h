// GhostQueue: remembers what was lately evicted, without keeping it.
#ifndef IOENGINE_ENGINE_TABLE_GHOST_QUEUE_H_
#define IOENGINE_ENGINE_TABLE_GHOST_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/container/flat_hash_map.h"

namespace ioengine {

// Of the last `capacity` hashes that were pushed. Shard: one.
class GhostQueue {
 public:
  explicit GhostQueue(size_t capacity) : capacity_(capacity) {}

  void Push(uint64_t hash) {
    if (capacity_ == 0) return;
    if (order_.size() == capacity_) {
      const auto oldest = count_.find(order_.front());
      if (--oldest->second == 0) count_.erase(oldest);
      order_.pop_front();
    }
    order_.push_back(hash);
    ++count_[hash];
  }

  bool Contains(uint64_t hash) const { return count_.contains(hash); }
  size_t size() const { return order_.size(); }

 private:
  const size_t capacity_;
  std::deque<uint64_t> order_;
  absl::flat_hash_map<uint64_t, uint32_t> count_;  // how often each is in order_
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_GHOST_QUEUE_H_
