#include "ioengine/engine/root_file.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

using Access = DmaFileOptions::Access;

constexpr uint64_t kFileBytes = kRootSlots * kRootSlotBytes;

size_t FirstSlotOf(uint64_t epoch) { return epoch % 2 == 0 ? 0 : 2; }

// A pair that a change may have been written to, as Open finds it.
struct Pair {
  // Of its good slots, the newest; kRootSlots: none is good.
  size_t newest = kRootSlots;
  uint64_t epoch = 0;
};

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
  IOENGINE_CHECK(state.epoch > 0, "the first epoch of ROOT is 1");
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
  if (!found.ok()) co_return found.status();
  const RootState state = *(*slots)->states[*found];
  // Completes the pair. Slots that look right are written again too: they may be in a cache only,
  // and if a sync of them failed in the life before, another one would succeed and do nothing.
  const size_t first = FirstSlotOf(state.epoch);
  for (const size_t slot : {first, first + 1}) {
    const absl::StatusOr<RootState>& there = (*slots)->states[slot];
    if (there.ok() && *there == state && IsCanary("root-served-from-cache")) continue;
    if (IsCanary("root-pair-left-incomplete")) continue;
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
  for (size_t i = 0; i < kRootSlots; ++i) {
    absl::StatusOr<size_t> read = co_await file_.Read(i * kRootSlotBytes, buffer_, kRootSlotBytes);
    if (!read.ok()) co_return read.status();
    slots->states[i] = DecodeRootSlot(buffer_.bytes().first(*read), i);
    // Nothing here knows what the newer version wrote into the others.
    if (absl::IsFailedPrecondition(slots->states[i].status())) {
      co_return slots->states[i].status();
    }
  }
  co_return slots;
}

absl::StatusOr<size_t> RootFile::FindInForce(const Slots& slots) {
  Pair newest;
  for (const size_t first : {size_t{0}, size_t{2}}) {
    Pair pair;
    for (const size_t slot : {first, first + 1}) {
      const absl::StatusOr<RootState>& state = slots.states[slot];
      if (!state.ok() || (pair.newest < kRootSlots && state->epoch <= pair.epoch)) continue;
      pair = {slot, state->epoch};
    }
    if (pair.newest == kRootSlots && !IsCanary("root-newest-slot-wins")) {
      return absl::DataLossError(absl::StrCat(slots.states[first].status().message(),
                                              ", and so is its copy in slot ", first + 1,
                                              ": it is not known what the database consisted of"));
    }
    if (newest.newest == kRootSlots || pair.epoch > newest.epoch) newest = pair;
  }
  if (newest.newest == kRootSlots) return absl::DataLossError("all slots of ROOT are damaged");
  return newest.newest;
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
