#include "ioengine/io/io_queue.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "ioengine/io/poison.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

// Virtual time is in this part of a byte, so that dividing by up to 1000 shares rounds nothing that
// matters.
constexpr uint64_t kShareUnit = 1024;
constexpr int kFactorBits = 16;
constexpr uint32_t kDefaultShares = 100;
constexpr uint64_t kMinuteNs = 60'000'000'000;

bool MovesBytes(const IoRequest& request) {
  return request.opcode == IoOpcode::kRead || request.opcode == IoOpcode::kWrite;
}

IoTimes TimesOf(const IoAccount& account, uint64_t now_ns) {
  const uint64_t submitted_ns = std::max(account.submitted_ns, account.started_ns);
  return {.queue_ns = account.started_ns - account.queued_ns,
          .ring_ns = submitted_ns - account.started_ns,
          .device_ns = now_ns - std::min(submitted_ns, now_ns)};
}

}  // namespace

IoWaiter::~IoWaiter() {
  if (operation_ != nullptr) queue_.Forget(*this);
}

IoQueue::IoQueue(Backend& backend, Executor& executor, IoQueueOptions options)
    : backend_(backend),
      executor_(executor),
      options_(std::move(options)),
      depth_(std::clamp(options_.depth, size_t{1}, backend.capacity())),
      window_(kLeastPieceBytes, std::max(options_.max_background_bytes, size_t{1})) {
  backend_.SetSink(*this);
}

IoQueue::~IoQueue() {
  IOENGINE_CHECK(backend_.in_flight() == 0,
                 "an IoQueue is destroyed with operations in flight; "
                 "call Drain first");
  for (const IoClass* at = active_; at != nullptr; at = at->next_active) {
    IOENGINE_CHECK(at->waiting.empty(), "an IoQueue is destroyed with operations that wait");
  }
}

void IoQueue::Drain() {
  // A class may be in the list for waiters that have gone.
  StartWaiting();
  while (backend_.in_flight() > 0) {
    backend_.Drain();
    StartWaiting();
  }
}

IoQueue::IoClass& IoQueue::ClassOf(ClassId id) {
  std::unique_ptr<IoClass>& io_class = classes_[id];
  if (io_class == nullptr) [[unlikely]] {
    io_class = std::make_unique<IoClass>(executor_.FindClass(id));
  }
  return *io_class;
}

void IoQueue::Submit(IoWaiter& waiter) {
  ++stats_.submitted;
  IoRequest& request = waiter.command_.request;
  waiter.queued_ns_ = NowNs();
  IoClass& io_class = ClassOf(request.class_id);
  if (IsBackground(io_class) && MovesBytes(request) && request.size_bytes > PieceBytes() &&
      (request.flags & (kIoWhole | kIoThenSync)) == kIoWhole) {
    waiter.rest_bytes_ = request.size_bytes - PieceBytes();
    request.size_bytes = PieceBytes();
  }
  if (active_ == nullptr && TryStart(io_class, waiter)) [[likely]] {
    return;
  }
  ++stats_.times_full;
  ++io_class.stats.times_queued;
  Enqueue(io_class, waiter, /*in_front=*/false);
  // Others wait, but perhaps not for what this one needs.
  StartWaiting();
}

void IoQueue::Enqueue(IoClass& io_class, IoWaiter& waiter, bool in_front) {
  if (in_front) {
    io_class.waiting.PushFront(waiter);
  } else {
    io_class.waiting.PushBack(waiter);
  }
  if (io_class.active) return;
  io_class.active = true;
  io_class.next_active = active_;
  active_ = &io_class;
}

// Whether what bounds the shard and its background leaves room for it.
bool IoQueue::MayStart(const IoClass& io_class, const IoRequest& request) const {
  const uint64_t bytes = request.size_bytes;
  if (backend_.in_flight() >= depth_) return false;
  if (in_flight_bytes_ > 0 && in_flight_bytes_ + bytes > options_.max_bytes) return false;
  if (!IsBackground(io_class) || background_operations_ == 0) return true;
  return background_bytes_ + bytes <= window_.LimitBytes(NowNs());
}

// Powers of two, so that every piece is aligned for the device as the whole is.
uint32_t IoQueue::PieceBytes() const {
  const size_t half_bytes = std::bit_floor(window_.LimitBytes(NowNs()) / 2);
  return static_cast<uint32_t>(std::clamp(half_bytes, kLeastPieceBytes, kBackgroundPieceBytes));
}

// A shard without a class of the background watches nothing for it.
bool IoQueue::HasBackground() {
  if (executor_.class_count() != known_classes_) [[unlikely]] {
    known_classes_ = executor_.class_count();
    has_background_ = false;
    for (size_t id = 0; id < known_classes_; ++id) {
      has_background_ |= executor_.FindClass(static_cast<ClassId>(id))->is_background();
    }
  }
  return has_background_;
}

