#include "ioengine/io/make_backend.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/io/thread_backend.h"
#include "ioengine/io/uring/make_uring_backend.h"

namespace ioengine {
namespace {

absl::StatusOr<std::unique_ptr<Backend>> MakeThreadBackend(size_t capacity,
                                                           std::vector<Degradation> degraded) {
  ThreadBackendOptions options;
  options.capacity = capacity;
  options.threads = std::min(options.threads, capacity);
  options.degraded = std::move(degraded);
  auto backend = ThreadBackend::Create(options);
  if (!backend.ok()) return backend.status();
  return *std::move(backend);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> MakeBackend(const BackendOptions& options) {
  if (options.choice == BackendChoice::kThreadPool) return MakeThreadBackend(options.capacity, {});
  bool refused = false;
  absl::StatusOr<std::unique_ptr<Backend>> backend =
      MakeUringBackend(options.capacity, options.registered_files, &refused);
  if (backend.ok() || options.choice == BackendChoice::kIoUring || !refused) return backend;
  return MakeThreadBackend(
      options.capacity,
      {{"io_uring", std::string(backend.status().message()),
        "a pool of threads does the I/O: several times the CPU per operation, two more changes of "
        "thread in its latency, and no more with the device at once than there are threads"}});
}

}  // namespace ioengine
