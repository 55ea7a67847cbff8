// The same on a real disk, through the backend that there is.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/table/block_cache.h"
#include "ioengine/engine/table/table_builder.h"
#include "ioengine/engine/table/table_reader.h"
#include "ioengine/io/file_system.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/table/table_program.h"
#include "ioengine/tests/engine/table/table_records.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

Task<absl::Status> BuildAndRead(Shard& shard, std::string directory, const TableModel* model) {
  absl::StatusOr<FileSystem> files = co_await FileSystem::Open(shard.io(), directory);
  if (!files.ok()) co_return files.status();
  const TableOptions options;
  auto builder = co_await TableBuilder::Create(shard.io(), *files, kTableName, kTableUuid, options);
  if (!builder.ok()) co_return builder.status();
  uint64_t steps = 0;
  for (const auto& [place, change] : *model) {
    if (++steps % kStepsInTurn == 0) co_await Yield();
    absl::Status added =
        co_await (*builder)->Add(change.kind, place.key, place.sequence, change.value);
    if (!added.ok()) co_return added;
  }
  const absl::StatusOr<TableInfo> info = co_await (*builder)->Finish();
  if (!info.ok()) co_return info.status();
  BlockCache cache(shard.io(), {.capacity_bytes = 1 << 20, .max_pinned_bytes = 1 << 19});
  auto table = co_await TableReader::Open(shard.io(), *files, kTableName, cache, IdentityOf(*info));
  if (!table.ok()) co_return table.status();
  Random random(1);
  TableReader* const reader = table->get();
  absl::Status status = co_await CheckGets(reader, model, &random, 500);
  if (status.ok()) status = co_await CheckScans(reader, model, std::nullopt);
  const ReadAheadOptions read_ahead;
  if (status.ok()) status = co_await CheckScans(reader, model, read_ahead);
  co_return status;
}

TEST(TableDiskTest, HoldsWhatWasAdded) {
  const TestDirectory directory;
  Random random(1);
  TableModel model;
  for (int i = 0; i < 20'000; ++i) {
    const std::string key = "user/" + std::to_string(random.Below(1'000'000));
    model[{key, {1, random.Below(1000)}}] = {OperationKind::kPut,
                                             std::string(random.Below(200), 'v')};
  }
  RuntimeOptions options;
  options.shard_count = 1;
  options.buffer_pool_bytes = size_t{8} << 20;
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Start(options);
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  auto future = (*runtime)->Submit(0, BuildAndRead, directory.path(), &model);
  EXPECT_EQ(future.Wait(), absl::OkStatus());
}

}  // namespace
}  // namespace ioengine