bool IoQueue::TryStart(IoClass& io_class, IoWaiter& waiter) {
  if (!MayStart(io_class, waiter.command_.request)) return false;
  IoOperation* const operation = backend_.Acquire(waiter.command_, &waiter);
  if (operation == nullptr) return false;
  waiter.operation_ = operation;
  const IoRequest& request = operation->command.request;
  IOENGINE_CHECK(!IsPoisoned(request.data, request.size_bytes),
                 "an operation is given memory that is not allocated");
  const uint64_t now_ns = NowNs();
  const bool is_background = IsBackground(io_class);
  operation->account = {.queued_ns = waiter.queued_ns_,
                        .started_ns = now_ns,
                        .submitted_ns = 0,
                        .charged_bytes = request.size_bytes,
                        .watched = !is_background && HasBackground(),
                        .started_alone = background_operations_ == 0};
  Charge(io_class, request.size_bytes);
  ++io_class.stats.in_flight;
  io_class.stats.in_flight_bytes += request.size_bytes;
  in_flight_bytes_ += request.size_bytes;
  if (is_background) [[unlikely]] {
    ++background_operations_;
    background_bytes_ += request.size_bytes;
  } else if (operation->account.watched) {
    window_.OnForegroundStart(now_ns);
  }
  backend_.Start(*operation);
  return true;
}

void IoQueue::Charge(IoClass& io_class, uint64_t bytes) {
  // A class that had nothing to do cannot have saved up time for it. (Times wrap around in no
  // machine's life: 2^64 / kShareUnit bytes are 18 PB for a class of one share.)
  virtual_time_ = std::max(virtual_time_, io_class.virtual_time);
  const uint32_t shares = io_class.tasks == nullptr ? kDefaultShares : io_class.tasks->shares();
  if (shares != io_class.shares) [[unlikely]] {
    io_class.shares = shares;
    io_class.cost_factor = (kShareUnit << kFactorBits) / shares;
  }
  // Below 2^59: bytes have 32 bits, and the factor of one share 26.
  io_class.virtual_time =
      virtual_time_ + ((bytes + kOperationCostBytes) * io_class.cost_factor >> kFactorBits);
}

// Starts what waits and may go, in the order of virtual time.
void IoQueue::StartWaiting() {
  for (;;) {
    IoClass* next = nullptr;
    for (IoClass** link = &active_; *link != nullptr;) {
      IoClass& at = **link;
      if (at.waiting.empty()) {
        at.active = false;
        *link = at.next_active;
        continue;
      }
      if ((next == nullptr || at.virtual_time < next->virtual_time) &&
          MayStart(at, at.waiting.front()->command_.request)) {
        next = &at;
      }
      link = &at.next_active;
    }
    if (next == nullptr) return;
    IoWaiter& waiter = *next->waiting.front();
    if (!TryStart(*next, waiter)) return;
    next->waiting.PopFront();
  }
}

void IoQueue::OnComplete(IoWaiter* waiter, IoCommand& command, const IoAccount& account,
                         int32_t result) {
  IOENGINE_CHECK(!IsPoisoned(command.request.data, command.request.size_bytes),
                 "memory was freed while an operation used it");
  // Before anybody is told: from here on the slot's references decide who closes it.
  if (command.request.opcode == IoOpcode::kOpen && result >= 0) {
    IOENGINE_CHECK(command.file, "an open without a slot for the descriptor");
    command.file->fd = result;
  }
  IoClass& io_class = *classes_[command.request.class_id];
  Account(io_class, command, account, result, CompletionTimeNs());
  // Of an operation that goes in pieces nobody asks for the rest when its task has gone.
  if (waiter != nullptr) {
    waiter->operation_ = nullptr;
    if ((waiter->rest_bytes_ | waiter->done_bytes_) != 0) [[unlikely]] {
      if (ContinuePieces(io_class, *waiter, command, account, result)) {
        StartWaiting();
        return;
      }
    }
    waiter->result_ = result;
    // Failures are to be named, and rare operations have their results in the command.
    if (result < 0 || command.path != nullptr) [[unlikely]] {
      waiter->command_ = std::move(command);
    }
    waiter->Done();
  }
  if (active_ != nullptr) StartWaiting();
}

