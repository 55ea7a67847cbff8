#include "ioengine/engine/runtime.h"

#include <unistd.h>

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/numa/topology.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

// Taking more memory than there is would not fail: the kernel gives it page by page, and ends a
// process of its choice when none is left.
absl::Status CheckMemory(const RuntimeOptions& options) {
  const uint64_t machine_bytes =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  if (options.buffer_pool_bytes <= machine_bytes / static_cast<uint64_t>(options.shard_count)) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      "RuntimeOptions::buffer_pool_bytes is ", options.buffer_pool_bytes, ", for each of ",
      options.shard_count, " shards; the machine has ", machine_bytes, " bytes of memory"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runtime>> Runtime::Start(const RuntimeOptions& asked) {
  if (absl::Status status = asked.Validate(); !status.ok()) return status;
  const RuntimeOptions options = asked.WithDeviceBounds();
  absl::StatusOr<Topology> topology = Topology::Read();
  if (!topology.ok()) return topology.status();
  absl::StatusOr<Placement> placement = MakePlacement(
      *topology, options.placement.policy, options.shard_count, options.placement.custom_cpus);
  if (!placement.ok()) return placement.status();
  if (absl::Status status = CheckMemory(options); !status.ok()) return status;

  std::unique_ptr<Runtime> runtime(new Runtime());
  runtime->peer_timeout_ns_ = uint64_t{options.peer_timeout_ms} * 1'000'000;
  runtime->mesh_ =
      std::make_unique<Mesh>(static_cast<size_t>(options.shard_count),
                             MeshOptions{.ring_capacity = options.mesh_ring_capacity,
                                         .max_call_bytes = options.mesh_call_bytes,
                                         .peer_timeout_ns = runtime->peer_timeout_ns_});
  std::vector<Future<absl::Status>> started;
  for (int i = 0; i < options.shard_count; ++i) {
    runtime->shards_.push_back(
        std::make_unique<ShardThread>(runtime->mesh_->port(static_cast<ShardId>(i)), options,
                                      placement->shards[static_cast<size_t>(i)]));
    if (options.threads == ShardThreads::kOwn) started.push_back(runtime->shards_.back()->Start());
  }
  runtime->info_.threads = options.threads;
  if (options.device.has_value()) runtime->info_.device = options.device->Describe();
  runtime->info_.placement = placement->Describe();
  runtime->info_.shards.resize(runtime->shards_.size());
  if (options.threads == ShardThreads::kLent) return runtime;

  absl::Status status;
  for (Future<absl::Status>& future : started) status.Update(future.Wait());
  if (status.ok()) status = runtime->WaitUntilRunning();
  if (!status.ok()) return status;
  return runtime;
}

absl::Status Runtime::RunShard(ShardId id) {
  IOENGINE_CHECK(id < shards_.size(), "RunShard of a shard that does not exist");
  return shards_[id]->RunHere();
}

absl::StatusOr<PumpOutcome> Runtime::PumpShard(ShardId id, uint64_t max_ns) {
  IOENGINE_CHECK(id < shards_.size(), "PumpShard of a shard that does not exist");
  return shards_[id]->PumpHere(max_ns);
}

int Runtime::ShardFd(ShardId id) {
  IOENGINE_CHECK(id < shards_.size(), "ShardFd of a shard that does not exist");
  return shards_[id]->fd();
}

absl::Status Runtime::WaitUntilRunning() {
  absl::Status status;
  for (const auto& shard : shards_) {
    status.Update(shard->WaitUntilSetUp());
    info_.shards[shard->id()] = shard->info();
  }
  return status;
}

absl::Status Runtime::Call(ShardId id, std::unique_ptr<ForeignCall>& call) {
  IOENGINE_CHECK(id < shards_.size(), "Submit to a shard that does not exist");
  return shards_[id]->Call(call);
}

WaitLimits Runtime::LimitsOf(ShardId id) const {
  IOENGINE_CHECK(id < shards_.size(), "Submit to a shard that does not exist");
  return {.silence_ns = peer_timeout_ns_, .pulse = shards_[id]->pulse()};
}

Runtime::~Runtime() {
  Stop();
  if (!fork_guard_.in_child()) return;
  // Rings and threads are the parent's, and tasks must end once: what there is stays as it is.
  for (auto& shard : shards_) static_cast<void>(shard.release());
  static_cast<void>(mesh_.release());
}

void Runtime::RequestStop() {
  if (fork_guard_.in_child()) return;
  for (const auto& shard : shards_) shard->RequestStop();
}

void Runtime::Stop() {
  if (fork_guard_.in_child()) return;
  // All at once, then one after the other: stopping takes as long as the slowest shard.
  RequestStop();
  for (const auto& shard : shards_) shard->Stop();
}

}  // namespace ioengine
