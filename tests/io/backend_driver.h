// Drives a Backend without anything above it.

#ifndef IOENGINE_TESTS_IO_BACKEND_DRIVER_H_
#define IOENGINE_TESTS_IO_BACKEND_DRIVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "ioengine/io/backend.h"
#include "ioengine/io/io_request.h"
#include "ioengine/sched/check.h"

namespace ioengine {

// Starts commands, and notes what completes. Each operation has a number, which the backend
// carries as its waiter: to a backend that is a pointer which it only passes on.
class BackendDriver final : public CompletionSink {
 public:
  explicit BackendDriver(std::unique_ptr<Backend> backend) { Use(std::move(backend)); }

  Backend& backend() { return *backend_; }

  // Destroys the backend that was used before.
  void Use(std::unique_ptr<Backend> backend) {
    backend_.reset();
    backend_ = std::move(backend);
    backend_->SetSink(*this);
  }

  // Starts `command`; gives its number. There must be a slot.
  uintptr_t Start(IoCommand command) {
    IoOperation* const operation = backend_->Acquire(command, Waiter(++last_number_));
    IOENGINE_CHECK(operation != nullptr, "no slot is free");
    started_[last_number_] = operation;
    const Forbid in_start(this);
    backend_->Start(*operation);
    return last_number_;
  }

  void Cancel(uintptr_t number) {
    const Forbid in_cancel(this);
    backend_->Cancel(*started_.at(number));
  }

  // Polls and sleeps until operation `number` completed; its result.
  int32_t Await(uintptr_t number) {
    for (int i = 0; i < 100'000 && results_.count(number) == 0; ++i) {
      backend_->Wait(uint64_t{1'000'000'000});
    }
    EXPECT_EQ(results_.count(number), 1u) << "operation " << number << " does not complete";
    return results_.count(number) == 0 ? INT32_MIN : results_[number];
  }

  int32_t Run(IoCommand command) { return Await(Start(std::move(command))); }

  bool completed(uintptr_t number) const { return results_.count(number) > 0; }
  int32_t result(uintptr_t number) const { return results_.at(number); }
  size_t completions() const { return results_.size(); }

  // Called with each completion: number, command, result.
  std::function<void(uintptr_t, IoCommand&, int32_t)> on_complete;
  // Calls of Start and Cancel that completed something.
  int forbidden_completions = 0;

  // Commands.
  static IoCommand Open(const std::string& path, int open_flags) {
    IoCommand command;
    command.request.opcode = IoOpcode::kOpen;
    command.request.fd = kCurrentDirectory;
    command.path = std::make_unique<PathArguments>();
    command.path->path = path;
    command.path->open_flags = open_flags;
    command.path->mode = 0600;
    return command;
  }
  static IoCommand OnFd(IoOpcode opcode, int fd) {
    IoCommand command;
    command.request.opcode = opcode;
    command.request.fd = fd;
    if (opcode == IoOpcode::kStat) command.path = std::make_unique<PathArguments>();
    return command;
  }
  static IoCommand Transfer(IoOpcode opcode, int fd, uint64_t offset_bytes, void* data,
                            size_t size_bytes) {
    IoCommand command = OnFd(opcode, fd);
    command.request.flags = kIoWhole;
    command.request.offset_bytes = offset_bytes;
    command.request.data = data;
    command.request.size_bytes = static_cast<uint32_t>(size_bytes);
    return command;
  }
  static IoCommand Remove(const std::string& path) {
    IoCommand command = Open(path, 0);
    command.request.opcode = IoOpcode::kRemove;
    return command;
  }

 private:
  // While it lives a completion is an error.
  class Forbid {
   public:
    explicit Forbid(BackendDriver* driver)
        : driver_(driver), before_(std::exchange(driver->forbidden_, true)) {}
    ~Forbid() { driver_->forbidden_ = before_; }

   private:
    BackendDriver* driver_;
    bool before_;
  };

  static IoWaiter* Waiter(uintptr_t number) { return reinterpret_cast<IoWaiter*>(number); }

  void OnComplete(IoWaiter* waiter, IoCommand& command, const IoAccount& /*account*/,
                  int32_t result) override {
    const auto number = reinterpret_cast<uintptr_t>(waiter);
    if (forbidden_) ++forbidden_completions;
    EXPECT_EQ(started_.erase(number), 1u) << "operation " << number << " completes twice";
    EXPECT_TRUE(results_.emplace(number, result).second);
    if (on_complete) {
      const bool before = std::exchange(forbidden_, false);
      on_complete(number, command, result);
      forbidden_ = before;
    }
  }

  std::unique_ptr<Backend> backend_;
  uintptr_t last_number_ = 0;
  std::map<uintptr_t, IoOperation*> started_;
  std::map<uintptr_t, int32_t> results_;
  bool forbidden_ = false;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_BACKEND_DRIVER_H_
