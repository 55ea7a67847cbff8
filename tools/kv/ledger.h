// Ledger: which version of each key a reader may find.
#ifndef IOENGINE_TOOLS_KV_LEDGER_H_
#define IOENGINE_TOOLS_KV_LEDGER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace ioengine::kv {

// Versions of a key count from 0, which is none: even ones are values, odd ones deletions. A word
// for each key:
//
//   ┌──────────────┬──────────────┬─────────┬──────────────┐
//   │ begun, 27    │ first, 26    │present,1│ under way, 10│ bits
//   └──────────────┴──────────────┴─────────┴──────────────┘
//
// `begun` is the newest version of which a write has begun. Writes that overlap may take effect in
// any order, so what a key has when none is under way is one of the last row of overlapping ones:
// not older than `first`, the one that began that row. `present`: it had a value before the row,
// which deletes nothing.
//
// Any thread. Writes and reads of a key are ordered by the database that is measured: who reads a
// value has seen the beginning of its write. A workload does not both put and delete.
// Cost: an atomic operation on 8 bytes; that is a cache miss, as a rule.
class Ledger {
 public:
  // Of one key, as one time.
  static constexpr uint64_t kMostWriters = (uint64_t{1} << 10) - 1;

  explicit Ledger(uint64_t capacity);

  uint64_t capacity() const { return capacity_; }

  // Nothing was ever written. No call may be under way.
  void Clear();

  // The version to be written. To be followed by EndWrite when the write is acknowledged.
  uint32_t BeginPut(uint64_t index) { return Begin(index, false); }
  uint32_t BeginDelete(uint64_t index) { return Begin(index, true); }
  void EndWrite(uint64_t index);

  // What a read that begins now may find: that version or a later one.
  struct Expected {
    uint32_t least = 0;
    bool may_be_absent = false;
  };
  Expected Expect(uint64_t index) const;

  // Whether a read that ends now, of which that was expected when it began, may have found it.
  // Nothing: no value.
  bool MayBe(uint64_t index, const Expected& expected, std::optional<uint32_t> version) const;

  // That it has a value, as far as is known.
  bool IsPresent(uint64_t index) const { return !Expect(index).may_be_absent; }
  // How many keys do. Cost: a look at all. No write may be under way.
  uint64_t CountPresent() const;

 private:
  uint32_t Begin(uint64_t index, bool is_delete);

  const uint64_t capacity_;
  const std::unique_ptr<std::atomic<uint64_t>[]> words_;
};

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_LEDGER_H_
