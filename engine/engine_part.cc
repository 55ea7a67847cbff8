#include "ioengine/engine/engine_part.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/uuid.h"

namespace ioengine {

Task<absl::StatusOr<std::shared_ptr<EnginePart>>> EnginePart::Open(
    Shard& shard, std::string directory, StoreOptions options, std::shared_ptr<EpochClock> clock,
    uint64_t tablet) {
  const std::string where = directory;
  auto coordinator = std::make_unique<BatchCoordinator>(shard, tablet);
  auto store = co_await ShardStore::Open(shard, std::move(directory), options, std::move(clock),
                                         coordinator.get());
  if (!store.ok()) co_return store.status();
  if ((*store)->root().database != *options.database) {
    absl::Status other = absl::DataLossError(absl::StrCat(
        where, " has the tablet of another database, or another one of this: ", "identity ",
        (*store)->root().database.ToString(), ", expected ", options.database->ToString()));
    coordinator->Abandon();
    const absl::Status closed = co_await (*store)->Close();
    closed.IgnoreError();
    co_return other;
  }
  const std::shared_ptr<EnginePart> part(new EnginePart(std::move(coordinator), *std::move(store)));
  part->self_ = part;
  shard.executor().Spawn(Reside(Residence(part.get())));
  co_return part;
}

// A task for as long as the part is open: it ends with the shard at the latest.
Task<> EnginePart::Reside(Residence residence) { co_await residence.part()->closed_.Wait(); }

// A shard that stops destroys its tasks in no order, so calls may still be there, and use the
// store.
void EnginePart::End() {
  closing_ = true;
  ended_ = true;
  if (calls_ == 0) OnIdle();
}

void EnginePart::OnIdle() {
  idle_.Set();
  if (!ended_) return;
  LetGo();
  const std::shared_ptr<EnginePart> last = std::move(self_);
}

void EnginePart::LetGo() {
  store_.reset();
  coordinator_.reset();
  home_.reset();
}

Task<absl::Status> EnginePart::Close(Shard&, EnginePart* part) {
  if (part->closing_) co_return absl::UnavailableError("the engine is closed already");
  part->closing_ = true;
  while (part->calls_ > 0 || part->store_->batches().active_holds() > 0) {
    part->idle_.Reset();
    co_await part->idle_.Wait();
  }
  part->coordinator_->Abandon();
  absl::Status closed = co_await part->store_->Close();
  // A shard that asked for its batches to be made durable is told.
  while (part->calls_ > 0) {
    part->idle_.Reset();
    co_await part->idle_.Wait();
  }
  part->LetGo();
  part->closed_.Set();
  co_return closed;
}

}  // namespace ioengine
