#include "ioengine/io/sim/sim_backend.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "ioengine/io/poison.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

constexpr uint64_t kLateFactor = 20;
constexpr uint64_t kSlowFactor = 100;
constexpr uint64_t kCancelNs = 1'000;

bool IsTransfer(IoOpcode opcode) { return opcode == IoOpcode::kRead || opcode == IoOpcode::kWrite; }

std::span<const std::byte> DataOf(const IoRequest& request) {
  return {static_cast<const std::byte*>(request.data), request.size_bytes};
}

}  // namespace

SimBackend::SimBackend(SimDisk& disk, SimulatedClock& clock, const SimBackendOptions& options,
                       SimTrace* trace)
    : Backend(options.capacity),
      disk_(disk),
      clock_(clock),
      options_(options),
      trace_(trace),
      random_(options.seed),
      flights_(options.capacity),
      registered_files_(options.registered_files) {
  info_.name = "simulated";
}

SimBackend::~SimBackend() { Drain(); }

uint64_t SimBackend::LatencyOf(IoOpcode opcode, const SimFaultDraw& fault) {
  const SimLatency& latency = options_.latency;
  SimLatency::Range range = latency.other;
  if (opcode == IoOpcode::kRead) range = latency.read;
  if (opcode == IoOpcode::kWrite) range = latency.write;
  if (opcode == IoOpcode::kFdatasync || opcode == IoOpcode::kFsync) range = latency.sync;
  uint64_t ns = range.least_ns + random_.Below(range.most_ns - range.least_ns + 1);
  if (latency.late_one_in != 0 && random_.OneIn(latency.late_one_in)) ns *= kLateFactor;
  if (fault.fault == SimFault::kSlow) ns *= kSlowFactor;
  return std::max(ns, uint64_t{1});
}

void SimBackend::MakeDue(IoOperation& operation, uint64_t time_ns) {
  Flight& flight = flights_[operation.index];
  flight.due_ns = time_ns;
  if (time_ns == kForever) return;
  flight.serial = ++last_serial_;
  due_.push({time_ns, random_.Next(), flight.serial, &operation});
}

bool SimBackend::BufferIsValid(const IoRequest& request) const {
  if (request.registered_buffer == kNotRegistered) return true;
  if (request.registered_buffer != 0) return false;
  const std::span<std::byte> region = registered_arena_;
  const std::span<const std::byte> data = DataOf(request);
  return data.data() >= region.data() && data.data() + data.size() <= region.data() + region.size();
}

void SimBackend::Start(IoOperation& operation) {
  ++stats_.operations_started;
  const IoRequest& request = operation.command.request;
  Flight& flight = flights_[operation.index];
  flight = Flight();
  if (powered_off_) {
    MakeDue(operation, clock_.NowNs());
    return;
  }
  if (IsTransfer(request.opcode)) {
    IOENGINE_CHECK(!IsPoisoned(request.data, request.size_bytes),
                   "an operation is given memory that is not allocated");
    if (options_.check_buffers && request.opcode == IoOpcode::kWrite) {
      flight.data = SimHash(DataOf(request));
    }
  }
  std::shared_ptr<SimOpenFile> registered;
  if (request.registered_file >= 0) {
    const auto index = static_cast<size_t>(request.registered_file);
    if (index < registered_files_.size()) registered = registered_files_[index];
  }
  flight.operation = disk_.Begin(operation.command, std::move(registered));
  const bool stuck = flight.operation.fault.fault == SimFault::kStuck;
  const bool refused = flight.operation.fault.fault == SimFault::kRefused;
  const uint64_t latency_ns = refused ? 0 : LatencyOf(request.opcode, flight.operation.fault);
  MakeDue(operation, stuck ? kForever : clock_.NowNs() + latency_ns);
  Note(SimEvent::Kind::kStart, operation, flight, 0);
}

