// CrashChoices: what a power cut leaves of that which was not synced.
#ifndef IOENGINE_IO_SIM_CRASH_CHOICES_H_
#define IOENGINE_IO_SIM_CRASH_CHOICES_H_

#include <cstddef>
#include <cstdint>

#include "ioengine/sched/random.h"

namespace ioengine {

// Asked in an order that depends only on the disk, so that one sequence of answers is one outcome:
// a random one, or each in turn (tests/io/sim/crash_exploration.h).
class CrashChoices {
 public:
  enum class Fate : uint8_t { kLost, kWhole, kTorn };

  virtual ~CrashChoices() = default;

  // The questions up to the next call are about one file, or about the names.
  virtual void BeginPart() {}
  // How many of `count` changes, in order, survive: 0 to `count`.
  virtual size_t KeepPrefix(size_t count) = 0;
  // Of a write of `sectors` sectors.
  virtual Fate FateOfWrite(size_t sectors) = 0;
  // Whether this sector of a torn write, or this change of names, survives.
  virtual bool Keep() = 0;
};

// Each outcome has its chance, and those at the edges, where bugs are found, have a good one: half
// of all parts lose everything or keep everything.
class RandomCrash final : public CrashChoices {
 public:
  // Borrows `random`.
  explicit RandomCrash(Random& random) : random_(random) {}

  void BeginPart() override { mood_ = static_cast<Mood>(random_.Below(4)); }
  size_t KeepPrefix(size_t count) override {
    if (mood_ == kLoseAll) return 0;
    return mood_ == kKeepAll ? count : static_cast<size_t>(random_.Below(count + 1));
  }
  Fate FateOfWrite(size_t sectors) override {
    if (mood_ == kLoseAll) return Fate::kLost;
    if (mood_ == kKeepAll) return Fate::kWhole;
    const uint64_t fate = random_.Below(mood_ == kTear && sectors > 1 ? 4 : 2);
    return fate < 2 ? static_cast<Fate>(fate) : Fate::kTorn;
  }
  bool Keep() override {
    if (mood_ == kLoseAll) return false;
    return mood_ == kKeepAll || random_.OneIn(2);
  }

 private:
  enum Mood : uint8_t { kLoseAll, kKeepAll, kSome, kTear };

  Random& random_;
  Mood mood_ = kSome;
};

// What is durable, and no more.
class LoseEverything final : public CrashChoices {
 public:
  size_t KeepPrefix(size_t /*count*/) override { return 0; }
  Fate FateOfWrite(size_t /*sectors*/) override { return Fate::kLost; }
  bool Keep() override { return false; }
};

}  // namespace ioengine

#endif  // IOENGINE_IO_SIM_CRASH_CHOICES_H_
