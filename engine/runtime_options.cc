#include "ioengine/engine/runtime_options.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/sched/mesh.h"

namespace ioengine {
namespace {

constexpr size_t kMaxQueueDepth = 16384;  // half of the kernel's largest submission queue
constexpr size_t kMaxOpenFiles = size_t{1} << 20;
constexpr size_t kMaxInboxCapacity = size_t{1} << 24;
constexpr size_t kMaxMeshRingCapacity = size_t{1} << 20;
constexpr size_t kMaxMeshCallBytes = size_t{1} << 40;
constexpr size_t kMaxClasses = 255;
constexpr uint32_t kMaxSpinUs = 1'000'000;

absl::Status OutOfRange(const char* field, uint64_t value, uint64_t low, uint64_t high) {
  return absl::InvalidArgumentError(
      absl::StrCat("RuntimeOptions::", field, " is ", value, "; it must be ", low, " to ", high));
}

std::string FromTo(size_t first, size_t last) {
  return first == last ? absl::StrCat("shard ", first)
                       : absl::StrCat("shards ", first, " to ", last);
}

std::string Describe(const ShardInfo& shard) {
  std::string text =
      absl::StrCat(shard.cpu < 0 ? std::string("not pinned") : absl::StrCat("CPU ", shard.cpu),
                   "; ", shard.backend.name);
  for (const std::string& feature : shard.backend.features) absl::StrAppend(&text, ", ", feature);
  absl::StrAppend(&text, "\n  memory: ", shard.memory_limit_bytes, " bytes, of them ",
                  shard.buffer_pool_bytes, " of buffers (", shard.memory, "), ",
                  shard.mesh_ring_bytes, " of rings, ", shard.table_bytes, " of tables");
  absl::StrAppend(&text, "\n  bounds: ", shard.queue_depth, " operations, ", shard.max_open_files,
                  " files, ", shard.inbox_capacity, " foreign calls, ", shard.mesh_ring_capacity,
                  " messages from each shard, ", shard.mesh_call_bytes,
                  " bytes of calls to others, ", shard.max_bytes_in_flight,
                  " bytes of I/O in flight, ", shard.max_background_bytes,
                  " of them of the background");
  if (shard.slow_io_ns > 0) {
    absl::StrAppend(&text, "\n  I/O that takes longer than ", shard.slow_io_ns / 1000,
                    " us is reported");
  }
  absl::StrAppend(&text, "\n  classes:");
  for (const TaskQueueOptions& one : shard.classes) {
    absl::StrAppend(&text, " ", one.name, " (", one.shares, " shares");
    if (one.latency_goal_ns > 0) {
      absl::StrAppend(&text, ", latency goal ", one.latency_goal_ns / 1000, " us");
    }
    absl::StrAppend(&text, one.background ? ", I/O in the background)" : ")");
  }
  for (const Degradation& one : shard.degraded) {
    absl::StrAppend(&text, "\n  without ", one.feature, ": ", one.reason, "; ", one.consequence);
  }
  return text;
}

absl::Status ValidateSlowIo(const SlowIoOptions& slow_io) {
  const bool wanted = slow_io.threshold_ns != 0;
  if (wanted != (slow_io.report != nullptr)) {
    return absl::InvalidArgumentError(
        "RuntimeOptions::slow_io: give threshold_ns and report, or neither");
  }
  if (wanted && slow_io.max_reports_per_minute == 0) {
    return OutOfRange("slow_io.max_reports_per_minute", 0, 1, UINT32_MAX);
  }
  return absl::OkStatus();
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
  if (max_bytes_in_flight == 0) {
    return OutOfRange("max_bytes_in_flight", max_bytes_in_flight, 1, SIZE_MAX);
  }
  if (max_background_bytes == 0) {
    return OutOfRange("max_background_bytes", max_background_bytes, 1, SIZE_MAX);
  }
  if (device.has_value()) {
    if (absl::Status status = device->Validate(); !status.ok()) {
      return absl::Status(status.code(),
                          absl::StrCat("RuntimeOptions::device: ", status.message()));
    }
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
  if (classes.size() > kMaxClasses) {
    return OutOfRange("classes.size()", classes.size(), 0, kMaxClasses);
  }
  if (timer_batch_us > kMaxSpinUs) {
    return OutOfRange("timer_batch_us", timer_batch_us, 0, kMaxSpinUs);
  }
  if (idle_spin_us > kMaxSpinUs) return OutOfRange("idle_spin_us", idle_spin_us, 0, kMaxSpinUs);
  return ValidateSlowIo(slow_io);
}

RuntimeOptions RuntimeOptions::WithDeviceBounds() const {
  RuntimeOptions bounded = *this;
  if (!device.has_value()) return bounded;
  const RuntimeOptions defaults;
  if (queue_depth == defaults.queue_depth) bounded.queue_depth = device->QueueDepth();
  if (max_bytes_in_flight == defaults.max_bytes_in_flight) {
    bounded.max_bytes_in_flight = device->MaxBytesInFlight();
  }
  if (max_background_bytes == defaults.max_background_bytes) {
    bounded.max_background_bytes = device->MaxBackgroundBytes();
  }
  return bounded;
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

std::string RuntimeInfo::Describe() const {
  std::string text = absl::StrCat(
      shards.size(), shards.size() == 1 ? " shard" : " shards", " on threads of ",
      threads == ShardThreads::kOwn ? "their own" : "the host", "; placement: ", placement);
  if (!device.empty()) absl::StrAppend(&text, "\ndevice: ", device);
  for (size_t first = 0; first < shards.size();) {
    const std::string described = ioengine::Describe(shards[first]);
    size_t next = first + 1;
    while (next < shards.size() && ioengine::Describe(shards[next]) == described) ++next;
    absl::StrAppend(&text, "\n", FromTo(first, next - 1), ": ", described);
    first = next;
  }
  return text;
}

}  // namespace ioengine
