#include "ioengine/tools/benchmark/sim_cost.h"

#include <fcntl.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/sim/sim_disk.h"
#include "ioengine/sched/clock.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine::bench {
namespace {

constexpr size_t kBlock = 4096;
constexpr uint64_t kFileBlocks = 256;
constexpr DmaFileOptions kCreate = {.access = DmaFileOptions::Access::kReadWrite,
                                    .create = DmaFileOptions::Create::kIfMissing};

// Real time, since simulated time costs none.
class Stopwatch {
 public:
  explicit Stopwatch(const SuiteJob& job)
      : job_(job), begin_ns_(MonotonicClock::Get().NowNs()), seconds_(job.duration_s) {}

  bool is_over() const { return Seconds() >= seconds_ || job_.cancelled->load(); }
  double Seconds() const {
    return static_cast<double>(MonotonicClock::Get().NowNs() - begin_ns_) / 1e9;
  }

 private:
  const SuiteJob& job_;
  const uint64_t begin_ns_;
  const double seconds_;
};

Task<> WriteDurably(ShardIo* io, const DmaFile* file, uint64_t begin, uint64_t end,
                    uint64_t* acknowledged) {
  absl::StatusOr<DmaBuffer> buffer = io->AllocateBuffer(kBlock);
  if (!buffer.ok()) co_return;
  std::memset(buffer->data(), 'b', kBlock);
  for (uint64_t block = begin; block < end; ++block) {
    const absl::Status written =
        co_await file->Write(block % kFileBlocks * kBlock, *buffer, kBlock, {.durable = true});
    if (!written.ok()) co_return;
    ++*acknowledged;
  }
}

Task<absl::Status> WriteOnShard(uint64_t* acknowledged) {
  constexpr uint64_t kTasks = 16;
  constexpr uint64_t kWrites = 1'000;
  Shard& shard = *Shard::Current();
  absl::StatusOr<DmaFile> file =
      co_await DmaFile::Open(shard.io(), absl::StrCat("/", shard.id()), kCreate);
  if (!file.ok()) co_return file.status();
  TaskScope scope(shard.executor());
  for (uint64_t i = 0; i < kTasks; ++i) {
    scope.Spawn(WriteDurably(&shard.io(), &*file, i * kWrites, (i + 1) * kWrites, acknowledged));
  }
  co_return co_await scope.Join();
}

Task<> CallShard(Shard* shard, ShardId to, uint64_t* acknowledged, absl::Status* status) {
  status->Update(co_await shard->mesh().SubmitTo(to, WriteOnShard, acknowledged));
}

Task<absl::Status> WriteOnShards(Shard& shard, uint64_t* acknowledged) {
  absl::Status status;
  TaskScope scope(shard.executor());
  for (size_t id = 0; id < shard.shard_count(); ++id) {
    scope.Spawn(CallShard(&shard, static_cast<ShardId>(id), acknowledged, &status));
  }
  (co_await scope.Join()).IgnoreError();
  co_return status;
}

// Reads all, and then writes until the power goes.
Task<absl::Status> ReadAndAppend(Shard& shard, uint64_t blocks) {
  ShardIo& io = shard.io();
  absl::StatusOr<DmaFile> file = co_await DmaFile::Open(io, "/log", kCreate);
  if (!file.ok()) co_return file.status();
  absl::StatusOr<DmaBuffer> buffer = io.AllocateBuffer(blocks * kBlock);
  if (!buffer.ok()) co_return buffer.status();
  const auto read = co_await file->Read(0, *buffer, blocks * kBlock);
  if (!read.ok()) co_return read.status();
  for (uint64_t block = 0;; block += 7) {
    absl::Status written = co_await file->Write(block % blocks * kBlock, *buffer, kBlock);
    if (written.ok() && block % 4 == 3) written = co_await file->Fdatasync();
    if (!written.ok()) co_return written;
  }
}

}  // namespace

absl::StatusOr<std::vector<Measurement>> SimulatedDisk(const SuiteJob& job) {
  SimDisk disk({.seed = job.seed});
  disk.PutFile("/f", std::string(kFileBlocks * kBlock, 'a'));
  IoCommand open;
  open.request.opcode = IoOpcode::kOpen;
  open.request.fd = kCurrentDirectory;
  open.path = std::make_unique<PathArguments>();
  open.path->path = "/f";
  open.path->open_flags = O_RDWR;
  const int fd = disk.Run(open);
  std::string data(kBlock, 'b');
  Random random(job.seed);
  uint64_t operations = 0;
  const Stopwatch watch(job);
  while (!watch.is_over()) {
    for (int i = 0; i < 1'700; ++i, ++operations) {
      IoCommand command;
      command.request.fd = fd;
      command.request.opcode = i % 17 == 16 ? IoOpcode::kFdatasync : IoOpcode::kWrite;
      command.request.data = data.data();
      command.request.size_bytes = kBlock;
      command.request.offset_bytes = random.Below(kFileBlocks) * kBlock;
      disk.Run(command);
    }
  }
  return std::vector<Measurement>{
      {"disk_ops_per_s", static_cast<double>(operations) / watch.Seconds(), {}}};
}

WorkloadFunction SimulatedWrites(int shards) {
  return [shards](const SuiteJob& job) -> absl::StatusOr<std::vector<Measurement>> {
    Simulation simulation({.seed = job.seed, .shard_count = static_cast<size_t>(shards)});
    uint64_t acknowledged = 0;
    const Stopwatch watch(job);
    while (!watch.is_over()) {
      const SimulationResult result = simulation.Run(WriteOnShards, &acknowledged);
      if (!result.ok()) return absl::InternalError(result.message);
    }
    return std::vector<Measurement>{
        {"acknowledged_per_s", static_cast<double>(acknowledged) / watch.Seconds(), {}}};
  };
}

WorkloadFunction CrashAndRecover(int log_blocks) {
  return [log_blocks](const SuiteJob& job) -> absl::StatusOr<std::vector<Measurement>> {
    const auto blocks = static_cast<uint64_t>(log_blocks);
    Simulation simulation({.seed = job.seed, .buffer_pool_bytes = 4 * blocks * kBlock});
    simulation.disk().PutFile("/log", std::string(blocks * kBlock, 'a'));
    uint64_t crashes = 0;
    const Stopwatch watch(job);
    for (; !watch.is_over(); ++crashes) {
      simulation.CutPowerAfter(40);
      const SimulationResult result = simulation.Run(ReadAndAppend, blocks);
      if (result.end != SimulationEnd::kPowerCut) return absl::InternalError(result.message);
    }
    return std::vector<Measurement>{
        {"crashes_per_s", static_cast<double>(crashes) / watch.Seconds(), {}}};
  };
}

}  // namespace ioengine::bench
