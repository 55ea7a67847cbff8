// What every backend must do with names, sizes and holes: for each of ConformingBackends.

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/io/backend.h"
#include "ioengine/tests/io/backend_driver.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using Driver = BackendDriver;

constexpr size_t kPage = 4096;

class BackendNamesTest : public testing::TestWithParam<BackendFactory> {
 protected:
  void SetUp() override {
    root_ = driver_.Run(Driver::Open(directory_.path(), O_RDONLY | O_DIRECTORY));
    ASSERT_GE(root_, 0);
  }

  void TearDown() override {
    CloseFd(root_);
    EXPECT_EQ(driver_.forbidden_completions, 0) << "rule 3: never from within Start or Cancel";
    EXPECT_EQ(driver_.backend().stats().stray_completions, 0u);
  }

  void CloseFd(int fd) { EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kClose, fd)), 0); }

  // An operation on `path` below the test's directory.
  IoCommand Named(IoOpcode opcode, const std::string& path, const std::string& new_path = {}) {
    IoCommand command = Driver::Open(path, 0);
    command.request.opcode = opcode;
    command.request.fd = root_;
    command.path->mode = 0700;
    command.path->new_path = new_path;
    command.path->new_directory = root_;
    return command;
  }

  int32_t OpenBeneath(const std::string& path, int flags) {
    IoCommand command = Named(IoOpcode::kOpen, path);
    command.path->open_flags = flags;
    command.path->mode = 0600;
    command.path->beneath = true;
    return driver_.Run(std::move(command));
  }

  int NewFile(const std::string& name, const std::string& content) {
    const int fd = OpenBeneath(name, O_RDWR | O_CREAT | O_EXCL);
    EXPECT_GE(fd, 0) << name;
    std::string bytes = content;
    EXPECT_EQ(driver_.Run(Driver::Transfer(IoOpcode::kWrite, fd, 0, bytes.data(), bytes.size())),
              static_cast<int32_t>(bytes.size()));
    return fd;
  }

  std::string Content(int fd) {
    std::string bytes(size_t{1} << 20, '?');
    const int32_t size =
        driver_.Run(Driver::Transfer(IoOpcode::kRead, fd, 0, bytes.data(), bytes.size()));
    EXPECT_GE(size, 0);
    bytes.resize(static_cast<size_t>(size));
    return bytes;
  }

  std::string ContentOf(const std::string& name) {
    const int fd = OpenBeneath(name, O_RDONLY);
    if (fd < 0) return "no such file";
    std::string content = Content(fd);
    CloseFd(fd);
    return content;
  }

  FileStat StatOf(int fd) {
    FileStat stat;
    driver_.on_complete = [&](uintptr_t, IoCommand& command, int32_t) {
      if (command.path != nullptr) stat = command.path->stat;
    };
    EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kStat, fd)), 0);
    driver_.on_complete = nullptr;
    return stat;
  }

  int32_t OnRange(IoOpcode opcode, int fd, uint64_t offset_bytes, uint64_t range_bytes) {
    IoCommand command = Driver::OnFd(opcode, fd);
    command.request.offset_bytes = offset_bytes;
    command.request.range_bytes = range_bytes;
    return driver_.Run(std::move(command));
  }

  const TestDirectory directory_;
  Driver driver_{GetParam().make(16)};
  int root_ = -1;
};

TEST_P(BackendNamesTest, TruncateCutsAndExtends) {
  const int fd = NewFile("x", std::string(2 * kPage, 'a'));
  EXPECT_EQ(OnRange(IoOpcode::kTruncate, fd, 0, 100), 0);
  EXPECT_EQ(Content(fd), std::string(100, 'a'));
  EXPECT_EQ(OnRange(IoOpcode::kTruncate, fd, 0, 200), 0);
  EXPECT_EQ(Content(fd), std::string(100, 'a') + std::string(100, '\0'))
      << "what was cut off does not come back";
  EXPECT_EQ(OnRange(IoOpcode::kTruncate, fd, 0, 0), 0);
  EXPECT_EQ(StatOf(fd).size_bytes, 0u);
  EXPECT_EQ(OnRange(IoOpcode::kTruncate, 987654, 0, 0), -EBADF);
  CloseFd(fd);
}

