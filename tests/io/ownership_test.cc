// Memory under an operation stays until the operation has completed: whoever is gone, whatever
// fails, and however it ends.

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/poison.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/io_shard.h"
#include "ioengine/tests/io/scripted_io_fixture.h"
#include "ioengine/tests/io/test_directory.h"
#include "ioengine/tests/io/uring/enter_faults.h"

namespace ioengine {
namespace {

using testing::IsEmpty;
using testing::Not;

constexpr size_t kPage = 4096;

class OwnershipTest : public ScriptedIoFixture {
 protected:
  // What a kernel does to the memory of an operation that it still has: touches all of it.
  // AddressSanitizer stops the test where some of that is not there any more.
  static void TouchAll(const IoOperation& operation) {
    const IoRequest& request = operation.command.request;
    if (request.data != nullptr) {
      ASSERT_FALSE(IsPoisoned(request.data, request.size_bytes));
      std::memset(request.data, 0x5a, request.size_bytes);
    }
    PathArguments* const path = operation.command.path.get();
    if (path == nullptr) return;
    std::memset(path->scratch, 0x5a, sizeof(path->scratch));
    path->stat.size_bytes += path->path.size() + path->new_path.size();
    path->entries.push_back({"late", FileKind::kRegular});
  }

  // Spawns `task`, destroys it when its operation is in flight, and ends the operation with each
  // of `results` in turn.
  template <typename Start>
  void Abandon(IoOpcode opcode, const Start& start, const std::vector<int32_t>& results) {
    for (const int32_t result : results) {
      SCOPED_TRACE(std::string(IoOpcodeName(opcode)) + " = " + std::to_string(result));
      std::optional<TaskScope> scope(*executor_);
      Run({[&] { scope->Spawn(start()); },
           [&] {
             scope.reset();
             ASSERT_EQ(backend_.pending(), 1u);
             EXPECT_EQ(backend_.Pending(0).command.request.opcode, opcode);
             EXPECT_TRUE(backend_.Pending(0).cancel_requested);
             TouchAll(backend_.Pending(0));
             backend_.Finish(0, result);
             // What a completion that waits to be handed on has is still its own.
             EXPECT_EQ(backend_.in_flight(), 1u);
           }});
      EXPECT_EQ(backend_.in_flight(), 0u);
      EXPECT_EQ(used_bytes(), 0u);
    }
  }
};

Task<> Await(StatusAwaiter (DmaFile::*operation)(uint64_t, IoSite) const, const DmaFile* file) {
  static_cast<void>(co_await (file->*operation)(kPage, IoSite()));
}
Task<> AwaitStat(const DmaFile* file) { static_cast<void>(co_await file->Stat()); }
Task<> AwaitRemove(ShardIo* io) { static_cast<void>(co_await RemoveFile(*io, "/data/x")); }

TEST_F(OwnershipTest, ACancellationThatLosesOrWinsFreesNothingBefore) {
  OpenFile();
  backend_.TakeOver(IoOpcode::kStat);
  backend_.TakeOver(IoOpcode::kRemove);
  std::optional<absl::StatusOr<size_t>> read;
  std::optional<absl::Status> status;
  Abandon(IoOpcode::kRead, [&] { return Read(&file_, 0, Buffer(kPage), kPage, &read); },
          {static_cast<int32_t>(kPage), 512, -ECANCELED, -EINTR, -EIO});
  Abandon(IoOpcode::kWrite, [&] { return Write(&file_, 0, Buffer(kPage), kPage, {}, &status); },
          {static_cast<int32_t>(kPage), 512, -ECANCELED, -EAGAIN, -ENOSPC});
  const WriteOptions then_sync = {.then_sync = true};
  Abandon(IoOpcode::kWrite,
          [&] { return Write(&file_, 0, Buffer(kPage), kPage, then_sync, &status); },
          {static_cast<int32_t>(kPage), 512, -ECANCELED});
  Abandon(IoOpcode::kFdatasync, [&] { return Sync(&file_, &status); }, {0, -ECANCELED, -EIO});
  Abandon(IoOpcode::kTruncate, [&] { return Await(&DmaFile::Truncate, &file_); }, {0, -ECANCELED});
  Abandon(IoOpcode::kStat, [&] { return AwaitStat(&file_); }, {0, -ECANCELED, -ENOENT});
  Abandon(IoOpcode::kRemove, [&] { return AwaitRemove(io_.get()); }, {0, -ECANCELED, -ENOENT});
  EXPECT_FALSE(read.has_value());
  EXPECT_FALSE(status.has_value());
  EXPECT_THAT(backend_.open_fds, Not(IsEmpty())) << "the file itself is still open";
}

// Names in a directory that is open for this alone: it stays open until the name is gone.
TEST_F(OwnershipTest, AnOperationOnANameKeepsItsDirectoryOpen) {
  backend_.stat.kind = FileKind::kDirectory;
  std::optional<FileSystem> files;
  const auto open = [](ShardIo* io, std::optional<FileSystem>* result) -> Task<> {
    const FileSystemOptions anybody = {.only_ours = false};
    result->emplace((co_await FileSystem::Open(*io, "/data", anybody)).value());
  };
  const auto remove = [](const FileSystem* in) -> Task<> {
    static_cast<void>(co_await in->Remove("d/x"));
  };
  Run({[&] { executor_->Spawn(open(io_.get(), &files)); }});
  ASSERT_TRUE(files.has_value());
  backend_.TakeOver(IoOpcode::kRemove);
  std::optional<TaskScope> scope(*executor_);
  Run({[&] { scope->Spawn(remove(&*files)); },
       [&] {
         EXPECT_EQ(backend_.open_fds.size(), 2u);
         scope.reset();
         files.reset();
         EXPECT_EQ(backend_.open_fds.size(), 1u) << "the root is closed, the directory is in use";
         TouchAll(backend_.Pending(0));
         backend_.Finish(0, 0);
       },
       [&] { EXPECT_THAT(backend_.open_fds, IsEmpty()); }});
}

#ifdef IOENGINE_ASAN
using OwnershipDeathTest = OwnershipTest;

// Planted: a backend that lets go of the buffer before the completion.
TEST_F(OwnershipDeathTest, ABufferThatIsFreedEarlyIsFoundAtTheCompletion) {
  OpenFile();
  for (const bool abandoned : {false, true}) {
    std::optional<TaskScope> scope(*executor_);
    std::optional<absl::Status> written;
    const auto free_early = [&] {
      if (abandoned) scope.reset();
      auto& operation = const_cast<IoOperation&>(backend_.Pending(0));
      operation.command.buffer = DmaBuffer();
      backend_.Finish(0, 512);
      backend_.Poll();
    };
    // The task, too, has no other reference.
    const auto write = [](const DmaFile* file, DmaBuffer buffer,
                          std::optional<absl::Status>* result) -> Task<> {
      StatusAwaiter awaiter = file->Write(0, buffer, 512);
      buffer = DmaBuffer();
      result->emplace(co_await awaiter);
    };
    EXPECT_DEATH(Run({[&] { scope->Spawn(write(&file_, Buffer(512), &written)); }, free_early}),
                 "memory was freed while an operation used it");
  }
}

// Planted: one that is freed between the call and the submission, since the queue was full.
TEST_F(OwnershipDeathTest, ABufferThatIsFreedInTheQueueIsFoundAtTheSubmission) {
  MakeIo({.queue_depth = 1, .max_open_files = 3});
  OpenFile();
  const auto write = [](const DmaFile* file, DmaBuffer buffer, bool frees) -> Task<> {
    StatusAwaiter awaiter = file->Write(0, buffer, 512);
    buffer = DmaBuffer();
    if (frees) awaiter.command().buffer = DmaBuffer();
    static_cast<void>(co_await awaiter);
  };
  TaskScope scope(*executor_);
  EXPECT_DEATH(Run({[&] {
                      scope.Spawn(write(&file_, Buffer(512), false));
                      scope.Spawn(write(&file_, Buffer(512), true));
                    },
                    [&] {
                      backend_.Finish(0, 512);
                      backend_.Poll();
                    }}),
               "an operation is given memory that is not allocated");
}
#endif

// The kernel refuses to take entries that are written: they stay in the ring, with their memory,
// and go in later.
class RefusedSubmissionTest : public testing::TestWithParam<int> {
 protected:
  static constexpr UringBackendOptions kSmallRing = {
      .capacity = 16, .ring = {.entries = 4, .completion_entries = 8}};

