// A shard's I/O over a ScriptedBackend.

#ifndef IOENGINE_TESTS_IO_SCRIPTED_IO_FIXTURE_H_
#define IOENGINE_TESTS_IO_SCRIPTED_IO_FIXTURE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/task.h"
#include "ioengine/tests/io/scripted_backend.h"
#include "ioengine/tests/io/test_arena.h"

namespace ioengine {

class ScriptedIoFixture : public testing::Test {
 protected:
  using Steps = std::vector<std::function<void()>>;

  static constexpr size_t kCapacity = 8;
  static constexpr size_t kArenaBytes = 64 * DmaBufferPool::kPageBytes;

  static constexpr ClassId kLastClass = 9;

  explicit ScriptedIoFixture(size_t arena_bytes = kArenaBytes) : arena_(arena_bytes) {
    for (ClassId id = 1; id <= kLastClass; ++id) EXPECT_EQ(executor_->CreateClass({}).value(), id);
    MakeIo({.queue_depth = kCapacity, .max_open_files = 3});
  }

  ~ScriptedIoFixture() override {
    file_ = DmaFile();
    io_.reset();
    EXPECT_EQ(backend_.in_flight(), 0u);
  }

  void MakeIo(const ShardIoOptions& options) {
    io_.reset();
    io_ = std::make_unique<ShardIo>(backend_, *executor_, arena_.bytes(), options);
  }

  // Runs the executor. Each step is taken when all tasks wait and nothing is due; when there is
  // none left the executor stops, which destroys the tasks that still wait.
  void Run(const Steps& steps) {
    size_t next = 0;
    backend_.on_idle = [&] {
      if (next < steps.size()) {
        steps[next++]();
      } else {
        executor_->RequestStop();
      }
    };
    executor_->Run();
    backend_.on_idle = nullptr;
    EXPECT_EQ(next, steps.size());
  }

  // Opens `file_`, and forgets what that told the backend.
  void OpenFile(const DmaFileOptions& options = {.access = DmaFileOptions::Access::kReadWrite}) {
    std::optional<absl::StatusOr<DmaFile>> opened;
    Run({[&] { executor_->Spawn(Open(io_.get(), "/data/x", options, &opened)); }});
    ASSERT_TRUE(opened.has_value() && opened->ok());
    file_ = **std::move(opened);
    backend_.requests.clear();
    backend_.registered_files.clear();
  }

  DmaBuffer Buffer(size_t size_bytes) { return io_->AllocateBuffer(size_bytes).value(); }

  size_t used_bytes() const { return io_->buffers().used_bytes(); }

  // Tasks that leave their results with the test.
  static Task<> Open(ShardIo* io, std::string path, DmaFileOptions options,
                     std::optional<absl::StatusOr<DmaFile>>* result) {
    result->emplace(co_await DmaFile::Open(*io, std::move(path), options));
  }
  static Task<> Read(const DmaFile* file, uint64_t offset_bytes, DmaBuffer buffer,
                     size_t size_bytes, std::optional<absl::StatusOr<size_t>>* result) {
    result->emplace(co_await file->Read(offset_bytes, buffer, size_bytes));
  }
  static Task<> Write(const DmaFile* file, uint64_t offset_bytes, DmaBuffer buffer,
                      size_t size_bytes, WriteOptions options,
                      std::optional<absl::Status>* result) {
    result->emplace(co_await file->Write(offset_bytes, buffer, size_bytes, options));
  }
  static Task<> Sync(const DmaFile* file, std::optional<absl::Status>* result) {
    result->emplace(co_await file->Fdatasync());
  }
  static Task<> Close(DmaFile* file, std::optional<absl::Status>* result) {
    result->emplace(co_await file->Close());
  }

  ScriptedBackend backend_{kCapacity};
  const std::unique_ptr<Executor> executor_ =
      std::make_unique<Executor>(backend_, ExecutorOptions());
  const TestArena arena_;
  std::unique_ptr<ShardIo> io_;
  DmaFile file_;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_SCRIPTED_IO_FIXTURE_H_