TEST_P(BackendNamesTest, PunchGivesSpaceBackAndKeepsTheSize) {
  const int fd = NewFile("x", std::string(64 * kPage, 'a'));
  EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kFsync, fd)), 0);
  const uint64_t before_bytes = StatOf(fd).allocated_bytes;
  EXPECT_EQ(OnRange(IoOpcode::kPunch, fd, kPage, 62 * kPage), 0);
  EXPECT_EQ(StatOf(fd).size_bytes, 64 * kPage);
  EXPECT_LE(StatOf(fd).allocated_bytes, before_bytes - 62 * kPage);
  EXPECT_EQ(Content(fd),
            std::string(kPage, 'a') + std::string(62 * kPage, '\0') + std::string(kPage, 'a'));
  CloseFd(fd);
}

TEST_P(BackendNamesTest, AdviceIsTaken) {
  const int fd = NewFile("x", std::string(kPage, 'a'));
  for (const IoAdvice advice :
       {IoAdvice::kSequential, IoAdvice::kRandom, IoAdvice::kWillNeed, IoAdvice::kDontNeed}) {
    IoCommand command = Driver::OnFd(IoOpcode::kAdvise, fd);
    command.request.argument = static_cast<uint8_t>(advice);
    command.request.range_bytes = kPage;
    EXPECT_EQ(driver_.Run(std::move(command)), 0);
  }
  CloseFd(fd);
}

// The sizes do not fit into 32 bits, as an entry of io_uring has them.
TEST_P(BackendNamesTest, AdviceReachesAsFarAsItSays) {
  if (!GetParam().real_files) return;
  const int fd = NewFile("x", std::string(16 * kPage, 'a'));
  EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kFsync, fd)), 0);
  // The kernel keeps a page that somebody looks at in the moment, so once may not be enough.
  bool dropped = false;
  for (int i = 0; i < 1000 && !dropped; ++i) {
    IoCommand command = Driver::OnFd(IoOpcode::kAdvise, fd);
    command.request.argument = static_cast<uint8_t>(IoAdvice::kDontNeed);
    command.request.range_bytes = (uint64_t{4} << 30) + kPage;
    EXPECT_EQ(driver_.Run(std::move(command)), 0);
    char byte = 0;
    iovec vector = {&byte, 1};
    dropped = preadv2(fd, &vector, 1, 12 * kPage, RWF_NOWAIT) == -1;
    if (!dropped) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(dropped) << "it is still in memory";
  CloseFd(fd);
}

TEST_P(BackendNamesTest, AWriteThenSync) {
  const int fd = NewFile("x", "");
  std::string bytes(3 * kPage, 'w');
  IoCommand command = Driver::Transfer(IoOpcode::kWrite, fd, 0, bytes.data(), bytes.size());
  command.request.flags |= kIoThenSync;
  EXPECT_EQ(driver_.Run(std::move(command)), static_cast<int32_t>(bytes.size()))
      << "the result is that of the write";
  EXPECT_EQ(Content(fd), bytes);
  CloseFd(fd);
  command = Driver::Transfer(IoOpcode::kWrite, 987654, 0, bytes.data(), bytes.size());
  command.request.flags |= kIoThenSync;
  EXPECT_EQ(driver_.Run(std::move(command)), -EBADF);
}

TEST_P(BackendNamesTest, RenameMovesAndReplaces) {
  CloseFd(NewFile("old", "first"));
  EXPECT_EQ(driver_.Run(Named(IoOpcode::kRename, "old", "new")), 0);
  EXPECT_EQ(ContentOf("old"), "no such file");
  EXPECT_EQ(ContentOf("new"), "first");
  const int open = OpenBeneath("new", O_RDONLY);
  CloseFd(NewFile("other", "second"));
  IoCommand careful = Named(IoOpcode::kRename, "other", "new");
  careful.request.flags |= kIoNoReplace;
  EXPECT_EQ(driver_.Run(std::move(careful)), -EEXIST);
  EXPECT_EQ(driver_.Run(Named(IoOpcode::kRename, "other", "new")), 0);
  EXPECT_EQ(ContentOf("new"), "second");
  EXPECT_EQ(Content(open), "first") << "an open file outlives its name";
  CloseFd(open);
  EXPECT_EQ(driver_.Run(Named(IoOpcode::kRename, "missing", "new")), -ENOENT);
}

