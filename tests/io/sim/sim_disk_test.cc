// SimDisk as a file system, its limits, and each of its faults.

#include "ioengine/io/sim/sim_disk.h"

#include <fcntl.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/tests/io/sim/disk_user.h"

namespace ioengine {
namespace {

using testing::UnorderedElementsAre;

constexpr uint64_t kSector = kSimSectorBytes;
constexpr uint64_t kPage = kSimPageBytes;

class SimDiskTest : public testing::Test {
 protected:
  // Two letters to a page.
  static std::string Pages(const std::string& letters) {
    std::string bytes;
    for (const char letter : letters) bytes += std::string(kPage, letter);
    return bytes;
  }

  int MakeFile(const std::string& path, const std::string& content) {
    disk_.PutFile(path, content);
    return user_.Open(path);
  }

  SimDisk disk_{{.capacity_bytes = 64 * kPage}};
  DiskUser user_{disk_};
};

TEST_F(SimDiskTest, ErrorsOfNames) {
  MakeFile("/f", "content");
  disk_.MakeDirectories("/d/e");
  EXPECT_EQ(user_.Open("/missing"), -ENOENT);
  EXPECT_EQ(user_.Open(""), -ENOENT);
  EXPECT_EQ(user_.Open("/f/below"), -ENOTDIR);
  EXPECT_EQ(user_.Open("/f/"), -ENOTDIR);
  EXPECT_EQ(user_.Open("/f", O_RDONLY | O_DIRECTORY), -ENOTDIR);
  EXPECT_EQ(user_.Open("/d"), -EISDIR);
  EXPECT_EQ(user_.Open("/d", O_RDONLY | O_DIRECT), -EINVAL);
  EXPECT_EQ(user_.Open("/" + std::string(256, 'n'), O_RDWR | O_CREAT), -ENAMETOOLONG);
  EXPECT_EQ(user_.Open(std::string(5000, '/')), -ENAMETOOLONG);
  EXPECT_EQ(user_.Create("/f"), -EEXIST);
  EXPECT_EQ(user_.Remove("/d", kIoDirectory), -ENOTEMPTY);
  EXPECT_EQ(user_.Remove("/f", kIoDirectory), -ENOTDIR);
  EXPECT_EQ(user_.Remove("/d"), -EISDIR);
  EXPECT_EQ(user_.Remove("/", kIoDirectory), -EBUSY);
  EXPECT_EQ(user_.Rename("/d", "/d/e/x"), -EINVAL) << "into itself";
  EXPECT_EQ(user_.Rename("/f", "/d"), -EISDIR);
  EXPECT_EQ(user_.Rename("/d", "/f"), -ENOTDIR);
  EXPECT_EQ(user_.Rename("/d/e", "/d"), -ENOTEMPTY);
  EXPECT_EQ(user_.Link("/d", "/x"), -EPERM);
  EXPECT_EQ(user_.MakeDirectory("/missing/x"), -ENOENT);
  EXPECT_EQ(user_.Rename("/d/e/../e/.", "/x"), -EBUSY);
  EXPECT_EQ(user_.Rename("/d/e/../e", "/x"), 0);
  EXPECT_EQ(user_.Remove("/d", kIoDirectory), 0);
}

TEST_F(SimDiskTest, AListIsInNoOrder) {
  std::map<std::string, int> firsts;
  for (const char* name : {"/a", "/b", "/c", "/d"}) user_.Create(name);
  user_.MakeDirectory("/e");
  const int root = user_.Open("/", O_RDONLY);
  for (int i = 0; i < 50; ++i) {
    const std::vector<DirectoryEntry> entries = user_.List(root);
    ASSERT_EQ(entries.size(), 5u);
    for (const DirectoryEntry& entry : entries) {
      EXPECT_EQ(entry.kind == FileKind::kDirectory, entry.name == "e");
    }
    ++firsts[entries[0].name];
  }
  EXPECT_EQ(firsts.size(), 5u);
}

TEST_F(SimDiskTest, LocksBelongToOpenFiles) {
  const int one = MakeFile("/f", "");
  const int two = user_.Open("/f");
  EXPECT_EQ(user_.Lock(one, IoLock::kExclusive), 0);
  EXPECT_EQ(user_.Lock(two, IoLock::kShared), -EBUSY);
  EXPECT_EQ(user_.Lock(one, IoLock::kShared), 0) << "its own lock may change";
  EXPECT_EQ(user_.Lock(two, IoLock::kShared), 0);
  EXPECT_EQ(user_.Lock(one, IoLock::kExclusive), -EBUSY);
  EXPECT_EQ(user_.Lock(two, IoLock::kNone), 0);
  EXPECT_EQ(user_.Lock(one, IoLock::kExclusive), 0);
  EXPECT_EQ(user_.Close(one), 0);
  EXPECT_EQ(user_.Lock(two, IoLock::kExclusive), 0);
  disk_.CloseAll();
  const int three = user_.Open("/f");
  EXPECT_EQ(user_.Lock(three, IoLock::kExclusive), 0) << "a dead process holds no lock";
}

TEST_F(SimDiskTest, DirectIoIsAligned) {
  MakeFile("/f", Pages("a"));
  const int f = user_.Open("/f", O_RDWR | O_DIRECT);
  alignas(512) static std::byte memory[kPage];
  const auto transfer = [&](uint64_t offset_bytes, size_t at, uint32_t size_bytes) {
    IoCommand command = DiskUser::Command(IoOpcode::kRead, f);
    command.request.offset_bytes = offset_bytes;
    command.request.data = memory + at;
    command.request.size_bytes = size_bytes;
    return disk_.Run(command);
  };
  EXPECT_EQ(transfer(512, 512, 1024), 1024);
  EXPECT_EQ(transfer(100, 0, 512), -EINVAL);
  EXPECT_EQ(transfer(0, 8, 512), -EINVAL);
  EXPECT_EQ(transfer(0, 0, 100), -EINVAL);
}

TEST_F(SimDiskTest, ADiskThatIsFull) {
  const int f = MakeFile("/f", Pages("a"));
  EXPECT_EQ(user_.Allocate(f, 0, 100 * kPage), -ENOSPC);
  EXPECT_EQ(disk_.used_bytes(), kPage) << "nothing is kept of what did not fit";
  EXPECT_EQ(user_.Write(f, kPage, std::string(100 * kPage, 'b')), 63 * int32_t{kPage});
  EXPECT_EQ(user_.Write(f, 64 * kPage, "c"), -ENOSPC);
  EXPECT_EQ(user_.Write(f, 0, Pages("d")), int32_t{kPage}) << "an overwrite needs no space";
  EXPECT_EQ(disk_.free_bytes(), 0u);
  EXPECT_EQ(user_.Punch(f, 0, 10 * kPage), 0);
  EXPECT_EQ(disk_.free_bytes(), 10 * kPage);
  EXPECT_EQ(user_.Truncate(f, 0), 0);
  EXPECT_EQ(disk_.used_bytes(), 0u);
  user_.Write(f, 0, Pages("e"));
  user_.Remove("/f");
  EXPECT_EQ(disk_.used_bytes(), kPage) << "it is open";
  user_.Close(f);
  user_.SyncDirectory("/");
  EXPECT_EQ(disk_.used_bytes(), 0u);
}

TEST_F(SimDiskTest, Bounds) {
  SimDisk small({.max_cached_changes = 10, .max_files = 4, .max_open_files = 3});
  DiskUser user(small);
  const int f = user.Create("/f");
  user.SyncDirectory("/");
  for (uint64_t i = 0; i < 100; ++i) user.Write(f, i * kPage, std::string(kPage, 'x'));
  LoseEverything choices;
  EXPECT_GT(small.CrashedCopy(choices)->Contents("/f")->size(), 90 * kPage)
      << "a cache that is full is written back";
  EXPECT_GE(user.Create("/g"), 0);
  EXPECT_GE(user.Create("/h"), 0);
  EXPECT_EQ(user.Open("/f"), -EMFILE);
  user.Close(f);
  EXPECT_EQ(user.Create("/i"), -ENOSPC);
}

TEST_F(SimDiskTest, MisdirectedReadsAndWrites) {
  const int f = MakeFile("/f", Pages("abcd"));
  disk_.faults().Add({.fault = SimFault::kMisdirectedRead, .argument = 2 * kPage});
  EXPECT_EQ(user_.Read(f, 0, kPage), Pages("c"));
  EXPECT_EQ(user_.Read(f, 0, kPage), Pages("a"));
  disk_.faults().Add({.fault = SimFault::kMisdirectedWrite, .argument = 3 * kPage});
  EXPECT_EQ(user_.Write(f, 0, Pages("x")), int32_t{kPage});
  EXPECT_EQ(user_.Read(f, 0, 4 * kPage), Pages("abcx"));
  // By chance, also into another file.
  const int g = MakeFile("/g", Pages("pqrs"));
  bool changed = false;
  for (int i = 0; i < 100; ++i) {
    disk_.faults().Add({.fault = SimFault::kMisdirectedWrite});
    user_.Write(f, 0, Pages("x"));
    changed |= user_.Read(g, 0, 4 * kPage) != Pages("pqrs");
  }
  EXPECT_TRUE(changed);
  EXPECT_EQ(user_.Read(f, 0, kPage), Pages("a"));
}

TEST_F(SimDiskTest, LostWrites) {
  const int f = MakeFile("/f", Pages("a"));
  disk_.faults().Add({.fault = SimFault::kLostWrite, .path_part = "f", .skip = 1});
  EXPECT_EQ(user_.Write(f, 0, Pages("b")), int32_t{kPage});
  EXPECT_EQ(user_.Write(f, 0, Pages("c")), int32_t{kPage});
  EXPECT_EQ(user_.Read(f, 0, kPage), Pages("b"));
  EXPECT_EQ(disk_.faults().count(SimFault::kLostWrite), 1u);
}

TEST_F(SimDiskTest, BitsRotForGood) {
  const int f = MakeFile("/f", Pages("aa"));
  disk_.faults().Add({.fault = SimFault::kBitRot, .offset_bytes = kPage, .argument = 9});
  std::string rotten = Pages("a");
  rotten[1] ^= 2;
  EXPECT_EQ(user_.Read(f, kPage, kPage), rotten);
  EXPECT_EQ(user_.Read(f, kPage, kPage), rotten);
  LoseEverything choices;
  EXPECT_EQ(disk_.CrashedCopy(choices)->Contents("/f"), Pages("a") + rotten);
  EXPECT_TRUE(disk_.FlipBit("/f", kPage + 1, 1));
  EXPECT_EQ(disk_.Contents("/f"), Pages("aa"));
}

TEST_F(SimDiskTest, SectorsThatCannotBeReadUntilTheyAreWritten) {
  const int f = MakeFile("/f", Pages("ab"));
  disk_.faults().Add({.fault = SimFault::kLatentSector, .opcode = IoOpcode::kRead});
  EXPECT_EQ(user_.Read(f, 0, kSector), "errno 5");
  EXPECT_EQ(user_.Read(f, 0, 2 * kPage), "errno 5");
  EXPECT_EQ(user_.Read(f, kPage, kPage), Pages("b"));
  LoseEverything choices;
  SimDisk& crashed = *disk_.CrashedCopy(choices).release();
  const std::unique_ptr<SimDisk> owner(&crashed);
  DiskUser after(crashed);
  EXPECT_EQ(after.Read(after.Open("/f"), 0, kPage), "errno 5") << "a power cut mends nothing";
  user_.Write(f, 0, Pages("c"));
  EXPECT_EQ(user_.Read(f, 0, 2 * kPage), Pages("cb"));
}

TEST_F(SimDiskTest, ErrorsAsAsked) {
  const int f = MakeFile("/f", Pages("a"));
  disk_.faults().Add({.opcode = IoOpcode::kWrite, .times = 2});
  disk_.faults().Add({.opcode = IoOpcode::kRename, .argument = EDQUOT});
  disk_.faults().Add({.fault = SimFault::kNoSpace, .opcode = IoOpcode::kAllocate});
  disk_.faults().Add({.fault = SimFault::kInterrupted, .opcode = IoOpcode::kRead});
  disk_.faults().Add({.fault = SimFault::kTryAgain, .opcode = IoOpcode::kRead});
  disk_.faults().Add({.opcode = IoOpcode::kClose});
  EXPECT_EQ(user_.Write(f, 0, "x"), -EIO);
  EXPECT_EQ(user_.Write(f, 0, "x"), -EIO);
  EXPECT_EQ(user_.Write(f, 0, "a"), 1);
  EXPECT_EQ(user_.Rename("/f", "/g"), -EDQUOT);
  EXPECT_EQ(user_.Allocate(f, 0, kPage), -ENOSPC);
  EXPECT_EQ(user_.Read(f, 0, 1), "errno 4");
  EXPECT_EQ(user_.Read(f, 0, 1), "errno 11");
  EXPECT_EQ(user_.Read(f, 0, 1), "a");
  EXPECT_EQ(user_.Close(f), -EIO);
  EXPECT_EQ(user_.Close(f), -EBADF) << "its descriptor is gone all the same";
  EXPECT_EQ(disk_.faults().count(SimFault::kError), 4u);
}

TEST_F(SimDiskTest, ShortTransfers) {
  const int f = MakeFile("/f", Pages("ab"));
  disk_.faults().Add({.fault = SimFault::kShortTransfer, .argument = 3});
  EXPECT_EQ(user_.Read(f, 0, 10), "aaa");
  for (int i = 0; i < 20; ++i) {
    disk_.faults().Add({.fault = SimFault::kShortTransfer});
    const int32_t written = user_.Write(f, 0, Pages("xy"));
    EXPECT_GT(written, 0);
    EXPECT_LT(written, 2 * int32_t{kPage});
    EXPECT_EQ(written % int32_t{kSector}, 0);
  }
}

TEST_F(SimDiskTest, RatesMeetWhatTheyCan) {
  SimFaultRates rates;
  for (size_t i = 1; i < kSimFaultCount; ++i) rates.per_million[i] = 50'000;
  disk_.faults().SetRates(rates);
  const auto draw_all = [this] {
    std::map<std::pair<IoOpcode, SimFault>, int> drawn;
    Random random(3);
    for (int i = 0; i < 20'000; ++i) {
      for (const IoOpcode opcode : {IoOpcode::kRead, IoOpcode::kWrite, IoOpcode::kFdatasync,
                                    IoOpcode::kRename, IoOpcode::kClose}) {
        IoRequest request;
        request.opcode = opcode;
        const SimFaultDraw draw = disk_.faults().Draw(request, "/f", random);
        if (draw.fault != SimFault::kNone) ++drawn[{opcode, draw.fault}];
      }
    }
    return drawn;
  };
  const auto drawn = draw_all();
  EXPECT_EQ(drawn, draw_all()) << "one seed gives the same faults";
  for (const auto& [what, count] : drawn) {
    EXPECT_NEAR(count, 1000, 150) << SimFaultName(what.second);
    EXPECT_NE(what.first, IoOpcode::kClose);
  }
  EXPECT_EQ(drawn.count({IoOpcode::kRead, SimFault::kBitRot}), 1u);
  EXPECT_EQ(drawn.count({IoOpcode::kWrite, SimFault::kBitRot}), 0u);
  EXPECT_EQ(drawn.count({IoOpcode::kFdatasync, SimFault::kSyncDropsData}), 1u);
  disk_.faults().Clear();
  EXPECT_TRUE(draw_all().empty());
}

}  // namespace
}  // namespace ioengine
