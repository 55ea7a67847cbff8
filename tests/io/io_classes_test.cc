// IoQueue: shares, the background, pieces, and what is counted; on a disk that is a model, in
// simulated time.

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/io_queue.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/simulated_time.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/tests/io/scripted_backend.h"
#include "ioengine/tests/io/scripted_io_fixture.h"
#include "ioengine/tests/io/test_arena.h"

namespace ioengine {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr size_t kPage = 4096;
constexpr size_t kMiB = size_t{1} << 20;

// So many operations at once, each for a time and its bytes; what is above waits in the device.
struct Disk {
  size_t channels = 8;
  uint64_t operation_ns = 60'000;
  double ns_per_byte = 0.5;  // 2 GB/s in each channel
};

// A shard whose disk is the model.
class ModelShard {
 public:
  explicit ModelShard(Disk disk, ShardIoOptions options = {})
      : disk_(disk),
        executor_(std::make_unique<Executor>(backend_, ExecutorOptions(), clock_)),
        arena_(64 * kMiB),
        io_(std::make_unique<ShardIo>(backend_, *executor_, arena_.bytes(), options)) {
    backend_.on_idle = [this] { NextEvent(); };
  }
  ~ModelShard() {
    file_ = DmaFile();
    io_.reset();
  }

  Executor& executor() { return *executor_; }
  ShardIo& io() { return *io_; }
  const DmaFile& file() const { return file_; }
  SimulatedClock& clock() { return clock_; }
  ScriptedBackend& backend() { return backend_; }

  // Runs for so long.
  void RunFor(std::chrono::nanoseconds duration, std::function<void()> start) {
    end_ns_ = clock_.NowNs() + static_cast<uint64_t>(duration.count());
    start_ = std::move(start);
    executor_->Run();
    io_->queue().Drain();
  }

  void OpenFile() {
    RunFor(std::chrono::nanoseconds(1), [this] {
      executor_->Spawn([](ModelShard* shard) -> Task<> {
        auto file = co_await DmaFile::Open(*shard->io_, "/data/x",
                                           {.access = DmaFileOptions::Access::kReadWrite});
        shard->file_ = *std::move(file);
      }(this));
    });
    backend_.requests.clear();
  }

 private:
  // All tasks wait: goes on to the next completion, or to the end.
  void NextEvent() {
    if (start_ != nullptr) {
      std::exchange(start_, nullptr)();
      return;
    }
    for (size_t i = 0; i < backend_.pending(); ++i) {
      const IoOperation& operation = backend_.Pending(i);
      if (due_ns_.count(&operation) > 0) continue;
      // The channel that is free first.
      auto channel = std::min_element(free_ns_.begin(), free_ns_.end());
      *channel = std::max(*channel, clock_.NowNs()) + disk_.operation_ns +
                 static_cast<uint64_t>(disk_.ns_per_byte * operation.command.request.size_bytes);
      due_ns_[&operation] = *channel;
    }
    size_t first = 0;
    for (size_t i = 1; i < backend_.pending(); ++i) {
      if (due_ns_[&backend_.Pending(i)] < due_ns_[&backend_.Pending(first)]) first = i;
    }
    if (backend_.pending() == 0 || due_ns_[&backend_.Pending(first)] >= end_ns_) {
      clock_.Advance(end_ns_ - std::min(end_ns_, clock_.NowNs()));
      executor_->RequestStop();
      return;
    }
    const uint64_t due_ns = due_ns_[&backend_.Pending(first)];
    clock_.Advance(due_ns - std::min(due_ns, clock_.NowNs()));
    due_ns_.erase(&backend_.Pending(first));
    backend_.Finish(first,
                    static_cast<int32_t>(backend_.Pending(first).command.request.size_bytes));
  }

