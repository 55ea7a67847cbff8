// Assertions for programming errors: broken invariants and calls that a contract forbids. They
// stay on in release builds. An error that a correct program can meet (bad input, a full disk) is
// an absl::Status instead.
#ifndef IOENGINE_SCHED_CHECK_H_
#define IOENGINE_SCHED_CHECK_H_

namespace ioengine::internal {

// Prints `file:line: check failed: condition: message` to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const char* message);

}  // namespace ioengine::internal

// Aborts with file, line, the condition and `message` (a C string: say what the caller did wrong
// and what to do instead) unless `condition` holds. Cost: one predicted branch.
#define IOENGINE_CHECK(condition, message)                                          \
  do {                                                                              \
    if (!(condition)) [[unlikely]] {                                                \
      ::ioengine::internal::CheckFailed(__FILE__, __LINE__, #condition, (message)); \
    }                                                                               \
  } while (false)

#endif  // IOENGINE_SCHED_CHECK_H_
