#include "ioengine/engine/lsm/run_iterator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/table/table_index.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

bool IsBelow(const std::shared_ptr<Table>& table, std::string_view key) {
  return table->record().upper.has_value() && *table->record().upper <= key;
}

// How many tables are wholly below `key`, and how many are not wholly above it.
size_t CountBelow(RunIterator::Tables tables, std::string_view key) {
  const auto end = std::partition_point(
      tables.begin(), tables.end(),
      [key](const std::shared_ptr<Table>& table) { return IsBelow(table, key); });
  return static_cast<size_t>(end - tables.begin());
}

size_t CountUpTo(RunIterator::Tables tables, std::string_view key) {
  const auto end = std::partition_point(
      tables.begin(), tables.end(),
      [key](const std::shared_ptr<Table>& table) { return table->record().lower <= key; });
  return static_cast<size_t>(end - tables.begin());
}

RunIterator::Tables Within(RunIterator::Tables tables, const TableIteratorOptions& options) {
  if (options.upper.has_value()) {
    // The one that begins at `upper` is above.
    size_t count = CountUpTo(tables, *options.upper);
    if (count > 0 && tables[count - 1]->record().lower == *options.upper) --count;
    tables = tables.first(count);
  }
  return tables.subspan(CountBelow(tables, options.lower));
}

absl::Status LossOf(const Table& table) {
  const TableRecord& record = table.record();
  const std::string upper =
      record.upper.has_value() ? absl::StrCat("to ", ShownKey(*record.upper)) : std::string("on");
  return absl::DataLossError(
      absl::StrCat("table ", TableFileName(record.identity.uuid),
                   " cannot be read: ", std::string(table.damage().message()),
                   "; lost with it: keys from ", ShownKey(record.lower), " ", upper));
}

}  // namespace

RunIterator::RunIterator(Tables tables, TableIteratorOptions options)
    : options_(std::move(options)), tables_(Within(tables, options_)) {}

absl::Status RunIterator::Enter(size_t at) {
  if (iterator_ != nullptr && at_ == at) return absl::OkStatus();
  iterator_ = nullptr;
  at_ = at;
  const Table& table = *tables_[at];
  if (table.reader() == nullptr) return LossOf(table);
  TableIteratorOptions options = options_;
  options.lower = std::max(options.lower, table.record().lower);
  const std::optional<std::string>& upper = table.record().upper;
  if (upper.has_value() && (!options.upper.has_value() || *upper < *options.upper)) {
    options.upper = upper;
  }
  iterator_ = std::make_unique<TableIterator>(*table.reader(), std::move(options));
  return absl::OkStatus();
}

absl::Status RunIterator::EnterForward(size_t at, std::string_view from) {
  absl::Status status = Enter(at);
  const std::string& lower = tables_[at]->record().lower;
  if (!status.ok() && lower > from) loss_edge_ = lower;
  return status;
}

absl::Status RunIterator::EnterBackward(size_t at, std::optional<std::string_view> from) {
  absl::Status status = Enter(at);
  const std::optional<std::string>& upper = tables_[at]->record().upper;
  if (!status.ok() && upper.has_value() && (!from.has_value() || *upper <= *from)) {
    loss_edge_ = upper;
  }
  return status;
}

Task<absl::Status> RunIterator::SkipForward() {
  while (!iterator_->Valid() && at_ + 1 < tables_.size()) {
    absl::Status status = EnterForward(at_ + 1, options_.lower);
    if (status.ok()) status = co_await iterator_->SeekToFirst();
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> RunIterator::SkipBackward() {
  while (!iterator_->Valid() && at_ > 0) {
    absl::Status status = EnterBackward(at_ - 1, std::nullopt);
    if (status.ok()) status = co_await iterator_->SeekToLast();
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> RunIterator::SeekToFirst() {
  co_return co_await Seek(options_.lower, kMaxSequence);
}

Task<absl::Status> RunIterator::Seek(std::string key, Sequence sequence) {
  loss_edge_.reset();
  if (key < options_.lower) {
    key = options_.lower;
    sequence = kMaxSequence;
  }
  const size_t at = CountBelow(tables_, key);
  if (at == tables_.size()) {
    iterator_ = nullptr;
    co_return absl::OkStatus();
  }
  absl::Status status = EnterForward(at, key);
  if (status.ok()) status = co_await iterator_->Seek(std::move(key), sequence);
  if (!status.ok()) co_return status;
  co_return co_await SkipForward();
}

Task<absl::Status> RunIterator::SeekToLast() {
  loss_edge_.reset();
  if (tables_.empty()) co_return absl::OkStatus();
  std::optional<std::string_view> from;
  if (options_.upper.has_value()) from = *options_.upper;
  absl::Status status = EnterBackward(tables_.size() - 1, from);
  if (status.ok()) status = co_await iterator_->SeekToLast();
  if (!status.ok()) co_return status;
  co_return co_await SkipBackward();
}

Task<absl::Status> RunIterator::SeekForPrev(std::string key, Sequence sequence) {
  if (options_.upper.has_value() && key >= *options_.upper) co_return co_await SeekToLast();
  loss_edge_.reset();
  const size_t count = CountUpTo(tables_, key);
  if (count == 0) {
    iterator_ = nullptr;
    co_return absl::OkStatus();
  }
  absl::Status status = EnterBackward(count - 1, key);
  if (status.ok()) status = co_await iterator_->SeekForPrev(std::move(key), sequence);
  if (!status.ok()) co_return status;
  co_return co_await SkipBackward();
}

bool RunIterator::TryNext() {
  if (!iterator_->TryNext()) return false;
  if (iterator_->Valid() || at_ + 1 == tables_.size()) return true;
  // The table goes on, beyond what it has in this run.
  iterator_->TryPrev();
  return false;
}

bool RunIterator::TryPrev() {
  if (!iterator_->TryPrev()) return false;
  if (iterator_->Valid() || at_ == 0) return true;
  iterator_->TryNext();
  return false;
}

Task<absl::Status> RunIterator::Next() {
  IOENGINE_CHECK(Valid(), "an iterator goes on from nowhere");
  loss_edge_.reset();
  if (absl::Status status = co_await iterator_->Next(); !status.ok()) co_return status;
  co_return co_await SkipForward();
}

Task<absl::Status> RunIterator::Prev() {
  IOENGINE_CHECK(Valid(), "an iterator goes on from nowhere");
  loss_edge_.reset();
  if (absl::Status status = co_await iterator_->Prev(); !status.ok()) co_return status;
  co_return co_await SkipBackward();
}

}  // namespace ioengine
