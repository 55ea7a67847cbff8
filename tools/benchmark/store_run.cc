#include "ioengine/tools/benchmark/store_run.h"

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/sequential_reader.h"
#include "ioengine/sched/clock.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tools/benchmark/process_usage.h"

namespace ioengine::bench {
namespace {

constexpr size_t kValuePoolBytes = size_t{1} << 20;
// Beside the cache: for flushes, compactions, the log's frames and its replay.
constexpr size_t kBufferBytes = size_t{96} << 20;
// For tasks and their calls, and what is known of tables.
constexpr size_t kTaskBytes = size_t{128} << 20;
constexpr uint64_t kRecordsPerYield = 64;

// Of so many digits that all of them are in order, and of one length.
std::array<char, 16> KeyOf(uint64_t number) {
  std::array<char, 16> key;
  for (size_t i = key.size(); i-- > 0; number /= 10) key[i] = static_cast<char>('0' + number % 10);
  return key;
}

absl::Status Interrupted() { return absl::CancelledError("interrupted"); }

}  // namespace

// Of the tasks of one load.
struct StoreRun::Progress {
  Progress(const StoreLoad& the_load, StoreOutcome& into)
      : load(the_load),
        outcome(into),
        random(the_load.seed),
        begin_ns(MonotonicClock::Get().NowNs()),
        end_ns(the_load.seconds == 0 ? UINT64_MAX
                                     : begin_ns + static_cast<uint64_t>(the_load.seconds * 1e9)) {}

  bool IsOver(uint64_t now_ns) const { return begun >= load.operations || now_ns >= end_ns; }
  uint64_t NextKey(uint64_t keys) {
    return load.order == KeyOrder::kAscending ? begun % keys : random.Below(keys);
  }

