#include "ioengine/engine/key_holds.h"

#include <algorithm>
#include <utility>

#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

// Whether `is` is true of any of the keys.
template <typename Predicate>
bool AnyOf(const WriteKeys& keys, Predicate is) {
  if (keys.batch.count + keys.conditions.count == 0) return is(keys.key);
  Operation operation;
  for (const Operations& operations : {keys.batch, keys.conditions}) {
    OperationReader reader = operations.reader();
    while (reader.Next(&operation)) {
      if (is(operation.key)) return true;
    }
  }
  return false;
}

template <typename Function>
void ForEachKey(const KeyHolds::Hold& hold, Function function) {
  AnyOf(WriteKeys::Of(hold.batch), [function](std::string_view key) {
    function(key);
    return false;
  });
}

}  // namespace

bool KeyHolds::Has(const WriteKeys& keys) const {
  if (empty()) return false;
  return AnyOf(keys, [this](std::string_view key) { return keys_.count(key) > 0; });
}

bool KeyHolds::HasLeft(const WriteKeys& keys) const {
  if (left_ == 0) return false;
  return AnyOf(keys, [this](std::string_view key) {
    const auto found = keys_.find(key);
    return found != keys_.end() && Find(found->second)->is_left;
  });
}

void KeyHolds::Take(Id id, Hold hold) {
  const auto [placed, is_new] = holds_.emplace(id, std::move(hold));
  IOENGINE_CHECK(is_new, "there is such a hold already");
  ForEachKey(placed->second, [this, id](std::string_view key) {
    // A batch may have a key twice.
    const auto [at, is_free] = keys_.emplace(key, id);
    IOENGINE_CHECK(is_free || at->second == id, "a key is held twice");
  });
}

std::optional<KeyHolds::Hold> KeyHolds::TakeOut(Id id) {
  const auto found = holds_.find(id);
  if (found == holds_.end()) return std::nullopt;
  ForEachKey(found->second, [this](std::string_view key) { keys_.erase(key); });
  left_ -= found->second.is_left;
  std::optional<Hold> hold = std::move(found->second);
  holds_.erase(found);
  return hold;
}

const KeyHolds::Hold* KeyHolds::Find(Id id) const {
  const auto found = holds_.find(id);
  return found == holds_.end() ? nullptr : &found->second;
}

void KeyHolds::LetGoOfMemory(Id id) { holds_.at(id).memory.Resize(0); }

void KeyHolds::Leave(Id id) {
  const auto found = holds_.find(id);
  if (found == holds_.end() || found->second.is_left) return;
  found->second.is_left = true;
  ++left_;
}

Sequence KeyHolds::OldestProposal() const {
  Sequence oldest = kMaxSequence;
  for (const auto& [id, hold] : holds_) {
    if (!hold.is_left) oldest = std::min(oldest, hold.proposal);
  }
  return oldest;
}

bool KeyHolds::IsHeldBefore(std::string_view key, uint64_t epoch) const {
  const auto found = keys_.find(key);
  if (found == keys_.end()) return false;
  const Hold& hold = *Find(found->second);
  return !hold.is_left && hold.proposal.epoch < epoch;
}

}  // namespace ioengine
