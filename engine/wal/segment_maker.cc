#include "ioengine/engine/wal/segment_maker.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/wal/write_zeros.h"
#include "ioengine/sched/canary.h"

namespace ioengine {

Task<absl::StatusOr<std::unique_ptr<WalSegment>>> SegmentMaker::Make(uint64_t number) {
  if (leftover_.has_value()) {
    absl::Status removed = co_await Remove(*leftover_);
    if (!removed.ok() && !absl::IsNotFound(removed)) co_return removed;
    leftover_.reset();
  }
  // After the rename of a failed attempt the segment has its new name already.
  const bool recycles = !pool_.empty();
  absl::Status prepared;
  if (recycles) {
    prepared = co_await Rename(number);
  } else {
    prepared = co_await Zero(number);
  }
  if (!prepared.ok()) co_return prepared;
  if (!IsCanary("wal-no-directory-sync")) {
    absl::Status synced = co_await files_.SyncDirectory();
    if (absl::IsResourceExhausted(synced)) {
      // Not to be tried again: what it was to make durable may be gone.
      co_return absl::InternalError(synced.message());
    }
    if (!synced.ok()) co_return synced;
  }
  const DmaFileOptions options = {.access = DmaFileOptions::Access::kReadWrite};
  absl::StatusOr<DmaFile> file = co_await files_.OpenFile(WalSegmentName(stream_, number), options);
  if (!file.ok()) {
    if (!recycles) leftover_ = number;
    co_return file.status();
  }
  if (recycles) pool_.pop_front();
  ++(recycles ? stats_.segments_recycled : stats_.segments_made);
  auto segment = std::make_unique<WalSegment>();
  segment->number = number;
  segment->salt = WalSalt(stream_, number);
  segment->file = *std::move(file);
  co_return segment;
}

Task<absl::Status> SegmentMaker::Rename(uint64_t number) {
  if (pool_.front() == number) co_return absl::OkStatus();
  absl::Status renamed =
      co_await files_.Rename(WalSegmentName(stream_, pool_.front()),
                             WalSegmentName(stream_, number), FileSystem::Replace::kNo);
  if (renamed.ok()) pool_.front() = number;
  co_return renamed;
}

Task<absl::Status> SegmentMaker::Zero(uint64_t number) {
  const DmaFileOptions options = {.access = DmaFileOptions::Access::kReadWrite,
                                  .create = DmaFileOptions::Create::kMustBeNew};
  absl::StatusOr<DmaFile> file = co_await files_.OpenFile(WalSegmentName(stream_, number), options);
  if (!file.ok()) co_return file.status();
  leftover_ = number;
  absl::Status status = co_await WriteZeros(*file, zeros_, options_.segment_bytes);
  if (status.ok() && !IsCanary("wal-no-segment-zeroing-sync")) status = co_await file->Fdatasync();
  const absl::Status closed = co_await file->Close();
  if (status.ok()) status = closed;
  if (status.ok()) {
    leftover_.reset();
    co_return status;
  }
  // Gives back what it took: others may need it more.
  absl::Status removed = co_await Remove(number);
  if (removed.ok()) leftover_.reset();
  co_return status;
}

Task<absl::Status> SegmentMaker::Release(uint64_t number) {
  if (pool_.size() < options_.pooled_segments) {
    pool_.push_back(number);
    co_return absl::OkStatus();
  }
  absl::Status removed = co_await Remove(number);
  if (removed.ok()) ++stats_.segments_removed;
  co_return removed;
}

Task<absl::Status> SegmentMaker::Remove(uint64_t number) {
  return files_.Remove(WalSegmentName(stream_, number));
}

}  // namespace ioengine