TEST_P(BackendNamesTest, AFileMayHaveTwoNames) {
  const int fd = NewFile("one", "content");
  EXPECT_EQ(driver_.Run(Named(IoOpcode::kLink, "one", "two")), 0);
  EXPECT_EQ(StatOf(fd).links, 2u);
  EXPECT_EQ(driver_.Run(Named(IoOpcode::kLink, "one", "two")), -EEXIST);
  EXPECT_EQ(driver_.Run(Named(IoOpcode::kRemove, "one")), 0);
  EXPECT_EQ(ContentOf("two"), "content");
  EXPECT_EQ(StatOf(fd).links, 1u);
  CloseFd(fd);
}

TEST_P(BackendNamesTest, DirectoriesAreMadeAndRemoved) {
  EXPECT_EQ(driver_.Run(Named(IoOpcode::kMakeDirectory, "d")), 0);
  EXPECT_EQ(driver_.Run(Named(IoOpcode::kMakeDirectory, "d")), -EEXIST);
  EXPECT_EQ(driver_.Run(Named(IoOpcode::kMakeDirectory, "missing/d")), -ENOENT);
  CloseFd(NewFile("d/x", "inside"));
  EXPECT_EQ(ContentOf("d/x"), "inside");
  const int d = OpenBeneath("d", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(StatOf(d).kind, FileKind::kDirectory);
  EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kFsync, d)), 0);
  CloseFd(d);
  const auto remove = [&] {
    IoCommand command = Named(IoOpcode::kRemove, "d");
    command.request.flags |= kIoDirectory;
    return driver_.Run(std::move(command));
  };
  EXPECT_EQ(remove(), -ENOTEMPTY);
  EXPECT_EQ(driver_.Run(Named(IoOpcode::kRemove, "d/x")), 0);
  EXPECT_EQ(driver_.Run(Named(IoOpcode::kRemove, "d")), -EISDIR);
  EXPECT_EQ(remove(), 0);
  EXPECT_EQ(OpenBeneath("d", O_RDONLY), -ENOENT);
}

TEST_P(BackendNamesTest, BeneathStaysBeneath) {
  CloseFd(NewFile("x", "inside"));
  EXPECT_EQ(OpenBeneath("../x", O_RDONLY), -EXDEV);
  EXPECT_EQ(OpenBeneath("..", O_RDONLY), -EXDEV);
  EXPECT_EQ(OpenBeneath("/etc/passwd", O_RDONLY), -EXDEV);
  CloseFd(OpenBeneath(".", O_RDONLY));
  if (!GetParam().real_files) return;
  ASSERT_EQ(symlinkat("x", root_, "link"), 0);
  EXPECT_EQ(OpenBeneath("link", O_RDONLY), -ELOOP);
}

TEST_P(BackendNamesTest, AListHasAllNamesAndMovesNothing) {
  const auto list = [&](int fd) {
    std::map<std::string, FileKind> entries;
    driver_.on_complete = [&](uintptr_t, IoCommand& command, int32_t) {
      for (const DirectoryEntry& entry : command.path->entries) {
        EXPECT_TRUE(entries.emplace(entry.name, entry.kind).second) << entry.name << " twice";
      }
    };
    IoCommand command = Driver::OnFd(IoOpcode::kList, fd);
    command.path = std::make_unique<PathArguments>();
    EXPECT_EQ(driver_.Run(std::move(command)), 0);
    driver_.on_complete = nullptr;
    return entries;
  };
  EXPECT_TRUE(list(root_).empty());
  EXPECT_EQ(driver_.Run(Named(IoOpcode::kMakeDirectory, "directory")), 0);
  // More than one call of the kernel's gives.
  for (int i = 0; i < 1200; ++i) CloseFd(NewFile("file " + std::to_string(i), ""));
  for (int round = 0; round < 2; ++round) {
    const auto entries = list(root_);
    EXPECT_EQ(entries.size(), 1201u);
    EXPECT_EQ(entries.count("directory"), 1u);
    EXPECT_EQ(entries.count("file 1199"), 1u);
    if (GetParam().real_files) {
      EXPECT_EQ(entries.at("directory"), FileKind::kDirectory);
      EXPECT_EQ(entries.at("file 7"), FileKind::kRegular);
    }
  }
  const int file = OpenBeneath("file 7", O_RDONLY);
  IoCommand of_a_file = Driver::OnFd(IoOpcode::kList, file);
  of_a_file.path = std::make_unique<PathArguments>();
  EXPECT_EQ(driver_.Run(std::move(of_a_file)), -ENOTDIR);
  CloseFd(file);
  IoCommand of_nothing = Driver::OnFd(IoOpcode::kList, 987654);
  of_nothing.path = std::make_unique<PathArguments>();
  EXPECT_EQ(driver_.Run(std::move(of_nothing)), -EBADF);
}

