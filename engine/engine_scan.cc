#include "ioengine/engine/engine_scan.h"

#include <algorithm>

#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/snapshot.h"
#include "ioengine/engine/store_iterator.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/yield.h"

namespace ioengine {
namespace {

// Of a chunk. Many scans end after a few keys; of long ones the calls are to cost nothing.
constexpr size_t kFirstKeys = 16;
constexpr size_t kMostKeys = 1024;
constexpr size_t kMostBytes = size_t{256} << 10;
// Between two chances to yield.
constexpr size_t kKeysPerYield = 64;

}  // namespace

EngineScanOptions EngineScanOptions::Prefix(std::string prefix) {
  ScanOptions bounds = ScanOptions::Prefix(std::move(prefix));
  EngineScanOptions options;
  options.lower = std::move(bounds.lower);
  options.upper = std::move(bounds.upper);
  return options;
}

Task<absl::StatusOr<internal::Chunk>> internal::ReadChunk(Shard&, EnginePart* part,
                                                          ChunkRequest request) {
  EnginePart::Call call(*part);
  if (!call.status().ok()) co_return call.status();
  const absl::StatusOr<Snapshot> snapshot = co_await call.store().SnapshotAt(request.epoch);
  if (!snapshot.ok()) co_return snapshot.status();
  ScanOptions options;
  options.lower = std::move(request.lower);
  options.upper = std::move(request.upper);
  options.snapshot = *snapshot;
  auto opened = co_await call.store().Scan(std::move(options));
  if (!opened.ok()) co_return opened.status();
  StoreIterator& scan = **opened;
  Chunk chunk;
  size_t bytes = 0;
  Task<absl::Status> first = request.reverse ? scan.SeekToLast() : scan.SeekToFirst();
  absl::Status status = co_await std::move(first);
  while (status.ok() && scan.Valid()) {
    chunk.changes.emplace_back(scan.key(), scan.value());
    bytes += scan.key().size() + scan.value().size();
    if (chunk.changes.size() >= request.most_keys || bytes >= request.most_bytes) co_return chunk;
    if (chunk.changes.size() % kKeysPerYield == 0) co_await Yield();
    Task<absl::Status> next = request.reverse ? scan.Prev() : scan.Next();
    status = co_await std::move(next);
  }
  if (!status.ok()) co_return status;
  chunk.is_last = true;
  co_return chunk;
}

EngineScan::EngineScan(EngineScanOptions options,
                       std::vector<std::pair<ShardId, EnginePart*>> shards, bool in_turn)
    : options_(std::move(options)), in_turn_(in_turn) {
  if (options_.reverse) std::reverse(shards.begin(), shards.end());
  for (const auto& [shard, part] : shards) {
    auto source = std::make_unique<Source>();
    source->shard = shard;
    source->part = part;
    source->next_keys = kFirstKeys;
    sources_.push_back(std::move(source));
  }
}

// For what is behind the keys that it has given.
void EngineScan::Ask(Source& source) {
  internal::ChunkRequest request;
  request.lower = options_.lower;
  request.upper = options_.upper;
  request.reverse = options_.reverse;
  request.epoch = options_.snapshot->epoch();
  request.most_keys = source.next_keys;
  request.most_bytes = kMostBytes;
  if (!source.chunk.changes.empty()) {
    const std::string& last = source.chunk.changes.back().first;
    if (options_.reverse) {
      request.upper = last;
    } else {
      // The next key that there can be.
      request.lower = last;
      request.lower->push_back('\0');
    }
  }
  source.next_keys = std::min(4 * source.next_keys, kMostKeys);
  source.answer.emplace(Shard::Current()->SubmitTo(source.shard, internal::ReadChunk, source.part,
                                                   std::move(request)));
}

// Its next chunk, if there is one.
Task<absl::Status> EngineScan::Fill(Source& source) {
  if (source.chunk.is_last) co_return absl::OkStatus();
  if (!source.answer.has_value()) Ask(source);
  absl::StatusOr<internal::Chunk> chunk = co_await *source.answer;
  source.answer.reset();
  if (!chunk.ok()) co_return chunk.status();
  source.chunk = *std::move(chunk);
  source.chunk_keys = source.chunk.changes.size();
  co_return absl::OkStatus();
}

void EngineScan::Leave(Source& source) {
  // When the last of a chunk goes, the next one has been asked for.
  const bool is_half_used = source.chunk.changes.size() <= source.chunk_keys / 2 + 1;
  if (is_half_used && !source.chunk.is_last && !source.answer.has_value()) Ask(source);
  source.chunk.changes.pop_front();
}

bool EngineScan::IsBefore(const Source& a, const Source& b) const {
  const std::string& first = a.chunk.changes.front().first;
  const std::string& second = b.chunk.changes.front().first;
  return options_.reverse ? second < first : first < second;
}

Task<absl::Status> EngineScan::Next() {
  if (at_ != nullptr) Leave(*std::exchange(at_, nullptr));
  IOENGINE_CHECK(Shard::Current() != nullptr, "a scan is used on a thread that is no shard");
  if (!in_turn_ && !std::exchange(begun_, true)) {
    for (const auto& source : sources_) Ask(*source);
  }
  for (const auto& source : sources_) {
    if (source->chunk.changes.empty()) {
      if (absl::Status filled = co_await Fill(*source); !filled.ok()) co_return filled;
    }
    if (source->chunk.changes.empty()) continue;
    if (at_ == nullptr || IsBefore(*source, *at_)) at_ = source.get();
    if (in_turn_) break;
  }
  co_return absl::OkStatus();
}

}  // namespace ioengine
