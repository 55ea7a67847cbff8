// What a power cut may leave, and nothing else: all outcomes of short programs.

#include <fcntl.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/sim/sim_disk.h"
#include "ioengine/tests/io/sim/crash_exploration.h"
#include "ioengine/tests/io/sim/disk_user.h"

namespace ioengine {
namespace {

using Outcomes = std::set<std::string>;

constexpr uint64_t kSector = kSimSectorBytes;
constexpr uint64_t kPage = kSimPageBytes;

std::string Sectors(const std::string& letters) {
  std::string bytes;
  for (const char letter : letters) bytes += std::string(kSector, letter);
  return bytes;
}

// A letter for each sector; '.' is a hole or zeros, '?' a mixture.
std::string Letters(const std::string& bytes) {
  std::string letters;
  for (size_t at = 0; at < bytes.size(); at += kSector) {
    const std::string sector = bytes.substr(at, kSector);
    const bool uniform = sector == std::string(sector.size(), sector[0]);
    letters += !uniform ? '?' : sector[0] == '\0' ? '.' : sector[0];
  }
  return letters;
}

// Names that exist in both places, with their sectors.
std::string Describe(const SimDisk& disk) {
  std::string text;
  for (const char* path : {"/f", "/g", "/d/f", "/d/g"}) {
    const std::optional<std::string> content = disk.Contents(path);
    if (!content.has_value()) continue;
    text += (text.empty() ? "" : " ") + std::string(path) + "=" + Letters(*content);
  }
  return text;
}

// On a disk with /f, which holds two sectors of 'o', and an empty directory /d, all durable.
Outcomes After(const std::function<void(DiskUser&)>& program, SimDiskOptions options = {}) {
  SimDisk disk(options);
  disk.MakeDirectories("/d");
  disk.PutFile("/f", Sectors("oo"));
  DiskUser user(disk);
  program(user);
  return AllOutcomes(disk, Describe);
}

struct Row {
  const char* name;
  std::function<void(DiskUser&, int f)> program;  // `f` is open
  Outcomes with_fua;
  Outcomes without_fua = {};  // where they are others
};

const std::vector<Row>& DataRows() {
  static const std::vector<Row> rows = {
      {"a write may be lost",
       [](DiskUser& user, int f) { user.Write(f, 0, Sectors("a")); },
       {"/f=oo", "/f=ao"}},
      {"a synced one is not",
       [](DiskUser& user, int f) {
         user.Write(f, 0, Sectors("a"));
         user.Fdatasync(f);
       },
       {"/f=ao"}},
      {"fsync does as fdatasync",
       [](DiskUser& user, int f) {
         user.Write(f, 0, Sectors("a"));
         user.Fsync(f);
       },
       {"/f=ao"}},
      {"a sector holds any value that it had",
       [](DiskUser& user, int f) {
         user.Write(f, 0, Sectors("a"));
         user.Write(f, 0, Sectors("b"));
       },
       {"/f=oo", "/f=ao", "/f=bo"}},
      {"writes are reordered",
       [](DiskUser& user, int f) {
         user.Write(f, 0, Sectors("a"));
         user.Write(f, kSector, Sectors("b"));
       },
       {"/f=oo", "/f=ao", "/f=ob", "/f=ab"}},
      {"and torn",
       [](DiskUser& user, int f) { user.Write(f, 0, Sectors("ab")); },
       {"/f=oo", "/f=ao", "/f=ob", "/f=ab"}},
      {"a sync covers what was before it",
       [](DiskUser& user, int f) {
         user.Write(f, 0, Sectors("a"));
         user.Fdatasync(f);
         user.Write(f, kSector, Sectors("b"));
       },
       {"/f=ao", "/f=ab"}},
      {"a write with DSYNC is durable",
       [](DiskUser& user, int f) { user.Write(f, 0, Sectors("a"), kIoDsync); },
       {"/f=ao"}},
      {"and with FUA says nothing of others",
       [](DiskUser& user, int f) {
         user.Write(f, 0, Sectors("a"));
         user.Write(f, kSector, Sectors("b"), kIoDsync);
       },
       {"/f=ob", "/f=ab"},
       {"/f=ab"}},
      {"an earlier write does not come back over it",
       [](DiskUser& user, int f) {
         user.Write(f, 0, Sectors("ab"));
         user.Write(f, 0, Sectors("c"), kIoDsync);
       },
       {"/f=co", "/f=cb"},
       {"/f=cb"}},
      {"a new size may be lost, or have no data",
       [](DiskUser& user, int f) { user.Write(f, 2 * kSector, Sectors("a")); },
       {"/f=oo", "/f=oo.", "/f=ooa"}},
      {"fdatasync makes the size durable",
       [](DiskUser& user, int f) {
         user.Write(f, 2 * kSector, Sectors("a"));
         user.Fdatasync(f);
       },
       {"/f=ooa"}},
      {"DSYNC too, for its own write",
       [](DiskUser& user, int f) {
         user.Write(f, 2 * kSector, Sectors("a"));
         user.Write(f, 3 * kSector, Sectors("b"), kIoDsync);
       },
       {"/f=oo.b", "/f=ooab"},
       {"/f=ooab"}},
      {"a write in a new page needs its mapping",
       [](DiskUser& user, int f) { user.Write(f, kPage, Sectors("a")); },
       {"/f=oo", "/f=oo.......", "/f=oo......a"}},
      {"allocated space reads as zeros",
       [](DiskUser& user, int f) {
         user.Allocate(f, 0, kPage + kSector);
         user.Fdatasync(f);
         user.Write(f, kPage, Sectors("a"));
       },
       {"/f=oo.......", "/f=oo......a"}},
  };
  return rows;
}

const std::vector<Row>& MetadataRows() {
  static const std::vector<Row> rows = {
      {"a cut may be lost",
       [](DiskUser& user, int f) { user.Truncate(f, kSector); },
       {"/f=oo", "/f=o"}},
      {"what is written after it goes into new pages",
       [](DiskUser& user, int f) {
         user.Truncate(f, 0);
         user.Write(f, 0, Sectors("n"));
       },
       {"/f=oo", "/f=", "/f=.", "/f=n"}},
      {"what was cut off does not come back",
       [](DiskUser& user, int f) {
         user.Write(f, kSector, Sectors("a"));
         user.Truncate(f, kSector);
         user.Truncate(f, 2 * kSector);
         user.Fdatasync(f);
       },
       {"/f=o."}},
      {"nor over a DSYNC write that needs the cut",
       [](DiskUser& user, int f) {
         user.Write(f, kSector, Sectors("a"));
         user.Truncate(f, 0);
         user.Write(f, 2 * kSector, Sectors("b"), kIoDsync);
       },
       {"/f=..b"}},
      {"a hole may be lost",
       [](DiskUser& user, int f) {
         user.Write(f, kPage, Sectors("a"));
         user.Fdatasync(f);
         user.Punch(f, 0, kPage);
       },
       {"/f=oo......a", "/f=........a"}},
      {"a failed sync drops the data",
       [](DiskUser& user, int f) {
         user.disk().faults().Add({.fault = SimFault::kSyncDropsData});
         user.Write(f, 0, Sectors("a"));
         EXPECT_EQ(user.Fdatasync(f), -EIO);
         EXPECT_EQ(user.Fdatasync(f), 0);
       },
       {"/f=oo"}},
      {"or keeps it",
       [](DiskUser& user, int f) {
         user.disk().faults().Add({.fault = SimFault::kSyncKeepsData});
         user.Write(f, 0, Sectors("a"));
         EXPECT_EQ(user.Fdatasync(f), -EIO);
       },
       {"/f=oo", "/f=ao"}},
      {"a lost write is lost although it was synced",
       [](DiskUser& user, int f) {
         user.disk().faults().Add({.fault = SimFault::kLostWrite});
         user.Write(f, 0, Sectors("ab"));
         user.Write(f, 2 * kSector, Sectors("c"));
         user.Fdatasync(f);
       },
       {"/f=ooc"}},
  };
  return rows;
}

void ExpectRows(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const auto program = [&](DiskUser& user) { row.program(user, user.Open("/f")); };
    EXPECT_EQ(After(program), row.with_fua) << row.name;
    EXPECT_EQ(After(program, {.fua = false}),
              row.without_fua.empty() ? row.with_fua : row.without_fua)
        << row.name << ", without FUA";
  }
}

TEST(DurabilityTest, Data) { ExpectRows(DataRows()); }

TEST(DurabilityTest, Metadata) { ExpectRows(MetadataRows()); }

struct NameRow {
  const char* name;
  std::function<void(DiskUser&)> program;
  Outcomes outcomes;
};

std::vector<NameRow> NameRows() {
  return {
      {"the sync of a new file says nothing of its name",
       [](DiskUser& user) {
         const int g = user.Create("/g");
         user.Write(g, 0, Sectors("a"));
         user.Fsync(g);
       },
       {"/f=oo", "/f=oo /g=a"}},
      {"that of its directory nothing of its bytes",
       [](DiskUser& user) {
         user.Write(user.Create("/g"), 0, Sectors("a"));
         user.SyncDirectory("/");
       },
       {"/f=oo /g=", "/f=oo /g=.", "/f=oo /g=a"}},
      {"both are needed",
       [](DiskUser& user) {
         const int g = user.Create("/g");
         user.Write(g, 0, Sectors("a"));
         user.Fdatasync(g);
         user.SyncDirectory("/");
       },
       {"/f=oo /g=a"}},
      {"a rename replaces at once, or not at all",
       [](DiskUser& user) {
         const int g = user.Create("/g");
         user.Write(g, 0, Sectors("a"));
         user.Fdatasync(g);
         user.SyncDirectory("/");
         user.Rename("/g", "/f");
       },
       {"/f=oo /g=a", "/f=a"}},
      {"a create and a rename of one file keep their order",
       [](DiskUser& user) {
         user.Fdatasync(user.Create("/g"));
         user.Rename("/g", "/f");
       },
       {"/f=oo", "/f=oo /g=", "/f="}},
      {"a removal may be lost", [](DiskUser& user) { user.Remove("/f"); }, {"", "/f=oo"}},
      {"until its directory was synced",
       [](DiskUser& user) {
         user.Remove("/f");
         user.SyncDirectory("/");
       },
       {""}},
      {"a move is one step, and needs both directories",
       [](DiskUser& user) {
         user.Rename("/f", "/d/f");
         user.SyncDirectory("/d");
       },
       {"/f=oo", "/d/f=oo"}},
      {"and then it is durable",
       [](DiskUser& user) {
         user.Rename("/f", "/d/f");
         user.SyncDirectory("/d");
         user.SyncDirectory("/");
       },
       {"/d/f=oo"}},
      {"a second name", [](DiskUser& user) { user.Link("/f", "/g"); }, {"/f=oo", "/f=oo /g=oo"}},
      {"a name in a directory that has none itself",
       [](DiskUser& user) {
         user.Remove("/d", kIoDirectory);
         user.SyncDirectory("/");
         user.MakeDirectory("/d");
         user.Fsync(user.Create("/d/g"));
         user.SyncDirectory("/d");
       },
       {"/f=oo", "/f=oo /d/g="}},
      {"a sync covers the steps before it",
       [](DiskUser& user) {
         user.Create("/g");
         user.SyncDirectory("/");
         user.Create("/d/g");
       },
       {"/f=oo /g=", "/f=oo /g= /d/g="}},
      {"names are reordered",
       [](DiskUser& user) {
         user.Create("/g");
         user.Create("/d/g");
       },
       {"/f=oo", "/f=oo /g=", "/f=oo /d/g=", "/f=oo /g= /d/g="}},
  };
}

TEST(DurabilityTest, Names) {
  const std::vector<NameRow> rows = NameRows();
  for (const NameRow& row : rows) {
    EXPECT_EQ(After(row.program), row.outcomes) << row.name;
    EXPECT_EQ(After(row.program, {.fua = false}), row.outcomes) << row.name;
    EXPECT_THAT(row.outcomes, testing::IsSupersetOf(After(row.program, {.names_in_order = true})))
        << row.name;
  }
  // With one journal the second name does not survive without the first.
  EXPECT_EQ(After(rows.back().program, {.names_in_order = true}),
            (Outcomes{"/f=oo", "/f=oo /g=", "/f=oo /g= /d/g="}));
}

TEST(DurabilityTest, ASyncCoversWhatCompletedBeforeItBegan) {
  for (const bool dsync : {false, true}) {
    const Outcomes outcomes = After(
        [&](DiskUser& user) {
          const int f = user.Open("/f");
          std::string third = Sectors("c");
          IoCommand sync = dsync ? DiskUser::Transfer(IoOpcode::kWrite, f, 2 * kSector, third)
                                 : DiskUser::Command(IoOpcode::kFdatasync, f);
          if (dsync) sync.request.flags = kIoDsync;
          user.Write(f, 0, Sectors("a"));
          SimOperation operation = user.disk().Begin(sync);
          user.Write(f, kSector, Sectors("b"));
          EXPECT_GE(user.disk().Execute(sync, operation), 0);
        },
        {.fua = false});
    if (dsync) {
      EXPECT_EQ(outcomes, (Outcomes{"/f=aoc", "/f=abc"}));
    } else {
      EXPECT_EQ(outcomes, (Outcomes{"/f=ao", "/f=ab"}));
    }
  }
}

TEST(DurabilityTest, AFlushOfTheDevice) {
  const auto program = [](DiskUser& user) {
    user.disk().PutFile("/g", Sectors("pp"));
    const int f = user.Open("/f");
    const int g = user.Open("/g");
    user.Write(f, 0, Sectors("a"));
    user.Write(f, 0, Sectors("b"));
    user.Write(f, 2 * kSector, Sectors("c"));
    user.Write(g, 0, Sectors("q"));
    user.Fdatasync(g);
  };
  const Outcomes covered = {"/f=bo /g=qp", "/f=boc /g=qp"};
  EXPECT_EQ(After(program, {.flush_covers_device = true}), covered)
      << "data that can be found is durable, a size is not";
  EXPECT_EQ(After(program).size(), 9u);
}

TEST(DurabilityTest, ADsyncWriteMayBeCoveredByItsOwnFlushOfTheDevice) {
  const auto program = [](DiskUser& user) {
    const int f = user.Open("/f");
    std::string data = Sectors("abc");
    IoCommand command = DiskUser::Transfer(IoOpcode::kWrite, f, 0, data);
    command.request.flags = kIoDsync;
    EXPECT_EQ(user.disk().Run(command), static_cast<int32_t>(data.size()));
  };
  const SimDiskOptions options = {.fua = false, .flush_covers_device = true};
  EXPECT_EQ(After(program, options), (Outcomes{"/f=abc"}));
}

// A write behind a cut within its page is not lost when the cut becomes durable after it.
TEST(DurabilityTest, AFlushOfTheDeviceKeepsTheOrderWithinAPage) {
  const auto cut = [](DiskUser& user, int f) { user.Truncate(f, kSector); };
  const auto punch = [](DiskUser& user, int f) { user.Punch(f, kSector, kSector); };
  for (const std::function<void(DiskUser&, int)>& zero : {std::function(cut), {punch}}) {
    const auto program = [&](DiskUser& user) {
      user.disk().PutFile("/g", Sectors("p"));
      const int f = user.Open("/f");
      zero(user, f);
      user.Write(f, kSector, Sectors("b"));
      user.Fdatasync(user.Open("/g"));
      user.Fdatasync(f);
    };
    EXPECT_EQ(After(program, {.flush_covers_device = true}), (Outcomes{"/f=ob /g=p"}));
  }
}

TEST(DurabilityTest, WhatIsLeftIsDurable) {
  SimDisk disk({});
  disk.PutFile("/f", Sectors("oo"));
  DiskUser user(disk);
  const int f = user.Open("/f");
  user.Write(f, 0, Sectors("a"));
  user.Create("/g");
  Random random(5);
  disk.PowerCut(random);
  EXPECT_EQ(user.Fdatasync(f), -EBADF) << "descriptors are gone";
  const std::string left = Describe(disk);
  EXPECT_EQ(AllOutcomes(disk, Describe), (Outcomes{left}));
}

// A copy shares pages with the disk; neither sees what the other writes.
TEST(DurabilityTest, CopiesAreApart) {
  SimDisk disk({});
  disk.PutFile("/f", Sectors("oooooooooooo"));
  LoseEverything choices;
  const std::unique_ptr<SimDisk> copy = disk.CrashedCopy(choices);
  DiskUser user(disk);
  DiskUser copy_user(*copy);
  user.Write(user.Open("/f"), 0, Sectors("a"));
  copy_user.Write(copy_user.Open("/f"), kPage, Sectors("b"));
  EXPECT_EQ(Describe(disk), "/f=aooooooooooo");
  EXPECT_EQ(Describe(*copy), "/f=oooooooobooo");
  EXPECT_EQ(disk.used_bytes(), 2 * kPage);
  EXPECT_EQ(copy->used_bytes(), 2 * kPage);
}

// The random chooser reaches all that is possible.
TEST(DurabilityTest, RandomCutsReachEveryOutcome) {
  SimDisk disk({});
  disk.PutFile("/f", Sectors("oo"));
  DiskUser user(disk);
  const int f = user.Open("/f");
  user.Write(f, 0, Sectors("ab"));
  user.Write(f, kSector, Sectors("cd"));
  user.Rename("/f", "/g");
  const Outcomes all = AllOutcomes(disk, Describe);
  Random random(1);
  Outcomes seen;
  for (int i = 0; i < 20'000; ++i) {
    RandomCrash choices(random);
    seen.insert(Describe(*disk.CrashedCopy(choices)));
  }
  EXPECT_GT(all.size(), 10u);
  EXPECT_EQ(seen, all);
}

}  // namespace
}  // namespace ioengine
