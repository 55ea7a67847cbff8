#include "ioengine/engine/epoch_clock.h"

#include <algorithm>

namespace ioengine {

EpochClock::EpochClock() {
  for (std::atomic<uint64_t>& slot : slots_) slot.store(kFree, std::memory_order_relaxed);
}

std::optional<EpochClock::Moment> EpochClock::TryTake(const std::shared_ptr<EpochClock>& clock) {
  for (size_t i = 0; i < kMostSnapshots; ++i) {
    std::atomic<uint64_t>& slot = clock->slots_[i];
    uint64_t free = kFree;
    if (slot.load(std::memory_order_relaxed) != kFree) continue;
    if (!slot.compare_exchange_strong(free, clock->now() | kTaking)) continue;
    const uint64_t epoch = clock->epoch_.fetch_add(1);
    slot.store(epoch);
    return Moment(clock, i, epoch);
  }
  return std::nullopt;
}

std::vector<uint64_t> EpochClock::Held() const {
  const uint64_t now = epoch_.load();
  std::vector<uint64_t> held;
  for (const std::atomic<uint64_t>& slot : slots_) {
    const uint64_t epoch = slot.load();
    if (epoch == kFree) continue;
    if ((epoch & kTaking) == 0) {
      held.push_back(epoch);
    } else {
      for (uint64_t at = epoch & ~kTaking; at < now; ++at) held.push_back(at);
    }
  }
  std::sort(held.begin(), held.end());
  held.erase(std::unique(held.begin(), held.end()), held.end());
  return held;
}

}  // namespace ioengine
