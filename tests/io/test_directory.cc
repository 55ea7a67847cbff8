#include "ioengine/tests/io/test_directory.h"

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

int CountEntries(const char* directory) {
  int entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) {
    ++entries;
  }
  return entries;
}

}  // namespace

TestDirectory::TestDirectory() : path_(testing::TempDir() + "/ioengine-XXXXXX") {
  IOENGINE_CHECK(mkdtemp(path_.data()) != nullptr, "cannot make the test's directory");
}

TestDirectory::~TestDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void WriteWholeFile(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  ASSERT_TRUE(file.flush().good()) << path;
}

std::string ReadWholeFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool Exists(const std::string& path) { return std::filesystem::exists(path); }

int CountOpenFds() {
  return CountEntries("/proc/self/fd") - 1;  // the one that reads the directory
}

int CountThreads() { return CountEntries("/proc/self/task"); }

bool ThreadsFallTo(int threads) {
  for (int i = 0; i < 1000; ++i) {
    if (CountThreads() <= threads) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace ioengine
