#include "ioengine/tools/benchmark/cancel_on_signal.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "ioengine/tests/tools/temporary_directory.h"

namespace ioengine::bench {
namespace {

struct stat Identity(const std::string& path) {
  struct stat identity;
  EXPECT_EQ(stat(path.c_str(), &identity), 0) << path;
  return identity;
}

TEST(CancelOnSignalTest, TheFirstSignalSetsTheFlag) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const CancelOnSignal cancel;
    EXPECT_FALSE(cancel.flag());
    EXPECT_EQ(cancel.signal(), 0);
    raise(signal);
    EXPECT_TRUE(cancel.flag());
    EXPECT_EQ(cancel.signal(), signal);
  }
}

TEST(CancelOnSignalTest, PutsTheOldHandlersBack) {
  struct sigaction before, during, after;
  ASSERT_EQ(sigaction(SIGINT, nullptr, &before), 0);
  {
    const CancelOnSignal cancel;
    ASSERT_EQ(sigaction(SIGINT, nullptr, &during), 0);
  }
  ASSERT_EQ(sigaction(SIGINT, nullptr, &after), 0);
  EXPECT_NE(during.sa_handler, before.sa_handler);
  EXPECT_EQ(after.sa_handler, before.sa_handler);
}

TEST(CancelOnSignalTest, AnIgnoredSignalStaysIgnored) {
  signal(SIGHUP, SIG_IGN);
  {
    const CancelOnSignal cancel;
    raise(SIGHUP);
    EXPECT_FALSE(cancel.flag());
  }
  signal(SIGHUP, SIG_DFL);
}

TEST(CancelOnSignalDeathTest, TheSecondSignalRemovesTheFilesAndEnds) {
  const TemporaryDirectory directory;
  const std::string ours = directory.Write("ours", "x");
  const std::string replaced = directory.Write("replaced", "x");
  const std::string done = directory.Write("done", "x");
  EXPECT_EXIT(
      {
        const CancelOnSignal cancel;
        const EmergencyRemoval first(ours, Identity(ours));
        const EmergencyRemoval second(replaced, Identity(replaced));
        { const EmergencyRemoval third(done, Identity(done)); }
        // Another file comes under the name of the second. The old one stays linked, so that its
        // inode is not used again.
        std::filesystem::rename(replaced, replaced + ".old");
        directory.Write("replaced", "somebody else's");
        raise(SIGTERM);
        if (!cancel.flag()) _exit(1);
        raise(SIGINT);
        _exit(2);
      },
      testing::ExitedWithCode(128 + SIGINT), "");
  EXPECT_FALSE(std::filesystem::exists(ours));
  EXPECT_EQ(ReadFile(replaced), "somebody else's");
  EXPECT_EQ(ReadFile(done), "x");
}

TEST(CancelOnSignalDeathTest, ThereIsOnlyOne) {
  const CancelOnSignal cancel;
  EXPECT_DEATH(CancelOnSignal(), "there is one already");
}

TEST(CancelOnSignalDeathTest, MoreFilesThanSlotsAreLeftAlone) {
  const TemporaryDirectory directory;
  std::vector<std::string> paths;
  for (int i = 0; i < 9; ++i) paths.push_back(directory.Write(std::to_string(i), "x"));
  EXPECT_EXIT(
      {
        const CancelOnSignal cancel;
        std::vector<std::unique_ptr<EmergencyRemoval>> removals;
        for (const std::string& path : paths) {
          removals.push_back(std::make_unique<EmergencyRemoval>(path, Identity(path)));
        }
        raise(SIGINT);
        raise(SIGINT);
      },
      testing::ExitedWithCode(128 + SIGINT), "");
  EXPECT_FALSE(std::filesystem::exists(paths[7]));
  EXPECT_TRUE(std::filesystem::exists(paths[8]));
}

TEST(RemoveIfSameTest, RemovesOnlyWhatItWasTold) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("file", "x");
  const struct stat identity = Identity(path);
  EXPECT_EQ(RemoveIfSame(path.c_str(), identity.st_dev, identity.st_ino + 1), 0);
  EXPECT_TRUE(std::filesystem::exists(path));
  // A link to it is not it.
  std::filesystem::create_symlink(path, directory.File("link"));
  EXPECT_EQ(RemoveIfSame(directory.File("link").c_str(), identity.st_dev, identity.st_ino), 0);
  EXPECT_TRUE(std::filesystem::is_symlink(directory.File("link")));
  EXPECT_EQ(RemoveIfSame(path.c_str(), identity.st_dev, identity.st_ino), 0);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(RemoveIfSame(path.c_str(), identity.st_dev, identity.st_ino), 0) << "gone is gone";
}

}  // namespace
}  // namespace ioengine::bench
