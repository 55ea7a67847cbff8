#include "ioengine/tools/benchmark/io_shard_run.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine::bench {
namespace {

// So that nothing can make the writes smaller.
void FillRandom(std::span<std::byte> bytes, Random& random) {
  for (size_t at = 0; at + sizeof(uint64_t) <= bytes.size(); at += sizeof(uint64_t)) {
    const uint64_t word = random.Next();
    std::memcpy(bytes.data() + at, &word, sizeof(word));
  }
}

struct Operation {
  uint64_t offset_bytes = 0;
  bool write = false;
};

// The workers of one job, and what they share.
class ShardRun {
 public:
  ShardRun(Shard& shard, ShardJob job)
      : shard_(shard),
        job_(std::move(job)),
        random_(job_.seed),
        blocks_(job_.region.size_bytes / job_.block_size_bytes) {}

  Task<absl::StatusOr<ShardOutcome>> Run();

 private:
  Task<void> Work(DmaBuffer buffer);
  Task<absl::Status> Perform(Operation operation, const DmaBuffer& buffer);
  Operation Choose();
  Task<Operation> ChooseFree();
  absl::Status CheckRead(absl::StatusOr<size_t> read, uint64_t offset_bytes,
                         const DmaBuffer& buffer) const;

  bool stopping() const { return !status_.ok() || job_.stop->load(std::memory_order_relaxed); }

  Shard& shard_;
  const ShardJob job_;
  Random random_;
  const uint64_t blocks_;
  uint64_t next_block_ = 0;
  uint64_t first_ns_ = 0;  // of the operations that count
  uint64_t last_ns_ = 0;
  DmaFile file_;
  ShardOutcome outcome_;
  absl::Status status_;
};

Task<absl::StatusOr<ShardOutcome>> ShardRun::Run() {
  DmaFileOptions options;
  options.access = Writes(job_.workload) ? DmaFileOptions::Access::kReadWrite
                                         : DmaFileOptions::Access::kReadOnly;
  options.direct = job_.workload == Workload::kNull ? DmaFileOptions::Direct::kNever
                                                    : DmaFileOptions::Direct::kRequired;
  auto file = co_await DmaFile::Open(shard_.io(), job_.path, options);
  if (!file.ok()) co_return file.status();
  file_ = *std::move(file);

  std::vector<DmaBuffer> buffers;
  for (int i = 0; i < job_.depth; ++i) {
    auto buffer = shard_.io().AllocateBuffer(job_.block_size_bytes);
    if (!buffer.ok()) co_return buffer.status();
    FillRandom(buffer->bytes(), random_);
    buffers.push_back(*std::move(buffer));
  }

  const Clock& clock = shard_.executor().clock();
  const uint64_t start_ns = clock.NowNs();
  TaskScope workers(shard_.executor());
  for (DmaBuffer& buffer : buffers) workers.Spawn(Work(std::move(buffer)), job_.class_id);
  (co_await workers.Join()).IgnoreError();  // each keeps its own errors
  const uint64_t elapsed_ns =
      job_.counting == nullptr ? clock.NowNs() - start_ns : last_ns_ - first_ns_;
  outcome_.elapsed_s = static_cast<double>(std::max(elapsed_ns, uint64_t{1})) * 1e-9;

  absl::Status closed = co_await file_.Close();
  status_.Update(closed);
  if (!status_.ok()) co_return status_;
  co_return std::move(outcome_);
}

Task<void> ShardRun::Work(DmaBuffer buffer) {
  // Without stamps the loop awaits the file itself: what it measures is the library.
  while (!stopping()) {
    const uint64_t begin_ns = shard_.executor().TurnTimeNs();
    absl::Status status;
    if (job_.versions != nullptr) {
      status = co_await Perform(co_await ChooseFree(), buffer);
    } else if (const Operation operation = Choose(); operation.write) {
      status = co_await file_.Write(operation.offset_bytes, buffer, job_.block_size_bytes,
                                    {.durable = job_.workload == Workload::kSyncWrite});
    } else {
      status = CheckRead(co_await file_.Read(operation.offset_bytes, buffer, job_.block_size_bytes),
                         operation.offset_bytes, buffer);
    }
    if (!status.ok()) {
      status_.Update(status);
      co_return;
    }
    const uint64_t now_ns = shard_.executor().TurnTimeNs();
    if (job_.counting != nullptr) {
      if (!job_.counting->load(std::memory_order_relaxed)) continue;
      if (first_ns_ == 0) first_ns_ = now_ns;
      last_ns_ = now_ns;
    }
    outcome_.latency_ns.Record(now_ns - begin_ns);
    ++outcome_.operations;
    outcome_.bytes += NeedsFile(job_.workload) ? job_.block_size_bytes : 0;
    job_.progress->operations.store(outcome_.operations, std::memory_order_relaxed);
    job_.progress->bytes.store(outcome_.bytes, std::memory_order_relaxed);
  }
}

// One operation with stamps: what is written says where and when, what is read is compared.
Task<absl::Status> ShardRun::Perform(Operation operation, const DmaBuffer& buffer) {
  const uint64_t size_bytes = job_.block_size_bytes;
  absl::Status status;
  uint32_t version = 0;
  if (operation.write) {
    version = job_.versions->NextVersion();
    FillStamped(buffer.bytes(), job_.stamp_seed, operation.offset_bytes, version);
    status = co_await file_.Write(operation.offset_bytes, buffer, size_bytes,
                                  {.durable = job_.workload == Workload::kSyncWrite});
  } else {
    std::fill(buffer.bytes().begin(), buffer.bytes().end(), std::byte{0});
    status = CheckRead(co_await file_.Read(operation.offset_bytes, buffer, size_bytes),
                       operation.offset_bytes, buffer);
  }
  // After an error the run is over; but whoever waits for the block must see that.
  job_.versions->Release(operation.offset_bytes, size_bytes, operation.write,
                         status.ok() ? version : 0);
  if (status.ok() && !operation.write) ++outcome_.verified_reads;
  co_return status;
}

Operation ShardRun::Choose() {
  Operation operation;
  uint64_t block;
  if (IsRandom(job_.workload)) {
    block = random_.Below(blocks_);
  } else {
    block = next_block_;
    next_block_ = next_block_ + 1 == blocks_ ? 0 : next_block_ + 1;
  }
  operation.offset_bytes = job_.region.offset_bytes + block * job_.block_size_bytes;
  if (job_.workload == Workload::kMixed) {
    operation.write = random_.Below(1000) >= static_cast<uint64_t>(kMixedReadShare * 1000);
  } else {
    operation.write = Writes(job_.workload);
  }
  return operation;
}

Task<Operation> ShardRun::ChooseFree() {
  for (;;) {
    const Operation operation = Choose();
    if (job_.versions->TryClaim(operation.offset_bytes, job_.block_size_bytes, operation.write)) {
      co_return operation;
    }
    co_await shard_.executor().Yield();
  }
}

absl::Status ShardRun::CheckRead(absl::StatusOr<size_t> read, uint64_t offset_bytes,
                                 const DmaBuffer& buffer) const {
  if (!read.ok()) [[unlikely]] {
    return std::move(read).status();
  }
  if (job_.workload == Workload::kNull) return absl::OkStatus();
  if (*read != job_.block_size_bytes) [[unlikely]] {
    return absl::DataLossError(absl::StrCat(job_.path, ": ends at offset ", offset_bytes + *read,
                                            "; it was longer when the run began"));
  }
  if (job_.versions == nullptr) return absl::OkStatus();
  return job_.versions->Check(buffer.bytes(), job_.stamp_seed, offset_bytes);
}

// Shared by the writers of LayOutFile.
struct Layout {
  DmaFile file;
  uint64_t size_bytes;
  uint64_t stamp_seed;
  const std::atomic<bool>* stop;
  ShardProgress* progress;
  uint64_t next_offset_bytes = 0;
  absl::Status status;
};

Task<void> WriteLayout(Shard& shard, Layout& layout) {
  constexpr uint64_t kChunkBytes = uint64_t{1} << 20;
  auto buffer = shard.io().AllocateBuffer(kChunkBytes);
  if (!buffer.ok()) layout.status.Update(buffer.status());
  while (layout.status.ok() && layout.next_offset_bytes < layout.size_bytes &&
         !layout.stop->load(std::memory_order_relaxed)) {
    const uint64_t offset_bytes = layout.next_offset_bytes;
    const uint64_t chunk_bytes = std::min(kChunkBytes, layout.size_bytes - offset_bytes);
    layout.next_offset_bytes += chunk_bytes;
    FillStamped(buffer->bytes().first(chunk_bytes), layout.stamp_seed, offset_bytes, 0);
    absl::Status status = co_await layout.file.Write(offset_bytes, *buffer, chunk_bytes);
    layout.status.Update(status);
    layout.progress->bytes.fetch_add(chunk_bytes, std::memory_order_relaxed);
  }
}

}  // namespace

