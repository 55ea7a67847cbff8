// EnginePart: what one shard has of a database that is open.
#ifndef IOENGINE_ENGINE_ENGINE_PART_H_
#define IOENGINE_ENGINE_ENGINE_PART_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/batch_coordinator.h"
#include "ioengine/engine/epoch_clock.h"
#include "ioengine/engine/manifest/root_file.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/store_options.h"
#include "ioengine/io/file_system.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// The store is a resident of its shard: it goes there, by Close, or with the shard, as if the
// process had been killed. What is left then refuses calls that come late, until nobody has it any
// more.
//
//   Open ──► open ──Close──► draining: calls are refused, those under way end ──► closed
//
// Shard: its own, for every call; the destructor: any thread, when it is closed or its shard ended.
class EnginePart {
 public:
  // What the home shard has of the directory around all parts.
  struct Home {
    FileSystem files;  // with its lock
    std::unique_ptr<RootFile> root;
  };

  // `options.database` is the tablet's identity, `tablet` its number. Errors: those of
  // ShardStore::Open; DataLoss when it is another one.
  static Task<absl::StatusOr<std::shared_ptr<EnginePart>>> Open(Shard& shard, std::string directory,
                                                                StoreOptions options,
                                                                std::shared_ptr<EpochClock> clock,
                                                                uint64_t tablet);
  // Waits for the calls under way. Once.
  static Task<absl::Status> Close(Shard& shard, EnginePart* part);

  ~EnginePart() = default;
  EnginePart(const EnginePart&) = delete;
  EnginePart& operator=(const EnginePart&) = delete;

  // A call to the store, from before it to its end.
  class Call {
   public:
    enum Kind {
      kNew,
      kOfHold,  // of a batch that holds keys here: Close waits for it
    };
    explicit Call(EnginePart& part, Kind kind = kNew)
        : part_(part), admitted_(kind == kNew ? !part.closing_ : part.store_ != nullptr) {
      if (admitted_) ++part_.calls_;
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call() {
      if (admitted_ && --part_.calls_ == 0) part_.OnIdle();
    }

    // Unavailable: the engine closes.
    absl::Status status() const {
      return admitted_ ? absl::OkStatus() : absl::UnavailableError("the engine is closing");
    }
    ShardStore& store() const { return *part_.store_; }

   private:
    EnginePart& part_;
    const bool admitted_;
  };

  // Of a part that is not closed.
  ShardStore& store() const { return *store_; }
  BatchCoordinator& coordinator() const { return *coordinator_; }

  void Adopt(Home home) { home_ = std::move(home); }

 private:
  EnginePart(std::unique_ptr<BatchCoordinator> coordinator, std::unique_ptr<ShardStore> store)
      : coordinator_(std::move(coordinator)), store_(std::move(store)) {}

  // Ends with the task that has it, even if that never ran.
  class Residence {
   public:
    explicit Residence(EnginePart* part) : part_(part) {}
    Residence(Residence&& other) noexcept : part_(std::exchange(other.part_, nullptr)) {}
    Residence& operator=(Residence&&) = delete;
    ~Residence() {
      if (part_ != nullptr) part_->End();
    }
    EnginePart* part() const { return part_; }

   private:
    EnginePart* part_;
  };

  static Task<> Reside(Residence residence);
  void End();
  void OnIdle();
  void LetGo();

  std::optional<Home> home_;  // let go of after the store
  std::unique_ptr<BatchCoordinator> coordinator_;
  std::unique_ptr<ShardStore> store_;
  size_t calls_ = 0;
  bool closing_ = false;
  Event idle_;
  Event closed_;
  bool ended_ = false;                // its shard has let go of it
  std::shared_ptr<EnginePart> self_;  // until then, and until the last call has ended
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_ENGINE_PART_H_
