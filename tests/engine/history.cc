#include "ioengine/tests/engine/history.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace ioengine {
namespace {

using State = std::vector<int>;  // what each key shows

class Search {
 public:
  Search(const std::vector<HistoryOperation>& operations, size_t keys)
      : operations_(operations), state_(keys, 0) {}

  // Whether the operations that are not `done`, a bit each, can follow one another.
  bool CanEnd(uint64_t done) {
    if (done ==
        (operations_.size() == 64 ? ~uint64_t{0} : (uint64_t{1} << operations_.size()) - 1)) {
      return true;
    }
    if (!seen_.emplace(done, state_).second) return false;
    uint64_t first_end = UINT64_MAX;
    for (size_t i = 0; i < operations_.size(); ++i) {
      if ((done >> i & 1) == 0) first_end = std::min(first_end, operations_[i].end);
    }
    for (size_t i = 0; i < operations_.size(); ++i) {
      // One that began after another had ended comes after it.
      if ((done >> i & 1) == 1 || operations_[i].begin > first_end) continue;
      if (!ReadsAreSo(operations_[i])) continue;
      const State before = state_;
      for (const auto& [key, value] : operations_[i].writes) state_[key] = value;
      if (CanEnd(done | uint64_t{1} << i)) return true;
      state_ = before;
    }
    return false;
  }

 private:
  bool ReadsAreSo(const HistoryOperation& operation) const {
    return std::all_of(operation.reads.begin(), operation.reads.end(),
                       [this](const auto& read) { return state_[read.first] == read.second; });
  }

  const std::vector<HistoryOperation>& operations_;
  State state_;
  std::set<std::pair<uint64_t, State>> seen_;
};

std::string ShownKeys(const std::map<size_t, int>& values) {
  std::string text;
  for (const auto& [key, value] : values) absl::StrAppend(&text, " k", key, "=", value);
  return text;
}

}  // namespace

bool History::IsLinearizable() const { return Search(operations_, keys_).CanEnd(0); }

History History::OfKey(size_t key) const {
  History one(1);
  for (const HistoryOperation& operation : operations_) {
    HistoryOperation part = {.begin = operation.begin, .end = operation.end};
    if (operation.reads.count(key) > 0) part.reads[0] = operation.reads.at(key);
    if (operation.writes.count(key) > 0) part.writes[0] = operation.writes.at(key);
    if (!part.reads.empty() || !part.writes.empty()) one.Add(std::move(part));
  }
  return one;
}

History History::OfSnapshotsAndWrites() const {
  History some(keys_);
  for (const HistoryOperation& operation : operations_) {
    if (!operation.writes.empty() || operation.reads.size() > 1) some.Add(operation);
  }
  return some;
}

std::string History::ToString() const {
  std::string text;
  for (const HistoryOperation& operation : operations_) {
    absl::StrAppend(&text, operation.begin, "–", operation.end, ":");
    if (!operation.reads.empty()) absl::StrAppend(&text, " saw", ShownKeys(operation.reads));
    if (!operation.writes.empty()) absl::StrAppend(&text, " wrote", ShownKeys(operation.writes));
    text += "\n";
  }
  return text;
}

}  // namespace ioengine
