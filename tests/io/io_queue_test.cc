// IoQueue: its bound, its order, and operations whose tasks are gone.

#include "ioengine/io/io_queue.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/tests/io/scripted_io_fixture.h"

namespace ioengine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class IoQueueTest : public ScriptedIoFixture {
 protected:
  using Results = std::vector<std::optional<absl::StatusOr<size_t>>>;

  void Limit(size_t depth) {
    MakeIo({.queue_depth = depth, .max_open_files = 3});
    OpenFile();
  }

  // Starts reads of 512 bytes at offsets 0, 512, …, each in a task of `scope`.
  void SpawnReads(TaskScope& scope, Results& results) {
    for (size_t i = 0; i < results.size(); ++i) {
      scope.Spawn(Read(&file_, 512 * i, Buffer(512), 512, &results[i]));
    }
  }

  std::vector<uint64_t> StartedOffsets() const {
    std::vector<uint64_t> offsets;
    for (const IoRequest& request : backend_.requests) offsets.push_back(request.offset_bytes);
    return offsets;
  }
};

TEST_F(IoQueueTest, DepthIsCutToTheBackendsCapacity) {
  EXPECT_EQ(IoQueue(backend_, *executor_, {.depth = 1000}).depth(), kCapacity);
  EXPECT_EQ(IoQueue(backend_, *executor_, {.depth = 3}).depth(), 3u);
  EXPECT_EQ(IoQueue(backend_, *executor_, {.depth = 0}).depth(), 1u);
  backend_.SetSink(io_->queue());
}

TEST_F(IoQueueTest, AdmitsInOrderUpToItsDepth) {
  Limit(2);
  const uint64_t full_before = io_->queue().stats().times_full;
  TaskScope scope(*executor_);
  Results results(5);
  Run({[&] { SpawnReads(scope, results); },
       [&] {
         EXPECT_THAT(StartedOffsets(), ElementsAre(0, 512));
         backend_.Finish(1, 512);  // out of order
       },
       [&] {
         EXPECT_THAT(StartedOffsets(), ElementsAre(0, 512, 1024));
         EXPECT_TRUE(results[1].has_value());
         EXPECT_FALSE(results[0].has_value());
         backend_.Finish(0, 512);
         backend_.Finish(0, 512);
       },
       [&] {
         EXPECT_THAT(StartedOffsets(), ElementsAre(0, 512, 1024, 1536, 2048));
         backend_.Finish(0, 512);
         backend_.Finish(0, 512);
       }});
  for (const auto& result : results) EXPECT_EQ(**result, 512u);
  EXPECT_EQ(io_->queue().stats().times_full - full_before, 3u);
  EXPECT_EQ(used_bytes(), 0u);
}

TEST_F(IoQueueTest, AWaiterThatIsDestroyedInTheQueueIsNeverStarted) {
  Limit(1);
  Results results(4);
  std::vector<std::unique_ptr<TaskScope>> scopes;
  Run({[&] {
         for (size_t i = 0; i < results.size(); ++i) {
           scopes.push_back(std::make_unique<TaskScope>(*executor_));
           scopes.back()->Spawn(Read(&file_, 512 * i, Buffer(512), 512, &results[i]));
         }
       },
       [&] {
         EXPECT_EQ(used_bytes(), 4u * 4096);
         scopes[1].reset();  // in the middle of the queue
         scopes[3].reset();  // at its end
         EXPECT_EQ(used_bytes(), 2u * 4096);
         EXPECT_THAT(backend_.cancelled, IsEmpty());
         backend_.Finish(0, 512);
       },
       [&] { backend_.Finish(0, 512); }});
  EXPECT_THAT(StartedOffsets(), ElementsAre(0, 1024));
  EXPECT_TRUE(results[0].has_value());
  EXPECT_TRUE(results[2].has_value());
  EXPECT_FALSE(results[3].has_value());
}

TEST_F(IoQueueTest, AnOperationOutlivesItsTaskWithBufferAndFile) {
  OpenFile();
  std::optional<TaskScope> scope(*executor_);
  Results results(1);
  Run({[&] { SpawnReads(*scope, results); },
       [&] {
         scope.reset();
         file_ = DmaFile();
         ASSERT_EQ(backend_.cancelled.size(), 1u);
         EXPECT_EQ(backend_.pending(), 1u);
         EXPECT_EQ(used_bytes(), 4096u) << "the kernel may still write into it";
         EXPECT_EQ(backend_.open_fds.size(), 1u) << "the kernel may still use it";
         // Somebody else's buffer is another one.
         const DmaBuffer other = Buffer(512);
         EXPECT_NE(other.data(), backend_.Pending(0).command.request.data);
         backend_.Finish(0, 512);
       },
       [&] {
         EXPECT_EQ(used_bytes(), 0u);
         EXPECT_THAT(backend_.open_fds, IsEmpty());
       }});
  EXPECT_FALSE(results[0].has_value());
}

