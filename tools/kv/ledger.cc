#include "ioengine/tools/kv/ledger.h"

#include "ioengine/sched/check.h"

namespace ioengine::kv {
namespace {

constexpr int kOpenBits = 10;
constexpr int kFirstBits = 26;
constexpr int kFirstShift = kOpenBits + 1;
constexpr int kBegunShift = kFirstShift + kFirstBits;
constexpr uint64_t kPresent = uint64_t{1} << kOpenBits;

struct Known {
  uint32_t begun;
  uint32_t first;
  bool present;
  uint64_t open;
};

Known Unpack(uint64_t word) {
  return {.begun = static_cast<uint32_t>(word >> kBegunShift),
          .first = static_cast<uint32_t>(word >> kFirstShift & ((uint64_t{1} << kFirstBits) - 1)),
          .present = (word & kPresent) != 0,
          .open = word & (kPresent - 1)};
}

uint64_t Pack(const Known& known) {
  return uint64_t{known.begun} << kBegunShift | uint64_t{known.first} << kFirstShift |
         (known.present ? kPresent : 0) | known.open;
}

bool IsValue(uint32_t version) { return version != 0 && version % 2 == 0; }

}  // namespace

Ledger::Ledger(uint64_t capacity)
    : capacity_(capacity), words_(std::make_unique<std::atomic<uint64_t>[]>(capacity)) {}

void Ledger::Clear() {
  for (uint64_t i = 0; i < capacity_; ++i) words_[i].store(0, std::memory_order_relaxed);
}

uint32_t Ledger::Begin(uint64_t index, bool is_delete) {
  std::atomic<uint64_t>& word = words_[index];
  uint64_t seen = word.load(std::memory_order_relaxed);
  for (;;) {
    Known known = Unpack(seen);
    const bool was_value = IsValue(known.begun);
    // To the next even or odd one.
    known.begun += is_delete == (known.begun % 2 == 0) ? 1 : 2;
    IOENGINE_CHECK(known.begun < uint32_t{1} << kFirstBits, "too many writes of one key");
    IOENGINE_CHECK(known.open < kMostWriters, "too many writes of one key at one time");
    if (known.open == 0) {
      known.first = known.begun;
      known.present = was_value;
    }
    if (is_delete) known.present = false;
    ++known.open;
    if (word.compare_exchange_weak(seen, Pack(known), std::memory_order_acq_rel,
                                   std::memory_order_relaxed)) {
      return known.begun;
    }
  }
}

void Ledger::EndWrite(uint64_t index) { words_[index].fetch_sub(1, std::memory_order_acq_rel); }

Ledger::Expected Ledger::Expect(uint64_t index) const {
  const Known known = Unpack(words_[index].load(std::memory_order_acquire));
  if (known.open > 0) return {.least = 0, .may_be_absent = !known.present};
  return {.least = known.first, .may_be_absent = !IsValue(known.begun)};
}

bool Ledger::MayBe(uint64_t index, const Expected& expected,
                   std::optional<uint32_t> version) const {
  const Known known = Unpack(words_[index].load(std::memory_order_acquire));
  // A deletion may have begun meanwhile.
  if (!version.has_value()) return expected.may_be_absent || known.begun % 2 == 1;
  return IsValue(*version) && *version >= expected.least && *version <= known.begun;
}

uint64_t Ledger::CountPresent() const {
  uint64_t count = 0;
  for (uint64_t i = 0; i < capacity_; ++i) count += IsPresent(i) ? 1 : 0;
  return count;
}

}  // namespace ioengine::kv
