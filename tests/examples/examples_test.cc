// The programs of examples/ do what README.md says of them.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <string>

#include "ioengine/tests/tools/temporary_directory.h"

namespace ioengine {
namespace {

using bench::ReadFile;
using bench::TemporaryDirectory;

TEST(ExamplesTest, CopyBlocksCopiesAFile) {
  const TemporaryDirectory scratch;
  const std::string& directory = scratch.path();
  std::string contents(3'145'728 + 4096, '\0');
  for (size_t i = 0; i < contents.size(); ++i) contents[i] = static_cast<char>(i * 7919 >> 8);
  std::ofstream(directory + "/from", std::ios::binary) << contents;
  const std::string command =
      "examples/copy_blocks " + directory + "/from " + directory + "/to 2>" + directory + "/err";
  EXPECT_EQ(std::system(command.c_str()), 0) << ReadFile(directory + "/err");
  EXPECT_EQ(ReadFile(directory + "/to"), contents);
  EXPECT_NE(std::system(command.c_str()), 0) << "the target exists now";
  EXPECT_NE(ReadFile(directory + "/err").find(directory + "/to"), std::string::npos);
}

// Whether it exits with 2, and says how it is used.
bool ShowsUsage(const std::string& command) {
  return std::system(("{ " + command + " 2>&1 >/dev/null; echo \"status $?\"; } | tr '\\n' ' ' | " +
                      "grep -q '^usage: .* status 2 $'")
                         .c_str()) == 0;
}

TEST(ExamplesTest, WrongArgumentsAreRefused) {
  EXPECT_TRUE(ShowsUsage("examples/copy_blocks"));
  EXPECT_TRUE(ShowsUsage("examples/copy_blocks one"));
  EXPECT_TRUE(ShowsUsage("examples/store"));
  EXPECT_TRUE(ShowsUsage("examples/engine"));
  for (const char* words : {"--forget", "seven", "7x", "0", "-1", "7 8", "''"}) {
    EXPECT_TRUE(ShowsUsage(std::string("examples/simulate ") + words)) << words;
  }
}

TEST(ExamplesTest, AHostLendsThreads) {
  EXPECT_EQ(std::system("examples/lend_threads | grep -q 'add up to 3$'"), 0);
}

TEST(ExamplesTest, AHostLendsItsEventLoop) {
  EXPECT_EQ(std::system("examples/lend_event_loop | grep -q 'slept 5 times.*: yes$'"), 0);
}

TEST(ExamplesTest, ALogIsSimulated) {
  EXPECT_EQ(std::system("examples/simulate | grep -q '^1000 power cuts, no promised record lost$'"),
            0);
  EXPECT_EQ(std::system("examples/simulate --forget-sync | grep -q '^seed .*record is lost$'"), 0);
  // The seed that it names gives the same again, with the operations that led to it.
  EXPECT_EQ(std::system(
                "seed=$(examples/simulate --forget-sync | sed -n 's/^seed \\([0-9]*\\):.*/\\1/p'); "
                "examples/simulate --forget-sync \"$seed\" | grep -q 'complete write fd'"),
            0);
}

TEST(ExamplesTest, AStoreKeepsWhatIsWritten) {
  const TemporaryDirectory scratch;
  const std::string& directory = scratch.path();
  const std::string command =
      "examples/store " + directory + "/db >" + directory + "/out 2>" + directory + "/err";
  const std::string rest = "ada was 1815\nuser/grace = 1906\n";
  for (int before = 0; before < 3; ++before) {
    EXPECT_EQ(std::system(command.c_str()), 0) << ReadFile(directory + "/err");
    EXPECT_EQ(ReadFile(directory + "/out"),
              "opened " + std::to_string(before) + " times before\n" + rest);
  }
}

TEST(ExamplesTest, AnEngineServesThreadsAndTasks) {
  const TemporaryDirectory scratch;
  const std::string& directory = scratch.path();
  const std::string command =
      "examples/engine " + directory + "/db >" + directory + "/out 2>" + directory + "/err";
  for (int time = 0; time < 2; ++time) {
    EXPECT_EQ(std::system(command.c_str()), 0) << ReadFile(directory + "/err");
    EXPECT_EQ(ReadFile(directory + "/out"),
              "now: grace is nobody; at the snapshot:\n"
              "user/ada = 1815\nuser/barbara = 1939\nuser/grace = 1906\n");
  }
}

}  // namespace
}  // namespace ioengine