void SimBackend::Cancel(IoOperation& operation) {
  if (operation.cancel_requested || operation.command.request.opcode == IoOpcode::kClose) return;
  operation.cancel_requested = true;
  Flight& flight = flights_[operation.index];
  const bool stuck = flight.due_ns == kForever;
  if (!stuck) {
    if (flight.operation.fault.fault == SimFault::kIgnoresCancel || random_.OneIn(2)) return;
  }
  flight.cancelled = true;
  MakeDue(operation, std::min(flight.due_ns, clock_.NowNs() + kCancelNs));
}

void SimBackend::Drain() {
  while (in_flight() > 0) {
    operations_.ForEachInFlight([this](IoOperation& operation) { Cancel(operation); });
    const uint64_t next_ns = NextDueNs();
    if (next_ns > clock_.NowNs()) clock_.Advance(next_ns - clock_.NowNs());
    FinishDue();
  }
}

BufferRegistration SimBackend::RegisterBuffers(std::span<std::byte> arena) {
  registered_arena_ = arena;
  info_.features.push_back("registered buffers");
  return {.registered_bytes = arena.size(), .region_bytes = std::bit_ceil(arena.size())};
}

bool SimBackend::RegisterFile(int index, int fd) {
  if (index < 0 || static_cast<size_t>(index) >= registered_files_.size()) return false;
  std::shared_ptr<SimOpenFile> file = disk_.FindDescriptor(fd);
  if (fd >= 0 && file == nullptr) return false;
  registered_files_[static_cast<size_t>(index)] = std::move(file);
  return true;
}

// The time of the first operation that is due; kForever where there is none.
uint64_t SimBackend::NextDueNs() const {
  while (!due_.empty()) {
    const Due& first = due_.top();
    if (flights_[first.operation->index].serial == first.serial) return first.time_ns;
    due_.pop();
  }
  return kForever;
}

IoOperation* SimBackend::TakeDue() {
  if (NextDueNs() > clock_.NowNs()) return nullptr;
  IoOperation* const operation = due_.top().operation;
  due_.pop();
  return operation;
}

int32_t SimBackend::Effect(IoOperation& operation, Flight& flight) {
  const IoRequest& request = operation.command.request;
  if (powered_off_) return request.opcode == IoOpcode::kClose ? 0 : -EIO;
  if (flight.cancelled) return -ECANCELED;
  if (IsTransfer(request.opcode)) {
    IOENGINE_CHECK(!IsPoisoned(request.data, request.size_bytes),
                   "memory was freed while an operation used it");
    if (!BufferIsValid(request)) return -EFAULT;
    if (options_.check_buffers && request.opcode == IoOpcode::kWrite) {
      IOENGINE_CHECK(flight.data == SimHash(DataOf(request)),
                     "a buffer was changed while it was being written");
    }
  }
  return disk_.Execute(operation.command, flight.operation);
}

void SimBackend::Finish(IoOperation& operation) {
  // Complete may use the slot anew.
  Flight flight = std::exchange(flights_[operation.index], Flight());
  const int32_t result = Effect(operation, flight);
  const IoRequest& request = operation.command.request;
  if (request.opcode == IoOpcode::kRead && result > 0 && options_.check_buffers) {
    flight.data = SimHash(DataOf(request).first(static_cast<size_t>(result)));
  }
  Note(SimEvent::Kind::kComplete, operation, flight, result);
  flight = Flight();
  Complete(operation, result);
}

size_t SimBackend::FinishDue() {
  const uint64_t before = stats_.operations_completed;
  // What completions start is due later, except after the power has gone.
  for (size_t left = due_.size(); left > 0; --left) {
    IoOperation* const operation = TakeDue();
    if (operation == nullptr) break;
    Finish(*operation);
  }
  return stats_.operations_completed - before;
}

size_t SimBackend::Poll() {
  clock_.Advance(options_.look_ns);
  return FinishDue();
}

