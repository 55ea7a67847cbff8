#include "ioengine/tests/io/scripted_backend.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "gtest/gtest.h"
#include "ioengine/io/dma_buffer_pool.h"

namespace ioengine {

ScriptedBackend::~ScriptedBackend() {
  EXPECT_TRUE(open_fds.empty()) << open_fds.size() << " descriptors were never closed";
}

void ScriptedBackend::Finish(size_t i, int32_t result) {
  ASSERT_LT(i, pending_.size());
  IoOperation* const operation = pending_[i];
  pending_.erase(pending_.begin() + static_cast<ptrdiff_t>(i));
  const IoOpcode opcode = operation->command.request.opcode;
  if (opcode == IoOpcode::kOpen && result >= 0) open_fds.insert(result);
  if (opcode == IoOpcode::kClose) {
    EXPECT_EQ(open_fds.erase(operation->command.request.fd), 1u);
  }
  due_.emplace_back(operation, result);
}

void ScriptedBackend::Start(IoOperation& operation) {
  EXPECT_NE(sink_, nullptr);
  EXPECT_TRUE(operation.in_flight);
  ++stats_.operations_started;
  requests.push_back(operation.command.request);
  pending_.push_back(&operation);
  int32_t result = 0;
  if (Answer(operation, &result)) Finish(pending_.size() - 1, result);
}

void ScriptedBackend::Cancel(IoOperation& operation) {
  EXPECT_TRUE(operation.in_flight);
  if (operation.cancel_requested || operation.command.request.opcode == IoOpcode::kClose) return;
  operation.cancel_requested = true;
  cancelled.push_back(&operation);
}

void ScriptedBackend::Drain() {
  while (in_flight() > 0) {
    operations_.ForEachInFlight([this](IoOperation& operation) { Cancel(operation); });
    while (!pending_.empty()) {
      Finish(0, pending_[0]->command.request.opcode == IoOpcode::kClose ? 0 : -ECANCELED);
    }
    Deliver();
  }
}

BufferRegistration ScriptedBackend::RegisterBuffers(std::span<std::byte> arena) {
  registered_buffers = arena;
  if (!grants_buffers) return {};
  return {.registered_bytes = arena.size(), .region_bytes = DmaBufferPool::kMaxBufferBytes};
}

bool ScriptedBackend::RegisterFile(int index, int fd) {
  registered_files.emplace_back(index, fd);
  return grants_files;
}

size_t ScriptedBackend::Poll() { return Deliver(); }

size_t ScriptedBackend::Wait(uint64_t /*timeout_ns*/) {
  if (due_.empty() && on_idle) on_idle();
  return Deliver();
}

bool ScriptedBackend::Answer(IoOperation& operation, int32_t* result) {
  const IoOpcode opcode = operation.command.request.opcode;
  if (taken_over_.count(opcode) > 0) return false;
  *result = 0;
  switch (opcode) {
    case IoOpcode::kOpen:
      *result = next_fd_++;
      return true;
    case IoOpcode::kStat:
      operation.command.path->stat = stat;
      return true;
    case IoOpcode::kClose:
    case IoOpcode::kRemove:
      return true;
    default:
      return false;
  }
}

size_t ScriptedBackend::Deliver() {
  const uint64_t before = stats_.operations_completed;
  for (const auto& [operation, result] : std::exchange(due_, {})) Complete(*operation, result);
  return stats_.operations_completed - before;
}

}  // namespace ioengine
