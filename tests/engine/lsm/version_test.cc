// Versions: which tables there are, in which order they are asked.

#include "ioengine/engine/lsm/version.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace ioengine {
namespace {

TableRecord Record(uint64_t id, uint32_t tier, uint64_t run, std::string lower,
                   std::optional<std::string> upper) {
  TableRecord record;
  record.identity.uuid = MakeUuid(id, 0);
  record.identity.file_bytes = 4096 * id;
  record.tier = tier;
  record.run = run;
  record.lower = std::move(lower);
  record.upper = std::move(upper);
  return record;
}

class Owner final : public Table::Owner {
 public:
  void OnUnused(const Uuid& uuid) override { unused.push_back(uuid); }

  std::vector<Uuid> unused;
};

class VersionTest : public testing::Test {
 protected:
  std::shared_ptr<Table> Make(TableRecord record) {
    return std::make_shared<Table>(std::move(record), nullptr, absl::DataLossError("no file"),
                                   &owner_);
  }

  // Adds and removes tables.
  absl::Status Apply(std::vector<TableRecord> added, std::vector<uint64_t> removed) {
    ManifestEdit edit;
    edit.added = added;
    for (const uint64_t id : removed) edit.removed.push_back(MakeUuid(id, 0));
    std::vector<std::shared_ptr<Table>> tables;
    for (TableRecord& record : added) tables.push_back(Make(std::move(record)));
    return version_->Apply(edit, std::move(tables), &version_);
  }

  std::string Order() const {
    std::string order;
    for (const SortedRun& run : version_->runs()) {
      order += std::to_string(run.tier) + ":" + std::to_string(run.number) + " ";
    }
    return order;
  }

  Owner owner_;
  std::shared_ptr<const Version> version_ = std::make_shared<const Version>();
};

TEST_F(VersionTest, RunsStandFromTheNewestToTheOldest) {
  ASSERT_EQ(Apply({Record(1, 1, 3, "a", "b"), Record(2, 0, 7, "a", "b"), Record(3, 0, 9, "a", "b"),
                   Record(4, 1, 5, "a", "b")},
                  {}),
            absl::OkStatus());
  EXPECT_EQ(Order(), "0:9 0:7 1:5 1:3 ");
  ASSERT_EQ(Apply({Record(5, 1, 10, "a", "b")}, {2, 3}), absl::OkStatus());
  EXPECT_EQ(Order(), "1:10 1:5 1:3 ") << "what was compacted is newer than what was there";
  EXPECT_EQ(version_->table_count(), 3u);
}

TEST_F(VersionTest, FindsTheTableOfAKey) {
  ASSERT_EQ(Apply({Record(1, 0, 1, "m", std::nullopt), Record(2, 0, 1, "b", "d"),
                   Record(3, 0, 1, "d", "f")},
                  {}),
            absl::OkStatus());
  const SortedRun& run = version_->runs()[0];
  const auto found = [&run](std::string_view key) -> uint64_t {
    const std::shared_ptr<Table>* const table = run.Find(key);
    return table == nullptr ? 0 : (*table)->record().identity.file_bytes / 4096;
  };
  EXPECT_EQ(found("a"), 0u);
  EXPECT_EQ(found("b"), 2u);
  EXPECT_EQ(found("cz"), 2u);
  EXPECT_EQ(found("d"), 3u);
  EXPECT_EQ(found("f"), 0u);
  EXPECT_EQ(found("m"), 1u);
  EXPECT_EQ(found("\xff\xff"), 1u);
}

TEST_F(VersionTest, TablesOfARunMayNotOverlap) {
  EXPECT_TRUE(absl::IsDataLoss(Apply({Record(1, 0, 1, "a", "c"), Record(2, 0, 1, "b", "d")}, {})));
  EXPECT_TRUE(
      absl::IsDataLoss(Apply({Record(1, 0, 1, "a", std::nullopt), Record(2, 0, 1, "b", "d")}, {})));
  EXPECT_EQ(version_->table_count(), 0u);
}

TEST_F(VersionTest, ARetiredTableIsToldOfWhenTheLastReaderLetsGo) {
  ASSERT_EQ(Apply({Record(1, 0, 1, "a", "b"), Record(2, 0, 2, "a", "b")}, {}), absl::OkStatus());
  std::shared_ptr<const Version> reader = version_;
  for (const std::shared_ptr<Table>& table : version_->tables()) {
    if (table->record().run == 1) table->Retire();
  }
  ASSERT_EQ(Apply({}, {1}), absl::OkStatus());
  EXPECT_TRUE(owner_.unused.empty()) << "the reader may read it yet";
  reader.reset();
  ASSERT_EQ(owner_.unused.size(), 1u);
  EXPECT_EQ(owner_.unused[0], MakeUuid(1, 0));
  version_.reset();
  EXPECT_EQ(owner_.unused.size(), 1u) << "the other one is in use by the database";
}

}  // namespace
}  // namespace ioengine
