#include "ioengine/engine/sim/simulation.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/inbox.h"

namespace ioengine {
namespace {

constexpr uint64_t kForever = Poller::kForever;
constexpr uint64_t kMostStallNs = 1'000'000;
// About as long as opening a small database takes, and some more.
constexpr uint64_t kLeastTurnsPerLateWrite = 8;
constexpr unsigned kLateOrders = 6;
// A mesh whose shards are few and short-lived.
constexpr size_t kMaxCallBytes = size_t{1} << 20;
constexpr size_t kMaxFrameBytes = size_t{64} << 20;

SimDiskOptions Seeded(SimDiskOptions options, Random& random) {
  options.seed = random.Next();
  return options;
}

}  // namespace

const char* SimulationEndName(SimulationEnd end) {
  static constexpr std::array<const char*, 6> kNames = {"finished", "power cut",  "killed",
                                                        "deadlock", "step limit", "time limit"};
  return kNames[static_cast<size_t>(end)];
}

class Simulation::RandomDelivery final : public DeliveryOrder {
 public:
  explicit RandomDelivery(uint64_t seed) : random_(seed) {}
  size_t Choose(size_t choices) override { return static_cast<size_t>(random_.Below(choices)); }

 private:
  Random random_;
};

class Simulation::StartCall final : public ForeignCall {
 public:
  StartCall(Simulation* simulation, std::function<Task<absl::Status>(Shard&)>* start)
      : simulation_(simulation), start_(start) {}
  void Run() override {
    Shard& shard = *Shard::Current();
    shard.executor().Spawn(Main(simulation_, (*start_)(shard)));
  }

