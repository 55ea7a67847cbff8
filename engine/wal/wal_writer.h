// WalWriter: the log of one shard, as it is written.
#ifndef IOENGINE_ENGINE_WAL_WAL_WRITER_H_
#define IOENGINE_ENGINE_WAL_WAL_WRITER_H_

#include <array>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/wal/durability.h"
#include "ioengine/engine/wal/pending_records.h"
#include "ioengine/engine/wal/segment_maker.h"
#include "ioengine/engine/wal/wal_options.h"
#include "ioengine/engine/wal/wal_stats.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/engine/wal/wal_waiters.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/mutex.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/timer_wheel.h"

namespace ioengine {

// Whoever acts on what the log has reached. Told within a turn of the log, before those who wait
// there go on; must not suspend, and not destroy the log.
class WalSink {
 public:
  // All records up to `record` have reached `level`, kWritten or kDurable. Ascending for each
  // level, and kWritten first. Records at kMemory are told of too, once they are written.
  virtual void OnReached(Durability level, uint64_t record) = 0;
  // Nothing reaches anything any more. Once.
  virtual void OnFailed(const absl::Status& error) = 0;
  // The disk has no space for the next segment; what is appended may have to wait for some.
  virtual void OnNoSpace() {}

 protected:
  ~WalSink() = default;
};

// Records that are appended wait until a frame is cut: all that waits goes into it, when there is
// something that somebody waits for and one of the places for frames in flight is free.
//
//   Append ──► pending ──cut──► in flight ──► written ──────────────► durable
//                                    │        (it and all before it)     ▲
//                                    ├── by its own DSYNC write ─────────┤
//                                    └── by an fdatasync that began when it was written
//
// A DSYNC write makes only itself durable. So it is used for frames that have a record at kDurable
// if nothing before them still needs a sync; otherwise, and with WalSync::kFlush, they are written
// plainly, and an fdatasync begins once they and all before them have completed.
//
//   open ──Close──► closing ──► closed
//     └─ a write or a sync fails ──► poisoned: no retry, and nothing is acknowledged any more
//
// A full disk is no failure: while there is no space for the next segment, and the present one is
// full, Admit gives ResourceExhausted and what was appended waits.
//
// Shard: the one that made it, for every call.
class WalWriter {
 public:
  class AdmitAwaiter;
  class ReachedAwaiter;

  // Makes the first segment, durable with its name, before it returns. The class of the task that
  // calls it is that of the log's own tasks and I/O; its deadline and stop are not theirs.
  // Ownership: borrows all but stream and options, which must outlive it.
  // Errors: InvalidArgument (options); AlreadyExists when there is such a segment; those of files
  // and buffers.
  static Task<absl::StatusOr<std::unique_ptr<WalWriter>>> Create(ShardIo& io, FileSystem& files,
                                                                 WalStream stream,
                                                                 WalOptions options, WalSink& sink);

  WalWriter(const WalWriter&) = delete;
  WalWriter& operator=(const WalWriter&) = delete;
  // Without a Close before: ends what is under way, any of which may be missing. No task may be
  // waiting (they are never woken).
  ~WalWriter();

  // `absl::Status status = co_await log.Admit(bytes)`: ready at once when there is room for a
  // record so large, otherwise waits until there is; first come, first served.
  // Errors: InvalidArgument above max_record_bytes(); Unavailable when closing; ResourceExhausted
  // while the disk is full; the poison. Cost: a few instructions where it need not wait.
  AdmitAwaiter Admit(size_t record_bytes);
  // WalOptions::max_pending_bytes, less the 4 bytes of its size.
  size_t max_record_bytes() const { return pending_.capacity_bytes() - PendingRecords::kHeadBytes; }
  // InvalidArgument above that, naming the option.
  absl::Status CheckSize(size_t record_bytes) const;

  // After Admit, without a suspension between: copies the record, which is both parts in a row.
  // Gives its number; they are dense, from 1. Never fails. Cost: a copy.
  uint64_t Append(std::span<const std::byte> head, std::span<const std::byte> body,
                  Durability level);

  // `absl::Status status = co_await log.Reached(record, level)`: waits until the record has reached
  // the level; kMemory has been at once. A level above the one that it was appended at is brought
  // about. A task that is destroyed while it waits takes nothing back.
  // Errors: the poison.
  ReachedAwaiter Reached(uint64_t record, Durability level);

  // Makes all that was appended durable. Errors: the poison.
  Task<absl::Status> Sync();

