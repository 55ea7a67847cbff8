#include "ioengine/tests/io/faults/fault_sweep.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/io/io_error.h"
#include "ioengine/io/io_operation.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/tests/io/faults/leftovers.h"
#include "ioengine/tests/io/faults/legal_errnos.h"
#include "ioengine/tests/io/io_sites.h"

namespace ioengine {
namespace {

// Longer than the slowest operations of a program together.
constexpr auto kProgramTime = std::chrono::minutes(5);

bool BeginsWithOperation(std::string_view message) {
  if (message.starts_with("stat ")) return true;
  for (int i = 0; i < kIoOpcodes; ++i) {
    const std::string name = IoOpcodeName(static_cast<IoOpcode>(i));
    if (message.starts_with(name + " ")) return true;
  }
  return false;
}

std::string LastName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// An error that an operation at `point` ended with.
void ExpectNamed(const absl::Status& status, const SimSiteUses& point) {
  const std::string message(status.message());
  EXPECT_TRUE(BeginsWithOperation(message)) << message;
  EXPECT_NE(message.find(LastName(point.path)), std::string::npos) << message;
  EXPECT_EQ(IoSiteOf(status), point.site.ToString()) << message;
}

std::string Describe(const SimSiteUses& point, const SimFaultRule& rule) {
  std::string text = absl::StrCat(SimFaultName(rule.fault), " at ", point.site.ToString(), ", ",
                                  IoOpcodeName(point.opcode), " ", point.path, ", use ", rule.skip,
                                  rule.times == 1 ? "" : " and all after it");
  if (rule.argument.has_value()) {
    const auto error = static_cast<int>(*rule.argument);
    absl::StrAppend(&text, ": ", std::generic_category().message(error));
  }
  return text;
}

}  // namespace

Task<absl::Status> FaultSweep::RunTwice(Shard& shard, const FaultSweep* sweep, SimFaults* faults,
                                        Outcome* outcome) {
  const size_t frames = shard.executor().frames().live();
  outcome->first = co_await Timeout(kProgramTime, sweep->program_(shard, 0));
  faults->Clear();
  outcome->left = co_await LeftOver(shard, frames);
  outcome->again = co_await Timeout(kProgramTime, sweep->program_(shard, 1));
  outcome->left += co_await LeftOver(shard, frames);
  co_return absl::OkStatus();
}

FaultSweepCounts FaultSweep::Run() {
  if (!RunClean()) return counts_;
  FindUnreached();
  for (const SimSiteUses& point : points_) AddCases(point);
  counts_.points = points_.size();
  counts_.cases = cases_.size();
  constexpr int kMostFailures = 20;  // that are of interest at once
  int failures = 0;
  uint64_t seed = options_.simulation.seed;
  for (const Case& c : cases_) {
    const auto* const result = testing::UnitTest::GetInstance()->current_test_info()->result();
    const int before = result->total_part_count();
    RunCase(c, seed++);
    failures += result->total_part_count() > before ? 1 : 0;
    if (failures >= kMostFailures) break;
  }
  return counts_;
}

// Finds out what there is to fail.
bool FaultSweep::RunClean() {
  Simulation simulation(options_.simulation);
  if (options_.prepare) options_.prepare(simulation.disk());
  simulation.disk().faults().RecordSites();
  const auto program = [](Shard& shard, const FaultSweep* sweep) {
    return sweep->program_(shard, 0);
  };
  const SimulationResult result = simulation.Run(program, static_cast<const FaultSweep*>(this));
  EXPECT_TRUE(result.ok()) << "without a fault: " << result.message;
  points_ = simulation.disk().faults().site_uses();
  for (const SimSiteUses& point : points_) {
    EXPECT_TRUE(point.site.known()) << IoOpcodeName(point.opcode) << " " << point.path;
    counts_.opcodes.insert(point.opcode);
  }
  return result.ok() && !points_.empty();
}

void FaultSweep::FindUnreached() {
  std::set<CallSite> reached;
  for (const SimSiteUses& point : points_) reached.insert(CallSiteOf(point.site));
  for (const std::string& files : options_.site_files) {
    const std::vector<CallSite> sites = IoSitesIn(files);
    EXPECT_FALSE(sites.empty()) << "no I/O in " << files;
    for (const CallSite& site : sites) {
      EXPECT_TRUE(reached.contains(site)) << site.ToString() << " asks for I/O and was not reached";
    }
    counts_.sites += sites.size();
  }
}

bool FaultSweep::ClosesInBackground(const SimSiteUses& point) const {
  return point.opcode == IoOpcode::kClose &&
         std::any_of(points_.begin(), points_.end(), [&](const SimSiteUses& other) {
           return other.opcode == IoOpcode::kOpen && other.site == point.site;
         });
}

FaultSweep::Case::Demand FaultSweep::DemandOf(const SimSiteUses& point, int error,
                                              bool always) const {
  if (ClosesInBackground(point)) return Case::Demand::kSuccess;
  if (IsRetried(point.opcode, error) && !always) return Case::Demand::kSuccess;
  if (options_.may_succeed && options_.may_succeed(point, error)) return Case::Demand::kEither;
  return Case::Demand::kError;
}

// At each use of the point.
void FaultSweep::AddUses(const SimSiteUses& point, SimFaultRule rule, Case::Demand demand) {
  rule.opcode = point.opcode;
  rule.site = point.site;
  for (uint64_t use = 0; use < std::min(point.uses, options_.most_uses); ++use) {
    rule.skip = use;
    cases_.push_back({.point = &point, .rule = rule, .demand = demand});
  }
}

void FaultSweep::AddCases(const SimSiteUses& point) {
  SimFaultRule always = {.opcode = point.opcode, .site = point.site, .times = UINT64_MAX};
  for (const int error : LegalErrnos(point.opcode)) {
    const auto argument = static_cast<uint64_t>(error);
    AddUses(point, {.fault = SimFault::kError, .argument = argument},
            DemandOf(point, error, false));
    always.fault = SimFault::kError;
    always.argument = argument;
    cases_.push_back({.point = &point, .rule = always, .demand = DemandOf(point, error, true)});
  }
  counts_.errnos += LegalErrnos(point.opcode).size();
  const bool close = point.opcode == IoOpcode::kClose;
  AddUses(point, {.fault = SimFault::kSlow}, Case::Demand::kSuccess);
  if (!close) {  // which has no submission that may be lost, and no cancellation
    AddUses(point, {.fault = SimFault::kRefused, .argument = ENOMEM},
            DemandOf(point, ENOMEM, false));
    AddUses(point, {.fault = SimFault::kRefused, .argument = EAGAIN},
            DemandOf(point, EAGAIN, false));
    AddUses(point, {.fault = SimFault::kStuck}, Case::Demand::kTimeout);
  }
  if (point.opcode == IoOpcode::kRead || point.opcode == IoOpcode::kWrite) {
    AddUses(point, {.fault = SimFault::kShortTransfer}, Case::Demand::kSuccess);
    always.fault = SimFault::kShortTransfer;
    always.argument = std::nullopt;
    cases_.push_back({.point = &point, .rule = always, .demand = Case::Demand::kSuccess});
  }
}

void FaultSweep::RunCase(const Case& c, uint64_t seed) {
  SCOPED_TRACE(absl::StrCat(Describe(*c.point, c.rule), "; seed ", seed));
  SimulationOptions options = options_.simulation;
  options.seed = seed;
  Simulation simulation(options);
  if (options_.prepare) options_.prepare(simulation.disk());
  SimFaults& faults = simulation.disk().faults();
  faults.Add(c.rule);
  Outcome outcome;
  const SimulationResult result =
      simulation.Run(RunTwice, static_cast<const FaultSweep*>(this), &faults, &outcome);
  EXPECT_TRUE(result.ok()) << result.message;
  EXPECT_GT(faults.count(c.rule.fault), 0u) << "the fault was not met";
  EXPECT_EQ(outcome.left, "");
  EXPECT_TRUE(outcome.again.ok()) << "once more, without the fault: " << outcome.again;
  switch (c.demand) {
    case Case::Demand::kSuccess:
      EXPECT_TRUE(outcome.first.ok()) << outcome.first;
      return;
    case Case::Demand::kTimeout:
      EXPECT_EQ(outcome.first.code(), absl::StatusCode::kDeadlineExceeded) << outcome.first;
      return;
    case Case::Demand::kError:
      EXPECT_FALSE(outcome.first.ok()) << "nobody was told of the error";
      break;
    case Case::Demand::kEither:
      break;
  }
  if (!outcome.first.ok()) ExpectNamed(outcome.first, *c.point);
}

}  // namespace ioengine
