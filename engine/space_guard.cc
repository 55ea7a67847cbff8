#include "ioengine/engine/space_guard.h"

#include <chrono>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/io_error.h"
#include "ioengine/sched/sleep.h"

namespace ioengine {
namespace {

constexpr std::chrono::milliseconds kRetry(500);

}  // namespace

SpaceGuard::SpaceGuard(ShardIo& io, FileSystem& files, uint64_t ballast_bytes)
    : files_(files), ballast_bytes_(ballast_bytes), scope_(io.executor(), {.detached = true}) {}

Task<absl::Status> SpaceGuard::Start(ClassId class_id) {
  if (ballast_bytes_ == 0) co_return absl::OkStatus();
  absl::Status taken = co_await Take();
  if (!taken.ok() && !IsNoSpace(taken)) co_return taken;
  scope_.Spawn(Keep(), class_id);
  co_return absl::OkStatus();
}

Task<absl::Status> SpaceGuard::Take() {
  absl::Status reserved = co_await Reserve();
  // A file system that cannot is none that this helps on.
  if (absl::IsUnimplemented(reserved)) reserved = absl::OkStatus();
  held_ = reserved.ok();
  if (held_) {
    status_ = absl::OkStatus();
    co_return status_;
  }
  // What it got is of more use to others.
  (co_await files_.Remove(kName)).IgnoreError();
  status_ = absl::ResourceExhaustedError(
      absl::StrCat(files_.root(), " has no ", ballast_bytes_,
                   " bytes of space left (StoreOptions::ballast_bytes); writes are refused until "
                   "there are: free some, or add to it"));
  co_return reserved;
}

Task<absl::Status> SpaceGuard::Reserve() {
  const DmaFileOptions options = {.access = DmaFileOptions::Access::kReadWrite,
                                  .create = DmaFileOptions::Create::kIfMissing};
  absl::StatusOr<DmaFile> file = co_await files_.OpenFile(kName, options);
  if (!file.ok()) co_return file.status();
  absl::Status status = co_await file->Preallocate(0, ballast_bytes_);
  const absl::Status closed = co_await file->Close();
  co_return status.ok() ? closed : status;
}

Task<bool> SpaceGuard::GiveWay() {
  if (!held_) co_return false;
  held_ = false;
  status_ = absl::ResourceExhaustedError(
      absl::StrCat(files_.root(), " is full; writes are refused until there are ", ballast_bytes_,
                   " bytes of space (StoreOptions::ballast_bytes): free some, or add to it"));
  absl::Status status = co_await files_.Remove(kName);
  // Space may be free only once its last owner is gone for good.
  if (status.ok()) status = co_await files_.SyncDirectory();
  work_.Set();
  co_return status.ok();
}

Task<> SpaceGuard::Keep() {
  for (;;) {
    if (held_ && !asked_) {
      work_.Reset();
      co_await work_.Wait();
      continue;
    }
    if (held_) {
      asked_ = false;
      (void)co_await GiveWay();
    }
    co_await Sleep(kRetry);
    asked_ = false;
    if (!held_) (co_await Take()).IgnoreError();
  }
}

}  // namespace ioengine
