#include "ioengine/engine/engine_client_scan.h"

#include <algorithm>
#include <memory>

#include "ioengine/engine/engine.h"

namespace ioengine {
namespace {

// Of a page. Many scans end after a few keys; of long ones the calls are to cost nothing.
constexpr size_t kFirstKeys = 32;
constexpr size_t kMostKeys = 4096;
constexpr size_t kMostBytes = size_t{512} << 10;

}  // namespace

Task<absl::StatusOr<internal::ScanPage>> internal::ReadPage(Shard&, Engine* engine,
                                                            EngineScanOptions options,
                                                            size_t most_keys) {
  auto scan = engine->Scan(std::move(options));
  if (!scan.ok()) co_return scan.status();
  ScanPage page;
  size_t bytes = 0;
  while (page.changes.size() < most_keys && bytes < kMostBytes) {
    absl::Status moved = co_await (*scan)->Next();
    if (!moved.ok()) co_return moved;
    page.is_last = !(*scan)->Valid();
    if (page.is_last) break;
    page.changes.emplace_back((*scan)->key(), (*scan)->value());
    bytes += (*scan)->key().size() + (*scan)->value().size();
  }
  co_return page;
}

EngineClientScan::EngineClientScan(Engine& engine, Client& client, EngineScanOptions options)
    : engine_(&engine), client_(&client), options_(std::move(options)), next_keys_(kFirstKeys) {}

// Of a hashed placement any shard will do, of ranges the one that has the first keys.
void EngineClientScan::Ask() {
  const std::optional<std::string>& first = options_.reverse ? options_.upper : options_.lower;
  const ShardId to = engine_->ShardOf(first.value_or(""));
  next_.emplace(client_->Submit(to, internal::ReadPage, engine_, options_, next_keys_));
  next_keys_ = std::min(2 * next_keys_, kMostKeys);
}

absl::Status EngineClientScan::Next() {
  if (!std::exchange(has_begun_, true)) Ask();
  if (at_ < page_.changes.size()) ++at_;
  if (at_ < page_.changes.size() || !next_.has_value()) return absl::OkStatus();
  absl::StatusOr<internal::ScanPage> page = next_->Wait();
  next_.reset();
  page_ = {};
  at_ = 0;
  if (!page.ok()) return page.status();
  page_ = *std::move(page);
  if (page_.is_last || page_.changes.empty()) return absl::OkStatus();
  const std::string& last = page_.changes.back().first;
  if (options_.reverse) {
    options_.upper = last;
  } else {
    // The very next key.
    options_.lower = last + '\0';
  }
  Ask();
  return absl::OkStatus();
}

}  // namespace ioengine
