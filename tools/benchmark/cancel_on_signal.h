// Ctrl-C, for a program that must tidy up.
#ifndef IOENGINE_TOOLS_BENCHMARK_CANCEL_ON_SIGNAL_H_
#define IOENGINE_TOOLS_BENCHMARK_CANCEL_ON_SIGNAL_H_

#include <sys/stat.h>

#include <atomic>
#include <memory>
#include <string>

namespace ioengine::bench {

// While one lives, the first SIGINT, SIGTERM or SIGHUP sets a flag that the program polls, and the
// second removes the files of every EmergencyRemoval and ends the process with 128 + signal.
//
// At most one at a time (CHECK): signal handlers belong to the process.
class CancelOnSignal {
 public:
  CancelOnSignal();
  ~CancelOnSignal();  // puts the handlers back that were there before, and clears the flag

  CancelOnSignal(const CancelOnSignal&) = delete;
  CancelOnSignal& operator=(const CancelOnSignal&) = delete;

  // True from the first signal on. Any thread; relaxed, it guards no other data.
  const std::atomic<bool>& flag() const;

  // The signal that came first, 0 before; a program that stops for it exits with 128 + signal.
  int signal() const;

 private:
  struct Saved;
  std::unique_ptr<Saved> saved_;
};

// A file that the second signal shall remove. It removes nothing by itself.
class EmergencyRemoval {
 public:
  // `created` is what fstat said of the file: another file that has come under its name is left
  // alone. At most eight at a time; further ones do nothing.
  EmergencyRemoval(const std::string& path, const struct stat& created);
  ~EmergencyRemoval();

  EmergencyRemoval(const EmergencyRemoval&) = delete;
  EmergencyRemoval& operator=(const EmergencyRemoval&) = delete;

 private:
  const std::string path_;
  int slot_ = -1;
};

// Removes `path` if it is still the file that `created` describes; what both the tidy and the
// hurried way use. Async-signal-safe. Returns 0 or an errno; 0 as well if there is nothing of ours
// to remove.
int RemoveIfSame(const char* path, dev_t device, ino_t inode);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_CANCEL_ON_SIGNAL_H_
