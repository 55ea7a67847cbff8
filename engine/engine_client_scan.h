// EngineClientScan: the keys of a database in order, for threads of the host.
//
//   absl::StatusOr<EngineClientScan> scan = client.Scan(EngineScanOptions::Prefix("user/"));
//   if (!scan.ok()) return scan.status();
//   absl::Status status = scan->Next();
//   for (; status.ok() && scan->Valid(); status = scan->Next()) …
#ifndef IOENGINE_ENGINE_ENGINE_CLIENT_SCAN_H_
#define IOENGINE_ENGINE_ENGINE_CLIENT_SCAN_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/client.h"
#include "ioengine/engine/engine_scan.h"
#include "ioengine/engine/shard.h"
#include "ioengine/sched/task.h"

namespace ioengine {

class Engine;

namespace internal {

// Some keys of a scan, in its order.
struct ScanPage {
  std::vector<std::pair<std::string, std::string>> changes;
  bool is_last = false;
};

// So many keys at most, by an EngineScan.
Task<absl::StatusOr<ScanPage>> ReadPage(Shard& shard, Engine* engine, EngineScanOptions options,
                                        size_t most_keys);

}  // namespace internal

// Keys come in pages, which grow while the scan goes on; the next one is on its way while one is
// used. Nothing is kept on the shards in between but its snapshot.
//
// Shard: one thread at a time, not a shard's. Ownership: borrows engine and client. Keys and values
// that it gives are good until it moves.
// Errors, of each Next: those of EngineScan and of Client; it is not Valid() then, and ends.
// Cost: a call to a shard for each page, for which Next waits.
class EngineClientScan {
 public:
  // `options` has a snapshot.
  EngineClientScan(Engine& engine, Client& client, EngineScanOptions options);
  EngineClientScan(EngineClientScan&&) noexcept = default;
  EngineClientScan& operator=(EngineClientScan&&) noexcept = default;

  // At a key; false before the first Next, and behind the last key.
  bool Valid() const { return at_ < page_.changes.size(); }
  // REQUIRES: Valid().
  std::string_view key() const { return page_.changes[at_].first; }
  std::string_view value() const { return page_.changes[at_].second; }

  // To the first key, and then to the next one. Blocks.
  absl::Status Next();

 private:
  using Answer = decltype(std::declval<Client&>().Submit(
      0, internal::ReadPage, std::declval<Engine*>(), EngineScanOptions(), size_t{0}));

  void Ask();

  Engine* engine_;
  Client* client_;
  EngineScanOptions options_;  // of what was not asked for yet
  size_t next_keys_;
  std::optional<Answer> next_;
  internal::ScanPage page_;
  size_t at_ = 0;
  bool has_begun_ = false;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_ENGINE_CLIENT_SCAN_H_