TEST_F(IoQueueTest, AnAbandonedTransferIsNotContinued) {
  OpenFile();
  std::optional<TaskScope> scope(*executor_);
  std::optional<absl::StatusOr<size_t>> result;
  Run({[&] { scope->Spawn(Read(&file_, 0, Buffer(8192), 8192, &result)); },
       [&] {
         scope.reset();
         backend_.Finish(0, 4096);
       }});
  EXPECT_EQ(backend_.requests.size(), 1u);
  EXPECT_EQ(used_bytes(), 0u);
}

TEST_F(IoQueueTest, AnOperationWhoseTaskIsDestroyedBeforeItSeesTheResultLeavesNothing) {
  OpenFile();
  std::optional<TaskScope> scope(*executor_);
  Results results(3);
  Run({[&] { SpawnReads(*scope, results); },
       [&] {
         for (size_t i = 0; i < 3; ++i) backend_.Finish(0, i == 1 ? -EIO : 512);
         EXPECT_EQ(backend_.Poll(), 3u);  // makes all runnable
         scope.reset();
         EXPECT_THAT(backend_.cancelled, IsEmpty());
         EXPECT_EQ(used_bytes(), 0u);
       }});
  for (const auto& result : results) EXPECT_FALSE(result.has_value());
}

TEST_F(IoQueueTest, TasksResumeInTheOrderOfCompletion) {
  OpenFile();
  std::vector<int> order;
  const auto read = [](const DmaFile* file, DmaBuffer buffer, int number,
                       std::vector<int>* finished) -> Task<> {
    static_cast<void>(co_await file->Read(0, buffer, 512));
    finished->push_back(number);
  };
  Run({[&] {
         for (int i = 0; i < 4; ++i) executor_->Spawn(read(&file_, Buffer(512), i, &order));
       },
       [&] {
         for (const size_t i : {3, 1, 0, 0}) backend_.Finish(i, 512);
       }});
  EXPECT_THAT(order, ElementsAre(3, 1, 0, 2));
}

TEST_F(IoQueueTest, DrainEndsWhatIsQueuedAndWhatIsInFlight) {
  Limit(1);
  std::optional<TaskScope> scope(*executor_);
  Results results(3);
  Run({[&] { SpawnReads(*scope, results); }, [&] { io_->queue().Drain(); }});
  EXPECT_EQ(backend_.in_flight(), 0u);
  for (const auto& result : results) {
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(result->status().code(), absl::StatusCode::kCancelled);
  }
}

TEST_F(IoQueueTest, DrainClosesFilesThatWaitForOperations) {
  Limit(1);
  std::optional<TaskScope> scope(*executor_);
  Results results(2);
  Run({[&] { SpawnReads(*scope, results); },
       [&] {
         file_ = DmaFile();
         scope.reset();
       }});
  io_->queue().Drain();
  EXPECT_THAT(backend_.open_fds, IsEmpty());
  EXPECT_EQ(io_->files().open_files(), 0u);
  EXPECT_EQ(used_bytes(), 0u);
}

using IoQueueDeathTest = IoQueueTest;

TEST_F(IoQueueDeathTest, ItIsDestroyedWithOperationsInFlight) {
  class Ignore final : public IoWaiter {
   public:
    using IoWaiter::IoWaiter;
    void Done() override {}
  };
  EXPECT_DEATH(
      {
        auto queue = std::make_unique<IoQueue>(backend_, *executor_, IoQueueOptions{.depth = 4});
        IoCommand command;
        Ignore waiter(*queue, std::move(command));
        queue->Submit(waiter);
        queue.reset();
      },
      "destroyed with operations in flight; call Drain first");
}

TEST_F(IoQueueDeathTest, IoOfOneShardIsAwaitedOnAnother) {
  OpenFile();
  ScriptedBackend other_backend(1);
  const auto other = std::make_unique<Executor>(other_backend, ExecutorOptions());
  std::optional<absl::Status> result;
  other_backend.on_idle = [&] { other->Spawn(Sync(&file_, &result)); };
  EXPECT_DEATH(other->Run(), "I/O of one shard is awaited on another");
}

#ifdef IOENGINE_ASAN
TEST_F(IoQueueDeathTest, MemoryThatIsNotAllocated) {
  OpenFile();
  EXPECT_DEATH(
      {
        IoCommand command;
        command.request.opcode = IoOpcode::kRead;
        command.request.data = arena_.bytes().data();
        command.request.size_bytes = 512;
        StatusAwaiter awaiter(io_->queue(), std::move(command));
        io_->queue().Submit(awaiter);
      },
      "an operation is given memory that is not allocated");
}
#endif

}  // namespace
}  // namespace ioengine
