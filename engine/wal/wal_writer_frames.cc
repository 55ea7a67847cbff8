// The log's own tasks: frames, syncs and segments.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/wal/wal_writer.h"
#include "ioengine/io/io_error.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/check.h"

namespace ioengine {

// Runs after those that have appended in this turn, so that a frame holds what all of them did.
Task<> WalWriter::Run() {
  for (;;) {
    co_await work_.Wait();
    work_.Reset();
    if (poison_.ok()) Step();
  }
}

void WalWriter::Step() {
  if (memory_timer_.TakeFired()) wanted_record_ = last_record_;
  if (idle_timer_.TakeFired()) idle_due_ = true;
  // Before the frames, which may wait for just that.
  if (previous_ != nullptr && durable_.frame >= previous_->last_frame) previous_.reset();
  GrantWaiting();
  while (!pending_.empty() && framed_record_ < wanted_record_ &&
         frames_in_flight() < slots_.size() && HasSegmentFor(NextFrameBytes())) {
    Cut();
  }
  GrantWaiting();
  StartSync();
  Cover();
  if (pending_.empty() && memory_timer_.armed()) io_.executor().CancelTimer(memory_timer_);
  ArmIdleTimer();
  if (closing_ && IsQuiet()) FinishClosing();
}

// There is nothing more to wait for: all is done, or there is no space to do it.
void WalWriter::FinishClosing() {
  const bool is_stuck = !no_space_.ok() && next_ == nullptr && !HasSegmentFor(NextFrameBytes());
  if (!pending_.empty()) {
    if (is_stuck) Poison(no_space_);
  } else if (is_stuck || durable_.covered_frame >= last_content_frame_) {
    quiet_.Set();
  }
}

bool WalWriter::IsQuiet() const { return frames_in_flight() == 0 && !sync_running_; }

// Of a frame with all that is pending, or as much as fits.
size_t WalWriter::NextFrameBytes() const {
  return std::min(WalFrameBytes(pending_.fragment_bytes()), options_.max_frame_bytes);
}

// Whether the frame can be written now; goes over to the next segment where it must.
bool WalWriter::HasSegmentFor(size_t frame_bytes) {
  if (frame_bytes <= options_.segment_bytes - current_->used_bytes) return true;
  // Two segments at most are open, so that a sync is one of two files at most.
  if (next_ == nullptr || previous_ != nullptr) return false;
  SwitchSegment();
  return true;
}

void WalWriter::SwitchSegment() {
  current_->last_frame = last_frame_;
  // A record that goes on in the next segment keeps this one too.
  const bool is_cut = pending_.front_is_started() && !IsCanary("wal-release-begun-record");
  live_.back().last_record = framed_record_ + (is_cut ? 1 : 0);
  previous_ = std::exchange(current_, std::move(next_));
  current_->first_frame = last_frame_ + 1;
  live_.push_back({.start = {.segment = current_->number,
                             .frame = last_frame_ + 1,
                             .previous_hash = last_hash_,
                             .record = framed_record_ + 1}});
  segment_work_.Set();
}

// Puts what is pending into a frame, which there is a place for, and starts its write. With nothing
// pending: an empty one.
void WalWriter::Cut() {
  const size_t most_body_bytes = options_.max_frame_bytes - sizeof(WalFrameHeader);
  const uint64_t frame = ++last_frame_;
  Slot& slot = SlotOf(frame);
  const size_t body_bytes = std::min(pending_.fragment_bytes(), most_body_bytes);
  const bool is_empty = pending_.empty();
  const bool wants_durable = is_empty || framed_record_ < durable_wanted_record_;
  const PendingRecords::Taken taken =
      pending_.TakeInto(slot.buffer.bytes().subspan(sizeof(WalFrameHeader), body_bytes));
  const uint64_t known_durable_frame =
      IsCanary("wal-claims-what-is-written") ? written_.frame : durable_.frame;
  const WalFrameHeader header = {.salt = current_->salt,
                                 .frame = frame,
                                 .previous_hash = last_hash_,
                                 .durable_frame = known_durable_frame,
                                 .root_epoch = stream_.root_epoch,
                                 .first_record = framed_record_ + 1,
                                 .body_bytes = static_cast<uint32_t>(taken.body_bytes),
                                 .record_count = taken.record_count};
  const size_t frame_bytes = WalFrameBytes(taken.body_bytes);
  const uint64_t offset_bytes = current_->used_bytes;
  last_hash_ = FinishWalFrame(header, offset_bytes, slot.buffer.bytes().first(frame_bytes));
  current_->used_bytes += frame_bytes;
  framed_record_ += taken.record_count;
  if (!is_empty) last_content_frame_ = frame;
  slot.hash = last_hash_;
  slot.last_record = framed_record_;
  slot.durable_frame = header.durable_frame;
  slot.completed = false;
  slot.dsync = wants_durable && sync_ == WalSync::kDsync &&
               (last_plain_frame_ <= durable_.frame || IsCanary("wal-dsync-covers-earlier"));
  slot.wants_sync = wants_durable && !slot.dsync;
  if (!slot.dsync) last_plain_frame_ = frame;
  ++stats_.frames;
  stats_.frame_bytes += frame_bytes;
  if (slot.dsync) ++stats_.dsync_frames;
  if (is_empty) ++stats_.empty_frames;
  scope_.Spawn(Write(current_, offset_bytes, frame, frame_bytes));
}

Task<> WalWriter::Write(std::shared_ptr<WalSegment> segment, uint64_t offset_bytes, uint64_t frame,
                        size_t size_bytes) {
  Slot& slot = SlotOf(frame);
  const WriteOptions options = {.durable = slot.dsync};
  absl::Status status =
      co_await segment->file.Write(offset_bytes, slot.buffer, size_bytes, options);
  if (!status.ok() && IsCanary("wal-retry-after-failure")) {
    status = co_await segment->file.Write(offset_bytes, slot.buffer, size_bytes, options);
  }
  OnWritten(frame, status);
}

void WalWriter::OnWritten(uint64_t frame, const absl::Status& status) {
  if (!poison_.ok()) return;
  if (!status.ok()) {
    Poison(status);
    return;
  }
  SlotOf(frame).completed = true;
  if (IsCanary("wal-ack-out-of-order")) {
    Acknowledge(Durability::kWritten, SlotOf(frame).last_record);
    if (SlotOf(frame).dsync) Acknowledge(Durability::kDurable, SlotOf(frame).last_record);
  }
  while (written_.frame < last_frame_ && SlotOf(written_.frame + 1).completed) {
    const Slot& slot = SlotOf(written_.frame + 1);
    written_ = {written_.frame + 1, slot.hash, slot.last_record, slot.durable_frame};
    if (slot.dsync &&
        (durable_.frame + 1 == written_.frame || IsCanary("wal-dsync-covers-earlier"))) {
      durable_ = written_;
    } else if (slot.dsync || slot.wants_sync) {
      sync_due_frame_ = written_.frame;
      if (IsCanary("wal-ack-before-sync")) durable_ = written_;
    }
  }
  Acknowledge(Durability::kWritten, written_.record);
  Acknowledge(Durability::kDurable, durable_.record);
  work_.Set();
}

// Begins a sync of what is written, if that is needed and none is under way.
void WalWriter::StartSync() {
  if (sync_running_) return;
  uint64_t due_frame = sync_due_frame_;
  // The segment before is to be closed.
  if (previous_ != nullptr && written_.frame >= previous_->last_frame) {
    due_frame = std::max(due_frame, previous_->last_frame);
  }
  // Somebody has asked for more than the level of what is written.
  if (durable_wanted_record_ > durable_.record && durable_wanted_record_ <= written_.record) {
    due_frame = written_.frame;
  }
  if (due_frame <= durable_.frame) return;
  sync_running_ = true;
  scope_.Spawn(SyncWritten());
}

Task<> WalWriter::SyncWritten() {
  // What completes from now on may be covered or not.
  Position covered = written_;
  const std::shared_ptr<WalSegment> current = current_;
  absl::Status status;
  if (previous_ != nullptr && !IsCanary("wal-sync-one-segment")) {
    const std::shared_ptr<WalSegment> previous = previous_;
    status = co_await previous->file.Fdatasync();
    ++stats_.syncs;
  }
  if (status.ok() && covered.frame >= current->first_frame) {
    status = co_await current->file.Fdatasync();
    if (!status.ok() && IsCanary("wal-retry-after-failure")) {
      status = co_await current->file.Fdatasync();
    }
    ++stats_.syncs;
  }
  sync_running_ = false;
  if (!poison_.ok()) co_return;
  if (IsCanary("wal-sync-covers-later")) covered = written_;
  if (!status.ok()) {
    Poison(status);
    co_return;
  }
  if (covered.frame > durable_.frame) durable_ = covered;
  Acknowledge(Durability::kDurable, durable_.record);
  work_.Set();
}

// Without a later frame that says so, nobody could tell the loss of the last durable frame from one
// that was never completed. So when nothing more comes, an empty frame says so.
void WalWriter::Cover() {
  if ((!idle_due_ && !closing_) || IsCanary("wal-no-idle-frame")) return;
  if (!pending_.empty() || !IsQuiet() || durable_.covered_frame >= last_content_frame_) return;
  if (durable_.frame < last_frame_) {
    sync_due_frame_ = last_frame_;
    StartSync();
  } else if (HasSegmentFor(kWalPageBytes)) {
    Cut();
  }
}

void WalWriter::ArmIdleTimer() {
  if (idle_due_ || closing_ || idle_timer_.armed() || !pending_.empty() || !IsQuiet() ||
      durable_.covered_frame >= last_content_frame_) {
    return;
  }
  io_.executor().ArmTimer(idle_timer_, io_.executor().clock().NowNs() + options_.idle_ns);
}

void WalWriter::Acknowledge(Durability level, uint64_t record) {
  uint64_t& acknowledged = acknowledged_[level == Durability::kDurable ? 1 : 0];
  if (record <= acknowledged) return;
  acknowledged = record;
  sink_.OnReached(level, record);
  (level == Durability::kDurable ? waiting_durable_ : waiting_written_).WakeThrough(record);
}

void WalWriter::Poison(const absl::Status& error) {
  poison_ = error;
  sink_.OnFailed(poison_);
  waiting_written_.FailAll(poison_);
  waiting_durable_.FailAll(poison_);
  GrantWaiting();
  quiet_.Set();
}

// Keeps a segment ready.
Task<> WalWriter::MakeSegments() {
  for (;;) {
    if (next_ == nullptr) {
      const uint64_t number = current_->number + 1;
      absl::StatusOr<std::unique_ptr<WalSegment>> made = co_await maker_.Make(number);
      if (!poison_.ok()) co_return;
      if (made.ok()) {
        next_ = *std::move(made);
        no_space_ = absl::OkStatus();
      } else if (absl::IsResourceExhausted(made.status())) {
        ++stats_.times_no_space;
        no_space_ = made.status();
        if (IsNoSpace(no_space_)) sink_.OnNoSpace();
        io_.executor().ArmTimer(space_timer_,
                                io_.executor().clock().NowNs() + options_.space_retry_ns);
      } else {
        Poison(made.status());
        co_return;
      }
      work_.Set();
    }
    co_await segment_work_.Wait();
    segment_work_.Reset();
  }
}

}  // namespace ioengine