TEST_P(BackendNamesTest, ALockBelongsToTheOpenFile) {
  const auto lock = [&](int fd, IoLock kind) {
    IoCommand command = Driver::OnFd(IoOpcode::kLock, fd);
    command.request.argument = static_cast<uint8_t>(kind);
    return driver_.Run(std::move(command));
  };
  const int first = NewFile("x", "content");
  const int second = OpenBeneath("x", O_RDWR);
  EXPECT_EQ(lock(first, IoLock::kExclusive), 0);
  EXPECT_EQ(lock(second, IoLock::kExclusive), -EBUSY);
  EXPECT_EQ(lock(second, IoLock::kShared), -EBUSY);
  EXPECT_EQ(lock(first, IoLock::kShared), 0) << "the holder may change it";
  EXPECT_EQ(lock(second, IoLock::kShared), 0);
  EXPECT_EQ(lock(first, IoLock::kExclusive), -EBUSY);
  EXPECT_EQ(lock(second, IoLock::kNone), 0);
  EXPECT_EQ(lock(first, IoLock::kExclusive), 0);
  CloseFd(OpenBeneath("x", O_RDWR));
  EXPECT_EQ(lock(second, IoLock::kShared), -EBUSY) << "the close of another lets go of nothing";
  CloseFd(first);
  EXPECT_EQ(lock(second, IoLock::kExclusive), 0) << "the close of its own does";
  EXPECT_EQ(lock(987654, IoLock::kShared), -EBADF);
  CloseFd(second);
}

TEST_P(BackendNamesTest, ADirectoryHasALockToo) {
  const auto lock = [&](int fd, IoLock kind) {
    IoCommand command = Driver::OnFd(IoOpcode::kLock, fd);
    command.request.argument = static_cast<uint8_t>(kind);
    return driver_.Run(std::move(command));
  };
  const int first = OpenBeneath(".", O_RDONLY | O_DIRECTORY);
  const int second = OpenBeneath(".", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(lock(first, IoLock::kExclusive), 0);
  EXPECT_EQ(lock(second, IoLock::kExclusive), -EBUSY);
  EXPECT_EQ(lock(second, IoLock::kShared), -EBUSY);
  EXPECT_EQ(lock(first, IoLock::kNone), 0);
  EXPECT_EQ(lock(second, IoLock::kShared), 0);
  EXPECT_EQ(lock(first, IoLock::kShared), 0);
  CloseFd(first);
  EXPECT_EQ(lock(second, IoLock::kExclusive), 0);
  CloseFd(second);
}

TEST_P(BackendNamesTest, AnExtentHintIsTakenOrNotKnown) {
  const int fd = NewFile("x", "");
  const int32_t result = OnRange(IoOpcode::kExtentHint, fd, 0, 1 << 20);
  EXPECT_TRUE(result == 0 || result == -EOPNOTSUPP) << result;
  EXPECT_EQ(OnRange(IoOpcode::kExtentHint, fd, 0, uint64_t{1} << 40), -EINVAL);
  EXPECT_EQ(OnRange(IoOpcode::kExtentHint, 987654, 0, 1 << 20), -EBADF);
  CloseFd(fd);
}

// Beside operations of the other kind: a backend may run these elsewhere.
TEST_P(BackendNamesTest, RareOperationsWakeAShardThatSleeps) {
  for (int round = 0; round < 50; ++round) {
    std::vector<uintptr_t> numbers;
    for (int i = 0; i < 4; ++i) {
      IoCommand command = Driver::OnFd(IoOpcode::kList, root_);
      command.path = std::make_unique<PathArguments>();
      numbers.push_back(driver_.Start(std::move(command)));
      numbers.push_back(driver_.Start(Driver::OnFd(IoOpcode::kFsync, root_)));
    }
    if (round % 3 == 0) driver_.Cancel(numbers[0]);
    if (round % 2 == 0) driver_.backend().Poll();
    const auto start = std::chrono::steady_clock::now();
    while (driver_.backend().in_flight() > 0) driver_.backend().Wait(uint64_t{60'000'000'000});
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
    for (size_t i = 0; i < numbers.size(); ++i) {
      const int32_t result = driver_.result(numbers[i]);
      EXPECT_TRUE(result == 0 || (i == 0 && result == -ECANCELED)) << result;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, BackendNamesTest, testing::ValuesIn(ConformingBackends()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace ioengine
