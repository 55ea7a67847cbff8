// Damaged tables, and what is no table: an error or right data, and never wrong data.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/engine/table/block_format.h"
#include "ioengine/engine/table/table_footer.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/random.h"
#include "ioengine/tests/engine/table/table_program.h"
#include "ioengine/tests/engine/table/table_records.h"

namespace ioengine {
namespace {

using Bytes = std::vector<std::byte>;

Task<absl::Status> ReadFile(Shard& shard, Bytes* bytes) {
  absl::StatusOr<FileSystem> files = co_await OpenTables(shard.io());
  if (!files.ok()) co_return files.status();
  absl::StatusOr<DmaFile> file = co_await files->OpenFile(kTableName);
  if (!file.ok()) co_return file.status();
  const absl::StatusOr<FileStat> stat = co_await file->Stat();
  if (!stat.ok()) co_return stat.status();
  const FileRange range = {0, stat->size_bytes};
  const absl::StatusOr<FileBytes> read = co_await file->ReadRange(range);
  if (!read.ok()) co_return read.status();
  bytes->assign(read->bytes.begin(), read->bytes.end());
  co_return absl::OkStatus();
}

Task<absl::Status> WriteBytes(ShardIo& io, const DmaFile& file, const Bytes* bytes,
                              uint64_t from_bytes, uint64_t size_bytes) {
  absl::StatusOr<DmaBuffer> buffer = io.AllocateBuffer(size_bytes);
  if (!buffer.ok()) co_return buffer.status();
  std::memcpy(buffer->data(), bytes->data() + from_bytes, size_bytes);
  co_return co_await file.Write(from_bytes, *buffer, size_bytes);
}

Task<absl::Status> WriteFile(Shard& shard, const Bytes* bytes) {
  absl::StatusOr<FileSystem> files = co_await OpenTables(shard.io());
  if (!files.ok()) co_return files.status();
  const DmaFileOptions options = {.access = DmaFileOptions::Access::kReadWrite,
                                  .create = DmaFileOptions::Create::kIfMissing};
  absl::StatusOr<DmaFile> file = co_await files->OpenFile(kTableName, options);
  if (!file.ok()) co_return file.status();
  absl::Status status = co_await file->Truncate(bytes->size());
  const uint64_t whole_bytes = bytes->size() / 512 * 512;
  if (status.ok() && whole_bytes > 0) {
    status = co_await WriteBytes(shard.io(), *file, bytes, 0, whole_bytes);
  }
  co_return status;
}

struct Table {
  TableModel model;
  TableInfo info;
  Bytes bytes;
};

Table MakeTable(const TableModel& model, TableOptions options) {
  Table table;
  table.model = model;
  Simulation simulation({.seed = 1});
  EXPECT_TRUE(simulation.Run(BuildTable, &model, options, &table.info).ok());
  EXPECT_TRUE(simulation.Run(ReadFile, &table.bytes).ok());
  EXPECT_EQ(table.bytes.size(), table.info.file_bytes);
  return table;
}

Table SmallTable() {
  const TableModel model = {{{"a", {1, 5}}, {OperationKind::kPut, "apple"}},
                            {{"a", {1, 2}}, {OperationKind::kDelete, ""}},
                            {{"user/1a", {2, 900}}, {OperationKind::kPut, "first"}},
                            {{"user/1aa", {1, 1}}, {OperationKind::kPut, ""}}};
  return MakeTable(model, kTinyTable);
}

// Flips bits one after the other in one simulation, and tells what became of the first that was
// neither an error nor right.
struct Flips {
  const Table* table;
  bool with_info;
  size_t flipped = 0;
  size_t harmless = 0;  // all data was right
  std::string wrong = {};
};

// Every bit that means something, but one of each byte of the filter, and a few of the padding.
bool IsFlipped(const Table& table, size_t bit) {
  const size_t at = bit / 8;
  const size_t page = at / kBlockPageBytes * kBlockPageBytes;  // blocks are of one page here
  const BlockHeader header = LoadBlockHeader(std::span(table.bytes).subspan(page));
  if (header.kind == static_cast<uint8_t>(BlockKind::kFilter)) return bit % 8 == at % 8;
  return at - page < header.used_bytes || bit % 97 == 0;
}

Task<absl::Status> FlipBits(Shard& shard, Flips* flips) {
  absl::StatusOr<FileSystem> files = co_await OpenTables(shard.io());
  if (!files.ok()) co_return files.status();
  const DmaFileOptions options = {.access = DmaFileOptions::Access::kReadWrite};
  absl::StatusOr<DmaFile> file = co_await files->OpenFile(kTableName, options);
  if (!file.ok()) co_return file.status();
  const Table& table = *flips->table;
  Bytes bytes = table.bytes;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    if (!IsFlipped(table, bit)) continue;
    const uint64_t page = bit / 8 / kBlockPageBytes * kBlockPageBytes;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    absl::Status status = co_await WriteBytes(shard.io(), *file, &bytes, page, kBlockPageBytes);
    if (!status.ok()) co_return status;
    TableCheck check = {.model = &table.model, .gets = 8, .seeks = 5};
    if (flips->with_info) check.identity = IdentityOf(table.info);
    status = co_await CheckTable(shard, check);
    ++flips->flipped;
    if (status.ok()) ++flips->harmless;
    if (!status.ok() && !absl::IsDataLoss(status)) {
      flips->wrong = absl::StrCat("bit ", bit, ": ", status.ToString());
      co_return absl::OkStatus();
    }
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    status = co_await WriteBytes(shard.io(), *file, &bytes, page, kBlockPageBytes);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

Flips FlipBitsOf(const Table& table, bool with_info) {
  Simulation simulation({.seed = 1});
  Flips flips = {&table, with_info};
  EXPECT_TRUE(simulation.Run(WriteFile, &table.bytes).ok());
  const SimulationResult result = simulation.Run(FlipBits, &flips);
  EXPECT_TRUE(result.ok()) << result.message;
  return flips;
}

TEST(TableDamageTest, EachFlippedBitIsAnErrorOrRightData) {
  const Table table = SmallTable();
  for (const bool with_info : {false, true}) {
    const Flips flips = FlipBitsOf(table, with_info);
    EXPECT_EQ(flips.wrong, "");
    EXPECT_GT(flips.flipped, 9'000u);
    EXPECT_EQ(flips.harmless, kBlockPageBytes) << "the filter's page: it says nothing then";
  }
}

// The same without a file, for all bits: no block of the file takes a flipped one.
TEST(TableDamageTest, NoBitOfAFileCanBeFlippedUnseen) {
  Table table = SmallTable();
  const uint64_t seed = TableSeed(kTableUuid);
  for (size_t page = 0; page < table.bytes.size(); page += kBlockPageBytes) {
    const std::span<std::byte> block = std::span(table.bytes).subspan(page, kBlockPageBytes);
    const auto kind = static_cast<BlockKind>(LoadBlockHeader(block).kind);
    ASSERT_TRUE(CheckBlock(block, kind, seed, page).ok());
    for (size_t bit = 0; bit < block.size() * 8; ++bit) {
      block[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      ASSERT_FALSE(CheckBlock(block, kind, seed, page).ok()) << page << " " << bit;
      block[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    }
  }
}

TEST(TableCanaryTest, DamageThatGoesUnseenIsFound) {
  const Table table = SmallTable();
  SetCanary("table-skip-checksum");
  EXPECT_NE(FlipBitsOf(table, true).wrong, "");
  SetCanary("");
}

absl::Status StatusOf(const Bytes& bytes, const TableModel& model,
                      std::optional<TableIdentity> identity = std::nullopt) {
  Simulation simulation({.seed = 1});
  EXPECT_TRUE(simulation.Run(WriteFile, &bytes).ok());
  const TableCheck check = {.model = &model, .identity = identity};
  return simulation.Run(CheckTable, check).status;
}

bool Says(const absl::Status& status, std::string_view text) {
  return status.message().find(std::string(text)) != absl::string_view::npos;
}

TEST(TableDamageTest, WhatIsNoTableIsRefused) {
  const Table table = SmallTable();
  EXPECT_TRUE(StatusOf(table.bytes, table.model, IdentityOf(table.info)).ok());
  for (const size_t size : {size_t{0}, size_t{512}, size_t{4096}, table.bytes.size() - 512,
                            table.bytes.size() - 4096, table.bytes.size() + 4096}) {
    Bytes bytes = table.bytes;
    bytes.resize(size);
    for (const bool with_info : {false, true}) {
      const absl::Status status = with_info ? StatusOf(bytes, table.model, IdentityOf(table.info))
                                            : StatusOf(bytes, table.model);
      EXPECT_TRUE(absl::IsDataLoss(status)) << size << " " << status;
      EXPECT_TRUE(Says(status, kTableName)) << status;
    }
  }
  TableIdentity other = IdentityOf(table.info);
  ++other.records;
  EXPECT_TRUE(Says(StatusOf(table.bytes, table.model, other), "another table"));
}

TEST(TableDamageTest, ANewerFormatIsRefused) {
  Table table = SmallTable();
  const std::span<std::byte> page = std::span(table.bytes).last(kBlockPageBytes);
  TableFooter footer;
  std::memcpy(&footer, page.data() + sizeof(BlockHeader), sizeof(footer));
  ++footer.format_version;
  std::memcpy(page.data() + sizeof(BlockHeader), &footer, sizeof(footer));
  SealBlock(page, TableSeed(kTableUuid), table.bytes.size() - kBlockPageBytes);
  const absl::Status status = StatusOf(table.bytes, table.model);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(Says(status, kTableName) && Says(status, "format")) << status;
}

// With the checksum mended it may hold anything, but no length is believed.
TEST(TableDamageTest, AFooterThatMakesNoSenseIsRefused) {
  const Table table = SmallTable();
  Random random(1);
  size_t refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    Bytes page(table.bytes.end() - kBlockPageBytes, table.bytes.end());
    const size_t fields = sizeof(BlockHeader) + 8 + 16;  // from file_bytes to filter_buckets
    page[fields + random.Below(64)] = static_cast<std::byte>(random.Below(256));
    if (random.OneIn(2)) page[fields + random.Below(64)] = std::byte{0xff};
    SealBlock(page, TableSeed(kTableUuid), table.bytes.size() - kBlockPageBytes);
    const absl::StatusOr<TableDescription> decoded = DecodeTableFooter(page, table.bytes.size());
    if (!decoded.ok()) {
      ++refused;
      continue;
    }
    EXPECT_LE(decoded->layout.root.end_bytes(), table.bytes.size());
    EXPECT_LE(decoded->layout.bounds.end_bytes(), table.bytes.size());
    EXPECT_LE(decoded->layout.data_bytes, table.bytes.size());
  }
  EXPECT_GT(refused, 15'000u);
}

struct Loss {
  const TableModel* model;
  size_t right = 0;
  size_t lost = 0;
  size_t wrong = 0;
  size_t scanned = 0;  // behind the damage, after a Seek
  std::string message = {};
};

Task<absl::Status> GetAll(Shard& shard, Loss* loss) {
  absl::StatusOr<FileSystem> files = co_await OpenTables(shard.io());
  if (!files.ok()) co_return files.status();
  BlockCache cache(shard.io(), {.capacity_bytes = 64 << 10, .max_pinned_bytes = 64 << 10});
  auto table = co_await TableReader::Open(shard.io(), *files, kTableName, cache);
  if (!table.ok()) co_return table.status();
  std::string last_lost;
  for (const auto& [place, change] : *loss->model) {
    const auto found = co_await (*table)->Get(place.key, place.sequence);
    if (absl::IsDataLoss(found.status())) {
      ++loss->lost;
      loss->message = std::string(found.status().message());
      last_lost = place.key;
    } else if (found.ok() && found->has_value() && (*found)->value == change.value) {
      ++loss->right;
    } else {
      ++loss->wrong;
    }
  }
  TableIterator iterator(**table);
  absl::Status status = co_await iterator.SeekToFirst();
  while (status.ok() && iterator.Valid()) status = co_await iterator.Next();
  if (!absl::IsDataLoss(status)) co_return Wrong("scan", status.ToString(), "DataLoss");
  const auto behind = loss->model->upper_bound({last_lost, {}});
  status = co_await iterator.Seek(behind->first.key, kMaxSequence);
  while (status.ok() && iterator.Valid()) {
    ++loss->scanned;
    status = co_await iterator.Next();
  }
  co_return absl::OkStatus();
}

TEST(TableDamageTest, ADamagedBlockLosesItsKeysAndNoOthers) {
  TableModel model;
  for (int i = 0; i < 2'000; ++i) {
    model[{absl::StrCat("key", 10'000 + i), {1, 1}}] = {OperationKind::kPut,
                                                        std::string(50, 'a' + i % 26)};
  }
  for (const char* const canary : {"", "table-damage-is-absence"}) {
    Table table = MakeTable(model, kTinyTable);
    table.bytes[5 * kBlockPageBytes + 100] ^= std::byte{4};
    Simulation simulation({.seed = 1});
    ASSERT_TRUE(simulation.Run(WriteFile, &table.bytes).ok());
    Loss loss = {&model};
    SetCanary(canary);
    const SimulationResult result = simulation.Run(GetAll, &loss);
    SetCanary("");
    ASSERT_TRUE(result.ok()) << result.message;
    if (*canary != '\0') {
      EXPECT_GT(loss.wrong, 0u) << "found";
      continue;
    }
    EXPECT_EQ(loss.wrong, 0u);
    EXPECT_GT(loss.lost, 20u);
    EXPECT_LT(loss.lost, 100u);
    EXPECT_GT(loss.scanned, 1'000u);
    for (const std::string_view part :
         {"table.sst", "at 20480", "keys from \"key10", "to \"key10"}) {
      EXPECT_NE(loss.message.find(part), std::string::npos) << loss.message;
    }
  }
}

}  // namespace
}  // namespace ioengine
