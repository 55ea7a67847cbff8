// What the policy of compactions costs, simulated in numbers of keys: what is written for each put,
// what space is taken, and how many runs there are.

#include <cstdint>
#include <functional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/sched/random.h"
#include "ioengine/tests/engine/lsm/compaction_simulation.h"

namespace ioengine {
namespace {

constexpr uint64_t kFlushKeys = 256;
constexpr uint64_t kFlushBytes = kFlushKeys * CompactionSimulation::kKeyBytes;

// The default, with sizes to those of flushes as 48 MiB to 32.
CompactionPolicy SmallPolicy() {
  CompactionPolicy policy;
  policy.target_file_bytes = kFlushBytes * 3 / 2;
  return policy;
}

using KeyOf = std::function<uint32_t(uint64_t)>;

// Memtables of kFlushKeys keys.
void Fill(CompactionSimulation& simulation, uint64_t puts, const KeyOf& key_of) {
  std::set<uint32_t> keys;
  uint64_t puts_of_flush = 0;
  for (uint64_t i = 0; i < puts; ++i) {
    keys.insert(key_of(i));
    ++puts_of_flush;
    if (keys.size() < kFlushKeys) continue;
    simulation.Flush(keys, puts_of_flush);
    keys.clear();
    puts_of_flush = 0;
  }
}

// How many flushes there are, and how many of their bytes a compaction reads between two of them.
struct Scale {
  uint64_t flushes;
  uint64_t compacted;

  uint64_t puts() const { return flushes * kFlushKeys; }
  uint64_t compacted_bytes() const {
    return compacted == UINT64_MAX ? UINT64_MAX : compacted * kFlushBytes;
  }
  friend std::ostream& operator<<(std::ostream& out, const Scale& scale) {
    return out << scale.flushes << (scale.compacted == UINT64_MAX ? " at once" : " in time");
  }
};

class CompactionPolicyTest : public testing::TestWithParam<Scale> {
 protected:
  // Inputs are there until the outputs are. A slice of the bottom is a part of it, and a bottom
  // that is small is rewritten whole.
  void ExpectBounds(const CompactionSimulation& simulation) {
    const uint64_t small = 3 * SmallPolicy().max_runs * kFlushBytes;
    EXPECT_LE(simulation.most_temporary_bytes(), small + simulation.live_bytes() / 4);
    EXPECT_LE(simulation.most_runs(), 3 * SmallPolicy().max_runs);
  }
};

TEST_P(CompactionPolicyTest, RandomKeys) {
  CompactionSimulation simulation(SmallPolicy(), GetParam().compacted_bytes());
  Random random(GetParam().flushes);
  const auto puts = static_cast<uint32_t>(GetParam().puts());
  Fill(simulation, puts, [&](uint64_t) { return static_cast<uint32_t>(random.Below(puts)); });
  simulation.Settle();
  EXPECT_LE(simulation.write_amplification(), 5);
  EXPECT_LE(simulation.space_amplification(), 1.3);
  ExpectBounds(simulation);
}

// Nothing is ever dropped, so all of it is written again and again.
TEST_P(CompactionPolicyTest, DistinctKeysInNoOrder) {
  CompactionSimulation simulation(SmallPolicy(), GetParam().compacted_bytes());
  Fill(simulation, GetParam().puts(),
       [](uint64_t i) { return static_cast<uint32_t>(i * 2654435761 % 4294967291); });
  simulation.Settle();
  EXPECT_LE(simulation.write_amplification(), 6);
  EXPECT_DOUBLE_EQ(simulation.space_amplification(), 1);
  ExpectBounds(simulation);
}

TEST_P(CompactionPolicyTest, AscendingKeysAreWrittenOnce) {
  CompactionSimulation simulation(SmallPolicy(), GetParam().compacted_bytes());
  Fill(simulation, GetParam().puts(), [](uint64_t i) { return static_cast<uint32_t>(i); });
  simulation.Settle();
  EXPECT_DOUBLE_EQ(simulation.write_amplification(), 1);
  EXPECT_DOUBLE_EQ(simulation.space_amplification(), 1);
  EXPECT_GT(simulation.moved_tables(), 0u);
  ExpectBounds(simulation);
}

TEST_P(CompactionPolicyTest, SkewedKeys) {
  CompactionSimulation simulation(SmallPolicy(), GetParam().compacted_bytes());
  Random random(GetParam().flushes);
  const auto puts = static_cast<uint32_t>(GetParam().puts());
  Fill(simulation, puts, [&](uint64_t) {
    return static_cast<uint32_t>(random.Below(10) < 9 ? random.Below(puts / 10)
                                                      : random.Below(puts));
  });
  simulation.Settle();
  EXPECT_LE(simulation.write_amplification(), 5);
  // Each byte above the bottom may hide one there.
  EXPECT_LE(simulation.space_amplification(), 1.5);
  ExpectBounds(simulation);
}

TEST_P(CompactionPolicyTest, Overwrites) {
  CompactionSimulation simulation(SmallPolicy(), GetParam().compacted_bytes());
  Random random(GetParam().flushes);
  const uint64_t keys = GetParam().puts() / 2;
  Fill(simulation, GetParam().puts(), [&](uint64_t i) {
    return static_cast<uint32_t>(i < keys ? i * 2654435761 % keys : random.Below(keys));
  });
  simulation.Settle();
  EXPECT_LE(simulation.write_amplification(), 5.5);
  EXPECT_LE(simulation.space_amplification(), 1.5);
  ExpectBounds(simulation);
}

INSTANTIATE_TEST_SUITE_P(Scales, CompactionPolicyTest,
                         testing::Values(Scale{10, UINT64_MAX}, Scale{20, UINT64_MAX},
                                         Scale{50, UINT64_MAX}, Scale{100, UINT64_MAX},
                                         Scale{200, UINT64_MAX}, Scale{500, UINT64_MAX},
                                         Scale{1000, UINT64_MAX}, Scale{20, 6}, Scale{200, 6},
                                         Scale{1000, 6}));

}  // namespace
}  // namespace ioengine