Task<absl::StatusOr<ShardOutcome>> RunShardJob(Shard& shard, ShardJob job) {
  ShardRun run(shard, std::move(job));
  co_return co_await run.Run();
}

Task<absl::Status> LayOutFile(Shard& shard, std::string path, uint64_t size_bytes,
                              uint64_t stamp_seed, const std::atomic<bool>* stop,
                              ShardProgress* progress) {
  constexpr int kWriters = 4;
  auto file = co_await DmaFile::Open(shard.io(), std::move(path),
                                     {.access = DmaFileOptions::Access::kReadWrite});
  if (!file.ok()) co_return file.status();
  Layout layout{*std::move(file), size_bytes, stamp_seed, stop, progress, 0, absl::OkStatus()};
  absl::Status status = co_await layout.file.Preallocate(0, size_bytes);
  // Some file systems cannot reserve; the writes then find out whether there is room.
  if (!status.ok() && !absl::IsUnimplemented(status)) co_return status;

  TaskScope writers(shard.executor());
  for (int i = 0; i < kWriters; ++i) writers.Spawn(WriteLayout(shard, layout));
  (co_await writers.Join()).IgnoreError();  // they keep their errors in `layout`
  if (layout.status.ok()) layout.status = co_await layout.file.Fdatasync();
  absl::Status closed = co_await layout.file.Close();
  layout.status.Update(closed);
  if (layout.status.ok() && stop->load(std::memory_order_relaxed)) {
    co_return absl::CancelledError("stopped while the file was written");
  }
  co_return layout.status;
}

}  // namespace ioengine::bench
