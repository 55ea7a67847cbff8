#include "ioengine/io/uring/make_uring_backend.h"

#include <cstdint>
#include <utility>

#include "ioengine/io/uring/uring_backend.h"

namespace ioengine {

absl::StatusOr<std::unique_ptr<Backend>> MakeUringBackend(size_t capacity, size_t registered_files,
                                                          bool* refused) {
  UringBackendOptions options;
  options.capacity = capacity;
  options.ring.entries = static_cast<uint32_t>(capacity);
  options.ring.registered_files = static_cast<uint32_t>(registered_files);
  auto backend = UringBackend::Create(options, refused);
  if (!backend.ok()) return backend.status();
  return *std::move(backend);
}

}  // namespace ioengine
