// ToolTest: a test of a program, as its users start it.
#ifndef IOENGINE_TESTS_TOOLS_TOOL_FIXTURE_H_
#define IOENGINE_TESTS_TOOLS_TOOL_FIXTURE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "ioengine/tests/tools/temporary_directory.h"

namespace ioengine::bench {

struct Finished {
  int exit_status = -1;  // 128 + signal when it was killed
  std::string output;
  std::string errors;
};

class ToolTest : public ::testing::Test {
 protected:
  // `binary`: its path below the folder that tests run in.
  explicit ToolTest(std::string binary) : binary_(std::move(binary)) {}

  // Starts it; `prepare` runs in the new process first, and makes it one of another kind.
  pid_t Start(std::vector<std::string> words, bool (*prepare)() = nullptr) {
    words.insert(words.begin(), binary_);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const int flags = O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC;
    const int output = open(files_.File("out").c_str(), flags, 0600);
    const int errors = open(files_.File("err").c_str(), flags, 0600);
    // By descriptor: an ordinary user may not look into the folder where it was built.
    const int binary = open(binary_.c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_GE(binary, 0) << binary_;
    const pid_t pid = fork();
    if (pid == 0) {
      dup2(output, STDOUT_FILENO);
      dup2(errors, STDERR_FILENO);
      if (prepare == nullptr || prepare()) fexecve(binary, argv.data(), environ);
      _exit(99);
    }
    for (const int fd : {output, errors, binary}) close(fd);
    return pid;
  }

  Finished Wait(pid_t pid) {
    Finished finished;
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    finished.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    finished.output = ReadFile(files_.File("out"));
    finished.errors = ReadFile(files_.File("err"));
    return finished;
  }

  Finished Run(std::vector<std::string> words, bool (*prepare)() = nullptr) {
    return Wait(Start(std::move(words), prepare));
  }

  std::string Dir() const { return "--dir=" + data_.path(); }

  TemporaryDirectory data_;   // where it makes its files
  TemporaryDirectory files_;  // what it prints

 private:
  const std::string binary_;
};

}  // namespace ioengine::bench

#endif  // IOENGINE_TESTS_TOOLS_TOOL_FIXTURE_H_
