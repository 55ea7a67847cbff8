#include "ioengine/engine/space_guard.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/wal/write_zeros.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/io_error.h"
#include "ioengine/sched/sleep.h"

namespace ioengine {
namespace {

constexpr std::chrono::milliseconds kRetry(500);
constexpr uint64_t kFillBytes = uint64_t{256} << 10;

}  // namespace

SpaceGuard::SpaceGuard(ShardIo& io, FileSystem& files, uint64_t ballast_bytes)
    : io_(io),
      files_(files),
      ballast_bytes_(ballast_bytes),
      scope_(io.executor(), {.detached = true}) {}

Task<absl::Status> SpaceGuard::Start(ClassId class_id) {
  if (ballast_bytes_ == 0) co_return absl::OkStatus();
  absl::Status taken = co_await Take();
  if (!taken.ok() && !IsNoSpace(taken)) co_return taken;
  scope_.Spawn(Keep(), class_id);
  co_return absl::OkStatus();
}

Task<absl::Status> SpaceGuard::Take() {
  const absl::Status reserved = co_await Reserve();
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
  if (absl::IsUnimplemented(status)) status = co_await Fill(*file);
  const absl::Status closed = co_await file->Close();
  co_return status.ok() ? closed : status;
}

// Where a file system gives space to what is written only. An earlier life may have done it.
Task<absl::Status> SpaceGuard::Fill(const DmaFile& file) {
  const absl::StatusOr<FileStat> stat = co_await file.Stat();
  if (!stat.ok()) co_return stat.status();
  if (stat->size_bytes >= ballast_bytes_) co_return absl::OkStatus();
  absl::StatusOr<DmaBuffer> zeros = io_.AllocateBuffer(std::min(ballast_bytes_, kFillBytes));
  if (!zeros.ok()) co_return zeros.status();
  std::memset(zeros->data(), 0, zeros->size_bytes());
  co_return co_await WriteZeros(file, *zeros, ballast_bytes_);
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
