// The backends that the conformance tests run over. A new backend joins with one line in
// ConformingBackends.

#ifndef IOENGINE_TESTS_IO_BACKEND_FACTORY_H_
#define IOENGINE_TESTS_IO_BACKEND_FACTORY_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "ioengine/io/backend.h"
#include "ioengine/io/thread_backend.h"
#include "ioengine/io/uring/uring_backend.h"
#include "ioengine/sched/clock.h"

namespace ioengine {

struct BackendFactory {
  std::string name;
  // A backend with that many slots, on the calling thread.
  std::function<std::unique_ptr<Backend>(size_t capacity)> make;
  // Whether its files are the kernel's: others have no pipes, links or permissions, and are not
  // found by the test's own calls.
  bool real_files = true;
  // Whether it has threads of its own from the beginning.
  bool uses_threads = false;
  // Whether a write that is cancelled may have written one half of a page.
  bool splits_pages = false;
  // Where its waits take place. Borrowed.
  const Clock* clock = &MonotonicClock::Get();
};

inline std::ostream& operator<<(std::ostream& out, const BackendFactory& factory) {
  return out << factory.name;
}

// Makes a UringBackend; a failure fails the test, and gives null.
std::unique_ptr<UringBackend> MakeUring(const UringBackendOptions& options);

// The same, a ThreadBackend.
std::unique_ptr<ThreadBackend> MakeThreads(const ThreadBackendOptions& options);

// What MakeBackend chooses for this process.
std::unique_ptr<Backend> MakeAuto(size_t capacity);

// All that this process may have; those over io_uring only where it is not blocked.
std::vector<BackendFactory> ConformingBackends();
// Those of them whose files are the kernel's.
std::vector<BackendFactory> KernelBackends();
// Those over io_uring.
std::vector<BackendFactory> RingBackends();

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_BACKEND_FACTORY_H_
