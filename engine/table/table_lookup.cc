#include "ioengine/engine/table/table_lookup.h"

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "ioengine/engine/table/block.h"
#include "ioengine/engine/table/table_index.h"
#include "ioengine/sched/canary.h"

namespace ioengine {

TableLookup::TableLookup(const TableReader& table, std::string_view key, Sequence at)
    : table_(&table), key_(key), at_(at) {
  const TableInfo& info = table.info();
  if (info.records == 0 || key < info.smallest_key || key > info.largest_key ||
      at < info.smallest_sequence) {
    return;
  }
  key_hash_ = TableKeyHash(key, table.file_->seed);
  const BloomFilterShape& filter = table.layout().filter;
  if (filter.buckets == 0) {
    WantIndex();
    return;
  }
  const uint64_t page = filter.PageOf(key_hash_);
  Want(Stage::kFilter, BlockKind::kFilter,
       {table.layout().filter_offset_bytes + page * kBlockPageBytes, 1});
}

bool TableLookup::TryFinish() {
  while (stage_ != Stage::kDone) {
    BlockCache::Pin pin = table_->cache_.TryRead(*table_->file_, wanted_, kind_, PinUse::kShort);
    if (!pin.valid()) return false;
    TakeBlock(std::move(pin));
  }
  return true;
}

bool TableLookup::Step(BlockCache::Pin& pin) {
  if (stage_ == Stage::kDone) return false;
  switch (step_) {
    case StepTo::kPlace:
      table_->cache_.PrefetchPlace(*table_->file_, wanted_);
      step_ = StepTo::kBlock;
      return true;
    case StepTo::kBlock:
      table_->cache_.PrefetchBlock(*table_->file_, wanted_);
      step_ = StepTo::kPin;
      return true;
    case StepTo::kPin:
      pin = table_->cache_.TryRead(*table_->file_, wanted_, kind_, PinUse::kShort);
      if (!pin.valid()) return false;
      PrefetchBytes(pin);
      step_ = StepTo::kRead;
      return true;
    case StepTo::kRead:
      TakeBlock(std::move(pin));
      return stage_ != Stage::kDone;
  }
  return false;
}

void TableLookup::PrefetchBytes(const BlockCache::Pin& pin) const {
  if (stage_ == Stage::kFilter) {
    table_->layout().filter.Prefetch(key_hash_, pin.bytes());
  } else {
    pin.block().Prefetch();
  }
}

Task<> TableLookup::Finish() {
  do {
    // Whoever waits for a block has none.
    std::shared_ptr<const TableFile> file = table_->file_;
    absl::StatusOr<BlockCache::Pin> pin =
        co_await table_->cache_.Read(std::move(file), wanted_, kind_, PinUse::kShort);
    if (pin.ok()) {
      TakeBlock(*std::move(pin));
    } else {
      TakeError(pin.status());
    }
  } while (!TryFinish());
}

void TableLookup::Want(Stage stage, BlockKind kind, const BlockHandle& handle) {
  stage_ = stage;
  kind_ = kind;
  wanted_ = handle;
  // Those of filter and index are few: where they are is in the processor's cache.
  step_ = kind == BlockKind::kData ? StepTo::kPlace : StepTo::kPin;
}

void TableLookup::WantIndex() {
  const Block& root = table_->root();
  root_at_ = root.Covering(key_, at_);
  const absl::StatusOr<BlockHandle> index =
      HandleAt(root, root_at_, table_->layout().root.offset_bytes);
  if (!index.ok()) return Fail(index.status());
  index_ = *index;
  Want(Stage::kIndex, BlockKind::kIndex, index_);
}

void TableLookup::TakeBlock(BlockCache::Pin pin) {
  switch (stage_) {
    case Stage::kFilter: {
      const uint64_t hash =
          IsCanary("table-filter-wrong-seed") ? key_hash_ ^ (key_hash_ << 7) : key_hash_;
      stage_ = Stage::kDone;
      if (table_->layout().filter.MayContain(hash, pin.bytes())) WantIndex();
      return;
    }
    case Stage::kIndex:
      return TakeIndex(pin.block());
    case Stage::kData:
      return TakeData(std::move(pin));
    case Stage::kLostKeys:
      return Fail(WithLostKeys(status_, pin.block(), index_at_));
    case Stage::kDone:
      return;
  }
}

void TableLookup::TakeIndex(const Block& index) {
  index_at_ = index.Covering(key_, at_);
  const absl::StatusOr<BlockHandle> data = HandleAt(index, index_at_, table_->layout().data_bytes);
  if (!data.ok()) return Fail(table_->file_->At(index_, data.status()));
  Want(Stage::kData, BlockKind::kData, *data);
}

void TableLookup::TakeData(BlockCache::Pin pin) {
  stage_ = Stage::kDone;
  const Block& block = pin.block();
  const size_t at = block.Find(key_, key_hash_, at_);
  if (at == block.size()) return;
  const Block::Record record = block.At(at);
  found_.emplace(TableFound{record.kind, record.sequence, record.value, std::move(pin)});
}

void TableLookup::TakeError(const absl::Status& error) {
  switch (stage_) {
    case Stage::kFilter:
      return WantIndex();  // one that cannot be read says nothing
    case Stage::kIndex:
      return Fail(WithLostKeys(error, table_->root(), root_at_));
    case Stage::kData:
      if (!absl::IsDataLoss(error)) return Fail(error);
      status_ = error;
      return Want(Stage::kLostKeys, BlockKind::kIndex, index_);
    case Stage::kLostKeys:
      return Fail(absl::Status(status_));
    case Stage::kDone:
      return;
  }
}

void TableLookup::Fail(const absl::Status& status) {
  stage_ = Stage::kDone;
  status_ = status;
  if (absl::IsDataLoss(status) && IsCanary("table-damage-is-absence")) status_ = absl::OkStatus();
}

}  // namespace ioengine
