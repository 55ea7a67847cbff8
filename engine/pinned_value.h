// PinnedValue: a value where it is, without a copy.
#ifndef IOENGINE_ENGINE_PINNED_VALUE_H_
#define IOENGINE_ENGINE_PINNED_VALUE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/engine/table/block_cache.h"
#include "ioengine/sched/memory_charge.h"

namespace ioengine {

// The value of a key, or that it has none. Keeps the block that it is in, which counts for
// BlockCacheOptions::max_pinned_bytes, or the memtable with all that is in it; else it is a copy,
// which counts for StoreOptions::reader_bytes: let go of it soon. Move-only; moved from it has no
// value.
//
// Shard: the store's. Ownership: must be gone before the store is (CHECK); may be used while and
// after that closes.
class PinnedValue {
 public:
  // None.
  PinnedValue() = default;
  PinnedValue(PinnedValue&& other) noexcept { Swap(other); }
  PinnedValue& operator=(PinnedValue&& other) noexcept {
    PinnedValue taken(std::move(other));
    Swap(taken);
    return *this;
  }

  bool has_value() const { return place_ != Place::kNone; }
  // As long as this, where it is: not across a move. REQUIRES: has_value().
  std::string_view view() const { return place_ == Place::kCopy ? copy_ : view_; }
  // It is a copy: it is short, or of a blob file, or too much is kept.
  bool is_copy() const { return place_ == Place::kCopy; }

  // For those who find values. A pin is a held one.
  static PinnedValue Copy(std::string_view value, MemoryCharge charge = {}) {
    PinnedValue copied;
    copied.charge_ = std::move(charge);
    copied.place_ = Place::kCopy;
    copied.copy_ = value;
    return copied;
  }
  static PinnedValue Own(std::string value, MemoryCharge charge) {
    PinnedValue owned;
    owned.charge_ = std::move(charge);
    owned.place_ = Place::kCopy;
    owned.copy_ = std::move(value);
    return owned;
  }
  static PinnedValue In(std::shared_ptr<const Memtable> memtable, std::string_view value) {
    PinnedValue kept;
    kept.place_ = Place::kKept;
    kept.view_ = value;
    kept.memtable_ = std::move(memtable);
    return kept;
  }
  static PinnedValue In(BlockCache::Pin pin, std::string_view value) {
    PinnedValue kept;
    kept.place_ = Place::kKept;
    kept.view_ = value;
    kept.pin_ = std::move(pin);
    return kept;
  }

 private:
  enum class Place : uint8_t { kNone, kCopy, kKept };

  void Swap(PinnedValue& other) noexcept {
    std::swap(place_, other.place_);
    std::swap(view_, other.view_);
    std::swap(copy_, other.copy_);
    std::swap(memtable_, other.memtable_);
    std::swap(pin_, other.pin_);
    std::swap(charge_, other.charge_);
  }

  Place place_ = Place::kNone;
  std::string_view view_;
  std::string copy_;
  std::shared_ptr<const Memtable> memtable_;
  BlockCache::Pin pin_;
  MemoryCharge charge_;  // of copy_
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_PINNED_VALUE_H_