  const StoreLoad& load;
  StoreOutcome& outcome;
  Random random;
  const uint64_t begin_ns;
  const uint64_t end_ns;
  uint64_t begun = 0;
};

absl::StatusOr<std::unique_ptr<StoreRun>> StoreRun::Start(const StoreSettings& settings,
                                                          std::string directory,
                                                          uint64_t memtable_bytes) {
  std::unique_ptr<StoreRun> run(new StoreRun(settings, std::move(directory)));
  run->options_.memtable_bytes = memtable_bytes == 0 ? settings.memtable_bytes : memtable_bytes;
  run->options_.cache.capacity_bytes = settings.cache_bytes;
  run->options_.cache.max_pinned_bytes = settings.cache_bytes / 2;
  Random random(settings.seed);
  run->values_.resize(kValuePoolBytes + settings.value_bytes);
  for (char& byte : run->values_) byte = static_cast<char>(random.Next());
  run->has_key_.resize(settings.keys);
  RuntimeOptions options;
  options.placement = settings.placement;
  options.buffer_pool_bytes = settings.cache_bytes + kBufferBytes;
  // For what the store takes, and for the tasks.
  options.memory_per_shard_bytes =
      options.buffer_pool_bytes + run->options_.memory_bytes() + kTaskBytes;
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Start(options);
  if (!runtime.ok()) return runtime.status();
  run->runtime_ = *std::move(runtime);
  return run;
}

StoreRun::~StoreRun() { Kill().IgnoreError(); }

absl::Status StoreRun::Open() { return runtime_->Submit(0, OpenOnShard, this).Wait(); }

Task<absl::Status> StoreRun::OpenOnShard(Shard& shard, StoreRun* run) {
  auto store = co_await ShardStore::Open(shard, run->directory_, run->options_);
  if (!store.ok()) co_return store.status();
  run->store_ = *std::move(store);
  co_return absl::OkStatus();
}

void StoreRun::NoteKey(uint64_t key) {
  if (has_key_[key]) return;
  has_key_[key] = true;
  ++live_keys_;
}

Task<absl::Status> StoreRun::PutSome(StoreRun* run, Progress* progress) {
  const StoreSettings& settings = run->settings_;
  const MonotonicClock& clock = MonotonicClock::Get();
  uint64_t now_ns = clock.NowNs();
  while (!progress->IsOver(now_ns)) {
    if (settings.cancelled->load(std::memory_order_relaxed)) co_return Interrupted();
    const uint64_t number = progress->NextKey(settings.keys);
    ++progress->begun;
    const std::array<char, 16> key = KeyOf(number);
    const std::string_view value(run->values_.data() + progress->random.Below(kValuePoolBytes),
                                 settings.value_bytes);
    const auto written = co_await run->store_->Put(std::string_view(key.data(), key.size()), value,
                                                   progress->load.durability);
    if (!written.ok()) co_return written.status();
    const uint64_t end_ns = clock.NowNs();
    progress->outcome.latency_ns.Record(end_ns - now_ns);
    ++progress->outcome.operations;
    run->NoteKey(number);
    now_ns = end_ns;
    // At kMemory nothing else suspends.
    co_await MaybeYield();
  }
  co_return absl::OkStatus();
}

Task<absl::Status> StoreRun::GetSome(StoreRun* run, Progress* progress) {
  const StoreSettings& settings = run->settings_;
  const MonotonicClock& clock = MonotonicClock::Get();
  uint64_t now_ns = clock.NowNs();
  while (!progress->IsOver(now_ns)) {
    if (settings.cancelled->load(std::memory_order_relaxed)) co_return Interrupted();
    const uint64_t number = progress->NextKey(settings.keys);
    ++progress->begun;
    const std::array<char, 16> key = KeyOf(number);
    const auto value = co_await run->store_->Get(std::string_view(key.data(), key.size()));
    if (!value.ok()) co_return value.status();
    if (value->has_value() != run->has_key_[number]) {
      co_return absl::DataLossError("a key has a value, or none, otherwise than it was written");
    }
    const uint64_t end_ns = clock.NowNs();
    progress->outcome.latency_ns.Record(end_ns - now_ns);
    ++progress->outcome.operations;
    now_ns = end_ns;
    // What is in memory is found without a suspension.
    co_await MaybeYield();
  }
  co_return absl::OkStatus();
}

Task<absl::Status> StoreRun::LoadOnShard(Shard& shard, StoreRun* run, const StoreLoad* load,
                                         bool puts, StoreOutcome* outcome) {
  Progress progress(*load, *outcome);
  TaskScope scope(shard.executor());
  for (uint64_t i = 0; i < load->depth; ++i) {
    if (puts) {
      scope.Spawn(PutSome(run, &progress));
    } else {
      scope.Spawn(GetSome(run, &progress));
    }
  }
  co_return co_await scope.Join();
}

absl::Status StoreRun::Load(const StoreLoad& load, bool puts, StoreOutcome* outcome) {
  const double cpu = ProcessCpuSeconds();
  const double begin = WallSeconds();
  absl::Status status = runtime_->Submit(0, LoadOnShard, this, &load, puts, outcome).Wait();
  outcome->seconds = WallSeconds() - begin;
  outcome->cpu_seconds = ProcessCpuSeconds() - cpu;
  outcome->bytes = outcome->operations * (kKeyBytes + settings_.value_bytes);
  return status;
}

absl::Status StoreRun::Put(const StoreLoad& load, StoreOutcome* outcome) {
  return Load(load, true, outcome);
}

absl::Status StoreRun::Get(const StoreLoad& load, StoreOutcome* outcome) {
  return Load(load, false, outcome);
}

Task<absl::Status> StoreRun::ScanOnShard(Shard&, StoreRun* run, StoreOutcome* outcome) {
  auto opened = co_await run->store_->Scan();
  if (!opened.ok()) co_return opened.status();
  StoreIterator& at = **opened;
  const MonotonicClock& clock = MonotonicClock::Get();
  absl::Status status = co_await at.SeekToFirst();
  uint64_t begin_ns = clock.NowNs();
  while (status.ok() && at.Valid()) {
    if (run->settings_.cancelled->load(std::memory_order_relaxed)) co_return Interrupted();
    ++outcome->operations;
    outcome->bytes += at.key().size() + at.value().size();
    if (outcome->operations % kRecordsPerYield == 0) co_await MaybeYield();
    status = co_await at.Next();
    const uint64_t end_ns = clock.NowNs();
    outcome->latency_ns.Record(end_ns - begin_ns);
    begin_ns = end_ns;
  }
  co_return status;
}

absl::Status StoreRun::Scan(StoreOutcome* outcome) {
  const double cpu = ProcessCpuSeconds();
  const double begin = WallSeconds();
  absl::Status status = runtime_->Submit(0, ScanOnShard, this, outcome).Wait();
  outcome->seconds = WallSeconds() - begin;
  outcome->cpu_seconds = ProcessCpuSeconds() - cpu;
  if (status.ok() && outcome->operations != live_keys_) {
    return absl::DataLossError("a scan does not give the keys that were put");
  }
  return status;
}

Task<absl::Status> StoreRun::CompactOnShard(Shard&, StoreRun* run) {
  return run->store_->Compact();
}

absl::Status StoreRun::Compact() { return runtime_->Submit(0, CompactOnShard, this).Wait(); }

Task<absl::Status> StoreRun::CloseOnShard(Shard&, StoreRun* run) {
  absl::Status closed = co_await run->store_->Close();
  run->store_.reset();
  co_return closed;
}

absl::Status StoreRun::Close() { return runtime_->Submit(0, CloseOnShard, this).Wait(); }

absl::Status StoreRun::KillOnShard(Shard&, StoreRun* run) {
  run->store_.reset();
  return absl::OkStatus();
}

absl::Status StoreRun::Kill() {
  if (runtime_ == nullptr) return absl::OkStatus();
  absl::Status status = runtime_->Submit(0, KillOnShard, this).Wait();
  runtime_.reset();
  return status;
}

Task<absl::Status> StoreRun::ReadLogOnShard(Shard& shard, StoreRun* run, uint64_t* bytes) {
  absl::StatusOr<FileSystem> files = co_await FileSystem::Open(shard.io(), run->directory_);
  if (!files.ok()) co_return files.status();
  auto entries = co_await files->List();
  if (!entries.ok()) co_return entries.status();
  *bytes = 0;
  for (const DirectoryEntry& entry : *entries) {
    const std::optional<WalSegmentId> id = ParseWalSegmentName(entry.name);
    if (!id.has_value() || id->kind != WalKind::kLog) continue;
    absl::StatusOr<DmaFile> file = co_await files->OpenFile(entry.name);
    if (!file.ok()) co_return file.status();
    SequentialReaderOptions options;
    options.buffer_bytes = run->options_.wal_read.read_bytes;
    options.read_ahead = run->options_.wal_read.reads_in_flight;
    SequentialReader reader(shard.io(), *file, options);
    for (;;) {
      const auto chunk = co_await reader.Next();
      if (!chunk.ok()) co_return chunk.status();
      if (chunk->empty()) break;
      *bytes += chunk->size();
    }
  }
  co_return absl::OkStatus();
}

absl::Status StoreRun::ReadLogFiles(uint64_t* bytes) {
  return runtime_->Submit(0, ReadLogOnShard, this, bytes).Wait();
}

absl::StatusOr<StoreStats> StoreRun::Stats() {
  return runtime_
      ->Submit(0, [this](Shard&) -> absl::StatusOr<StoreStats> { return store_->stats(); })
      .Wait();
}

}  // namespace ioengine::bench
