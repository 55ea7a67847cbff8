// ROOT: its slots, and what is in force.

#include "ioengine/tools/inspect/root.h"

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/tools/inspect/files.h"

namespace ioengine::inspect {

// As RootFile finds it. Of a pair with one good slot it makes the other one good.
void FindInForce(DatabaseReport& report) {
  const auto is_newer = [](const RootState& a, const RootState& b) {
    return std::pair(a.epoch, a.incarnation) > std::pair(b.epoch, b.incarnation);
  };
  for (const size_t first : {size_t{0}, size_t{2}}) {
    const RootState* newest = nullptr;
    std::vector<std::string> damage;
    for (const size_t slot : {first, first + 1}) {
      const SlotReport& at = report.slots[slot];
      if (!at.status.ok()) {
        damage.push_back(absl::StrCat("ROOT: ", at.status.message()));
      } else if (newest == nullptr || is_newer(at.state, *newest)) {
        newest = &at.state;
      }
    }
    if (newest == nullptr) {
      report.root.reset();
      for (std::string& each : damage) report.problems.push_back(std::move(each));
      report.problems.push_back(
          "ROOT: both slots of a pair are damaged: it is not known what is in force");
      return;
    }
    for (const std::string& each : damage) {
      report.warnings.push_back(
          absl::StrCat(each, "; its copy is good, and the next open writes it again"));
    }
    if (!report.root.has_value() || is_newer(*newest, *report.root)) report.root = *newest;
  }
}

// As RootFile tells that its creation was cut short, so that nothing was ever in force.
bool IsUnfinished(const std::vector<SlotReport>& slots) {
  size_t torn = 0;
  for (const SlotReport& slot : slots) {
    if (slot.status.ok()) {
      if (slot.state.epoch > 1) return false;
    } else if (!slot.is_zeros) {
      ++torn;
      if (!slot.begins_as_slot) return false;
    }
  }
  return torn <= 1;
}

absl::StatusOr<std::vector<SlotReport>> InspectRoot(const std::string& path) {
  absl::StatusOr<std::vector<std::byte>> bytes = ReadFile(path);
  if (!bytes.ok()) return bytes.status();
  bytes->resize(kRootSlots * kRootSlotBytes);
  std::vector<SlotReport> slots;
  for (size_t i = 0; i < kRootSlots; ++i) {
    const std::span<const std::byte> slot =
        std::span<const std::byte>(*bytes).subspan(i * kRootSlotBytes, kRootSlotBytes);
    absl::StatusOr<RootState> state = DecodeRootSlot(slot, i);
    SlotReport report;
    report.slot = i;
    report.status = state.status();
    report.is_zeros = IsZeros(slot);
    report.begins_as_slot = IsRootSlot(slot);
    if (state.ok()) report.state = *std::move(state);
    slots.push_back(std::move(report));
  }
  return slots;
}

}  // namespace ioengine::inspect
