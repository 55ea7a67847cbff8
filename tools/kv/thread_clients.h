// Clients of ioengine that are threads of the host.
#ifndef IOENGINE_TOOLS_KV_THREAD_CLIENTS_H_
#define IOENGINE_TOOLS_KV_THREAD_CLIENTS_H_

#include "absl/status/status.h"
#include "ioengine/engine/engine.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/tools/kv/kv_job.h"

namespace ioengine::kv {

// Runs as many threads as there are shards, each of which keeps the settings' concurrency of calls
// in flight: it sends as many as there is room for in an EngineBatch, waits for the oldest ones
// until half of them are done, and sends again. Keys are any. A kMultiGet is a row of gets in one
// batch; a scan runs on a shard, and gives the thread its keys and values.
//
// Blocks. Errors of operations go to the job.
absl::Status RunThreadClients(Runtime& runtime, Engine& engine, KvJob& job);

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_THREAD_CLIENTS_H_
