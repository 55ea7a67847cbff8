#include "ioengine/engine/lsm/merge_iterator.h"

#include <algorithm>
#include <utility>

#include "ioengine/engine/format/key_head.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/when_all.h"

namespace ioengine {

MergeSources MergeSources::Of(const ReadView& view) {
  MergeSources sources;
  sources.memtables.push_back(view.memtable.get());
  for (const auto& memtable : view.frozen) sources.memtables.push_back(memtable.get());
  for (const SortedRun& run : view.version->runs()) sources.runs.emplace_back(run.tables);
  return sources;
}

MergeIterator::MergeIterator(MergeSources sources, TableIteratorOptions options)
    : options_(std::move(options)) {
  for (const Memtable* const memtable : sources.memtables) memtables_.emplace_back(*memtable);
  for (const RunIterator::Tables run : sources.runs) {
    runs_.push_back(std::make_unique<RunIterator>(run, options_));
  }
  places_.resize(memtables_.size() + runs_.size());
  losses_.resize(runs_.size());
}

OperationKind MergeIterator::kind() const {
  const size_t at = source();
  return at < memtables_.size() ? memtables_[at].kind() : runs_[at - memtables_.size()]->kind();
}

std::string_view MergeIterator::value() const {
  const size_t at = source();
  return at < memtables_.size() ? memtables_[at].value() : runs_[at - memtables_.size()]->value();
}

bool MergeIterator::IsBefore(const Place& a, const Place& b) {
  if (a.key_head != b.key_head) return a.key_head < b.key_head;
  if (const int order = a.key.compare(b.key); order != 0) return order < 0;
  if (a.sequence != b.sequence) return a.sequence > b.sequence;
  return &a < &b;
}

void MergeIterator::Choose() {
  order_.clear();
  for (Place& place : places_) {
    if (place.state != State::kNothing) order_.push_back(&place);
  }
  std::sort(order_.begin(), order_.end(),
            [this](const Place* a, const Place* b) { return Leads(*a, *b); });
  best_ = order_.empty() ? nullptr : order_.front();
}

void MergeIterator::ChooseAgain() {
  Place* const moved = order_.front();
  const auto second = order_.begin() + 1;
  if (moved->state == State::kNothing) {
    order_.erase(order_.begin());
  } else if (second != order_.end() && Leads(**second, *moved)) {
    const auto behind = std::partition_point(
        second + 1, order_.end(), [&](const Place* place) { return Leads(*place, *moved); });
    std::move(second, behind, order_.begin());
    *(behind - 1) = moved;
  }
  best_ = order_.empty() ? nullptr : order_.front();
}

void MergeIterator::GoNowhere() {
  for (Place& place : places_) place.state = State::kNothing;
  loss_count_ = 0;
  order_.clear();
  best_ = nullptr;
}

absl::Status MergeIterator::Settle() {
  if (best_ == nullptr || best_->state != State::kLoss) return absl::OkStatus();
  absl::Status loss = losses_[IndexOf(*best_) - memtables_.size()];
  GoNowhere();
  return loss;
}

void MergeIterator::LookAtMemtable(size_t memtable) {
  const Memtable::Iterator& iterator = memtables_[memtable];
  Place& place = places_[memtable];
  place.state = State::kNothing;
  if (!iterator.Valid()) return;
  place.key = iterator.key();
  const bool within = forward_ ? !options_.upper.has_value() || place.key < *options_.upper
                               : place.key >= options_.lower;
  if (!within) return;
  place.state = State::kChange;
  place.key_head = KeyHead(place.key);
  place.sequence = iterator.sequence();
}

void MergeIterator::LookAtRun(size_t run) {
  const RunIterator& iterator = *runs_[run];
  Place& place = places_[memtables_.size() + run];
  place.state = State::kNothing;
  if (!iterator.Valid()) return;
  place.state = State::kChange;
  place.key = iterator.key();
  place.key_head = KeyHead(place.key);
  place.sequence = iterator.sequence();
}

absl::Status MergeIterator::Arrive(size_t run, absl::Status moved) {
  LookAtRun(run);
  const std::optional<std::string>& edge = runs_[run]->loss_edge();
  if (moved.ok() || !edge.has_value()) return moved;
  // Forward it stands before all changes of the bound, and backward behind all below it.
  places_[memtables_.size() + run] = {State::kLoss, KeyHead(*edge), *edge, kMaxSequence};
  losses_[run] = std::move(moved);
  ++loss_count_;
  return absl::OkStatus();
}

void MergeIterator::SeekMemtable(size_t memtable, const Target& target) {
  Memtable::Iterator& iterator = memtables_[memtable];
  const std::optional<std::string>& upper = options_.upper;
  if (target.key.has_value()) {
    forward_ ? iterator.Seek(*target.key, target.sequence)
             : iterator.SeekForPrev(*target.key, target.sequence);
  } else if (upper.has_value()) {
    iterator.SeekForPrev(*upper, kMaxSequence);
    if (iterator.Valid() && iterator.key() == *upper) iterator.Prev();
  } else {
    iterator.SeekToLast();
  }
  LookAtMemtable(memtable);
}

Task<absl::Status> MergeIterator::SeekRun(size_t run, Target target) {
  absl::Status status;
  if (!target.key.has_value()) {
    status = co_await runs_[run]->SeekToLast();
  } else if (forward_) {
    status = co_await runs_[run]->Seek(*std::move(target.key), target.sequence);
  } else {
    status = co_await runs_[run]->SeekForPrev(*std::move(target.key), target.sequence);
  }
  co_return Arrive(run, std::move(status));
}

Task<absl::Status> MergeIterator::SeekAll(Target target) {
  GoNowhere();
  for (size_t i = 0; i < memtables_.size(); ++i) SeekMemtable(i, target);
  absl::Status status;
  if (runs_.size() == 1) {
    status = co_await SeekRun(0, std::move(target));
  } else {
    std::vector<Task<absl::Status>> seeks;
    seeks.reserve(runs_.size());
    for (size_t i = 0; i < runs_.size(); ++i) seeks.push_back(SeekRun(i, target));
    const std::vector<absl::Status> sought = co_await WhenAll(std::move(seeks));
    for (const absl::Status& one : sought) status.Update(one);
  }
  if (!status.ok()) {
    GoNowhere();
    co_return status;
  }
  Choose();
  co_return Settle();
}

Task<absl::Status> MergeIterator::SeekToFirst() {
  co_return co_await Seek(options_.lower, kMaxSequence);
}

Task<absl::Status> MergeIterator::Seek(std::string key, Sequence sequence) {
  forward_ = true;
  Target target;
  const bool below = key < options_.lower;
  target.key = below ? options_.lower : std::move(key);
  target.sequence = below ? kMaxSequence : sequence;
  co_return co_await SeekAll(std::move(target));
}

Task<absl::Status> MergeIterator::SeekForPrev(std::string key, Sequence sequence) {
  if (options_.upper.has_value() && key >= *options_.upper) co_return co_await SeekToLast();
  forward_ = false;
  Target target;
  target.key = std::move(key);
  target.sequence = sequence;
  co_return co_await SeekAll(std::move(target));
}

Task<absl::Status> MergeIterator::SeekToLast() {
  forward_ = false;
  co_return co_await SeekAll(Target());
}

bool MergeIterator::TryStep() {
  // Where a loss is to be told of, and so an error.
  if (loss_count_ > 0) return false;
  const size_t at = source();
  if (at < memtables_.size()) {
    forward_ ? memtables_[at].Next() : memtables_[at].Prev();
    LookAtMemtable(at);
  } else {
    const size_t run = at - memtables_.size();
    if (!(forward_ ? runs_[run]->TryNext() : runs_[run]->TryPrev())) return false;
    LookAtRun(run);
  }
  ChooseAgain();
  return true;
}

Task<absl::Status> MergeIterator::Step() {
  const size_t at = source();
  if (at < memtables_.size()) {
    forward_ ? memtables_[at].Next() : memtables_[at].Prev();
    LookAtMemtable(at);
  } else {
    const size_t run = at - memtables_.size();
    // Its key is not there any more, should this task be destroyed meanwhile.
    best_ = nullptr;
    absl::Status status;
    if (forward_) {
      status = co_await runs_[run]->Next();
    } else {
      status = co_await runs_[run]->Prev();
    }
    status = Arrive(run, std::move(status));
    if (!status.ok()) {
      GoNowhere();
      co_return status;
    }
  }
  ChooseAgain();
  co_return Settle();
}

Task<absl::Status> MergeIterator::Turn() {
  const std::string from(key());
  const Sequence sequence = best_->sequence;
  const size_t at = source();
  forward_ = !forward_;
  Target target;
  target.key = from;
  target.sequence = sequence;
  absl::Status status = co_await SeekAll(std::move(target));
  // Changes with that key and sequence of several sources may be on either side.
  while (status.ok() && Valid() && best_->sequence == sequence && key() == from &&
         (forward_ ? source() <= at : source() >= at)) {
    if (!TryStep()) status = co_await Step();
  }
  co_return status;
}

bool MergeIterator::TryNext() { return forward_ && TryStep(); }
bool MergeIterator::TryPrev() { return !forward_ && TryStep(); }

LoadedBlock MergeIterator::TakeBlock() {
  IOENGINE_CHECK(Valid() && !in_memtable(), "a block is taken that is not there");
  LoadedBlock block = runs_[source() - memtables_.size()]->TakeBlock();
  GoNowhere();
  return block;
}

Task<absl::Status> MergeIterator::Next() {
  IOENGINE_CHECK(Valid(), "an iterator goes on from nowhere");
  if (!forward_) co_return co_await Turn();
  if (TryStep()) co_return absl::OkStatus();
  co_return co_await Step();
}

Task<absl::Status> MergeIterator::Prev() {
  IOENGINE_CHECK(Valid(), "an iterator goes on from nowhere");
  if (forward_) co_return co_await Turn();
  if (TryStep()) co_return absl::OkStatus();
  co_return co_await Step();
}

}  // namespace ioengine
