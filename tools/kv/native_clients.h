// Clients of ioengine that are coroutines on its shards.
#ifndef IOENGINE_TOOLS_KV_NATIVE_CLIENTS_H_
#define IOENGINE_TOOLS_KV_NATIVE_CLIENTS_H_

#include "absl/status/status.h"
#include "ioengine/engine/engine.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/tools/kv/kv_job.h"

namespace ioengine::kv {

// Runs the settings' concurrency of them on each shard, one where a workload scans all keys, until
// the job is over. Each waits for its call before the next one. With Routing::kAny it asks for any
// key, through Engine, which takes half of the calls of two shards over the mesh; with kOwn for
// keys of its shard, but that inserts are of any. A scan is one of all shards, and with kOwn and
// KeyPlacement::Kind::kRange one of the shard's own part, in which it ends.
//
// From a thread of the host; blocks. Errors: those of Runtime::Submit; those of operations go to
// the job.
absl::Status RunNativeClients(Runtime& runtime, Engine& engine, KvJob& job);

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_NATIVE_CLIENTS_H_
