#include "ioengine/tools/sim/oracle.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "absl/strings/str_cat.h"

namespace ioengine::sim {
namespace {

std::string Quoted(std::string_view key) { return absl::StrCat("key '", std::string(key), "'"); }

}  // namespace

void Oracle::Complain(std::string complaint) {
  if (complaint_.empty()) complaint_ = std::move(complaint);
}

Oracle::WriteId Oracle::Begin(std::vector<Change> changes, Promise promise) {
  Write write;
  write.changes = std::move(changes);
  write.promise = promise;
  writes_.push_back(std::move(write));
  const WriteId id = writes_.size();
  for (const Change& change : At(id).changes) {
    std::vector<WriteId>& of_key = by_key_[change.key];
    if (of_key.empty() || of_key.back() != id) of_key.push_back(id);
  }
  return id;
}

// "17:key:" and letters that depend on both.
std::string Oracle::ValueOf(WriteId id, std::string_view key, size_t size_bytes) {
  std::string value = absl::StrCat(id, ":", std::string(key), ":");
  while (value.size() < size_bytes) {
    value += static_cast<char>('a' + (id * 7 + value.size() * value.size()) % 26);
  }
  return value;
}

void Oracle::SetValueSize(WriteId id, size_t size_bytes) { At(id).value_bytes = size_bytes; }

void Oracle::Acknowledge(WriteId id, Order order, Promise reached) {
  Write& write = At(id);
  if (reached < write.promise) {
    Complain(absl::StrCat("write ", id, " was acknowledged at a lower level than it asked for"));
  }
  write.state = State::kAcknowledged;
  write.order = order;
  write.acknowledged_at = ++acknowledged_;
}

void Oracle::Fail(WriteId id) {
  Write& write = At(id);
  write.state = State::kUnknown;
  if (write.seen) Complain(absl::StrCat("write ", id, " was read, and failed then"));
}

bool Oracle::Deletes(const Write& write, std::string_view key) const {
  bool deletes = false;
  for (const Change& change : write.changes) {
    if (change.key == key) deletes = change.is_delete;
  }
  return deletes;
}

std::optional<Oracle::WriteId> Oracle::Identify(std::string_view key, std::string_view value) {
  WriteId id = 0;
  std::from_chars(value.data(), value.data() + value.size(), id);
  if (id == 0 || id > writes_.size() || value != ValueOf(id, key, At(id).value_bytes) ||
      Deletes(At(id), key)) {
    Complain(absl::StrCat(Quoted(key), " has a value of ", value.size(),
                          " bytes that nobody wrote: ", std::string(value.substr(0, 40))));
    return std::nullopt;
  }
  return id;
}

Oracle::ReadFloor Oracle::BeginRead(std::string_view key) const {
  ReadFloor floor{std::string(key), std::nullopt};
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return floor;
  for (const WriteId id : found->second) {
    const Write& write = At(id);
    if (write.state != State::kAcknowledged && write.state != State::kThere) continue;
    if (!floor.newest.has_value() || At(*floor.newest).order < write.order) floor.newest = id;
  }
  return floor;
}

bool Oracle::MayBeAbsent(const ReadFloor& floor) const {
  if (!floor.newest.has_value() || Deletes(At(*floor.newest), floor.key)) return true;
  const auto found = by_key_.find(floor.key);
  if (found == by_key_.end()) return true;
  return std::any_of(found->second.begin(), found->second.end(), [&](WriteId id) {
    const Write& write = At(id);
    if (!Deletes(write, floor.key)) return false;
    return write.state == State::kInFlight ||
           (write.state == State::kAcknowledged && write.order > At(*floor.newest).order);
  });
}

void Oracle::EndRead(const ReadFloor& floor, std::optional<std::string_view> value) {
  if (!value.has_value()) {
    if (!MayBeAbsent(floor)) {
      Complain(absl::StrCat(Quoted(floor.key), " is not found, and write ", *floor.newest,
                            " was acknowledged before"));
    }
    return;
  }
  const std::optional<WriteId> id = Identify(floor.key, *value);
  if (!id.has_value()) return;
  Write& write = At(*id);
  write.seen = true;
  if (write.state == State::kUnknown) {
    Complain(absl::StrCat(Quoted(floor.key), " shows write ", *id, ", which failed"));
  } else if (write.state == State::kGone) {
    Complain(absl::StrCat(Quoted(floor.key), " shows write ", *id,
                          ", which was gone when the store was opened: it came back"));
  } else if (write.state != State::kInFlight && floor.newest.has_value() &&
             write.order < At(*floor.newest).order) {
    Complain(absl::StrCat(Quoted(floor.key), " shows write ", *id, ", and the newer write ",
                          *floor.newest, " was acknowledged before"));
  }
}

Oracle::SnapshotId Oracle::AddSnapshot(uint64_t floor, Order order) {
  snapshots_.push_back({floor, order, {}});
  return snapshots_.size() - 1;
}

void Oracle::ReadAt(SnapshotId id, std::string_view key, std::optional<std::string_view> value) {
  SnapshotReads& snapshot = snapshots_[id];
  const std::string text(value.value_or(""));
  const auto [at, is_first] = snapshot.values.emplace(std::string(key), text);
  if (!is_first && at->second != text) {
    Complain(absl::StrCat(Quoted(key), " changed within a snapshot, from ",
                          at->second.substr(0, 30), " to ", text.substr(0, 30)));
  }
  std::optional<WriteId> seen;
  if (value.has_value()) {
    seen = Identify(key, *value);
    if (!seen.has_value()) return;
    Write& write = At(*seen);
    write.seen = true;
    if (write.state == State::kAcknowledged && write.order > snapshot.order) {
      Complain(absl::StrCat(Quoted(key), " shows write ", *seen, ", which is behind the snapshot"));
    }
  }
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return;
  for (const WriteId other : found->second) {
    const Write& write = At(other);
    const bool before = write.state == State::kAcknowledged &&
                        write.acknowledged_at <= snapshot.floor && write.order <= snapshot.order;
    if (!before) continue;
    const bool hidden =
        seen.has_value() ? At(*seen).state == State::kAcknowledged && At(*seen).order < write.order
                         : !Deletes(write, key) && !MayBeAbsent({std::string(key), other});
    if (hidden) {
      Complain(absl::StrCat(Quoted(key), " does not show write ", other,
                            ", acknowledged before the snapshot"));
    }
  }
}

bool Oracle::MustSurvive(const Write& write, Ending ending) const {
  if (write.state == State::kThere) return true;
  // What was seen had reached its level.
  if (write.state != State::kAcknowledged && !write.seen) return false;
  if (ending == Ending::kClean) return true;
  return write.promise >= (ending == Ending::kKill ? Promise::kKill : Promise::kPowerCut);
}

// `there`: what the key shows; `newest`: the newest write, of those whose order is known, that any
// key shows: the log has no holes, so all before it is there.
void Oracle::CheckKey(const std::string& key, std::optional<WriteId> there, Ending ending,
                      Order newest) {
  for (const WriteId id : by_key_[key]) {
    const Write& write = At(id);
    const bool known = write.state == State::kAcknowledged || write.state == State::kThere;
    const bool before_the_end = known && write.order <= newest;
    if (!MustSurvive(write, ending) && !before_the_end) continue;
    if (there == id) continue;
    if (there.has_value()) {
      const Write& shown = At(*there);
      // In flight or failed: it may be newer.
      const bool shown_known = shown.state == State::kAcknowledged || shown.state == State::kThere;
      if (!shown_known || !known || shown.order > write.order) continue;
    } else if (Deletes(write, key)) {
      continue;
    } else {
      const auto& of_key = by_key_[key];
      const bool deleted = std::any_of(of_key.begin(), of_key.end(), [&](WriteId other) {
        const Write& later = At(other);
        if (other == id || !Deletes(later, key)) return false;
        const bool later_known =
            later.state == State::kAcknowledged || later.state == State::kThere;
        return !known || !later_known || later.order > write.order;
      });
      if (deleted) continue;
    }
    Complain(
        absl::StrCat(MustSurvive(write, ending) ? "lost: " : "a hole in the log: ", Quoted(key),
                     " does not show write ", id, " but ",
                     there.has_value() ? absl::StrCat("write ", *there) : std::string("nothing"),
                     MustSurvive(write, ending) ? "" : ", and a write after it is there"));
  }
}

// A batch of which one change is there, and another key shows what was there before.
void Oracle::CheckBatches(const std::map<std::string, WriteId>& there) {
  for (const auto& [key, id] : there) {
    const Write& write = At(id);
    if (write.state == State::kThere) continue;
    for (const Change& change : write.changes) {
      const auto other = there.find(change.key);
      const bool missing = other == there.end() ? !Deletes(write, change.key) : false;
      if (missing) {
        const auto& of_key = by_key_[change.key];
        const bool deleted = std::any_of(of_key.begin(), of_key.end(), [&](WriteId later) {
          return later != id && At(later).state != State::kThere && Deletes(At(later), change.key);
        });
        if (deleted) continue;
      } else if (other == there.end() || At(other->second).state != State::kThere) {
        continue;  // as it should be, or of a write that may be newer
      }
      Complain(absl::StrCat("half a batch: write ", id, " is there at ", Quoted(key),
                            " and not at ", Quoted(change.key)));
    }
  }
}

void Oracle::Recovered(Ending ending, const std::map<std::string, std::string>& contents) {
  std::map<std::string, WriteId> there;
  Order newest;
  for (const auto& [key, value] : contents) {
    const std::optional<WriteId> id = Identify(key, value);
    if (!id.has_value()) return;
    const Write& write = At(*id);
    there[key] = *id;
    if (write.state == State::kGone) {
      Complain(absl::StrCat(Quoted(key), " shows write ", *id,
                            ", which was gone when the store was opened before: it came back"));
    }
    if (write.state == State::kAcknowledged) newest = std::max(newest, write.order);
  }
  std::vector<std::string> keys;
  for (const auto& [key, ids] : by_key_) keys.push_back(key);
  for (const std::string& key : keys) {
    const auto found = there.find(key);
    CheckKey(key, found == there.end() ? std::nullopt : std::optional(found->second), ending,
             newest);
  }
  CheckBatches(there);
  // From now on this is what was served, and survives all.
  for (auto& [key, ids] : by_key_) {
    for (const WriteId id : ids) At(id).state = State::kGone;
  }
  for (auto& [key, ids] : by_key_) {
    const auto found = there.find(key);
    ids.clear();
    if (found == there.end()) continue;
    ids.push_back(found->second);
    At(found->second).state = State::kThere;
    At(found->second).order = {};  // before everything that is written from now on
  }
  snapshots_.clear();
}

}  // namespace ioengine::sim
