// Starts the threads that work for shards.
#ifndef IOENGINE_IO_WORKER_THREAD_H_
#define IOENGINE_IO_WORKER_THREAD_H_

#include <functional>
#include <thread>

#include "absl/status/status.h"

namespace ioengine {

// Has `thread` run `function`, under the name of the library's workers, with every signal blocked:
// signals are the host's, and go to its threads. It may run where the calling thread might before
// it was pinned. Errors: ResourceExhausted, with what to do.
absl::Status StartWorkerThread(std::function<void()> function, std::thread& thread);

}  // namespace ioengine

#endif  // IOENGINE_IO_WORKER_THREAD_H_
