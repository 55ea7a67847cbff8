#include "ioengine/engine/write_pacer.h"

namespace ioengine {
namespace {

// At a debt of so much more memories than the mark, each byte that is let in waits for …
constexpr uint64_t kGearMemories = 4;
// … so many that were compacted: about what a byte costs until it is at the bottom.
constexpr uint64_t kGearBytes = 4;

}  // namespace

bool WritePacer::MustWait() const {
  if (stopped_) return false;
  if (flush_bytes_ > 0 && flush_.IsBehind(slack_bytes_)) return true;
  return debt_bytes_ > low_debt_bytes() && compaction_.IsBehind(slack_bytes_);
}

Task<> WritePacer::Pace(size_t write_bytes, size_t user_bytes, size_t used_bytes) {
  const Mutex::Guard guard = co_await turn_.Lock();
  if (flush_bytes_ > 0) {
    const uint64_t room_bytes = used_bytes < memory_bytes_ ? memory_bytes_ - used_bytes : 1;
    // Products of sizes in memory fit.
    flush_.Charge(write_bytes * flush_bytes_ / room_bytes);
  }
  if (debt_bytes_ > low_debt_bytes()) {
    const uint64_t excess_bytes = debt_bytes_ - low_debt_bytes();
    const uint64_t full_bytes = kGearMemories * memory_bytes_;
    compaction_.Charge(user_bytes * kGearBytes * excess_bytes / full_bytes);
  }
  if (MustWait()) ++waits_;
  while (MustWait()) co_await progress_.Wait();
}

void WritePacer::BeginFlush(uint64_t bytes) {
  flush_bytes_ = bytes;
  flush_.due_bytes = flush_.done_bytes;
}

void WritePacer::OnFlushed(uint64_t bytes) {
  flush_.done_bytes += bytes;
  // Something is left until it ends: the sync, and the manifest's edit.
  flush_bytes_ = flush_bytes_ > bytes ? flush_bytes_ - bytes : 1;
  Pulse();
}

void WritePacer::EndFlush() {
  flush_bytes_ = 0;
  Pulse();
}

void WritePacer::SetDebt(uint64_t bytes) {
  debt_bytes_ = bytes;
  Pulse();
}

void WritePacer::OnCompacted(uint64_t bytes) {
  compaction_.done_bytes += bytes;
  Pulse();
}

void WritePacer::Stop() {
  stopped_ = true;
  Pulse();
}

void WritePacer::Pulse() {
  if (!progress_.has_waiters()) return;
  progress_.Set();
  progress_.Reset();
}

}  // namespace ioengine