  static Task<> WritePage(const DmaFile* file, DmaBuffer buffer, uint64_t page, int* ended) {
    static_cast<void>(co_await file->Write(page * kPage, buffer, kPage));
    ++*ended;
  }

  static Task<> OpenInto(ShardIo* io, std::string path, DmaFile* result) {
    constexpr DmaFileOptions kCreate = {.access = DmaFileOptions::Access::kReadWrite,
                                        .create = DmaFileOptions::Create::kIfMissing};
    auto opened = co_await DmaFile::Open(*io, std::move(path), kCreate);
    IOENGINE_CO_ASSERT_OK(opened);
    *result = *std::move(opened);
  }

  static std::vector<DmaBuffer> TakeFreeMemory(ShardIo& io) {
    std::vector<DmaBuffer> taken;
    for (;;) {
      auto buffer = io.AllocateBuffer(kPage);
      if (!buffer.ok()) return taken;
      std::memset(buffer->data(), 0xa5, kPage);
      taken.push_back(*std::move(buffer));
    }
  }
};

TEST_P(RefusedSubmissionTest, KeepsTheMemoryOfTasksThatAreGone) {
  constexpr uint64_t kWrites = 12;
  const TestDirectory directory;
  const std::string path = directory.File("x");
  EnterFaults faults;
  {
    IoShard shard(MakeUring(kSmallRing), {.queue_depth = 16}, size_t{1} << 20);
    DmaFile file;
    shard.Run(OpenInto(&shard.io(), path, &file));
    int ended = 0;
    std::optional<TaskScope> scope;
    bool started = false;
    shard.RunUntilStopped(
        [&] {
          faults.FailAfter(0, UINT64_MAX, GetParam());
          scope.emplace(shard.executor());
          for (uint64_t page = 0; page < kWrites; ++page) {
            auto buffer = shard.io().AllocateBuffer(kPage);
            ASSERT_TRUE(buffer.ok());
            std::memset(buffer->data(), 'w', kPage);
            scope->Spawn(WritePage(&file, *std::move(buffer), page, &ended));
          }
        },
        [&] {
          if (!started) {
            started = true;
            return;
          }
          scope.reset();
          file = DmaFile();
          shard.executor().RequestStop();
        });
    EXPECT_EQ(ended, 0);
    const size_t in_flight = shard.backend().in_flight();
    EXPECT_GT(in_flight, 0u);
    EXPECT_GE(shard.io().buffers().used_bytes(), in_flight * kPage) << "freed under an operation";
    const std::vector<DmaBuffer> taken = TakeFreeMemory(shard.io());
    faults.FailAfter(0, 0, 0);
    shard.io().queue().Drain();
    for (const DmaBuffer& buffer : taken) {
      EXPECT_TRUE(std::all_of(buffer.data(), buffer.data() + kPage,
                              [](std::byte byte) { return byte == std::byte{0xa5}; }));
    }
    EXPECT_EQ(shard.backend().in_flight(), 0u);
    EXPECT_EQ(shard.io().files().open_files(), 0u);
  }
  // Each page was written whole, or not: never with what came into its memory later.
  const std::string content = ReadWholeFile(path);
  for (const char byte : content) ASSERT_TRUE(byte == 'w' || byte == 0) << int{byte};
}

INSTANTIATE_TEST_SUITE_P(Errors, RefusedSubmissionTest, testing::Values(EAGAIN, EBUSY),
                         [](const auto& parameter) {
                           return std::string(parameter.param == EAGAIN ? "EAGAIN" : "EBUSY");
                         });

}  // namespace
}  // namespace ioengine
