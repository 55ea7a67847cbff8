#include "ioengine/engine/wal/wal_writer.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/wal/sync_probe.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

constexpr size_t kMaxZerosBytes = size_t{256} << 10;

}  // namespace

WalWriter::WalWriter(ShardIo& io, FileSystem& files, const WalStream& stream,
                     const WalOptions& options, WalSink& sink, DmaBuffer zeros)
    : io_(io),
      stream_(stream),
      options_(options),
      sync_(options.sync),
      sink_(sink),
      maker_(files, stream, options, std::move(zeros), stats_),
      pending_(options.max_pending_bytes),
      charge_(io.executor().memory().get(), pending_.memory_bytes()),
      slots_(options.max_frames_in_flight),
      scope_(io.executor(), {.detached = true}) {}

WalWriter::~WalWriter() { scope_.Cancel(); }

Task<absl::StatusOr<std::unique_ptr<WalWriter>>> WalWriter::Create(ShardIo& io, FileSystem& files,
                                                                   WalStream stream,
                                                                   WalOptions options,
                                                                   WalSink& sink) {
  if (absl::Status valid = options.Validate(); !valid.ok()) co_return valid;
  absl::StatusOr<DmaBuffer> zeros =
      io.AllocateBuffer(std::min(options.segment_bytes, kMaxZerosBytes));
  if (!zeros.ok()) co_return zeros.status();
  std::memset(zeros->data(), 0, zeros->size_bytes());
  std::unique_ptr<WalWriter> log(
      new WalWriter(io, files, stream, options, sink, *std::move(zeros)));
  if (absl::Status allocated = log->AllocateSlots(); !allocated.ok()) co_return allocated;
  absl::StatusOr<std::unique_ptr<WalSegment>> first = co_await log->maker_.Make(0);
  if (!first.ok()) co_return first.status();
  if (options.sync == WalSync::kProbe) {
    const absl::StatusOr<WalSync> faster = co_await ProbeWalSync(io, (*first)->file);
    if (!faster.ok()) co_return faster.status();
    log->sync_ = *faster;
  }
  log->Begin(*std::move(first));
  co_return log;
}

absl::Status WalWriter::AllocateSlots() {
  for (Slot& slot : slots_) {
    absl::StatusOr<DmaBuffer> buffer = io_.AllocateBuffer(options_.max_frame_bytes);
    if (!buffer.ok()) return buffer.status();
    slot.buffer = *std::move(buffer);
  }
  return absl::OkStatus();
}

void WalWriter::Begin(std::unique_ptr<WalSegment> first) {
  current_ = std::move(first);
  current_->first_frame = 1;
  live_.push_back({});
  scope_.Spawn(Run());
  scope_.Spawn(MakeSegments());
}

WalWriter::AdmitAwaiter WalWriter::Admit(size_t record_bytes) {
  return AdmitAwaiter(*this, record_bytes);
}

WalWriter::ReachedAwaiter WalWriter::Reached(uint64_t record, Durability level) {
  IOENGINE_CHECK(record <= last_record_, "a task waits for a record that was not appended");
  return ReachedAwaiter(*this, record, level);
}

bool WalWriter::HasRoom(size_t record_bytes) const {
  return PendingRecords::kHeadBytes + record_bytes <=
         pending_.capacity_bytes() - pending_.used_bytes() - granted_bytes_;
}

// Why a record so large is not to be appended now; OK when it may be, or may wait.
absl::Status WalWriter::CheckSize(size_t record_bytes) const {
  if (record_bytes <= max_record_bytes()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a record of the log, which is a batch of changes with its head, has ",
                   record_bytes, " bytes, and may have ", max_record_bytes(),
                   ": WalOptions::max_pending_bytes is ", options_.max_pending_bytes));
}

absl::Status WalWriter::Refusal(size_t record_bytes) const {
  if (!poison_.ok()) return poison_;
  if (closing_) return absl::UnavailableError("the log is closing");
  if (absl::Status fits = CheckSize(record_bytes); !fits.ok()) return fits;
  if (no_space_.ok() || next_ != nullptr) return absl::OkStatus();
  const size_t left_bytes = options_.segment_bytes - current_->used_bytes;
  const size_t needed_bytes = WalFrameBytes(pending_.fragment_bytes() + granted_bytes_ +
                                            kWalFragmentHeadBytes + record_bytes);
  return needed_bytes <= left_bytes ? absl::OkStatus() : no_space_;
}