  const Disk disk_;
  SimulatedClock clock_;
  ScriptedBackend backend_{256};
  std::unique_ptr<Executor> executor_;
  const TestArena arena_;
  std::unique_ptr<ShardIo> io_;
  DmaFile file_;
  std::vector<uint64_t> free_ns_ = std::vector<uint64_t>(disk_.channels, 0);
  std::map<const IoOperation*, uint64_t> due_ns_;
  uint64_t end_ns_ = 0;
  std::function<void()> start_;
};

Task<> ReadForEver(ModelShard* shard, size_t size_bytes) {
  DmaBuffer buffer = shard->io().AllocateBuffer(size_bytes).value();
  for (;;) co_await shard->file().Read(0, buffer, size_bytes);
}

Task<> WriteForEver(ModelShard* shard, size_t size_bytes) {
  DmaBuffer buffer = shard->io().AllocateBuffer(size_bytes).value();
  for (;;) {
    EXPECT_TRUE((co_await shard->file().Write(0, buffer, size_bytes)).ok());
  }
}

TEST(IoClassesTest, SharesOfTheDiskAreKept) {
  ModelShard shard({}, {.queue_depth = 8});
  const ClassId small = shard.executor().CreateClass({.name = "small", .shares = 100}).value();
  const ClassId large = shard.executor().CreateClass({.name = "large", .shares = 300}).value();
  shard.OpenFile();
  shard.RunFor(std::chrono::seconds(2), [&] {
    for (int i = 0; i < 32; ++i) {
      shard.executor().Spawn(ReadForEver(&shard, kPage), small);
      shard.executor().Spawn(ReadForEver(&shard, kPage), large);
    }
  });
  const auto done = [&](ClassId id) {
    return static_cast<double>(shard.io().queue().class_stats(id)->operations);
  };
  EXPECT_GT(done(small), 1000);
  EXPECT_NEAR(done(large) / done(small), 3.0, 0.15);
}

// Of operations of different sizes the cost is shared.
TEST(IoClassesTest, SharesAreOfBytesAndOperations) {
  ModelShard shard({}, {.queue_depth = 4});
  const ClassId pages = shard.executor().CreateClass({.name = "pages", .shares = 100}).value();
  const ClassId chunks = shard.executor().CreateClass({.name = "chunks", .shares = 100}).value();
  shard.OpenFile();
  shard.RunFor(std::chrono::seconds(2), [&] {
    for (int i = 0; i < 32; ++i) {
      shard.executor().Spawn(ReadForEver(&shard, kPage), pages);
      shard.executor().Spawn(ReadForEver(&shard, 16 * kPage), chunks);
    }
  });
  const auto cost = [&](ClassId id) {
    const IoClassStats& stats = *shard.io().queue().class_stats(id);
    return static_cast<double>(stats.bytes + stats.operations * IoQueue::kOperationCostBytes);
  };
  EXPECT_NEAR(cost(pages) / cost(chunks), 1.0, 0.05);
}

// A class that sleeps does not save up: it gets its shares from when it comes back.
TEST(IoClassesTest, NoClassSavesUpOrStarves) {
  ModelShard shard({}, {.queue_depth = 4});
  const ClassId busy = shard.executor().CreateClass({.name = "busy", .shares = 1000}).value();
  const ClassId late = shard.executor().CreateClass({.name = "late", .shares = 1}).value();
  shard.OpenFile();
  const auto done = [&](ClassId id) {
    const IoClassStats* const stats = shard.io().queue().class_stats(id);
    return stats == nullptr ? 0 : stats->operations;
  };
  shard.RunFor(std::chrono::seconds(1), [&] {
    for (int i = 0; i < 16; ++i) shard.executor().Spawn(ReadForEver(&shard, kPage), busy);
  });
  const uint64_t before = done(busy);
  shard.RunFor(std::chrono::seconds(1), [&] {
    for (int i = 0; i < 16; ++i) {
      shard.executor().Spawn(ReadForEver(&shard, kPage), busy);
      shard.executor().Spawn(ReadForEver(&shard, kPage), late);
    }
  });
  EXPECT_GT(done(late), 10u) << "starved";
  EXPECT_GT(done(busy) - before, before * 95 / 100) << "the other one had saved up";
}

struct Mixed {
  uint64_t foreground_p99_ns;
  uint64_t foreground;
  uint64_t background_bytes;
};

// A foreground of depth 4 beside a background of 32 writers and 16 readers, each of 1 MiB.
Mixed RunMixed(bool with_background, const ShardIoOptions& options) {
  ModelShard shard({}, options);
  const ClassId background =
      shard.executor()
          .CreateClass({.name = "compaction", .shares = 100, .background = true})
          .value();
  shard.OpenFile();
  shard.RunFor(std::chrono::seconds(3), [&] {
    for (int i = 0; i < 4; ++i) shard.executor().Spawn(ReadForEver(&shard, kPage));
    if (!with_background) return;
    for (int i = 0; i < 32; ++i) {
      shard.executor().Spawn(WriteForEver(&shard, kMiB), background);
      if (i % 2 == 0) shard.executor().Spawn(ReadForEver(&shard, kMiB), background);
    }
  });
  const IoQueue& queue = shard.io().queue();
  const IoClassStats& foreground = *queue.class_stats(0);
  Histogram total = foreground.device_ns;
  return {total.Quantile(0.99), foreground.operations,
          with_background ? queue.class_stats(background)->bytes : 0};
}

TEST(IoClassesTest, TheBackgroundHardlyTouchesTheForeground) {
  const Mixed alone = RunMixed(false, {});
  const Mixed mixed = RunMixed(true, {});
  EXPECT_LE(mixed.foreground_p99_ns, alone.foreground_p99_ns * 3 / 2);
  EXPECT_GE(mixed.foreground, alone.foreground * 8 / 10);
  // And it is not simply kept out: four channels that nobody else uses are worth 8 GB/s.
  EXPECT_GT(mixed.background_bytes, uint64_t{3} * 1'000'000'000);
}

TEST(IoClassesTest, TheBackgroundHasAllWhenNobodyElseWantsIt) {
  ModelShard shard({});
  const ClassId background =
      shard.executor().CreateClass({.name = "compaction", .background = true}).value();
  shard.OpenFile();
  shard.RunFor(std::chrono::seconds(1), [&] {
    for (int i = 0; i < 32; ++i) {
      shard.executor().Spawn(WriteForEver(&shard, kMiB), background);
    }
  });
  // Eight channels, each of which moves a piece of 128 KiB in 60 µs + 65 µs.
  EXPECT_GT(shard.io().queue().class_stats(background)->bytes, uint64_t{7} * 1'000'000'000);
}

Task<> WriteOnce(ModelShard* shard, size_t size_bytes, absl::Status* status) {
  DmaBuffer buffer = shard->io().AllocateBuffer(size_bytes).value();
  *status = co_await shard->file().Write(4 * kPage, buffer, size_bytes);
}

// The opening of the file was of the foreground, and that is a moment ago.
TEST(IoClassesTest, BesideAForegroundPiecesAreSmall) {
  ModelShard shard({});
  const ClassId background =
      shard.executor().CreateClass({.name = "compaction", .background = true}).value();
  shard.OpenFile();
  absl::Status status = absl::UnknownError("");
  shard.RunFor(std::chrono::milliseconds(10),
               [&] { shard.executor().Spawn(WriteOnce(&shard, 300 * 1024, &status), background); });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(shard.backend().requests.size(), 10u);
  EXPECT_EQ(shard.backend().requests[0].size_bytes, IoQueue::kLeastPieceBytes);
}

TEST(IoClassesTest, LargeOperationsOfTheBackgroundGoInPieces) {
  ModelShard shard({});
  const ClassId background =
      shard.executor().CreateClass({.name = "compaction", .background = true}).value();
  shard.OpenFile();
  shard.RunFor(std::chrono::milliseconds(30), [] {});  // no foreground any more
  absl::Status status = absl::UnknownError("");
  shard.RunFor(std::chrono::seconds(1),
               [&] { shard.executor().Spawn(WriteOnce(&shard, 300 * 1024, &status), background); });
  EXPECT_TRUE(status.ok()) << status;
  std::vector<std::pair<uint64_t, uint32_t>> pieces;
  const std::byte* data = nullptr;
  for (const IoRequest& request : shard.backend().requests) {
    pieces.emplace_back(request.offset_bytes, request.size_bytes);
    if (data == nullptr) data = static_cast<const std::byte*>(request.data) - request.offset_bytes;
    EXPECT_EQ(static_cast<const std::byte*>(request.data), data + request.offset_bytes);
  }
  constexpr uint32_t kPiece = IoQueue::kBackgroundPieceBytes;
  EXPECT_THAT(pieces, testing::ElementsAre(
                          std::pair(4 * kPage, kPiece), std::pair(4 * kPage + kPiece, kPiece),
                          std::pair(4 * kPage + 2 * kPiece, 300 * 1024 - 2 * kPiece)));
  EXPECT_EQ(shard.io().queue().class_stats(background)->bytes, 300u * 1024);
}

// What becomes of a read in pieces when one of them fails, ends early, or nobody waits any more.
class PiecesTest : public ScriptedIoFixture {
 protected:
  PiecesTest() : ScriptedIoFixture(4 * kMiB) {
    background_ = executor_->CreateClass({.name = "scrub", .background = true}).value();
    MakeIo({});
    // Of the background too: beside a foreground pieces are smaller.
    std::optional<absl::StatusOr<DmaFile>> opened;
    Run({[&] { executor_->Spawn(Open(io_.get(), "/data/x", {}, &opened), background_); }});
    file_ = **std::move(opened);
  }

  Task<> ReadIt() { return Read(&file_, 0, Buffer(300 * 1024), 300 * 1024, &result_); }

  ClassId background_ = 0;
  std::optional<absl::StatusOr<size_t>> result_;
};

constexpr int32_t kPieceBytes = static_cast<int32_t>(IoQueue::kBackgroundPieceBytes);

TEST_F(PiecesTest, TheEndOfTheFileIsInTheMiddle) {
  Run({[&] { executor_->Spawn(ReadIt(), background_); }, [&] { backend_.Finish(0, kPieceBytes); },
       [&] { backend_.Finish(0, 512); }, [&] { backend_.Finish(0, 0); }});
  EXPECT_EQ(result_.value().value(), static_cast<size_t>(kPieceBytes) + 512);
}

TEST_F(PiecesTest, AShortPieceIsContinuedBeforeTheNext) {
  Run({[&] { executor_->Spawn(ReadIt(), background_); }, [&] { backend_.Finish(0, 4096); },
       [&] {
         EXPECT_EQ(backend_.requests.back().offset_bytes, 4096u);
         backend_.Finish(0, kPieceBytes - 4096);
       },
       [&] {
         EXPECT_EQ(backend_.requests.back().offset_bytes, static_cast<uint64_t>(kPieceBytes));
         backend_.Finish(0, kPieceBytes);
       },
       [&] { backend_.Finish(0, 300 * 1024 - 2 * kPieceBytes); }});
  EXPECT_EQ(result_.value().value(), size_t{300} * 1024);
}

TEST_F(PiecesTest, APieceThatFailsFailsAll) {
  Run({[&] { executor_->Spawn(ReadIt(), background_); }, [&] { backend_.Finish(0, kPieceBytes); },
       [&] { backend_.Finish(0, -EIO); }});
  EXPECT_EQ(result_.value().status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(result_.value().status().message()),
              HasSubstr("read /data/x (131072 bytes at offset 131072)"));
}

TEST_F(PiecesTest, WithoutATaskTheRestIsNotRead) {
  std::optional<TaskScope> scope;
  Run({[&] {
         scope.emplace(*executor_);
         scope->Spawn(ReadIt(), background_);
       },
       [&] {
         scope.reset();
         EXPECT_EQ(io_->buffers().used_bytes(), 512u * 1024) << "the kernel may still use it";
         backend_.Finish(0, kPieceBytes);
       }});
  EXPECT_FALSE(result_.has_value());
  EXPECT_EQ(io_->buffers().used_bytes(), 0u);
  EXPECT_EQ(backend_.pending(), 0u);
}

TEST(IoClassesTest, BytesInFlightAreBounded) {
  ModelShard shard({}, {.max_bytes_in_flight = 3 * kMiB});
  shard.OpenFile();
  uint64_t most_bytes = 0;
  shard.RunFor(std::chrono::milliseconds(100), [&] {
    for (int i = 0; i < 16; ++i) shard.executor().Spawn(ReadForEver(&shard, kMiB));
    shard.executor().Spawn([](ModelShard* run, uint64_t* most) -> Task<> {
      for (;;) {
        *most = std::max(*most, run->io().queue().in_flight_bytes());
        co_await run->file().Read(0, run->io().AllocateBuffer(kPage).value(), kPage);
      }
    }(&shard, &most_bytes));
  });
  EXPECT_GT(most_bytes, kMiB);
  EXPECT_LE(most_bytes, 3 * kMiB);
}

TEST(IoClassesTest, CountsOperationsBytesAndTimesOfClassesAndFiles) {
  ModelShard shard({.channels = 1, .operation_ns = 100'000, .ns_per_byte = 0}, {.queue_depth = 1});
  const ClassId named = shard.executor().CreateClass({.name = "named"}).value();
  shard.OpenFile();
  shard.RunFor(std::chrono::milliseconds(10), [&] {
    shard.executor().Spawn(ReadForEver(&shard, kPage), named);
    shard.executor().Spawn(WriteForEver(&shard, 2 * kPage), named);
  });
  const IoClassStats& stats = *shard.io().queue().class_stats(named);
  // The last two are ended by the end of the run.
  EXPECT_NEAR(static_cast<double>(stats.operations), 100, 3);
  EXPECT_GE(stats.bytes, 98 / 2 * 3 * kPage);
  EXPECT_LE(stats.failed, 2u);
  EXPECT_EQ(stats.in_flight, 0u);
  EXPECT_EQ(stats.in_flight_bytes, 0u);
  EXPECT_GT(stats.times_queued, 90u);
  // Each waits for the other, and is then served.
  EXPECT_NEAR(static_cast<double>(stats.queue_ns.Quantile(0.5)), 100e3, 2e3);
  EXPECT_NEAR(static_cast<double>(stats.device_ns.Quantile(0.5)), 100e3, 2e3);
  const IoFileStats& file = shard.file().stats();
  EXPECT_EQ(file.operations, stats.operations + 2) << "and its opening";
  EXPECT_EQ(file.bytes_read + file.bytes_written, stats.bytes);
  EXPECT_GT(file.bytes_written, file.bytes_read);
  EXPECT_GT(file.device_ns[IoFileStats::BucketOf(100'000)], 90u);
}

TEST(IoClassesTest, ASlowOperationIsExplained) {
  std::vector<std::string> told;
  ModelShard shard(
      {.channels = 1, .operation_ns = 50'000'000, .ns_per_byte = 0},
      {.queue_depth = 1,
       .slow_io = {.threshold_ns = 80'000'000,
                   .report = [&](const SlowIo& slow) { told.push_back(slow.Describe()); },
                   .max_reports_per_minute = 2}});
  const ClassId named = shard.executor().CreateClass({.name = "named"}).value();
  shard.OpenFile();
  shard.RunFor(std::chrono::seconds(1), [&] {
    for (int i = 0; i < 2; ++i) shard.executor().Spawn(ReadForEver(&shard, kPage), named);
  });
  ASSERT_EQ(told.size(), 2u);
  EXPECT_THAT(told[0],
              AllOf(HasSubstr("read /data/x (4096 bytes at offset 0) of class 'named' at tests/"),
                    HasSubstr("50.0 in the queue, 0.0 in the ring, 50.0 in the device")));
}

}  // namespace
}  // namespace ioengine
