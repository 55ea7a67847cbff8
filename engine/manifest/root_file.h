// RootFile: the file ROOT, which says what a database consists of.
#ifndef IOENGINE_ENGINE_MANIFEST_ROOT_FILE_H_
#define IOENGINE_ENGINE_MANIFEST_ROOT_FILE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/root_state.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// Change number e is written to pair e mod 2: to the pair's first slot, and when that is durable,
// to its second. It is in force when both are. So of the four slots
//
//   pair of e - 1     pair of e
//   e-1   e-1         e-2    e-2      e - 1 is in force
//   e-1   e-1         torn   e-2      the power went in the first write: e - 1 is in force
//   e-1   e-1         e      e-2      in the second one, or before it: Open completes e
//   e-1   e-1         e      torn
//   e-1   e-1         e      e        e is in force
//
// one damaged slot never takes a state away that was in force, and brings back no older one; when
// both of a pair are damaged, nobody can tell what was in force, and Open gives DataLoss. (With
// "the newest good slot counts" damage to the newest would silently bring back the state before.)
//
// A write of a killed process may land when the next one has opened the file, and has made a change
// with the same number. It is a write to the pair's first slot (had that been done, the next one
// would have found the change, and gone on from it), and the next one has written both: so of two
// changes with one number the later incarnation's counts, and with one incarnation the second
// slot's. Together with damage to that slot nobody could tell any more.
//
// Shard: the one that opened it, for every call. One at a time.
class RootFile {
 public:
  // Makes the file, durable with its name: `state` is in force, with epoch 1 (the other pair has it
  // with epoch 0). Errors: those of the file system; AlreadyExists.
  static Task<absl::StatusOr<std::unique_ptr<RootFile>>> Create(ShardIo& io, FileSystem& files,
                                                                RootState state);

  // Finds out what is in force, completes its pair, and makes it durable, before it returns.
  // Errors: NotFound; Aborted, when a Create was cut short, so that nothing was ever in force;
  // DataLoss; FailedPrecondition (a newer format).
  static Task<absl::StatusOr<std::unique_ptr<RootFile>>> Open(ShardIo& io, FileSystem& files);

  RootFile(const RootFile&) = delete;
  RootFile& operator=(const RootFile&) = delete;

  // What is in force.
  const RootState& state() const { return state_; }

  // Puts `next` in force; its epoch becomes that of state() and 1. Errors: those of a write, after
  // which it is not known which of both is in force: from then on this gives that error, and what
  // either of the two needs must be left alone. ResourceExhausted: too much for a slot; nothing was
  // done.
  Task<absl::Status> Commit(RootState next);

  static constexpr char kName[] = "ROOT";

 private:
  struct Slots {
    std::array<absl::StatusOr<RootState>, kRootSlots> states;
    bool may_be_unfinished = true;
  };

  RootFile(DmaFile file, DmaBuffer buffer) : file_(std::move(file)), buffer_(std::move(buffer)) {}

  static Task<absl::StatusOr<std::unique_ptr<RootFile>>> OpenWith(ShardIo& io, FileSystem& files,
                                                                  DmaFileOptions options);
  Task<absl::StatusOr<std::unique_ptr<Slots>>> ReadSlots();
  static absl::StatusOr<size_t> FindInForce(const Slots& slots);
  Task<absl::Status> WriteSlot(RootState state, size_t slot);

  DmaFile file_;
  DmaBuffer buffer_;  // of a slot
  RootState state_;
  absl::Status failed_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_MANIFEST_ROOT_FILE_H_
