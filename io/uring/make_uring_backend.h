// Makes a UringBackend for those who must not know liburing.
#ifndef IOENGINE_IO_URING_MAKE_URING_BACKEND_H_
#define IOENGINE_IO_URING_MAKE_URING_BACKEND_H_

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "ioengine/io/backend.h"

namespace ioengine {

// With room for `capacity` operations and a table of `registered_files`. Errors: see
// KernelRing::Create. `refused` then tells whether this process or kernel has no io_uring to give,
// and not something that other backends need too, such as descriptors.
absl::StatusOr<std::unique_ptr<Backend>> MakeUringBackend(size_t capacity, size_t registered_files,
                                                          bool* refused);

}  // namespace ioengine

#endif  // IOENGINE_IO_URING_MAKE_URING_BACKEND_H_
