#include "ioengine/engine/manifest/manifest.h"

#include <optional>
#include <span>
#include <string>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/sched/canary.h"

namespace ioengine {
namespace {

// A table's record takes up to 700 bytes.
constexpr size_t kTablesPerEdit = 100;
constexpr size_t kPendingBytes = size_t{512} << 10;
constexpr size_t kFrameBytes = size_t{64} << 10;
// After each edit an empty frame follows, which says that the edit is durable: else nobody could
// tell damage to the last edit from one that was cut off.
constexpr uint64_t kCoverNs = 1'000'000;

WalOptions LogOptions(const ManifestOptions& options) {
  WalOptions log;
  log.segment_bytes = options.segment_bytes;
  log.max_frame_bytes = std::min(kFrameBytes, options.segment_bytes);
  log.max_frames_in_flight = 2;
  log.max_pending_bytes = kPendingBytes;
  log.idle_ns = kCoverNs;
  log.sync = options.sync;
  log.pooled_segments = 1;
  return log;
}

class EditReader final : public WalVisitor {
 public:
  explicit EditReader(ManifestState& state) : state_(state) {}

  absl::Status OnRecord(uint64_t record, std::span<const std::byte> bytes) override {
    ManifestEdit edit;
    if (!DecodeManifestEdit(bytes, &edit)) {
      return absl::DataLossError(
          absl::StrCat("edit ", record, " of the manifest has a good checksum and makes no sense"));
    }
    return state_.Apply(edit);
  }

 private:
  ManifestState& state_;
};

}  // namespace

Task<absl::StatusOr<std::unique_ptr<Manifest>>> Manifest::Create(ShardIo& io, FileSystem& files,
                                                                 WalStream stream,
                                                                 ManifestState state,
                                                                 ManifestOptions options) {
  std::unique_ptr<Manifest> manifest(new Manifest(std::move(state), options));
  auto log = co_await WalWriter::Create(io, files, stream, LogOptions(options), *manifest);
  if (!log.ok()) co_return log.status();
  manifest->log_ = *std::move(log);
  absl::Status written = co_await manifest->WriteSnapshot();
  if (!written.ok()) {
    // Of the first failure; what is left are files that nobody knows.
    co_await manifest->Close();
    co_return written;
  }
  const WalSeal end = manifest->log_->durable_seal();
  manifest->root_ = {.stream = stream.stream,
                     .incarnation = stream.incarnation,
                     .root_epoch = stream.root_epoch,
                     .least = {.frame = end.frame, .record = end.record, .hash = end.hash}};
  co_return manifest;
}

Task<absl::Status> Manifest::WriteSnapshot() {
  const std::vector<ManifestEdit> edits = state_.Snapshot(kTablesPerEdit);
  for (const ManifestEdit& edit : edits) {
    absl::Status appended = co_await AppendRecord(edit);
    if (!appended.ok()) co_return appended;
  }
  snapshot_bytes_ = log_->stats().record_bytes;
  if (IsCanary("manifest-snapshot-not-synced")) co_return absl::OkStatus();
  co_return co_await log_->Sync();
}

Task<absl::Status> Manifest::AppendRecord(const ManifestEdit& edit) {
  const std::string record = EncodeManifestEdit(edit);
  absl::Status admitted = co_await log_->Admit(record.size());
  if (!admitted.ok()) co_return admitted;
  log_->Append(AsBytes(record), {}, Durability::kDurable);
  co_return absl::OkStatus();
}

Task<absl::Status> Manifest::Append(const ManifestEdit& edit) {
  absl::Status status = state_.Check(edit);
  if (status.ok()) status = co_await AppendRecord(edit);
  if (status.ok()) status = co_await log_->Reached(log_->last_record(), Durability::kDurable);
  if (status.ok()) status = state_.Apply(edit);
  co_return status;
}

bool Manifest::should_roll() const {
  // Each edit takes two pages, however short it is.
  const uint64_t file_bytes = (log_->live_segments() - 1) * options_.segment_bytes;
  return file_bytes > options_.roll_bytes && file_bytes > 2 * snapshot_bytes_;
}

WalStream ManifestStream(const RootState& root, const RootManifest& manifest) {
  return {root.database, manifest.incarnation, manifest.stream, manifest.root_epoch,
          WalKind::kManifest};
}

Task<absl::StatusOr<ManifestState>> ReadManifest(ShardIo& io, FileSystem& files, WalStream stream,
                                                 RootSeal least, WalReadOptions options) {
  ManifestState state;
  EditReader reader(state);
  const auto end = co_await ReadWal(io, files, stream, WalStart(), std::nullopt, options, reader);
  if (!end.ok()) {
    co_return absl::Status(end.status().code(), absl::StrCat("manifest ", stream.stream, ": ",
                                                             std::string(end.status().message())));
  }
  const bool is_whole = end->seal.frame > least.frame ||
                        (end->seal.frame == least.frame && end->seal.hash == least.hash);
  if (!is_whole && !IsCanary("manifest-may-be-short")) {
    co_return absl::DataLossError(absl::StrCat(
        "manifest ", stream.stream, " ends at frame ", end->seal.frame, ", and had ", least.frame,
        " when ROOT came to name it: what the database consists of is not known"));
  }
  co_return state;
}

}  // namespace ioengine
