// Manifest: the log of what a tablet consists of.
#ifndef IOENGINE_ENGINE_MANIFEST_MANIFEST_H_
#define IOENGINE_ENGINE_MANIFEST_MANIFEST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/format/root_state.h"
#include "ioengine/engine/manifest/manifest_state.h"
#include "ioengine/engine/wal/wal_options.h"
#include "ioengine/engine/wal/wal_reader.h"
#include "ioengine/engine/wal/wal_writer.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/task.h"

namespace ioengine {

struct ManifestOptions {
  // Of each of its files; a multiple of 4 KiB.
  size_t segment_bytes = size_t{256} << 10;
  // A manifest whose full files are more, and more than twice the snapshot that it began with,
  // gives way to a new one.
  size_t roll_bytes = size_t{1} << 20;
  // As of the log.
  WalSync sync = WalSync::kDsync;
};

// A stream of the log's kind whose records are edits: at first a snapshot, in one or several, and
// then each change. It is written by one process only; each that opens the database begins another
// one, so that what a killed process wrote late is in a file that nobody reads any more.
//
//   Create ──► open ──Close──► closed
//                └─ a write or a sync fails ──► poisoned: the outcome of that edit is not known
//
// Shard: the one that made it, for every call. One at a time.
class Manifest final : private WalSink {
 public:
  // Begins one with `state`, durable with its name before this returns. It counts once ROOT names
  // it. Errors: those of WalWriter::Create.
  static Task<absl::StatusOr<std::unique_ptr<Manifest>>> Create(ShardIo& io, FileSystem& files,
                                                                WalStream stream,
                                                                ManifestState state,
                                                                ManifestOptions options);
  Manifest(const Manifest&) = delete;
  Manifest& operator=(const Manifest&) = delete;
  ~Manifest() = default;

  // Makes the edit durable. Errors: DataLoss where it makes no sense, and ResourceExhausted while
  // the disk is full: nothing was done. Else the poison: the edit may be there at the next opening
  // or not, so nothing that either of both needs may be removed. Cost: one write, synchronously.
  Task<absl::Status> Append(const ManifestEdit& edit);

  Task<absl::Status> Close() { return log_->Close(); }

  // What all edits come to.
  const ManifestState& state() const { return state_; }
  // What ROOT has to say of it.
  const RootManifest& root() const { return root_; }
  bool should_roll() const;

 private:
  Manifest(ManifestState state, ManifestOptions options)
      : state_(std::move(state)), options_(options) {}

  void OnReached(Durability, uint64_t) override {}
  void OnFailed(const absl::Status&) override {}

  Task<absl::Status> AppendRecord(const ManifestEdit& edit);
  Task<absl::Status> WriteSnapshot();

  ManifestState state_;
  const ManifestOptions options_;
  RootManifest root_;
  uint64_t snapshot_bytes_ = 0;
  std::unique_ptr<WalWriter> log_;
};

// The stream of the manifest that ROOT names so.
WalStream ManifestStream(const RootState& root, const RootManifest& manifest);

// Reads a manifest to its end; what was read is durable before this returns.
// Errors: those of ReadWal; DataLoss also where it ends before its snapshot does, or makes no
// sense.
Task<absl::StatusOr<ManifestState>> ReadManifest(ShardIo& io, FileSystem& files, WalStream stream,
                                                 RootSeal least, WalReadOptions options);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_MANIFEST_MANIFEST_H_
