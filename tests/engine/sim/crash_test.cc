// Power cuts find what a program forgets, and find nothing in one that forgets nothing.

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/tests/engine/sim/log_program.h"

namespace ioengine {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr uint64_t kCuts = 1'000;
#else
constexpr uint64_t kCuts = 10'000;
#endif
constexpr int kLives = 10;  // of one world

// Cuts the power `cuts` times; gives how often, up to the first broken promise.
uint64_t CutsUntilDataLoss(const LogHistory& program, const SimulationOptions& options,
                           uint64_t cuts, std::string* message) {
  uint64_t done = 0;
  for (uint64_t seed = 1; done < cuts; ++seed) {
    SimulationOptions seeded = options;
    seeded.seed = seed;
    Simulation simulation(seeded);
    LogHistory history = program;
    for (int life = 0; life < kLives && done < cuts; ++life, ++done) {
      simulation.CutPowerAfter(simulation.random().Below(150));
      const SimulationResult result =
          simulation.Run(RunLog, &history, &simulation.random(), 1'000'000);
      if (result.end == SimulationEnd::kPowerCut) continue;
      *message = result.message;
      EXPECT_TRUE(absl::IsDataLoss(result.status)) << result.message;
      return done;
    }
    EXPECT_GT(history.acknowledged + history.acknowledged_version, 0u) << "seed " << seed;
  }
  return done;
}

TEST(CrashTest, ARightProgramSurvives) {
  for (const bool fua : {false, true}) {
    std::string message;
    EXPECT_EQ(CutsUntilDataLoss({}, {.disk = {.fua = fua}}, kCuts / 2, &message), kCuts / 2)
        << message;
  }
}

TEST(CrashTest, AForgottenFdatasyncIsFound) {
  std::string message;
  EXPECT_LT(CutsUntilDataLoss({.syncs_data = false}, {}, 100, &message), 100u);
  EXPECT_NE(message.find("seed "), std::string::npos) << message;
}

TEST(CrashTest, AForgottenSyncOfTheDirectoryIsFound) {
  for (const bool names_in_order : {false, true}) {
    std::string message;
    EXPECT_LT(CutsUntilDataLoss({.syncs_names = false},
                                {.disk = {.names_in_order = names_in_order}}, 200, &message),
              200u);
  }
}

TEST(CrashTest, FaultsOfTheDeviceEndInErrors) {
  // A program without checksums of its own cannot stand a disk that lies; but errors it must stand.
  SimFaultRates rates;
  for (const SimFault fault :
       {SimFault::kError, SimFault::kSyncDropsData, SimFault::kSyncKeepsData, SimFault::kNoSpace}) {
    rates[fault] = 2'000;
  }
  rates[SimFault::kShortTransfer] = 50'000;
  uint64_t errors = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Simulation simulation({.seed = seed, .faults = rates});
    LogHistory history;
    for (int life = 0; life < kLives; ++life) {
      simulation.CutPowerAfter(simulation.random().Below(300));
      const SimulationResult result =
          simulation.Run(RunLog, &history, &simulation.random(), 1'000'000);
      if (result.end == SimulationEnd::kPowerCut) continue;
      // A program whose sync failed has stopped: what it had not acknowledged may be lost, and it
      // looks at the disk anew.
      ASSERT_EQ(result.end, SimulationEnd::kFinished) << result.message;
      ASSERT_FALSE(result.status.ok());
      ++errors;
      ASSERT_FALSE(absl::IsDataLoss(result.status)) << result.message;
      simulation.CutPower();
    }
  }
  EXPECT_GT(errors, 200u);
}

}  // namespace
}  // namespace ioengine
