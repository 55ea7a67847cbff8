#include "ioengine/engine/runtime.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/numa/topology.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

constexpr size_t kMaxQueueDepth = 16384;  // half of the kernel's largest submission queue
constexpr size_t kMaxOpenFiles = size_t{1} << 20;
constexpr size_t kMaxInboxCapacity = size_t{1} << 24;
constexpr size_t kMaxMeshRingCapacity = size_t{1} << 20;
constexpr size_t kMaxMeshCallBytes = size_t{1} << 40;
constexpr uint32_t kMaxSpinUs = 1'000'000;

absl::Status OutOfRange(const char* field, uint64_t value, uint64_t low, uint64_t high) {
  return absl::InvalidArgumentError(
      absl::StrCat("RuntimeOptions::", field, " is ", value, "; it must be ", low, " to ", high));
}

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

absl::Status RuntimeOptions::Validate() const {
  // shard_count and placement are checked against the machine by MakePlacement.
  if (buffer_pool_bytes == 0) {
    return OutOfRange("buffer_pool_bytes", buffer_pool_bytes, 1, SIZE_MAX);
  }
  if (queue_depth == 0 || queue_depth > kMaxQueueDepth) {
    return OutOfRange("queue_depth", queue_depth, 1, kMaxQueueDepth);
  }
  if (max_open_files == 0 || max_open_files > kMaxOpenFiles) {
    return OutOfRange("max_open_files", max_open_files, 1, kMaxOpenFiles);
  }
  if (inbox_capacity == 0 || inbox_capacity > kMaxInboxCapacity) {
    return OutOfRange("inbox_capacity", inbox_capacity, 1, kMaxInboxCapacity);
  }
  if (mesh_ring_capacity == 0 || mesh_ring_capacity > kMaxMeshRingCapacity) {
    return OutOfRange("mesh_ring_capacity", mesh_ring_capacity, 1, kMaxMeshRingCapacity);
  }
  if (mesh_call_bytes == 0 || mesh_call_bytes > kMaxMeshCallBytes) {
    return OutOfRange("mesh_call_bytes", mesh_call_bytes, 1, kMaxMeshCallBytes);
  }
  if (shard_count > static_cast<int>(Mesh::kMaxShards)) {
    return OutOfRange("shard_count", static_cast<uint64_t>(shard_count), 1, Mesh::kMaxShards);
  }
  if (idle_spin_us > kMaxSpinUs) return OutOfRange("idle_spin_us", idle_spin_us, 0, kMaxSpinUs);
  return absl::OkStatus();
}

std::vector<Degradation> RuntimeInfo::Degraded() const {
  std::vector<Degradation> all;
  for (const ShardInfo& shard : shards) {
    for (const Degradation& one : shard.degraded) {
      const bool known = std::any_of(all.begin(), all.end(), [&](const Degradation& other) {
        return other.feature == one.feature && other.reason == one.reason;
      });
      if (!known) all.push_back(one);
    }
  }
  return all;
}

absl::StatusOr<std::unique_ptr<Runtime>> Runtime::Start(const RuntimeOptions& options) {
  if (absl::Status status = options.Validate(); !status.ok()) return status;
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
