#include "ioengine/tools/benchmark/cancel_on_signal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace ioengine::bench {
namespace {

constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGHUP};

// A handler has no argument of its own, so this state is the process's. All of it is lock-free
// atomics, which a handler may use.
std::atomic<bool> installed = false;
std::atomic<bool> cancelled = false;
std::atomic<int> first_signal = 0;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

// A slot is free (taken false), being filled (taken true, path null) or in force (path set). The
// path is stored last, with release, and read first, with acquire: who sees it sees the file's
// identity.
struct RemovalSlot {
  std::atomic<bool> taken = false;
  std::atomic<const char*> path = nullptr;
  dev_t device = 0;
  ino_t inode = 0;
};
static_assert(std::atomic<const char*>::is_always_lock_free);
std::array<RemovalSlot, 8> slots;

void OnSignal(int signal) {
  const int saved_errno = errno;
  if (!cancelled.exchange(true)) {
    first_signal.store(signal);
    errno = saved_errno;
    return;
  }
  for (RemovalSlot& slot : slots) {
    if (const char* path = slot.path.load(std::memory_order_acquire); path != nullptr) {
      RemoveIfSame(path, slot.device, slot.inode);
    }
  }
  _exit(128 + signal);
}

}  // namespace

struct CancelOnSignal::Saved {
  std::array<struct sigaction, kSignals.size()> actions;
};

CancelOnSignal::CancelOnSignal() : saved_(std::make_unique<Saved>()) {
  if (installed.exchange(true)) {
    std::fputs("CancelOnSignal: there is one already\n", stderr);
    std::abort();
  }
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  // A call that a signal interrupts goes on: the flag is polled, nobody waits for EINTR.
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &saved_->actions[i]);
    // Under nohup SIGHUP is ignored, and so it stays.
    if (saved_->actions[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
}

CancelOnSignal::~CancelOnSignal() {
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], &saved_->actions[i], nullptr);
  }
  cancelled.store(false);
  first_signal.store(0);
  installed.store(false);
}

const std::atomic<bool>& CancelOnSignal::flag() const { return cancelled; }

int CancelOnSignal::signal() const { return first_signal.load(); }

EmergencyRemoval::EmergencyRemoval(const std::string& path, const struct stat& created)
    : path_(path) {
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].taken.exchange(true)) continue;
    slot_ = static_cast<int>(i);
    slots[i].device = created.st_dev;
    slots[i].inode = created.st_ino;
    slots[i].path.store(path_.c_str(), std::memory_order_release);
    return;
  }
}

EmergencyRemoval::~EmergencyRemoval() {
  if (slot_ < 0) return;
  RemovalSlot& slot = slots[static_cast<size_t>(slot_)];
  slot.path.store(nullptr);
  slot.taken.store(false);
}

int RemoveIfSame(const char* path, dev_t device, ino_t inode) {
  struct stat current;
  if (fstatat(AT_FDCWD, path, &current, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? 0 : errno;
  }
  if (current.st_dev != device || current.st_ino != inode) return 0;
  return unlink(path) == 0 || errno == ENOENT ? 0 : errno;
}

}  // namespace ioengine::bench