// Of an operation that goes in pieces: queues the next one, or completes `result`.
bool IoQueue::ContinuePieces(IoClass& io_class, IoWaiter& waiter, IoCommand& command,
                             const IoAccount& account, int32_t& result) {
  IoRequest& request = command.request;
  if (result < 0) return false;
  const auto moved_bytes = static_cast<uint32_t>(result);
  if (moved_bytes < account.charged_bytes || waiter.rest_bytes_ == 0) {
    result += static_cast<int32_t>(waiter.done_bytes_);
    return false;  // the last, or the end of the file
  }
  waiter.done_bytes_ += moved_bytes;
  // What was continued after a short transfer has moved on already.
  const uint32_t left_bytes = request.size_bytes;
  request.data = static_cast<std::byte*>(request.data) + left_bytes;
  request.offset_bytes += left_bytes;
  request.size_bytes = std::min(waiter.rest_bytes_, PieceBytes());
  waiter.rest_bytes_ -= request.size_bytes;
  waiter.queued_ns_ = NowNs();
  waiter.command_ = std::move(command);
  Enqueue(io_class, waiter, /*in_front=*/true);
  return true;
}

// Read once for all that a poll hands on: after that the tasks of the next turn run.
uint64_t IoQueue::CompletionTimeNs() {
  const uint64_t turn = executor_.stats().turns;
  if (turn != completion_turn_) {
    completion_turn_ = turn;
    completion_ns_ = executor_.clock().NowNs();
  }
  return completion_ns_;
}

void IoQueue::Account(IoClass& io_class, const IoCommand& command, const IoAccount& account,
                      int32_t result, uint64_t now_ns) {
  IoClassStats& stats = io_class.stats;
  --stats.in_flight;
  stats.in_flight_bytes -= account.charged_bytes;
  in_flight_bytes_ -= account.charged_bytes;
  const bool is_read = command.request.opcode == IoOpcode::kRead;
  if (account.watched) {
    window_.OnForegroundEnd(now_ns, TimesOf(account, now_ns).device_ns, is_read && result >= 0,
                            account.started_alone && background_operations_ == 0);
  } else if (IsBackground(io_class)) {
    --background_operations_;
    background_bytes_ -= account.charged_bytes;
  }
  const uint64_t moved_bytes =
      result > 0 && account.charged_bytes > 0 ? static_cast<uint64_t>(result) : 0;
  const uint64_t failed = result < 0 ? 1 : 0;
  ++stats.operations;
  stats.failed += failed;
  stats.bytes += moved_bytes;
  if (command.file) {
    IoFileStats& file = command.file->stats;
    ++file.operations;
    file.failed += failed;
    (is_read ? file.bytes_read : file.bytes_written) += moved_bytes;
  }
  if (--until_sample_ == 0) [[unlikely]] {
    until_sample_ = kIoSampleEvery;
    Sample(stats, command, TimesOf(account, now_ns));
  }
  if (options_.slow.threshold_ns != 0) [[unlikely]] {
    const IoTimes times = TimesOf(account, now_ns);
    if (times.total_ns() > options_.slow.threshold_ns) {
      ReportSlow(io_class, command, account, result, times, now_ns);
    }
  }
}

// Stands for kIoSampleEvery operations.
void IoQueue::Sample(IoClassStats& stats, const IoCommand& command, const IoTimes& times) {
  stats.times.AddTimes(times, kIoSampleEvery);
  stats.queue_ns.Record(times.queue_ns);
  stats.device_ns.Record(times.ring_ns + times.device_ns);
  if (!command.file) return;
  IoFileStats& file = command.file->stats;
  file.times.AddTimes(times, kIoSampleEvery);
  file.device_ns[IoFileStats::BucketOf(times.device_ns)] += kIoSampleEvery;
}

void IoQueue::ReportSlow(const IoClass& io_class, const IoCommand& command,
                         const IoAccount& account, int32_t result, const IoTimes& times,
                         uint64_t now_ns) {
  if (options_.slow.report == nullptr) return;
  if (now_ns - slow_minute_ns_ >= kMinuteNs) {
    slow_minute_ns_ = now_ns;
    slow_reports_ = 0;
  }
  if (slow_reports_ == options_.slow.max_reports_per_minute) {
    ++slow_not_shown_;
    return;
  }
  ++slow_reports_;
  SlowIo slow;
  slow.opcode = command.request.opcode;
  slow.site = command.request.site;
  if (command.path != nullptr && !command.path->path.empty()) {
    slow.path = command.path->path;
  } else if (command.file) {
    slow.path = command.file->path;
  }
  if (io_class.tasks != nullptr) slow.class_name = io_class.tasks->name();
  slow.offset_bytes = command.request.offset_bytes;
  slow.size_bytes = account.charged_bytes;
  slow.result = result;
  slow.times = times;
  slow.in_flight = backend_.in_flight();
  slow.in_flight_bytes = in_flight_bytes_;
  slow.slow_not_shown = std::exchange(slow_not_shown_, 0);
  options_.slow.report(slow);
}

void IoQueue::Forget(IoWaiter& waiter) {
  waiter.operation_->waiter = nullptr;
  backend_.Cancel(*waiter.operation_);
}

}  // namespace ioengine
