// PendingRecords: records on their way into frames.
#ifndef IOENGINE_ENGINE_WAL_PENDING_RECORDS_H_
#define IOENGINE_ENGINE_WAL_PENDING_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "ioengine/sched/page_memory.h"

namespace ioengine {

// A ring of bytes: each record as its size, in 4 bytes, and itself. So room is a matter of bytes
// alone, a frame is cut when it is known how much waits and how much fits, and nothing is allocated
// after the start. The price is a second copy of each record, which is small beside its checksum
// and its write.
//
// Shard: one.
class PendingRecords {
 public:
  static constexpr size_t kHeadBytes = sizeof(uint32_t);

  explicit PendingRecords(size_t capacity_bytes)
      : bytes_(capacity_bytes, PageMemory::Touch::kLater), capacity_bytes_(capacity_bytes) {}

  bool empty() const { return used_bytes_ == 0; }
  size_t capacity_bytes() const { return capacity_bytes_; }
  // Of memory, taken at the start.
  size_t memory_bytes() const { return bytes_.size_bytes(); }
  size_t used_bytes() const { return used_bytes_; }
  // Of all that is there, as fragments.
  size_t fragment_bytes() const { return fragment_bytes_; }
  // Whether the first record is in a frame already, up to the part that is here.
  bool front_is_started() const { return front_is_started_; }

  // A record of both parts. There must be room for it and its head (CHECK).
  void Push(std::span<const std::byte> head, std::span<const std::byte> body);

  struct Taken {
    size_t body_bytes = 0;
    uint32_t record_count = 0;  // that end with it
  };
  // Moves what fits into `body`, as fragments.
  Taken TakeInto(std::span<std::byte> body);

 private:
  void PushBytes(std::span<const std::byte> bytes);
  void CopyFront(std::byte* to, size_t size_bytes) const;
  void DropFront(size_t size_bytes);

  const PageMemory bytes_;
  const size_t capacity_bytes_;
  size_t front_ = 0;  // offset of the first byte
  size_t used_bytes_ = 0;
  size_t fragment_bytes_ = 0;
  bool front_is_started_ = false;
  size_t front_left_bytes_ = 0;  // of a record that is started, whose head is gone
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_PENDING_RECORDS_H_