// Lets those in for whom there is room, in their order.
void WalWriter::GrantWaiting() {
  while (AdmitAwaiter* const first = admitting_.front()) {
    first->status_ = Refusal(first->record_bytes_);
    if (first->status_.ok() && !HasRoom(first->record_bytes_)) break;
    first->Unlink();
    if (first->status_.ok()) {
      granted_bytes_ += PendingRecords::kHeadBytes + first->record_bytes_;
      first->granted_ = true;
      granted_.PushBack(*first);
    }
    io_.executor().MakeRunnable(*first->task_);
  }
  // Room is made by what goes out.
  if (!admitting_.empty()) wanted_record_ = last_record_;
}

uint64_t WalWriter::Append(std::span<const std::byte> head, std::span<const std::byte> body,
                           Durability level) {
  const size_t record_bytes = head.size() + body.size();
  IOENGINE_CHECK(HasRoom(record_bytes), "a record is appended that was not admitted");
  pending_.Push(head, body);
  ++last_record_;
  ++stats_.records;
  stats_.record_bytes += record_bytes;
  idle_due_ = false;
  if (idle_timer_.armed()) io_.executor().CancelTimer(idle_timer_);
  if (level != Durability::kMemory) {
    Want(last_record_, level);
  } else if (pending_.used_bytes() >= options_.memory_bytes) {
    Want(last_record_, Durability::kWritten);
  } else if (!memory_timer_.armed()) {
    io_.executor().ArmTimer(memory_timer_,
                            io_.executor().clock().NowNs() + options_.memory_delay_ns);
  }
  return last_record_;
}

void WalWriter::Want(uint64_t record, Durability level) {
  wanted_record_ = std::max(wanted_record_, record);
  if (level == Durability::kDurable) {
    durable_wanted_record_ = std::max(durable_wanted_record_, record);
  }
  work_.Set();
}

uint64_t WalWriter::reached(Durability level) const {
  if (level == Durability::kMemory) return last_record_;
  return acknowledged_[level == Durability::kDurable ? 1 : 0];
}

Task<absl::Status> WalWriter::Sync() {
  // Also where all that was appended is durable: whoever asks is about to rely on the log.
  if (!poison_.ok()) co_return poison_;
  co_return co_await Reached(last_record_, Durability::kDurable);
}

Task<absl::Status> WalWriter::Close() {
  IOENGINE_CHECK(!closing_, "a log is closed twice");
  closing_ = true;
  GrantWaiting();
  absl::Status status = co_await Sync();
  if (status.ok()) {
    work_.Set();
    co_await quiet_.Wait();
    status = poison_;
  }
  // Not before: its tasks are what brings the log to rest.
  scope_.Cancel();
  next_.reset();
  previous_.reset();
  const absl::Status closed = co_await current_->file.Close();
  if (status.ok()) status = closed;
  co_return status;
}

WalStart WalWriter::StartAfter(uint64_t record) const {
  const uint64_t written_to = (previous_ != nullptr ? previous_ : current_)->number;
  for (const LiveSegment& segment : live_) {
    if (segment.start.segment >= written_to || segment.last_record > record) return segment.start;
  }
  return live_.back().start;
}

Task<absl::Status> WalWriter::Release(WalStart start) {
  IOENGINE_CHECK(start.segment <= (previous_ != nullptr ? previous_ : current_)->number,
                 "a segment of the log is released that is still written to");
  const Mutex::Guard guard = co_await releasing_.Lock();
  while (live_.front().start.segment < start.segment) {
    if (!poison_.ok()) co_return poison_;
    absl::Status released = co_await maker_.Release(live_.front().start.segment);
    // An attempt that was given up may have removed it.
    if (!released.ok() && !absl::IsNotFound(released)) co_return released;
    live_.pop_front();
    segment_work_.Set();
  }
  co_return absl::OkStatus();
}

}  // namespace ioengine
