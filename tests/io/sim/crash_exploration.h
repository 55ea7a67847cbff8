// All that a power cut may leave, one outcome after the other.
#ifndef IOENGINE_TESTS_IO_SIM_CRASH_EXPLORATION_H_
#define IOENGINE_TESTS_IO_SIM_CRASH_EXPLORATION_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/io/sim/crash_choices.h"
#include "ioengine/io/sim/sim_disk.h"

namespace ioengine {

// Gives the same answers as in the outcome before, but for the last one that has another left.
class CrashExploration final : public CrashChoices {
 public:
  size_t KeepPrefix(size_t count) override { return Choose(count + 1); }
  Fate FateOfWrite(size_t sectors) override {
    return static_cast<Fate>(Choose(sectors > 1 ? 3 : 2));
  }
  bool Keep() override { return Choose(2) == 1; }

  // Whether there is another outcome.
  bool Next() {
    at_ = 0;
    while (!path_.empty() && path_.back().chosen + 1 == path_.back().choices) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().chosen;
    return true;
  }

 private:
  struct Decision {
    size_t chosen;
    size_t choices;
  };

  size_t Choose(size_t choices) {
    if (at_ == path_.size()) path_.push_back({0, choices});
    EXPECT_EQ(path_[at_].choices, choices) << "the disk is not the same again";
    return path_[at_++].chosen;
  }

  std::vector<Decision> path_;
  size_t at_ = 0;
};

// What `describe` says of each outcome.
inline std::set<std::string> AllOutcomes(
    const SimDisk& disk, const std::function<std::string(const SimDisk&)>& describe) {
  std::set<std::string> outcomes;
  CrashExploration choices;
  do {
    outcomes.insert(describe(*disk.CrashedCopy(choices)));
  } while (choices.Next());
  return outcomes;
}

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_SIM_CRASH_EXPLORATION_H_