 private:
  Simulation* const simulation_;
  std::function<Task<absl::Status>(Shard&)>* const start_;
};

Simulation::Simulation(const SimulationOptions& options)
    : options_(options),
      random_(options.seed),
      program_random_(random_.Next()),
      trace_(options.trace_events),
      disk_(Seeded(options.disk, random_)) {
  IOENGINE_CHECK(options.shard_count > 0, "a simulation has a shard at least");
  for (size_t i = 0; i < options.shard_count; ++i) {
    arenas_.push_back(std::make_unique<SimulatedArena>(options.buffer_pool_bytes));
  }
  disk_.faults().SetRates(options.faults);
}

Simulation::~Simulation() {
  IOENGINE_CHECK(shards_.empty(), "a simulation is destroyed by its own program");
}

Task<absl::Status> Simulation::WithStatus(Task<void> task) {
  co_await std::move(task);
  co_return absl::OkStatus();
}

Task<void> Simulation::Main(Simulation* simulation, Task<absl::Status> task) {
  simulation->status_ = co_await std::move(task);
  simulation->finished_ = true;
}

SimulationResult Simulation::RunMain(std::function<Task<absl::Status>(Shard&)> start) {
  IOENGINE_CHECK(shards_.empty(), "a program starts a run of its own simulation");
  Begin();
  std::unique_ptr<ForeignCall> call = std::make_unique<StartCall>(this, &start);
  const CallOutcome accepted = shards_[0]->executor().TryCall(call);
  IOENGINE_CHECK(accepted == CallOutcome::kAccepted, "a new shard refuses its first call");
  const SimulationEnd end = RunTurns();
  SimulationResult result{.end = end, .status = status_, .message = Explain(end)};
  End(end);
  return result;
}

void Simulation::Begin() {
  turns_ = 0;
  end_ns_ = clock_.NowNs() + options_.max_time_ns;
  finished_ = false;
  status_ = absl::OkStatus();
  cut_now_ = kill_now_ = false;
  Note(SimEvent::Kind::kBegin, 0);
  delivery_ = std::make_unique<RandomDelivery>(random_.Next());
  mesh_ = std::make_unique<Mesh>(options_.shard_count,
                                 MeshOptions{.ring_capacity = options_.mesh_ring_capacity,
                                             .max_call_bytes = kMaxCallBytes,
                                             // No shard stops to run turns; and a deadlock is to
                                             // be found, not to time out.
                                             .peer_timeout_ns = 0,
                                             .order = delivery_.get()});
  for (size_t i = 0; i < options_.shard_count; ++i) {
    const SimulatedShardOptions shard_options = {
        .backend = {.capacity = options_.queue_depth,
                    .registered_files = options_.max_open_files,
                    .seed = random_.Next(),
                    .latency = options_.latency,
                    .shard = static_cast<uint32_t>(i)},
        // 0 would mean the order in which they came; and a slice that is not shuffled ends only
        // with the time, which stands still in a turn.
        .executor = {.max_frame_bytes = kMaxFrameBytes, .shuffle_seed = random_.Next() | 1},
        .io = {.queue_depth = options_.queue_depth, .max_open_files = options_.max_open_files}};
    shards_.push_back(std::make_unique<SimulatedShard>(shard_options, disk_, clock_, trace_,
                                                       mesh_->port(static_cast<ShardId>(i)),
                                                       arenas_[i]->bytes()));
  }
}

SimulationEnd Simulation::RunTurns() {
  while (!finished_) {
    if (kill_now_ || turns_ >= kill_after_turns_) return SimulationEnd::kKilled;
    if (cut_now_ || turns_ >= cut_after_turns_ || clock_.NowNs() >= cut_at_ns_) {
      return SimulationEnd::kPowerCut;
    }
    if (turns_ >= options_.max_steps) return SimulationEnd::kStepLimit;
    if (clock_.NowNs() >= end_ns_) return SimulationEnd::kTimeLimit;
    if (!RunTurn()) return SimulationEnd::kDeadlock;
  }
  return SimulationEnd::kFinished;
}

// A turn of a shard that has something to do, or the time goes on until one has. False: none ever
// will.
bool Simulation::RunTurn() {
  const uint64_t now_ns = clock_.NowNs();
  uint64_t next_ns = kForever;
  ready_.clear();
  for (const auto& shard : shards_) {
    const uint64_t ready_at_ns = shard->ready_at_ns();
    if (ready_at_ns <= now_ns) ready_.push_back(shard.get());
    next_ns = std::min(next_ns, ready_at_ns);
  }
  if (ready_.empty()) {
    // The power may go in the middle of a sleep.
    next_ns = std::min(next_ns, cut_at_ns_);
    if (next_ns == kForever) return false;
    clock_.Advance(next_ns - now_ns);
    return true;
  }
  const size_t choice = ready_.size() == 1 ? 0 : random_.Below(ready_.size());
  SimulatedShard& chosen = *ready_[choice];
  clock_.Advance(random_.Below(options_.most_step_ns + 1));
  ++turns_;
  ++total_turns_;
  Note(SimEvent::Kind::kTurn, chosen.shard().id());
  chosen.Pump();
  if (!late_writes_.empty() && random_.OneIn(turns_per_late_write_)) ExecuteLateWrite();
  if (options_.stall_one_in != 0 && random_.OneIn(options_.stall_one_in)) {
    chosen.StallUntil(clock_.NowNs() + random_.Below(kMostStallNs));
  }
  return true;
}

// Any of them: they were in flight together.
void Simulation::ExecuteLateWrite() {
  std::swap(late_writes_[random_.Below(late_writes_.size())], late_writes_.back());
  SimLateWrite late = std::move(late_writes_.back());
  late_writes_.pop_back();
  disk_.Execute(late.command, late.operation);
}

void Simulation::End(SimulationEnd end) {
  const bool cut = end == SimulationEnd::kPowerCut;
  Note(cut ? SimEvent::Kind::kPowerCut : SimEvent::Kind::kEnd, 0);
  if (end != SimulationEnd::kFinished) {
    const bool killed = end == SimulationEnd::kKilled;
    if (!killed) late_writes_.clear();
    // Some land while the next process opens its files, some long after.
    turns_per_late_write_ = kLeastTurnsPerLateWrite << random_.Below(kLateOrders);
    for (const auto& shard : shards_) {
      shard->backend().PowerOff(random_, killed ? &late_writes_ : nullptr);
    }
  }
  if (cut) disk_.PowerCut(random_);
  cut_after_turns_ = cut_at_ns_ = kill_after_turns_ = UINT64_MAX;
  // All are told before the first one stops, so that no task runs any more.
  for (const auto& shard : shards_) shard->executor().RequestStop();
  for (const auto& shard : shards_) {
    while (shard->Pump() != PumpOutcome::kStopped) {
    }
  }
  shards_.clear();
  mesh_.reset();
  delivery_.reset();
  disk_.CloseAll();
}

void Simulation::CutPower() {
  if (!shards_.empty()) {
    cut_now_ = true;
    return;
  }
  Note(SimEvent::Kind::kPowerCut, 0);
  late_writes_.clear();
  disk_.PowerCut(random_);
}

std::string Simulation::Explain(SimulationEnd end) {
  std::string text = absl::StrCat("seed ", options_.seed, ": ", SimulationEndName(end), " after ",
                                  turns_, " turns, at ", clock_.NowNs(), " ns");
  if (end == SimulationEnd::kFinished) {
    if (!status_.ok()) absl::StrAppend(&text, ": ", status_.ToString());
    return text;
  }
  if (end == SimulationEnd::kPowerCut || end == SimulationEnd::kKilled) return text;
  for (const auto& shard : shards_) {
    absl::StrAppend(&text, "; shard ", shard->shard().id(), " has ",
                    shard->executor().frames().live(), " coroutines, ",
                    shard->backend().in_flight(), " operations in flight");
    const std::string stuck = shard->backend().DescribeStuck();
    if (!stuck.empty()) absl::StrAppend(&text, " (stuck until cancelled: ", stuck, ")");
  }
  absl::StrAppend(&text,
                  end == SimulationEnd::kDeadlock
                      ? ": all of them wait for ever; something must wake one of them"
                      : ": raise SimulationOptions, if the program is right to take so long");
  return text;
}

void Simulation::Note(SimEvent::Kind kind, uint32_t shard) {
  trace_.Add({.kind = kind, .shard = shard, .time_ns = clock_.NowNs()});
}

}  // namespace ioengine
