#include "ioengine/engine/table/table_iterator.h"

#include <utility>

#include "absl/status/statusor.h"
#include "ioengine/engine/table/table_index.h"
#include "ioengine/sched/check.h"

namespace ioengine {

TableIterator::TableIterator(const TableReader& table, TableIteratorOptions options)
    : table_(table),
      options_(std::move(options)),
      source_(options_.read_ahead.has_value()
                  ? table.ReadAheadSource(*options_.read_ahead, options_.copies)
                  : table.CachedSource(options_.copies)) {}

Task<absl::Status> TableIterator::LoadIndex(size_t root_at) {
  const Block& root = table_.root();
  has_place_ = valid_ = false;
  const absl::StatusOr<BlockHandle> handle =
      HandleAt(root, root_at, table_.layout().root.offset_bytes);
  if (!handle.ok()) co_return handle.status();
  // What is left is given back first, so that no more than two blocks are pinned.
  index_ = LoadedBlock();
  data_ = LoadedBlock();
  absl::StatusOr<LoadedBlock> loaded = co_await source_->Read(*handle, BlockKind::kIndex);
  if (!loaded.ok()) co_return WithLostKeys(loaded.status(), root, root_at);
  index_ = *std::move(loaded);
  root_at_ = root_at;
  co_return absl::OkStatus();
}

Task<absl::Status> TableIterator::LoadData(size_t index_at) {
  has_place_ = valid_ = false;
  const absl::StatusOr<BlockHandle> handle =
      HandleAt(index_.block, index_at, table_.layout().data_bytes);
  if (!handle.ok()) co_return handle.status();
  data_ = LoadedBlock();
  absl::StatusOr<LoadedBlock> loaded = co_await source_->Read(*handle, BlockKind::kData);
  if (!loaded.ok()) co_return WithLostKeys(loaded.status(), index_.block, index_at);
  data_ = *std::move(loaded);
  index_at_ = index_at;
  co_return absl::OkStatus();
}

void TableIterator::Arrive() {
  record_ = data_.block.At(data_at_);
  key_.assign(data_.block.prefix());
  key_ += record_.suffix;
  has_place_ = true;
  valid_ = key_ >= options_.lower && (!options_.upper.has_value() || key_ < *options_.upper);
}

Task<absl::Status> TableIterator::NextBlock() {
  do {
    const bool index_ends = index_at_ + 1 >= index_.block.size();
    if (index_ends && root_at_ + 1 >= table_.root().size()) {
      has_place_ = valid_ = false;
      co_return absl::OkStatus();
    }
    if (index_ends) {
      if (absl::Status status = co_await LoadIndex(root_at_ + 1); !status.ok()) co_return status;
    }
    const size_t next = index_ends ? 0 : index_at_ + 1;
    if (absl::Status status = co_await LoadData(next); !status.ok()) co_return status;
  } while (data_.block.size() == 0);
  data_at_ = 0;
  Arrive();
  co_return absl::OkStatus();
}

Task<absl::Status> TableIterator::PrevBlock() {
  do {
    const bool index_begins = index_at_ == 0;
    if (index_begins && root_at_ == 0) {
      has_place_ = valid_ = false;
      co_return absl::OkStatus();
    }
    if (index_begins) {
      if (absl::Status status = co_await LoadIndex(root_at_ - 1); !status.ok()) co_return status;
      index_at_ = index_.block.size();
    }
    if (absl::Status status = co_await LoadData(index_at_ - 1); !status.ok()) co_return status;
  } while (data_.block.size() == 0);
  data_at_ = data_.block.size() - 1;
  Arrive();
  co_return absl::OkStatus();
}

Task<absl::Status> TableIterator::MoveTo(std::string key, Sequence sequence) {
  has_place_ = valid_ = false;
  if (table_.info().records == 0) co_return absl::OkStatus();
  const size_t root_at = table_.root().Covering(key, sequence);
  if (absl::Status status = co_await LoadIndex(root_at); !status.ok()) co_return status;
  const size_t index_at = index_.block.Covering(key, sequence);
  if (absl::Status status = co_await LoadData(index_at); !status.ok()) co_return status;
  data_at_ = data_.block.LowerBound(key, sequence);
  if (data_at_ == data_.block.size()) co_return co_await NextBlock();
  Arrive();
  co_return absl::OkStatus();
}

Task<absl::Status> TableIterator::MoveToEnd() {
  has_place_ = valid_ = false;
  if (table_.info().records == 0) co_return absl::OkStatus();
  if (absl::Status status = co_await LoadIndex(table_.root().size() - 1); !status.ok()) {
    co_return status;
  }
  index_at_ = index_.block.size();
  co_return co_await PrevBlock();
}

Task<absl::Status> TableIterator::SeekToFirst() {
  co_return co_await Seek(options_.lower, kMaxSequence);
}

Task<absl::Status> TableIterator::Seek(std::string key, Sequence sequence) {
  if (key < options_.lower) {
    co_return co_await MoveTo(options_.lower, kMaxSequence);
  }
  co_return co_await MoveTo(std::move(key), sequence);
}

Task<absl::Status> TableIterator::SeekToLast() {
  if (!options_.upper.has_value()) co_return co_await MoveToEnd();
  co_return co_await SeekForPrev(*options_.upper, kMaxSequence);
}

Task<absl::Status> TableIterator::SeekForPrev(std::string key, Sequence sequence) {
  // What is above the bounds is not there: nothing of `upper` stands before its newest change.
  if (options_.upper.has_value() && key >= *options_.upper) {
    key = *options_.upper;
    sequence = kMaxSequence;
  }
  if (absl::Status status = co_await MoveTo(key, sequence); !status.ok()) co_return status;
  if (!has_place_) co_return co_await MoveToEnd();
  if (valid_ && record_.sequence == sequence && key_ == key) co_return absl::OkStatus();
  if (TryPrev()) co_return absl::OkStatus();
  co_return co_await PrevBlock();
}

bool TableIterator::TryNext() {
  if (data_at_ + 1 >= data_.block.size()) return false;
  ++data_at_;
  Arrive();
  return true;
}

bool TableIterator::TryPrev() {
  if (data_at_ == 0) return false;
  --data_at_;
  Arrive();
  return true;
}

LoadedBlock TableIterator::TakeBlock() {
  has_place_ = valid_ = false;
  return std::exchange(data_, LoadedBlock());
}

Task<absl::Status> TableIterator::Next() {
  IOENGINE_CHECK(Valid(), "an iterator goes on from nowhere");
  if (TryNext()) co_return absl::OkStatus();
  co_return co_await NextBlock();
}

Task<absl::Status> TableIterator::Prev() {
  IOENGINE_CHECK(Valid(), "an iterator goes on from nowhere");
  if (TryPrev()) co_return absl::OkStatus();
  co_return co_await PrevBlock();
}

}  // namespace ioengine
