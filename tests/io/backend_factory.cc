#include "ioengine/tests/io/backend_factory.h"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/io/make_backend.h"
#include "ioengine/io/sim/sim_backend.h"
#include "ioengine/io/sim/sim_disk.h"
#include "ioengine/sched/simulated_time.h"
#include "ioengine/tests/io/confinement.h"

namespace ioengine {
namespace {

BackendFactory Uring(std::string name, UringBackendOptions options) {
  return {std::move(name), [options](size_t capacity) -> std::unique_ptr<Backend> {
            UringBackendOptions sized = options;
            sized.capacity = capacity;
            return MakeUring(sized);
          }};
}

BackendFactory Threads(std::string name, size_t threads) {
  const auto make = [threads](size_t capacity) -> std::unique_ptr<Backend> {
    return MakeThreads({.capacity = capacity, .threads = threads});
  };
  return {.name = std::move(name), .make = make, .uses_threads = true};
}

SimulatedClock& TestClock() {
  static SimulatedClock clock;
  return clock;
}

// The directories of this process's tests (TestDirectory) exist on the disk too.
struct DiskOfTest {
  explicit DiskOfTest(const SimDiskOptions& options) : disk(options) {
    for (const auto& entry : std::filesystem::directory_iterator(testing::TempDir())) {
      if (entry.is_directory()) disk.MakeDirectories(entry.path().string());
    }
  }

  SimDisk disk;
};

class SimBackendWithDisk final : private DiskOfTest, public SimBackend {
 public:
  SimBackendWithDisk(const SimDiskOptions& disk_options, const SimBackendOptions& options)
      : DiskOfTest(disk_options), SimBackend(disk, TestClock(), options) {}

  SimFaults& faults() { return disk.faults(); }
};

BackendFactory Sim(std::string name, const SimDiskOptions& disk_options,
                   const SimFaultRates& faults = {}) {
  return {.name = std::move(name),
          .make = [disk_options, faults](size_t capacity) -> std::unique_ptr<Backend> {
            auto backend = std::make_unique<SimBackendWithDisk>(
                disk_options, SimBackendOptions{.capacity = capacity});
            backend->faults().SetRates(faults);
            return backend;
          },
          .real_files = false,
          .splits_pages = faults[SimFault::kShortTransfer] > 0,
          .clock = &TestClock()};
}

// What a backend has to live with: no operation may fail of it.
SimFaultRates Hindrances() {
  SimFaultRates rates;
  for (const SimFault fault : {SimFault::kShortTransfer, SimFault::kInterrupted,
                               SimFault::kTryAgain, SimFault::kSlow, SimFault::kIgnoresCancel}) {
    rates[fault] = 100'000;
  }
  return rates;
}

}  // namespace

std::unique_ptr<UringBackend> MakeUring(const UringBackendOptions& options) {
  absl::StatusOr<std::unique_ptr<UringBackend>> backend = UringBackend::Create(options);
  EXPECT_TRUE(backend.ok()) << backend.status();
  return backend.ok() ? *std::move(backend) : nullptr;
}

std::unique_ptr<ThreadBackend> MakeThreads(const ThreadBackendOptions& options) {
  absl::StatusOr<std::unique_ptr<ThreadBackend>> backend = ThreadBackend::Create(options);
  EXPECT_TRUE(backend.ok()) << backend.status();
  return backend.ok() ? *std::move(backend) : nullptr;
}

std::vector<BackendFactory> RingBackends() {
  return {
      Uring("uring", {}),
      Uring("uring_with_8_entries", {.ring = {.entries = 8, .completion_entries = 16}}),
      Uring("uring_with_1_entry", {.ring = {.entries = 1}}),
      Uring("uring_without_defer_taskrun", {.ring = {.allow_defer_taskrun = false}}),
      Uring("uring_without_registrations",
            {.ring = {.allow_registered_files = false, .allow_registered_buffers = false}}),
      Uring("uring_without_ftruncate", {.ring = {.allow_ftruncate = false}}),
      Uring("uring_without_linked_sync", {.ring = {.allow_linked_sync = false}}),
      Uring("uring_with_2_registered_files", {.ring = {.registered_files = 2}}),
  };
}

std::unique_ptr<Backend> MakeAuto(size_t capacity) {
  absl::StatusOr<std::unique_ptr<Backend>> backend = MakeBackend({.capacity = capacity});
  EXPECT_TRUE(backend.ok()) << backend.status();
  return backend.ok() ? *std::move(backend) : nullptr;
}

std::vector<BackendFactory> KernelBackends() {
  std::vector<BackendFactory> backends;
  if (!IoUringIsBlocked()) backends = RingBackends();
  for (const size_t threads : {1, 4, 16}) {
    backends.push_back(Threads("threads_" + std::to_string(threads), threads));
  }
  backends.push_back({.name = "auto", .make = MakeAuto, .uses_threads = IoUringIsBlocked()});
  return backends;
}

std::vector<BackendFactory> ConformingBackends() {
  std::vector<BackendFactory> backends = KernelBackends();
  backends.push_back(Sim("sim", {}));
  backends.push_back(Sim("sim_with_hindrances", {.seed = 2, .fua = false}, Hindrances()));
  return backends;
}

}  // namespace ioengine
