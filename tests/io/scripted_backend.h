// A backend whose operations end when, and as, the test says.

#ifndef IOENGINE_TESTS_IO_SCRIPTED_BACKEND_H_
#define IOENGINE_TESTS_IO_SCRIPTED_BACKEND_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/io/backend.h"
#include "ioengine/io/io_operation.h"
#include "ioengine/io/io_request.h"

namespace ioengine {

// Opens, stats, removes and closes of files are answered by itself, unless the test takes them
// over: it then knows which descriptors are open. All else is pending until Finish.
class ScriptedBackend final : public Backend {
 public:
  static constexpr int kFirstFd = 100;

  explicit ScriptedBackend(size_t capacity) : Backend(capacity) { info_.name = "scripted"; }
  ~ScriptedBackend() override;

  // Leaves the operations of `opcode` to the test.
  void TakeOver(IoOpcode opcode) { taken_over_.insert(opcode); }

  // The operations that wait for Finish, in the order of their start.
  size_t pending() const { return pending_.size(); }
  const IoOperation& Pending(size_t i) const { return *pending_[i]; }

  // Ends the i-th pending operation with a raw result, as a kernel would: bytes or minus an errno.
  // It is handed on by the next Poll or Wait.
  void Finish(size_t i, int32_t result);

  void Start(IoOperation& operation) override;
  void Cancel(IoOperation& operation) override;
  void Drain() override;
  BufferRegistration RegisterBuffers(std::span<std::byte> arena) override;
  bool RegisterFile(int index, int fd) override;
  const BackendInfo& info() const override { return info_; }

  size_t Poll() override;
  // Where nothing is due it calls `on_idle`, which may Finish something.
  size_t Wait(uint64_t timeout_ns) override;
  bool HasCompletions() const override { return !due_.empty(); }
  void Wake() override {}

  std::function<void()> on_idle;

  // What it was told.
  std::vector<IoRequest> requests;                    // in the order of their start
  std::vector<const IoOperation*> cancelled;          // in the order of their cancellation
  std::vector<std::pair<int, int>> registered_files;  // index and descriptor
  std::span<std::byte> registered_buffers;
  std::set<int> open_fds;

  // What it answers.
  FileStat stat = {.size_bytes = 1 << 20,
                   .kind = FileKind::kRegular,
                   .memory_alignment_bytes = 4,
                   .offset_alignment_bytes = 512,
                   .block_size_bytes = 4096};
  bool grants_buffers = true;
  bool grants_files = true;

 private:
  // Null when the test is to answer.
  bool Answer(IoOperation& operation, int32_t* result);
  size_t Deliver();

  BackendInfo info_;
  std::set<IoOpcode> taken_over_;
  std::vector<IoOperation*> pending_;
  std::vector<std::pair<IoOperation*, int32_t>> due_;
  int next_fd_ = kFirstFd;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_SCRIPTED_BACKEND_H_
