#include "ioengine/engine/batch_coordinator.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/engine_part.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/sleep.h"

namespace ioengine {
namespace {

// Of commits whose copies are not known to be durable: above that, the shards that have them are
// asked to make them so.
constexpr size_t kMostUnsettledBytes = size_t{4} << 20;
// Until a shard that has too many calls on their way is asked again.
constexpr std::chrono::milliseconds kRetry(1);

// What a coordinator has each shard do.

Task<absl::StatusOr<ShardBatches::Held>> HoldOn(Shard&, EnginePart* part, KeyHolds::Id id,
                                                WriteBatch batch) {
  EnginePart::Call call(*part);
  if (!call.status().ok()) co_return call.status();
  co_return co_await call.store().batches().Hold(id, std::move(batch));
}

absl::Status ReleaseOn(Shard&, EnginePart* part, KeyHolds::Id id) {
  EnginePart::Call call(*part, EnginePart::Call::kOfHold);
  if (call.status().ok()) call.store().batches().Release(id);
  return absl::OkStatus();
}

absl::Status LeaveOn(Shard&, EnginePart* part, KeyHolds::Id id) {
  EnginePart::Call call(*part, EnginePart::Call::kOfHold);
  if (call.status().ok()) call.store().batches().Leave(id);
  return absl::OkStatus();
}

Task<absl::Status> ApplyOn(Shard&, EnginePart* part, ShardBatches::Part changes) {
  EnginePart::Call call(*part, EnginePart::Call::kOfHold);
  if (!call.status().ok()) co_return call.status();
  co_await call.store().batches().Apply(changes);
  co_return absl::OkStatus();
}

Task<absl::Status> RecoverOn(Shard&, EnginePart* part, BatchId batch, Sequence sequence,
                             std::string operations, uint32_t count) {
  EnginePart::Call call(*part);
  if (!call.status().ok()) co_return call.status();
  co_return co_await call.store().batches().Recover(batch, sequence, std::move(operations), count);
}

Task<absl::StatusOr<bool>> MakeDurableOn(Shard&, EnginePart* part, uint64_t coordinator,
                                         Sequence place) {
  EnginePart::Call call(*part, EnginePart::Call::kOfHold);
  if (!call.status().ok()) co_return call.status();
  co_return co_await call.store().batches().MakeDurable(coordinator, place);
}

}  // namespace

ShardBatches& BatchCoordinator::own() const { return PartOf(shard_.id())->store().batches(); }

size_t BatchCoordinator::Unsettled::bytes() const {
  size_t sum = 0;
  for (const Share& share : shares) sum += share.operations.size();
  return sum;
}

// Opening.

void BatchCoordinator::OnFound(const BatchRecord& commit) {
  settled_ = std::max(settled_, commit.settled);
  found_.erase(found_.begin(), found_.upper_bound(settled_));
  if (commit.batch.place <= settled_) return;
  Unsettled found;
  found.place = commit.batch.place;
  found.sequence = commit.sequence;
  for (const BatchPart& part : commit.others) {
    Share share = {.tablet = part.tablet, .to = 0, .count = part.count};
    share.operations = part.operations;
    found.shares.push_back(std::move(share));
  }
  // One that comes again has no more shares than the first time.
  found_.emplace(found.place, std::move(found));
}

Task<absl::Status> BatchCoordinator::Begin(std::vector<Peer> peers) {
  for (const Peer& peer : peers) others_.push_back({.peer = peer});
  for (auto& [place, found] : found_) {
    if (IsCanary("batch-not-recovered")) break;
    absl::Status given = co_await GiveShares(&found);
    if (!given.ok()) co_return given;
    Keep(std::move(found));
  }
  found_.clear();
  begun_.Set();
  co_return absl::OkStatus();
}

Task<absl::Status> BatchCoordinator::GiveShares(Unsettled* found) {
  const BatchId batch = {.coordinator = tablet_, .place = found->place};
  for (Share& share : found->shares) {
    while (share.to < others_.size() && others_[share.to].peer.tablet != share.tablet) ++share.to;
    if (share.to == others_.size()) {
      co_return absl::DataLossError(absl::StrCat("the log of tablet ", tablet_,
                                                 " has a batch that concerns tablet ", share.tablet,
                                                 ", which ROOT does not know"));
    }
    const absl::Status given =
        co_await shard_.SubmitTo(share.to, RecoverOn, PartOf(share.to), batch, found->sequence,
                                 share.operations, share.count);
    if (!given.ok()) co_return given;
    others_[share.to].last = found->place;
  }
  co_return absl::OkStatus();
}

void BatchCoordinator::Abandon() {
  if (abandoned_.ok()) abandoned_ = absl::UnavailableError("the engine is closing");
  begun_.Set();
}

// Writing.

Task<absl::StatusOr<WriteResult>> BatchCoordinator::Write(std::vector<ShardChanges> changes) {
  size_t bytes = 0;
  std::vector<ShardId> shards;
  for (const ShardChanges& change : changes) {
    bytes += change.batch.operations().size();
    shards.push_back(change.shard);
  }
  absl::Status status = own().CheckCommit(bytes, changes.size());
  if (status.ok() && unsettled_bytes_ > stuck_bytes_ + kMostUnsettledBytes) {
    status = co_await AskForCopies(own().durable_record());
  }
  if (!status.ok()) co_return status;
  const KeyHolds::Id id = {.owner = tablet_, .number = ++last_hold_};
  Sequence sequence;
  status = co_await HoldAll(changes, id, &sequence);
  if (!status.ok()) co_return status;
  std::vector<ShardBatches::Part> parts;
  status = co_await Commit(std::move(changes), id, sequence, &parts);
  if (status.ok()) status = co_await ApplyAll(shards, parts);
  if (!status.ok()) co_return status;
  co_return WriteResult{.sequence = sequence, .reached = Durability::kDurable};
}

// In ascending order, so that no two batches wait for each other.
Task<absl::Status> BatchCoordinator::HoldAll(const std::vector<ShardChanges>& changes,
                                             KeyHolds::Id id, Sequence* sequence) {
  for (const ShardChanges& change : changes) {
    const absl::StatusOr<ShardBatches::Held> held =
        co_await shard_.SubmitTo(change.shard, HoldOn, PartOf(change.shard), id, change.batch);
    if (!held.ok()) {
      co_await ReleaseAll(changes, id);
      co_return held.status();
    }
    const bool counts = change.shard == shard_.id() || !IsCanary("batch-at-coordinators-proposal");
    if (counts) *sequence = std::max(*sequence, held->proposal);
    Other& other = others_[change.shard];
    other.durable = std::max(other.durable, held->durable);
  }
  co_return absl::OkStatus();
}

Task<> BatchCoordinator::ReleaseAll(const std::vector<ShardChanges>& changes, KeyHolds::Id id) {
  for (const ShardChanges& change : changes) {
    // A shard that is gone has no holds.
    const absl::Status released =
        co_await shard_.SubmitTo(change.shard, ReleaseOn, PartOf(change.shard), id);
    released.IgnoreError();
  }
}

Task<> BatchCoordinator::LeaveAll(const std::vector<ShardId>& shards, KeyHolds::Id id) {
  for (const ShardId shard : shards) {
    const absl::Status left = co_await shard_.SubmitTo(shard, LeaveOn, PartOf(shard), id);
    left.IgnoreError();
  }
}

// `parts`: what is to be applied then, for each of `changes`.
Task<absl::Status> BatchCoordinator::Commit(std::vector<ShardChanges> changes, KeyHolds::Id id,
                                            Sequence sequence,
                                            std::vector<ShardBatches::Part>* parts) {
  size_t bytes = 0;
  std::vector<ShardId> shards;
  std::vector<BatchPart> others;
  for (const ShardChanges& change : changes) {
    bytes += change.batch.operations().size();
    shards.push_back(change.shard);
    if (change.shard == shard_.id() || change.batch.empty()) continue;
    others.push_back(
        {others_[change.shard].peer.tablet, change.batch.count(), change.batch.operations()});
  }
  absl::Status status = co_await own().AdmitCommit(bytes, shards.size());
  if (!status.ok()) {
    co_await ReleaseAll(changes, id);
    co_return status;
  }
  ForgetSettled();
  const ShardBatches::Committed committed = own().AppendCommit(id, sequence, settled_, others);
  const BatchId batch = {.coordinator = tablet_, .place = committed.place};
  for (const ShardChanges& change : changes) {
    Other& other = others_[change.shard];
    parts->push_back({.hold = id, .batch = batch, .previous = other.last, .sequence = sequence});
    if (!change.batch.empty()) other.last = committed.place;
  }
  Unsettled kept;
  kept.record = committed.record;
  kept.place = committed.place;
  kept.sequence = sequence;
  kept.shares = SharesOf(std::move(changes));
  Keep(std::move(kept));
  if (!IsCanary("batch-applied-before-durable")) {
    status = co_await own().AwaitDurable(committed.record);
  }
  if (!status.ok()) {
    co_await LeaveAll(shards, id);
    co_return status;
  }
  own().Release(id);
  co_return status;
}

Task<absl::Status> BatchCoordinator::ApplyAll(const std::vector<ShardId>& shards,
                                              const std::vector<ShardBatches::Part>& parts) {
  using Answer = decltype(shard_.SubmitTo(0, ApplyOn, PartOf(0), ShardBatches::Part()));
  std::vector<size_t> left;
  for (size_t i = 0; i < shards.size(); ++i) {
    if (shards[i] != shard_.id()) left.push_back(i);
  }
  absl::Status status;
  while (!left.empty()) {
    std::vector<Answer> answers;
    answers.reserve(left.size());
    for (const size_t i : left) {
      answers.push_back(shard_.SubmitTo(shards[i], ApplyOn, PartOf(shards[i]), parts[i]));
    }
    std::vector<size_t> again;
    for (size_t i = 0; i < left.size(); ++i) {
      const absl::Status applied = co_await answers[i];
      // The call may not have come there. It is done once, however often it comes.
      const bool is_late = absl::IsResourceExhausted(applied) || absl::IsDeadlineExceeded(applied);
      if (is_late) again.push_back(left[i]);
      if (!is_late) status.Update(applied);
    }
    left = std::move(again);
    if (!left.empty()) co_await Sleep(kRetry);
  }
  co_return status;
}

// What others have.

std::vector<BatchCoordinator::Share> BatchCoordinator::SharesOf(
    std::vector<ShardChanges> changes) const {
  std::vector<Share> shares;
  for (ShardChanges& change : changes) {
    if (change.shard == shard_.id() || change.batch.empty()) continue;
    Share share = {.tablet = others_[change.shard].peer.tablet,
                   .to = change.shard,
                   .count = change.batch.count()};
    share.operations = std::move(change.batch).TakeOperations();
    shares.push_back(std::move(share));
  }
  return shares;
}

void BatchCoordinator::Keep(Unsettled unsettled) {
  unsettled.memory = MemoryCharge(shard_.executor().memory().get(), unsettled.bytes());
  unsettled_bytes_ += unsettled.memory.bytes();
  unsettled_.push_back(std::move(unsettled));
}

bool BatchCoordinator::IsSettled(const Unsettled& unsettled) const {
  return std::all_of(unsettled.shares.begin(), unsettled.shares.end(), [&](const Share& share) {
    return others_[share.to].durable >= unsettled.place;
  });
}

void BatchCoordinator::ForgetSettled() {
  while (!unsettled_.empty() && IsSettled(unsettled_.front())) {
    settled_ = unsettled_.front().place;
    unsettled_bytes_ -= unsettled_.front().memory.bytes();
    unsettled_.pop_front();
  }
}

// The last commit of the log's records up to `record` that has a share for the shard.
Sequence BatchCoordinator::NeededOf(ShardId to, uint64_t record) const {
  Sequence needed;
  for (const Unsettled& unsettled : unsettled_) {
    if (unsettled.record > record) continue;
    for (const Share& share : unsettled.shares) {
      if (share.to == to) needed = std::max(needed, unsettled.place);
    }
  }
  return needed;
}

Task<absl::Status> BatchCoordinator::Settle(uint64_t record) {
  co_await begun_.Wait();
  if (!abandoned_.ok()) co_return abandoned_;
  absl::Status asked = co_await AskForCopies(record);
  if (!asked.ok()) co_return asked;
  co_return co_await CommitAgain(record);
}

Task<absl::Status> BatchCoordinator::AskForCopies(uint64_t record) {
  ForgetSettled();
  for (size_t i = 0; i < others_.size(); ++i) {
    const auto to = static_cast<ShardId>(i);
    const Sequence needed = NeededOf(to, record);
    if (needed <= others_[to].durable) continue;
    const absl::StatusOr<bool> durable =
        co_await shard_.SubmitTo(to, MakeDurableOn, PartOf(to), tablet_, needed);
    if (!durable.ok()) co_return durable.status();
    if (*durable) others_[to].durable = std::max(others_[to].durable, needed);
  }
  ForgetSettled();
  // Also those behind one that a shard whose log has failed is in the way of.
  std::erase_if(unsettled_, [this](const Unsettled& unsettled) { return IsSettled(unsettled); });
  unsettled_bytes_ = 0;
  for (const Unsettled& unsettled : unsettled_) unsettled_bytes_ += unsettled.memory.bytes();
  stuck_bytes_ = unsettled_bytes_;
  co_return absl::OkStatus();
}

BatchCoordinator::Unsettled* BatchCoordinator::FirstUnsettled(uint64_t record) {
  const auto is = [this, record](const Unsettled& unsettled) {
    return unsettled.record <= record && !IsSettled(unsettled);
  };
  const auto found = std::find_if(unsettled_.begin(), unsettled_.end(), is);
  return found == unsettled_.end() ? nullptr : &*found;
}

// What a shard cannot make durable before the next opening goes into the log once more, behind
// what is let go of it.
Task<absl::Status> BatchCoordinator::CommitAgain(uint64_t record) {
  if (IsCanary("batch-not-committed-again")) co_return absl::OkStatus();
  size_t most_bytes = 0;
  for (const Unsettled& unsettled : unsettled_) {
    most_bytes = std::max(most_bytes, unsettled.bytes());
  }
  uint64_t last = 0;
  while (FirstUnsettled(record) != nullptr) {
    absl::Status admitted = co_await own().AdmitCommit(most_bytes, others_.size());
    if (!admitted.ok()) co_return admitted;
    // It may have been settled meanwhile.
    Unsettled* const unsettled = FirstUnsettled(record);
    if (unsettled == nullptr) break;
    BatchCommit commit = {.place = unsettled->place, .sequence = unsettled->sequence};
    for (const Share& share : unsettled->shares) {
      commit.parts.push_back({share.tablet, share.count, share.operations});
    }
    unsettled->record = last = own().AppendAgain(commit);
  }
  if (last == 0) co_return absl::OkStatus();
  co_return co_await own().AwaitDurable(last);
}

}  // namespace ioengine
