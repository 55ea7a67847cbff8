// ForkGuard: tells a process from its child.
#ifndef IOENGINE_SCHED_FORK_GUARD_H_
#define IOENGINE_SCHED_FORK_GUARD_H_

namespace ioengine {

// A page that the kernel wipes in a child process (MADV_WIPEONFORK, Linux 4.14): one load tells
// whether this is still the process that made the guard. Any thread.
class ForkGuard {
 public:
  ForkGuard();
  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;
  ~ForkGuard();

  bool in_child() const { return *static_cast<const volatile char*>(page_) == 0; }

 private:
  char* page_;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_FORK_GUARD_H_
