// Lets the kernel refuse to enter the ring. The test binary is linked with --wrap for the functions
// of liburing through which the library enters it, so every such call passes through here.

#ifndef IOENGINE_TESTS_IO_URING_ENTER_FAULTS_H_
#define IOENGINE_TESTS_IO_URING_ENTER_FAULTS_H_

#include <cstdint>

namespace ioengine {

// Faults of the calling thread's calls while it lives. One at a time.
class EnterFaults {
 public:
  EnterFaults();
  EnterFaults(const EnterFaults&) = delete;
  EnterFaults& operator=(const EnterFaults&) = delete;
  ~EnterFaults();

  // After `calls` more that pass, `count` calls fail with `error` (positive) and do nothing.
  void FailAfter(uint64_t calls, uint64_t count, int error);

  // Each call takes no more than `entries` entries, as a kernel that is short of memory does.
  void LimitSubmission(uint32_t entries) { limit_ = entries; }

  // Calls of this thread since the beginning, failed ones too.
  uint64_t calls() const { return calls_; }

 private:
  friend class WrappedEnter;

  uint64_t calls_ = 0;
  uint64_t pass_ = 0;
  uint64_t fail_ = 0;
  int error_ = 0;
  uint32_t limit_ = UINT32_MAX;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_URING_ENTER_FAULTS_H_
