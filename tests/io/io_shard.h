// A shard's I/O over a backend that works, on the test's own thread.

#ifndef IOENGINE_TESTS_IO_IO_SHARD_H_
#define IOENGINE_TESTS_IO_IO_SHARD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/task.h"
#include "ioengine/tests/io/test_arena.h"

namespace ioengine {

// For coroutines, in which ASSERT cannot return.
#define IOENGINE_CO_ASSERT_OK(expression)                                    \
  do {                                                                       \
    if (const auto& co_assert_value = (expression); !co_assert_value.ok()) { \
      ADD_FAILURE() << #expression << ": " << StatusOf(co_assert_value);     \
      co_return;                                                             \
    }                                                                        \
  } while (false)

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

class IoShard {
 public:
  static constexpr size_t kDefaultArenaBytes = size_t{8} << 20;

  explicit IoShard(std::unique_ptr<Backend> backend, const ShardIoOptions& options = {},
                   size_t arena_bytes = kDefaultArenaBytes)
      : backend_(std::move(backend)),
        arena_(arena_bytes),
        poller_(*backend_),
        executor_(std::make_unique<Executor>(poller_, ExecutorOptions())),
        io_(std::make_unique<ShardIo>(*backend_, *executor_, arena_.bytes(), options)) {}

  ShardIo& io() { return *io_; }
  Backend& backend() { return *backend_; }
  Executor& executor() { return *executor_; }

  // Runs `task` to its end; tasks that it leaves behind are destroyed.
  void Run(Task<> task) {
    RunUntilStopped([&] { executor_->Spawn(StopAfter(executor_.get(), std::move(task))); });
  }

  // Calls `start` on the executor, and runs until somebody stops that. `on_turn` is called once in
  // each turn after that.
  void RunUntilStopped(std::function<void()> start, std::function<void()> on_turn = nullptr) {
    poller_.start = std::move(start);
    poller_.on_turn = std::move(on_turn);
    executor_->Run();
    poller_.on_turn = nullptr;
  }

  // Completes what is in flight. Then nothing of the shard's may be in use.
  void ExpectNothingIsLeft() {
    io_->queue().Drain();
    EXPECT_EQ(backend_->in_flight(), 0u);
    EXPECT_EQ(io_->buffers().used_bytes(), 0u);
    EXPECT_EQ(io_->files().open_files(), 0u);
  }

 private:
  // Between the executor and the backend: lets a test in.
  class HookedPoller final : public Poller {
   public:
    explicit HookedPoller(Poller& backend) : backend_(backend) {}

    size_t Poll() override {
      if (on_turn) on_turn();
      return backend_.Poll();
    }
    size_t Wait(uint64_t timeout_ns) override {
      if (start) {
        std::exchange(start, nullptr)();
        return backend_.Poll();
      }
      if (!on_turn) return backend_.Wait(timeout_ns);
      on_turn();
      return backend_.Wait(100'000);  // the turns go on when all tasks have ended
    }
    bool HasCompletions() const override { return backend_.HasCompletions(); }
    void Wake() override { backend_.Wake(); }

    std::function<void()> start;
    std::function<void()> on_turn;

   private:
    Poller& backend_;
  };

  static Task<> StopAfter(Executor* executor, Task<> task) {
    co_await std::move(task);
    executor->RequestStop();
  }

  std::unique_ptr<Backend> backend_;
  TestArena arena_;
  HookedPoller poller_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<ShardIo> io_;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_IO_SHARD_H_
