// ioengine-sim as its users meet it: what it prints of a seed that finds something.

#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/wait.h>

#include <algorithm>
#include <string>

namespace ioengine::sim {
namespace {

struct Finished {
  int exit_status = -1;
  std::string output;
};

Finished RunCommand(const std::string& command) {
  Finished finished;
  FILE* const pipe = popen((command + " 2>/dev/null").c_str(), "r");
  EXPECT_NE(pipe, nullptr) << command;
  if (pipe == nullptr) return finished;
  char bytes[4096];
  for (size_t size = 1; size > 0;) {
    size = fread(bytes, 1, sizeof(bytes), pipe);
    finished.output.append(bytes, size);
  }
  const int status = pclose(pipe);
  if (WIFEXITED(status)) finished.exit_status = WEXITSTATUS(status);
  return finished;
}

// What follows `prefix` in its line.
std::string LineAfter(const std::string& output, const std::string& prefix) {
  const size_t at = output.find("\n" + prefix);
  EXPECT_NE(at, std::string::npos) << output;
  if (at == std::string::npos) return "";
  const size_t begin = at + 1 + prefix.size();
  return output.substr(begin, output.find('\n', begin) - begin);
}

TEST(SimCliTest, WhatItFindsIsReplayedByTheLineThatItPrints) {
  const std::string program = "tools/ioengine-sim";
  const Finished found =
      RunCommand(program + " --canary=store-frozen-not-read --seeds=1..100 --ops=500");
  ASSERT_EQ(found.exit_status, 1) << found.output;
  const std::string command = LineAfter(found.output, "replay: ");
  EXPECT_EQ(command.rfind(program + " --seed=", 0), 0u) << command;
  EXPECT_EQ(LineAfter(found.output, "or: bazel run //tools:ioengine-sim --"),
            command.substr(program.size()));
  const Finished again = RunCommand(command);
  EXPECT_EQ(again.exit_status, 1);
  EXPECT_EQ(again.output, found.output);
  // Less of the trace of the same run.
  const Finished little = RunCommand(command + " --trace-events=3");
  EXPECT_EQ(little.exit_status, 1);
  EXPECT_EQ(LineAfter(little.output, "trace hash "), LineAfter(found.output, "trace hash "));
  EXPECT_EQ(std::count(found.output.begin(), found.output.end(), '\n') -
                std::count(little.output.begin(), little.output.end(), '\n'),
            256 - 3);
}

TEST(SimCliTest, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(RunCommand("tools/ioengine-sim --trace-events=0").exit_status, 2);
  EXPECT_EQ(RunCommand("tools/ioengine-sim 7").exit_status, 2);
}

}  // namespace
}  // namespace ioengine::sim
