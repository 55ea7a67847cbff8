// TableLookup: the search for one key in one table.
//
//   filter ──► index ──► data ──► done          each takes a block, which may be in the cache or
//   not
//     └► done: not there   └─ damaged: index, for the keys that are lost ──► done
//
// As long as the cache has the blocks it goes on without a task.
#ifndef IOENGINE_ENGINE_TABLE_TABLE_LOOKUP_H_
#define IOENGINE_ENGINE_TABLE_TABLE_LOOKUP_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/table/block_cache.h"
#include "ioengine/engine/table/block_format.h"
#include "ioengine/engine/table/table_reader.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// For the newest change of a key that is not newer than `at`. Movable while no task is in Finish.
//
// Shard: that of the table. Ownership: borrows the table and the key. Pins nothing until it has
// found something, and that for a moment only (PinUse::kShort).
class TableLookup {
 public:
  TableLookup(const TableReader& table, std::string_view key, Sequence at);

  // Goes on with what is in the cache; whether it is done.
  bool TryFinish();
  // The same in steps, between which the processor can do something else: each asks for the memory
  // that the next one reads. `pin` is the caller's, for what one step leaves to the next; he must
  // not suspend between them. False when nothing is left to do: it is done, or must Finish.
  bool Step(BlockCache::Pin& pin);
  bool done() const { return stage_ == Stage::kDone; }
  // Reads the rest. REQUIRES: !done(), and that TryFinish or Step said no.
  Task<> Finish();

  // When it is done: see TableReader::Get.
  const absl::Status& status() const { return status_; }
  std::optional<TableFound>& found() { return found_; }

 private:
  enum class Stage : uint8_t { kFilter, kIndex, kData, kLostKeys, kDone };
  // Of what Step does for the block of a stage.
  enum class StepTo : uint8_t { kPlace, kBlock, kPin, kRead };

  void Want(Stage stage, BlockKind kind, const BlockHandle& handle);
  void WantIndex();
  void TakeBlock(BlockCache::Pin pin);
  void TakeIndex(const Block& index);
  void TakeData(BlockCache::Pin pin);
  void PrefetchBytes(const BlockCache::Pin& pin) const;
  void TakeError(const absl::Status& error);
  void Fail(const absl::Status& status);

  const TableReader* table_;
  std::string_view key_;
  Sequence at_;
  uint64_t key_hash_ = 0;
  Stage stage_ = Stage::kDone;
  StepTo step_ = StepTo::kPlace;
  BlockKind kind_ = BlockKind::kFilter;
  BlockHandle wanted_;
  BlockHandle index_;
  size_t root_at_ = 0;
  size_t index_at_ = 0;
  absl::Status status_;
  std::optional<TableFound> found_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_TABLE_LOOKUP_H_
