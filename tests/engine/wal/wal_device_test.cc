// A log on the machine's own file system, with its usual sizes.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/wal/wal_reader.h"
#include "ioengine/engine/wal/wal_writer.h"
#include "ioengine/io/file_system.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/tests/engine/wal/wal_ledger.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

constexpr int kTasks = 8;
constexpr int kRecordsEach = 60;

Task<absl::Status> Append(WalWriter* log, WalLedger* ledger, int task) {
  for (int i = 0; i < kRecordsEach; ++i) {
    // Some are larger than a frame.
    const size_t size_bytes = i % 20 == 7 ? size_t{1'500'000} : static_cast<size_t>(100 * i + task);
    absl::Status status = co_await log->Admit(size_bytes);
    if (!status.ok()) co_return status;
    const uint64_t record = ledger->appended() + 1;
    const std::string content = WalRecordContent(ledger->stream().stream, record, size_bytes);
    const auto level = static_cast<Durability>((i + task) % 3);
    ledger->OnAppend(log->Append({}, AsBytes(content), level), size_bytes);
    status = co_await log->Reached(record, level);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> WriteAndRead(Shard& shard, std::string path, WalSync sync) {
  auto files = co_await FileSystem::Open(shard.io(), path);
  if (!files.ok()) co_return files.status();
  const WalStream stream = {MakeUuid(1, 2), 3, static_cast<uint64_t>(sync), 5};
  WalLedger ledger(stream);
  const WalOptions options = {.segment_bytes = size_t{8} << 20, .sync = sync};
  auto log = co_await WalWriter::Create(shard.io(), *files, stream, options, ledger);
  if (!log.ok()) co_return log.status();
  EXPECT_NE((*log)->sync(), WalSync::kProbe);
  absl::Status status;
  {
    TaskScope scope(shard.executor());
    for (int task = 0; task < kTasks; ++task) scope.Spawn(Append(log->get(), &ledger, task));
    status = co_await scope.Join();
  }
  const absl::Status closed = co_await (*log)->Close();
  if (status.ok()) status = closed;
  if (!status.ok()) co_return status;
  log->reset();
  ledger.BeginReplay();
  const std::optional<WalSeal> seal;
  const WalReadOptions read_options;
  absl::StatusOr<WalEnd> end =
      co_await ReadWal(shard.io(), *files, stream, ledger.start(), seal, read_options, ledger);
  if (!end.ok()) co_return end.status();
  EXPECT_EQ(ledger.replayed(), static_cast<uint64_t>(kTasks * kRecordsEach));
  EXPECT_GT(end->segments.size(), 3u);
  co_return ledger.EndReplay(*end);
}

TEST(WalDeviceTest, RecordsComeBack) {
  auto runtime = Runtime::Start({.shard_count = 1, .buffer_pool_bytes = size_t{32} << 20});
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  const TestDirectory directory;
  for (const WalSync sync : {WalSync::kDsync, WalSync::kFlush, WalSync::kProbe}) {
    auto done = (*runtime)->Submit(0, WriteAndRead, directory.path(), sync);
    const absl::Status status = done.Wait();
    EXPECT_TRUE(status.ok()) << status;
  }
  (*runtime)->Stop();
}

}  // namespace
}  // namespace ioengine
