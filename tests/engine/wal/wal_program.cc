#include "ioengine/tests/engine/wal/wal_program.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine {
namespace {

constexpr int kLives = 12;

size_t RandomSize(WalWorld* world, const WalWriter& log) {
  Random& random = *world->random;
  if (random.OneIn(40)) return random.Below(log.max_record_bytes() + 1);
  if (random.OneIn(10)) return random.Below(4 * world->usual_record_bytes);
  return random.Below(world->usual_record_bytes + 1);
}

Durability RandomLevel(Random& random) { return static_cast<Durability>(random.Below(3)); }

Task<absl::Status> AppendOne(WalWorld* world, WalWriter* log, WalLedger* ledger) {
  Random& random = *world->random;
  const size_t size_bytes = RandomSize(world, *log);
  const Durability level = RandomLevel(random);
  absl::Status admitted = co_await log->Admit(size_bytes);
  if (!admitted.ok()) co_return admitted;
  const uint64_t record = ledger->appended() + 1;
  const std::string content = WalRecordContent(ledger->stream().stream, record, size_bytes);
  const std::span<const std::byte> bytes = AsBytes(content);
  const size_t head_bytes = random.Below(size_bytes + 1);
  ledger->OnAppend(log->Append(bytes.first(head_bytes), bytes.subspan(head_bytes), level),
                   size_bytes);
  // Somebody kills the process, as soon as something was appended or later.
  if (world->kill_one_in > 0 && random.OneIn(world->kill_one_in)) world->kill();
  if (random.OneIn(8)) co_return absl::OkStatus();  // does not want to know
  const Durability asked = random.OneIn(8) ? RandomLevel(random) : level;
  absl::Status reached = co_await log->Reached(record, asked);
  if (!reached.ok()) co_return reached;
  if (asked == Durability::kMemory) co_return absl::OkStatus();
  const uint64_t known = asked == Durability::kDurable ? ledger->durable() : ledger->written();
  if (known < record) co_return absl::InternalError("a task is told before the sink");
  co_return absl::OkStatus();
}

Task<absl::Status> ReleaseSome(WalWorld* world, WalWriter* log, WalLedger* ledger) {
  const uint64_t through = world->random->Below(ledger->durable() + 1);
  if (through < ledger->start().record) co_return absl::OkStatus();
  const WalStart start = log->StartAfter(through);
  // As long as it takes to make that durable.
  co_await Sleep(std::chrono::microseconds(world->random->Below(300)));
  ledger->SetStart(start, through);
  co_return co_await log->Release(start);
}

Task<absl::Status> Release(WalWorld* world, WalWriter* log, WalLedger* ledger, const bool* done) {
  while (!*done) {
    co_await Sleep(std::chrono::microseconds(world->random->Below(1'000)));
    absl::Status released = co_await ReleaseSome(world, log, ledger);
    if (!released.ok()) co_return released;
  }
  co_return absl::OkStatus();
}

bool IsKnown(const WalWorld& world, const std::string& name) {
  const std::optional<WalSegmentId> id = ParseWalSegmentName(name);
  for (const auto& ledger : world.streams) {
    if (id.has_value() && id->stream == ledger->stream().stream) return true;
  }
  return false;
}

// Segments of streams that were not begun, or are not needed any more.
Task<absl::Status> RemoveOrphans(FileSystem& files, const WalWorld* world) {
  absl::StatusOr<std::vector<DirectoryEntry>> entries = co_await files.List();
  if (!entries.ok()) co_return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    if (!entry.name.starts_with("W-") || IsKnown(*world, entry.name)) continue;
    absl::Status removed = co_await files.Remove(entry.name);
    if (!removed.ok()) co_return removed;
  }
  co_return absl::OkStatus();
}

// The last streams, each of which may be read more than once.
Task<absl::Status> Recover(ShardIo& io, FileSystem& files, WalWorld* world) {
  for (const std::unique_ptr<WalLedger>& ledger : world->streams) {
    WalEnd end;
    absl::Status replayed = co_await ReplayStream(io, files, ledger.get(), &end);
    if (!replayed.ok()) co_return replayed;
    world->records_replayed += ledger->replayed();
    world->torn_frames += end.torn_frames;
    ledger->seal = end.seal;
  }
  while (world->streams.size() > 2) world->streams.erase(world->streams.begin());
  co_return co_await RemoveOrphans(files, world);
}

Task<absl::Status> WriteStream(Shard& shard, FileSystem& files, WalWorld* world) {
  const uint64_t number = world->next_stream++;
  WalStream stream = {world->database, 7 + number, number, 100 + number};
  auto ledger = std::make_unique<WalLedger>(stream);
  ledger->segment_bytes = world->options.segment_bytes;
  WalLedger* const kept = ledger.get();
  auto log = co_await WalWriter::Create(shard.io(), files, stream, world->options, *kept);
  if (!log.ok()) co_return log.status();
  world->streams.push_back(std::move(ledger));  // ROOT names it
  bool done = false;
  TaskScope releases(shard.executor());
  releases.Spawn(Release(world, log->get(), kept, &done));
  absl::Status appended;
  {
    TaskScope appends(shard.executor());
    for (int i = 0; i < world->appenders; ++i) {
      appends.Spawn(AppendRecords(world, log->get(), kept, world->records_each));
    }
    appended = co_await appends.Join();
  }
  done = true;
  const absl::Status released = co_await releases.Join();
  if (appended.ok()) appended = released;
  const absl::Status closed = co_await (*log)->Close();
  if (appended.ok()) appended = closed;
  if (appended.ok() && kept->durable() != kept->appended()) {
    co_return absl::InternalError("a log was closed that was not durable");
  }
  co_return appended;
}

// Small ones of all kinds.
WalOptions RandomOptions(WalOptions options, Random& random) {
  options.max_frame_bytes = kWalPageBytes << random.Below(3);
  options.segment_bytes = options.max_frame_bytes * (1 + random.Below(8));
  options.max_frames_in_flight = 1 + random.Below(5);
  options.max_pending_bytes = kWalPageBytes << random.Below(4);
  options.memory_delay_ns = random.Below(300'000);
  options.memory_bytes = random.Below(8'000);
  options.idle_ns = random.Below(1'000'000);
  options.pooled_segments = random.Below(3);
  return options;
}

}  // namespace

Task<absl::Status> ReplayStream(ShardIo& io, FileSystem& files, WalLedger* ledger, WalEnd* end) {
  ledger->BeginReplay();
  const WalExpected expected = {.segment_bytes = ledger->segment_bytes};
  absl::StatusOr<WalEnd> read = co_await ReadWal(io, files, ledger->stream(), ledger->start(),
                                                 ledger->seal, kTinyRead, *ledger, expected);
  if (!read.ok()) co_return read.status();
  *end = *std::move(read);
  co_return ledger->EndReplay(*end);
}

Task<absl::Status> AppendRecords(WalWorld* world, WalWriter* log, WalLedger* ledger, int count) {
  for (int i = 0; i < count; ++i) {
    absl::Status appended = co_await AppendOne(world, log, ledger);
    if (!appended.ok()) co_return appended;
    // Long enough for the log to become idle, now and then.
    if (world->random->OneIn(6)) {
      co_await Sleep(std::chrono::microseconds(world->random->Below(600)));
    }
  }
  co_return absl::OkStatus();
}

Task<absl::Status> RunWal(Shard& shard, WalWorld* world) {
  auto files = co_await FileSystem::Open(shard.io(), "/");
  if (!files.ok()) co_return files.status();
  absl::Status recovered = co_await Recover(shard.io(), *files, world);
  if (!recovered.ok()) co_return recovered;
  co_return co_await WriteStream(shard, *files, world);
}

uint64_t CutsUntilBroken(const WalWorld& like, const SimulationOptions& options, uint64_t cuts,
                         std::string* message) {
  uint64_t done = 0;
  for (uint64_t seed = 1; done < cuts; ++seed) {
    SimulationOptions seeded = options;
    seeded.seed = seed;
    Simulation simulation(seeded);
    WalWorld world;
    world.options = RandomOptions(like.options, simulation.random());
    world.appenders = 1 + static_cast<int>(simulation.random().Below(like.appenders));
    world.usual_record_bytes = like.usual_record_bytes;
    world.kill_one_in = like.kill_one_in;
    world.kill = [&simulation] { simulation.Kill(); };
    world.random = &simulation.random();
    for (int life = 0; life < kLives && done < cuts; ++life, ++done) {
      world.records_each =
          world.random->OneIn(4) ? static_cast<int>(world.random->Below(20)) : 1'000'000;
      simulation.CutPowerAfter(simulation.random().Below(1'200));
      const SimulationResult result = simulation.Run(RunWal, &world);
      // The power may go after a life has ended, too.
      const bool cut_later = result.end != SimulationEnd::kPowerCut && world.random->OneIn(2);
      if (cut_later) simulation.CutPower();
      for (const auto& ledger : world.streams) {
        if (cut_later || result.end == SimulationEnd::kPowerCut) ledger->OnPowerCut();
      }
      if (result.end == SimulationEnd::kPowerCut || result.end == SimulationEnd::kKilled ||
          result.ok()) {
        continue;
      }
      *message = absl::StrCat("life ", life, ": ", result.message);
      return done;
    }
  }
  return done;
}

}  // namespace ioengine
