#include "ioengine/engine/wal/pending_records.h"

#include <algorithm>
#include <cstring>

#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/sched/check.h"

namespace ioengine {

void PendingRecords::Push(std::span<const std::byte> head, std::span<const std::byte> body) {
  const size_t size_bytes = head.size() + body.size();
  IOENGINE_CHECK(
      size_bytes <= kMaxWalRecordBytes && kHeadBytes + size_bytes <= capacity_bytes_ - used_bytes_,
      "a record is appended that was not admitted");
  std::byte size[kHeadBytes];
  StoreFixed(size, static_cast<uint32_t>(size_bytes));
  PushBytes(size);
  PushBytes(head);
  PushBytes(body);
  fragment_bytes_ += kWalFragmentHeadBytes + size_bytes;
}

PendingRecords::Taken PendingRecords::TakeInto(std::span<std::byte> body) {
  Taken taken;
  while (!empty()) {
    const size_t room_bytes = body.size() - taken.body_bytes;
    if (room_bytes < kWalFragmentHeadBytes) break;
    size_t left_bytes = front_left_bytes_;
    if (!front_is_started_) {
      std::byte size[kHeadBytes];
      CopyFront(size, kHeadBytes);
      left_bytes = LoadFixed<uint32_t>(size);
    }
    const size_t part_bytes = std::min(left_bytes, room_bytes - kWalFragmentHeadBytes);
    if (part_bytes == 0 && left_bytes > 0) break;
    const bool ends = part_bytes == left_bytes;
    WalFragmentKind kind = ends ? WalFragmentKind::kWhole : WalFragmentKind::kFirst;
    if (front_is_started_) kind = ends ? WalFragmentKind::kLast : WalFragmentKind::kMiddle;
    if (!front_is_started_) DropFront(kHeadBytes);
    std::byte* const to = body.data() + taken.body_bytes;
    StoreWalFragmentHead(to, static_cast<uint32_t>(part_bytes), kind);
    CopyFront(to + kWalFragmentHeadBytes, part_bytes);
    DropFront(part_bytes);
    taken.body_bytes += kWalFragmentHeadBytes + part_bytes;
    front_is_started_ = !ends;
    front_left_bytes_ = left_bytes - part_bytes;
    // What is left of a record will need a head of its own.
    fragment_bytes_ -= part_bytes + (ends ? kWalFragmentHeadBytes : 0);
    if (ends) ++taken.record_count;
  }
  return taken;
}

void PendingRecords::PushBytes(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const size_t end = (front_ + used_bytes_) % capacity_bytes_;
  const size_t before_wrap = std::min(bytes.size(), capacity_bytes_ - end);
  std::memcpy(bytes_.data() + end, bytes.data(), before_wrap);
  std::memcpy(bytes_.data(), bytes.data() + before_wrap, bytes.size() - before_wrap);
  used_bytes_ += bytes.size();
}

void PendingRecords::CopyFront(std::byte* to, size_t size_bytes) const {
  const size_t before_wrap = std::min(size_bytes, capacity_bytes_ - front_);
  std::memcpy(to, bytes_.data() + front_, before_wrap);
  std::memcpy(to + before_wrap, bytes_.data(), size_bytes - before_wrap);
}

void PendingRecords::DropFront(size_t size_bytes) {
  front_ = (front_ + size_bytes) % capacity_bytes_;
  used_bytes_ -= size_bytes;
}

}  // namespace ioengine