  // Sync, and then ends the log's own tasks. Once. Errors: the poison; ResourceExhausted when the
  // disk has no room for what waits.
  Task<absl::Status> Close();

  // Where replay would begin if nothing up to `record` were needed any more: at the first segment
  // that has a part of a later record, or is still written to.
  WalStart StartAfter(uint64_t record) const;
  // Uses the segments before `start` again, or removes them. `start` is what StartAfter gave, and
  // replay begins there from now on: it is durable, in ROOT or a manifest. (A record would not do:
  // by now StartAfter may give more for the same one.) Errors: those of files; the poison.
  Task<absl::Status> Release(WalStart start);
  // Where replay of what is not released begins.
  WalStart start() const { return live_.front().start; }

  // The last one that was appended, and the last one that has reached the level.
  uint64_t last_record() const { return last_record_; }
  uint64_t reached(Durability level) const;
  // The last frame that is durable with all before it: where a stream that failed can be sealed
  // without reading it again. Records that are only written may lie behind it.
  WalSeal durable_seal() const { return {durable_.frame, durable_.hash, durable_.record}; }
  // Segments that are not released.
  size_t live_segments() const { return live_.size(); }

  // Why there is no next segment to go on in; ok where there is one, or will be.
  const absl::Status& space_status() const { return no_space_; }

  bool poisoned() const { return !poison_.ok(); }
  const WalStats& stats() const { return stats_; }
  const WalStream& stream() const { return stream_; }
  // kDsync or kFlush: what was asked for, or chosen.
  WalSync sync() const { return sync_; }

 private:
  // A frame in flight.
  struct Slot {
    DmaBuffer buffer;
    uint64_t hash = 0;
    uint64_t last_record = 0;    // that had ended when it ended
    uint64_t durable_frame = 0;  // as it says
    bool dsync = false;
    bool wants_sync = false;
    bool completed = false;
  };
  // A frame and what had ended and was covered with it.
  struct Position {
    uint64_t frame = 0;
    uint64_t hash = 0;
    uint64_t record = 0;
    uint64_t covered_frame = 0;  // its durable_frame
  };
  struct LiveSegment {
    WalStart start;
    uint64_t last_record = 0;  // with a part in it, once it is full
  };
  // Sets an event, and remembers that it did.
  class WakeTimer final : public Timer {
   public:
    explicit WakeTimer(Event& event) : event_(event) {}
    bool TakeFired() { return std::exchange(fired_, false); }

   private:
    void OnTimer() override {
      fired_ = true;
      event_.Set();
    }

    Event& event_;
    bool fired_ = false;
  };

  WalWriter(ShardIo& io, FileSystem& files, const WalStream& stream, const WalOptions& options,
            WalSink& sink, DmaBuffer zeros);

  absl::Status AllocateSlots();
  void Begin(std::unique_ptr<WalSegment> first);

  // wal_writer.cc: what users ask for.
  bool HasRoom(size_t record_bytes) const;
  absl::Status Refusal(size_t record_bytes) const;
  void GrantWaiting();
  void Want(uint64_t record, Durability level);

  // wal_writer_frames.cc: the log's own tasks.
  Task<> Run();
  void Step();
  void FinishClosing();
  bool IsQuiet() const;
  bool HasSegmentFor(size_t frame_bytes);
  void SwitchSegment();
  size_t NextFrameBytes() const;
  void Cut();
  Task<> Write(std::shared_ptr<WalSegment> segment, uint64_t offset_bytes, uint64_t frame,
               size_t size_bytes);
  void OnWritten(uint64_t frame, const absl::Status& status);
  void StartSync();
  Task<> SyncWritten();
  void Cover();
  void ArmIdleTimer();
  void Acknowledge(Durability level, uint64_t record);
  void Poison(const absl::Status& error);
  Task<> MakeSegments();

  Slot& SlotOf(uint64_t frame) { return slots_[frame % slots_.size()]; }
  uint64_t frames_in_flight() const { return last_frame_ - written_.frame; }

  ShardIo& io_;
  const WalStream stream_;
  const WalOptions options_;
  WalSync sync_;
  WalSink& sink_;
  WalStats stats_;
  SegmentMaker maker_;
  PendingRecords pending_;
  const MemoryCharge charge_;  // of those
  std::vector<Slot> slots_;

