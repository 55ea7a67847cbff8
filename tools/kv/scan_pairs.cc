#include "ioengine/tools/kv/scan_pairs.h"

#include "absl/status/status.h"
#include "ioengine/sched/yield.h"

namespace ioengine::kv {
namespace {

constexpr size_t kKeysPerYield = 64;

}  // namespace

Task<absl::StatusOr<Pairs>> ScanPairs(Shard&, Engine* engine, EngineScanOptions options,
                                      uint64_t most) {
  auto opened = engine->Scan(std::move(options));
  if (!opened.ok()) co_return opened.status();
  EngineScan& scan = **opened;
  Pairs pairs;
  absl::Status status = co_await scan.Next();
  while (status.ok() && scan.Valid()) {
    pairs.emplace_back(scan.key(), scan.value());
    if (pairs.size() == most) break;
    if (pairs.size() % kKeysPerYield == 0) co_await MaybeYield();
    status = co_await scan.Next();
  }
  if (!status.ok()) co_return status;
  co_return pairs;
}

}  // namespace ioengine::kv
