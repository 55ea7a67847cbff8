// MakeBackend: chooses how a shard does its I/O.
#ifndef IOENGINE_IO_MAKE_BACKEND_H_
#define IOENGINE_IO_MAKE_BACKEND_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "ioengine/io/backend.h"

namespace ioengine {

enum class BackendChoice : uint8_t {
  kAuto,        // io_uring where it is to be had, else a pool of threads, which is reported
  kIoUring,     // or an error
  kThreadPool,  // plain system calls, in threads
};

struct BackendOptions {
  BackendChoice choice = BackendChoice::kAuto;
  // Operations in flight at most.
  size_t capacity = 256;
  // Entries of the table of registered files.
  size_t registered_files = 256;
};

// A backend for the calling thread. Errors, which say what to do: of kIoUring those of
// KernelRing::Create; of the others ResourceExhausted, where descriptors or threads are missing.
// With kAuto, io_uring that is blocked, missing, too old, or may not lock the memory for the
// smallest ring is no error but a Degradation.
absl::StatusOr<std::unique_ptr<Backend>> MakeBackend(const BackendOptions& options);

}  // namespace ioengine

#endif  // IOENGINE_IO_MAKE_BACKEND_H_
