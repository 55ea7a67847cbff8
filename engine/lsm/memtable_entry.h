// MemtableEntry: one change of one key in memory.
#ifndef IOENGINE_ENGINE_LSM_MEMTABLE_ENTRY_H_
#define IOENGINE_ENGINE_LSM_MEMTABLE_ENTRY_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/lsm/arena.h"
#include "ioengine/sched/check.h"

namespace ioengine {

//   ├ this struct, 24 bytes ┤ key │ value │
//
// States:   staged ──Publish──► visible ──a later one of its batch is published──► superseded
//              └───────────────────────────────────────────────────────────────────────┘
class MemtableEntry {
 public:
  enum class State : uint8_t { kStaged, kVisible, kSuperseded };

  static MemtableEntry* New(Arena& arena, OperationKind kind, std::string_view key,
                            Sequence sequence, std::string_view value) {
    IOENGINE_CHECK(key.size() <= kMaxKeyBytes, "a key is longer than kMaxKeyBytes");
    IOENGINE_CHECK(value.size() <= UINT32_MAX, "a value is longer than 4 GiB");
    std::byte* const memory = arena.Allocate(sizeof(MemtableEntry) + key.size() + value.size());
    auto* const entry = ::new (memory) MemtableEntry(kind, sequence, key.size(), value.size());
    if (!key.empty()) std::memcpy(memory + sizeof(MemtableEntry), key.data(), key.size());
    if (!value.empty()) {
      std::memcpy(memory + sizeof(MemtableEntry) + key.size(), value.data(), value.size());
    }
    return entry;
  }

  std::string_view key() const { return {bytes(), key_bytes_}; }
  std::string_view value() const { return {bytes() + key_bytes_, value_bytes_}; }
  Sequence sequence() const { return sequence_; }
  OperationKind kind() const { return static_cast<OperationKind>(kind_); }

  State state() const { return static_cast<State>(state_); }
  bool visible() const { return state() == State::kVisible; }
  void set_state(State state) { state_ = static_cast<uint32_t>(state) & 3; }

  // Whether an entry of the same key and sequence was there when this one came.
  bool repeats() const { return repeats_ != 0; }
  void set_repeats() { repeats_ = 1; }

 private:
  static constexpr uint32_t kKeyBytesMask = (1 << 17) - 1;
  static_assert(kMaxKeyBytes <= kKeyBytesMask);

  MemtableEntry(OperationKind kind, Sequence sequence, size_t key_bytes, size_t value_bytes)
      : sequence_(sequence),
        value_bytes_(static_cast<uint32_t>(value_bytes)),
        key_bytes_(static_cast<uint32_t>(key_bytes) & kKeyBytesMask),
        kind_(static_cast<uint32_t>(kind)) {}

  const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }

  const Sequence sequence_;
  const uint32_t value_bytes_;
  const uint32_t key_bytes_ : 17;
  const uint32_t kind_ : 8;
  uint32_t state_ : 2 = 0;
  uint32_t repeats_ : 1 = 0;
};

static_assert(sizeof(MemtableEntry) == 24);

// Where an entry stands: keys ascending, and the newest first of each.
inline bool IsBefore(std::string_view key_a, Sequence sequence_a, std::string_view key_b,
                     Sequence sequence_b) {
  const int order = key_a.compare(key_b);
  return order != 0 ? order < 0 : sequence_a > sequence_b;
}

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_MEMTABLE_ENTRY_H_
