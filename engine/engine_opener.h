// EngineOpener: from a directory to an engine that serves.
#ifndef IOENGINE_ENGINE_ENGINE_OPENER_H_
#define IOENGINE_ENGINE_ENGINE_OPENER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/engine.h"
#include "ioengine/engine/engine_options.h"
#include "ioengine/engine/engine_part.h"
#include "ioengine/engine/format/root_state.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/store_options.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// In an order in which a crash at any point does no harm:
//
//   1. the directory's lock, and ROOT. A database that is made: ROOT, which says that its tablets
//      are not complete
//   2. each shard's tablet, by ShardStore::Open, which makes one only where they are not complete:
//      a complete one that is missing is lost
//   3. a database that is made: ROOT says that they are complete. Only now can anybody write
//   4. each shard gives the others their parts of the batches that its log had: a crash may have
//      come between a batch's commit and its copies. Then all of them serve
//
// Shard: the home shard's.
class EngineOpener {
 public:
  // In a task of its own: it ends, and leaves nothing open, also when the one that waits for it is
  // destroyed.
  static Task<absl::StatusOr<std::unique_ptr<Engine>>> Open(Shard& shard, std::string directory,
                                                            EngineOptions options);

 private:
  // Shared by the task that opens and the one that waits.
  struct Outcome {
    Event done;
    bool awaited = true;
    absl::Status status;
    std::unique_ptr<Engine> engine;
  };

  EngineOpener(Shard& shard, std::string directory, EngineOptions options);

  static Task<> RunAlone(Shard& shard, std::string directory, EngineOptions options,
                         std::shared_ptr<Outcome> outcome);
  Task<absl::Status> Run();
  Task<absl::Status> OpenRoot();
  Task<absl::Status> CreateRoot();
  absl::Status CheckRoot() const;
  Task<absl::Status> MakeDirectories();
  Task<absl::Status> OpenParts();
  Task<> CloseParts();
  Task<absl::Status> Complete();
  Task<absl::Status> FinishBatches();
  std::string TabletDirectory(size_t index) const;
  StoreOptions OptionsOf(size_t index) const;
  absl::Status ErrorOf(size_t index, const absl::Status& status) const;
  std::unique_ptr<Engine> Finish();

  const RootState& root() const { return home_.root->state(); }

  Shard& shard_;
  const std::string directory_;
  const EngineOptions options_;
  EnginePart::Home home_;
  const std::shared_ptr<EpochClock> clock_ = std::make_shared<EpochClock>();
  std::vector<std::shared_ptr<EnginePart>> parts_;  // by shard; null: it could not be opened
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_ENGINE_OPENER_H_
