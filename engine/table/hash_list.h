// HashList: the hashes of a table's keys, until its filter is made.
#ifndef IOENGINE_ENGINE_TABLE_HASH_LIST_H_
#define IOENGINE_ENGINE_TABLE_HASH_LIST_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "ioengine/sched/page_memory.h"

namespace ioengine {

// In pages of its own: it is large, and there is one for each table that is made.
//
// Shard: any one.
class HashList {
 public:
  void Reserve(size_t count) {
    if (count <= capacity()) return;
    PageMemory larger(count * sizeof(uint64_t), PageMemory::Touch::kLater);
    if (size_ > 0) std::memcpy(larger.data(), begin(), size_ * sizeof(uint64_t));
    pages_ = std::move(larger);
  }
  void Add(uint64_t hash) {
    if (size_ == capacity()) Reserve(std::max(2 * capacity(), kFirstCount));
    begin()[size_++] = hash;
  }

  size_t size() const { return size_; }
  uint64_t last() const { return begin()[size_ - 1]; }
  uint64_t* begin() const { return reinterpret_cast<uint64_t*>(pages_.data()); }
  uint64_t* end() const { return begin() + size_; }
  // That were taken.
  size_t memory_bytes() const { return pages_.size_bytes(); }

 private:
  static constexpr size_t kFirstCount = PageMemory::kPageBytes / sizeof(uint64_t);

  size_t capacity() const { return pages_.size_bytes() / sizeof(uint64_t); }

  PageMemory pages_;
  size_t size_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_HASH_LIST_H_
