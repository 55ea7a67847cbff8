// FaultSweep: lets each I/O of a program fail, in each way that it can, and looks at what follows.
//
//   Task<absl::Status> Program(Shard& shard, int run);   // ends with the first error
//
//   TEST(StoreFaultTest, EachSiteFails) {
//     FaultSweepOptions options;
//     options.site_files = {"engine/wal/", "engine/table/"};
//     const FaultSweepCounts counts = FaultSweep(options, Program).Run();
//   }
//
// A *point* is one site (IoSite) and one opcode that it issues. First the program runs without a
// fault: it must succeed, and reach each site in `site_files` that the binary has, whether it runs
// or not; an unreached one fails the test. Then, in a simulation each, one fault at one point:
//
//   each errno that Linux may give for the opcode (LegalErrnos), at one use of the point, and at
//   all a short transfer, at one use and at all; a late completion; a submission that is refused no
//   completion until it is cancelled, under a Timeout
//
// What is demanded of each:
//   - the program ends. With OK where the fault is one that the runtime makes good (short, late,
//     EINTR and EAGAIN that pass); otherwise with an error that names operation, file and site
//   - no buffer, file, operation or coroutine is left
//   - the same shard runs the program once more, without the fault, and it succeeds
//
// The fault of a close that nobody asked for (the site also opened the file) is seen by nobody.
#ifndef IOENGINE_TESTS_IO_FAULTS_FAULT_SWEEP_H_
#define IOENGINE_TESTS_IO_FAULTS_FAULT_SWEEP_H_

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/io/io_request.h"
#include "ioengine/io/sim/sim_faults.h"
#include "ioengine/sched/task.h"

namespace ioengine {

struct FaultSweepOptions {
  SimulationOptions simulation = {};
  // Before each run of a program, past all faults.
  std::function<void(SimDisk&)> prepare = {};
  // Prefixes of the paths of files, all of whose sites are to be reached.
  std::vector<std::string> site_files = {};
  // Whether the program may succeed though the operation failed with this errno, since it lives
  // with that or tries another way.
  std::function<bool(const SimSiteUses& point, int error)> may_succeed = {};
  // How many uses of a point fail, in a case each; the first ones.
  uint64_t most_uses = 3;
};

struct FaultSweepCounts {
  uint64_t sites = 0;
  uint64_t points = 0;
  uint64_t errnos = 0;  // different pairs of opcode and errno
  uint64_t cases = 0;
  std::set<IoOpcode> opcodes;
};

class FaultSweep {
 public:
  // `run`: 0, and 1 for the second time on the same shard.
  using Program = std::function<Task<absl::Status>(Shard&, int run)>;

  FaultSweep(FaultSweepOptions options, Program program)
      : options_(std::move(options)), program_(std::move(program)) {}

  // Failures are those of the test that runs.
  FaultSweepCounts Run();

 private:
  // One fault at one point.
  struct Case {
    const SimSiteUses* point;
    SimFaultRule rule;
    enum class Demand : uint8_t { kSuccess, kError, kTimeout, kEither } demand;
  };
  struct Outcome {
    absl::Status first;
    absl::Status again;
    std::string left;  // what was left behind
  };

  static Task<absl::Status> RunTwice(Shard& shard, const FaultSweep* sweep, SimFaults* faults,
                                     Outcome* outcome);

  bool RunClean();
  void FindUnreached();
  void AddCases(const SimSiteUses& point);
  void AddUses(const SimSiteUses& point, SimFaultRule rule, Case::Demand demand);
  Case::Demand DemandOf(const SimSiteUses& point, int error, bool always) const;
  void RunCase(const Case& c, uint64_t seed);
  bool ClosesInBackground(const SimSiteUses& point) const;

  const FaultSweepOptions options_;
  const Program program_;
  std::vector<SimSiteUses> points_;
  std::vector<Case> cases_;
  FaultSweepCounts counts_;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_FAULTS_FAULT_SWEEP_H_