  // Records and frames, by number.
  uint64_t last_record_ = 0;            // appended
  uint64_t framed_record_ = 0;          // ended in a frame that was cut
  uint64_t wanted_record_ = 0;          // is to go out without delay, with all before it
  uint64_t durable_wanted_record_ = 0;  // is to be made durable
  uint64_t last_frame_ = 0;
  uint64_t last_hash_ = 0;
  uint64_t last_content_frame_ = 0;            // with records or parts of them
  uint64_t last_plain_frame_ = 0;              // needs a sync to become durable
  Position written_;                           // it and all before it
  Position durable_;                           // likewise
  uint64_t sync_due_frame_ = 0;                // is written, and waits for a sync
  std::array<uint64_t, 2> acknowledged_ = {};  // kWritten, kDurable

  std::deque<LiveSegment> live_;  // the last one is `current_`
  std::shared_ptr<WalSegment> current_;
  std::shared_ptr<WalSegment> previous_;  // full, and not durable yet
  std::unique_ptr<WalSegment> next_;      // ready
  absl::Status no_space_;                 // why there is no next one

  IntrusiveList<AdmitAwaiter> admitting_;
  IntrusiveList<AdmitAwaiter> granted_;  // let in, and have not run yet
  size_t granted_bytes_ = 0;             // of them
  internal::WalWaiters waiting_written_;
  internal::WalWaiters waiting_durable_;
  absl::Status poison_;
  bool closing_ = false;
  bool sync_running_ = false;
  bool idle_due_ = false;
  Event work_;
  Event segment_work_;
  Event quiet_;  // closing: all that there was to do is done
  Mutex releasing_;
  WakeTimer memory_timer_{work_};
  WakeTimer idle_timer_{work_};
  WakeTimer space_timer_{segment_work_};
  TaskScope scope_;
};

// In the frame of the task that awaits it.
class [[nodiscard]] WalWriter::AdmitAwaiter : public ListLink {
 public:
  AdmitAwaiter(WalWriter& log, size_t record_bytes) : log_(log), record_bytes_(record_bytes) {}
  AdmitAwaiter(const AdmitAwaiter&) = delete;
  AdmitAwaiter& operator=(const AdmitAwaiter&) = delete;
  ~AdmitAwaiter() { ReturnGrant(); }

  bool await_ready() {
    if (!log_.poison_.ok() || !log_.no_space_.ok() || log_.closing_ ||
        record_bytes_ > log_.max_record_bytes()) [[unlikely]] {
      status_ = log_.Refusal(record_bytes_);
      if (!status_.ok()) return true;
    }
    return log_.admitting_.empty() && log_.HasRoom(record_bytes_);
  }
  template <std::derived_from<Runnable> Promise>
  void await_suspend(std::coroutine_handle<Promise> handle) {
    task_ = &handle.promise();
    ++log_.stats_.times_full;
    log_.admitting_.PushBack(*this);
    log_.work_.Set();
  }
  absl::Status await_resume() {
    ReturnGrant();
    return std::move(status_);
  }

 private:
  friend class WalWriter;

  // The task appends within this turn, or not at all: then others get the room. A log that was
  // destroyed before has let go of its list.
  void ReturnGrant() {
    if (!std::exchange(granted_, false) || !linked()) return;
    Unlink();
    log_.granted_bytes_ -= PendingRecords::kHeadBytes + record_bytes_;
    log_.work_.Set();
  }

  WalWriter& log_;
  const size_t record_bytes_;
  Runnable* task_ = nullptr;
  absl::Status status_;
  bool granted_ = false;
};

// In the frame of the task that awaits it.
class [[nodiscard]] WalWriter::ReachedAwaiter {
 public:
  ReachedAwaiter(WalWriter& log, uint64_t record, Durability level) : log_(log), level_(level) {
    waiter_.record = record;
  }

  bool await_ready() {
    if (level_ == Durability::kMemory || waiter_.record <= log_.reached(level_)) return true;
    waiter_.status = log_.poison_;
    return !waiter_.status.ok();
  }
  template <std::derived_from<Runnable> Promise>
  void await_suspend(std::coroutine_handle<Promise> handle) {
    waiter_.task = &handle.promise();
    log_.Want(waiter_.record, level_);
    (level_ == Durability::kDurable ? log_.waiting_durable_ : log_.waiting_written_).Add(waiter_);
  }
  absl::Status await_resume() { return std::move(waiter_.status); }

 private:
  WalWriter& log_;
  const Durability level_;
  internal::WalWaiter waiter_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_WAL_WRITER_H_