size_t SimBackend::Wait(uint64_t timeout_ns) {
  if (woken_.exchange(false, std::memory_order_acq_rel)) return FinishDue();
  const uint64_t now_ns = clock_.NowNs();
  const uint64_t next_ns = NextDueNs();
  const uint64_t until_ns = timeout_ns > kForever - now_ns ? kForever : now_ns + timeout_ns;
  const uint64_t wake_ns = std::min(next_ns, until_ns);
  IOENGINE_CHECK(wake_ns != kForever, "all tasks of a simulated shard wait for ever");
  if (wake_ns > now_ns) clock_.Advance(wake_ns - now_ns);
  return FinishDue();
}

bool SimBackend::HasCompletions() const {
  clock_.Advance(options_.look_ns);
  return NextDueNs() <= clock_.NowNs();
}

bool SimBackend::PrepareWait(uint64_t timeout_ns) {
  const uint64_t now_ns = clock_.NowNs();
  if (woken_.exchange(false, std::memory_order_acq_rel) || NextDueNs() <= now_ns) return false;
  sleep_until_ns_ = timeout_ns > kForever - now_ns ? kForever : now_ns + timeout_ns;
  return true;
}

uint64_t SimBackend::wake_at_ns() const { return std::min(sleep_until_ns_, NextDueNs()); }

// With its own copy of the data, since the buffer is going to be somebody else's.
SimLateWrite SimBackend::MakeLate(const IoOperation& operation, Flight& flight) {
  SimLateWrite late;
  late.command.request = operation.command.request;
  const std::span<const std::byte> data = DataOf(late.command.request);
  size_t space = data.size() + kSimPageBytes;
  late.data.resize(space);
  // As aligned as the buffer was; the disk looks at that.
  void* copy = late.data.data();
  std::align(kSimPageBytes, data.size(), copy, space);
  std::memcpy(copy, data.data(), data.size());
  late.command.request.data = copy;
  late.operation = std::move(flight.operation);
  return late;
}

void SimBackend::PowerOff(Random& random, std::vector<SimLateWrite>* late) {
  operations_.ForEachInFlight([&](IoOperation& operation) {
    Flight& flight = flights_[operation.index];
    const IoOpcode opcode = operation.command.request.opcode;
    // What only looks leaves nothing behind, and what stands by itself has no buffer to fill.
    const bool acts = opcode != IoOpcode::kRead && opcode != IoOpcode::kClose &&
                      opcode != IoOpcode::kStat && opcode != IoOpcode::kList;
    const bool may_be_late = late != nullptr && opcode == IoOpcode::kWrite && !flight.cancelled &&
                             flight.operation.file != nullptr;
    if (may_be_late && random.OneIn(2)) {
      late->push_back(MakeLate(operation, flight));
    } else if (acts && !powered_off_ && random.OneIn(2)) {
      Effect(operation, flight);
    }
    flight = Flight();
    MakeDue(operation, clock_.NowNs());
  });
  powered_off_ = true;
  registered_files_.assign(registered_files_.size(), nullptr);
}

std::string SimBackend::DescribeStuck() {
  std::string text;
  operations_.ForEachInFlight([&](IoOperation& operation) {
    const Flight& flight = flights_[operation.index];
    if (flight.due_ns != kForever) return;
    absl::StrAppend(&text, text.empty() ? "" : ", ", IoOpcodeName(operation.command.request.opcode),
                    " of ", flight.operation.file == nullptr ? "?" : flight.operation.file->path);
  });
  return text;
}

void SimBackend::Note(SimEvent::Kind kind, const IoOperation& operation, const Flight& flight,
                      int32_t result) const {
  if (trace_ == nullptr) return;
  const IoRequest& request = operation.command.request;
  trace_->Add({.kind = kind,
               .opcode = request.opcode,
               .fault = flight.operation.fault.fault,
               .shard = options_.shard,
               .fd = request.fd,
               .result = result,
               .time_ns = clock_.NowNs(),
               .offset_bytes = request.offset_bytes,
               .size_bytes = IsTransfer(request.opcode) ? request.size_bytes : request.range_bytes,
               .data = flight.data,
               .site = request.site});
}

}  // namespace ioengine
