// ScanPairs: a scan for a thread of the host.
#ifndef IOENGINE_TOOLS_KV_SCAN_PAIRS_H_
#define IOENGINE_TOOLS_KV_SCAN_PAIRS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/engine/engine.h"
#include "ioengine/engine/engine_scan.h"
#include "ioengine/engine/shard.h"
#include "ioengine/sched/task.h"

namespace ioengine::kv {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// The first `most` keys that a scan gives, with their values. To be sent to any shard. Errors:
// those of Engine::Scan and EngineScan.
Task<absl::StatusOr<Pairs>> ScanPairs(Shard& shard, Engine* engine, EngineScanOptions options,
                                      uint64_t most);

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_SCAN_PAIRS_H_
