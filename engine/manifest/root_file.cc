#include "ioengine/engine/manifest/root_file.h"

#include <algorithm>
#include <span>
#include <string>

#include "absl/strings/str_cat.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

using Access = DmaFileOptions::Access;

constexpr uint64_t kFirstEpoch = 1;

size_t FirstSlotOf(uint64_t epoch) { return epoch % 2 == 0 ? 0 : 2; }

// Which of two changes was made later.
bool IsNewer(const RootState& a, const RootState& b) {
  return std::pair(a.epoch, a.incarnation) > std::pair(b.epoch, b.incarnation);
}

bool IsZeros(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

Task<absl::StatusOr<std::unique_ptr<RootFile>>> RootFile::OpenWith(ShardIo& io, FileSystem& files,
                                                                   DmaFileOptions options) {
  absl::StatusOr<DmaFile> file = co_await files.OpenFile(kName, options);
  if (!file.ok()) co_return file.status();
  absl::StatusOr<DmaBuffer> buffer = io.AllocateBuffer(kRootSlotBytes);
  if (!buffer.ok()) co_return buffer.status();
  co_return std::unique_ptr<RootFile>(new RootFile(*std::move(file), *std::move(buffer)));
}

Task<absl::StatusOr<std::unique_ptr<RootFile>>> RootFile::Create(ShardIo& io, FileSystem& files,
                                                                 RootState state) {
  state.epoch = kFirstEpoch;
  const DmaFileOptions options = {.access = Access::kReadWrite,
                                  .create = DmaFileOptions::Create::kMustBeNew};
  auto root = co_await OpenWith(io, files, options);
  if (!root.ok()) co_return root.status();
  RootState before = state;
  --before.epoch;
  for (const RootState* const each : {&before, &state}) {
    const size_t first = FirstSlotOf(each->epoch);
    for (const size_t slot : {first, first + 1}) {
      if (absl::Status status = co_await (*root)->WriteSlot(*each, slot); !status.ok()) {
        co_return status;
      }
    }
  }
  absl::Status synced = co_await (*root)->file_.Fdatasync();
  if (!synced.ok()) co_return synced;
  synced = co_await files.SyncDirectory();
  if (!synced.ok()) co_return synced;
  (*root)->state_ = std::move(state);
  co_return root;
}

Task<absl::StatusOr<std::unique_ptr<RootFile>>> RootFile::Open(ShardIo& io, FileSystem& files) {
  const DmaFileOptions options = {.access = Access::kReadWrite};
  auto root = co_await OpenWith(io, files, options);
  if (!root.ok()) co_return root.status();
  auto slots = co_await (*root)->ReadSlots();
  if (!slots.ok()) co_return slots.status();
  absl::StatusOr<size_t> found = FindInForce(**slots);
  if (absl::IsDataLoss(found.status()) && (*slots)->may_be_unfinished) {
    co_return absl::AbortedError("ROOT is not whole: its creation was cut short");
  }
  if (!found.ok()) co_return found.status();
  const RootState state = *(*slots)->states[*found];
  // Completes the pair, the good slot first: it may be in a cache only, and must be durable before
  // the other one is touched, else a power cut could tear both. It is written again, and not just
  // synced: if a sync of it failed in the life before, another one would succeed and do nothing.
  for (const size_t slot : {*found, *found ^ 1}) {
    const absl::StatusOr<RootState>& there = (*slots)->states[slot];
    const bool looks_right = there.ok() && *there == state;
    if (looks_right && IsCanary("root-served-from-cache")) continue;
    if (slot != *found && IsCanary("root-pair-left-incomplete")) continue;
    if (absl::Status status = co_await (*root)->WriteSlot(state, slot); !status.ok()) {
      co_return status;
    }
  }
  if (!IsCanary("root-served-from-cache")) {
    if (absl::Status synced = co_await (*root)->file_.Fdatasync(); !synced.ok()) co_return synced;
    // A Create that was killed may not have come to it.
    if (absl::Status synced = co_await files.SyncDirectory(); !synced.ok()) co_return synced;
  }
  (*root)->state_ = state;
  co_return root;
}

Task<absl::StatusOr<std::unique_ptr<RootFile::Slots>>> RootFile::ReadSlots() {
  auto slots = std::make_unique<Slots>();
  bool has_torn = false;
  for (size_t i = 0; i < kRootSlots; ++i) {
    absl::StatusOr<size_t> read = co_await file_.Read(i * kRootSlotBytes, buffer_, kRootSlotBytes);
    if (!read.ok()) co_return read.status();
    const std::span<const std::byte> slot = buffer_.bytes().first(*read);
    slots->states[i] = DecodeRootSlot(slot, i);
    // A Create that was cut short leaves first states, zeros, and the slot that it was writing.
    if (slots->states[i].ok()) {
      slots->may_be_unfinished &= slots->states[i]->epoch <= kFirstEpoch;
    } else if (!IsZeros(slot)) {
      slots->may_be_unfinished &= IsRootSlot(slot) && !has_torn;
      has_torn = true;
    }
    // Nothing here knows what the newer version wrote into the others.
    if (absl::IsFailedPrecondition(slots->states[i].status())) {
      co_return slots->states[i].status();
    }
  }
  co_return slots;
}

absl::StatusOr<size_t> RootFile::FindInForce(const Slots& slots) {
  size_t in_force = kRootSlots;
  for (const size_t first : {size_t{0}, size_t{2}}) {
    size_t newest = kRootSlots;  // of the pair's good slots
    for (const size_t slot : {first, first + 1}) {
      const absl::StatusOr<RootState>& state = slots.states[slot];
      if (!state.ok()) continue;
      // Of equals the second slot's: see the head of root_file.h.
      if (newest == kRootSlots || !IsNewer(*slots.states[newest], *state)) newest = slot;
    }
    if (newest == kRootSlots) {
      if (IsCanary("root-newest-slot-wins")) continue;
      return absl::DataLossError(absl::StrCat(slots.states[first].status().message(),
                                              ", and so is its copy in slot ", first + 1,
                                              ": it is not known what the database consisted of"));
    }
    if (in_force == kRootSlots || IsNewer(*slots.states[newest], *slots.states[in_force])) {
      in_force = newest;
    }
  }
  if (in_force == kRootSlots) return absl::DataLossError("all slots of ROOT are damaged");
  return in_force;
}

Task<absl::Status> RootFile::WriteSlot(RootState state, size_t slot) {
  absl::Status encoded = EncodeRootSlot(state, slot, buffer_.bytes());
  if (!encoded.ok()) co_return encoded;
  WriteOptions options = {.durable = !IsCanary("root-without-sync")};
  co_return co_await file_.Write(slot * kRootSlotBytes, buffer_, kRootSlotBytes, options);
}

Task<absl::Status> RootFile::Commit(RootState next) {
  if (!failed_.ok()) co_return failed_;
  next.epoch = state_.epoch + 1;
  absl::Status encoded = EncodeRootSlot(next, 0, buffer_.bytes());
  if (!encoded.ok()) co_return encoded;
  const size_t first = FirstSlotOf(next.epoch);
  for (const size_t slot : {first, first + 1}) {
    failed_ = co_await WriteSlot(next, slot);
    if (!failed_.ok()) co_return failed_;
    if (IsCanary("root-one-copy")) break;
  }
  state_ = std::move(next);
  co_return absl::OkStatus();
}

}  // namespace ioengine
