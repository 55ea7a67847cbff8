// A directory for one test, and what a test looks up about its process.

#ifndef IOENGINE_TESTS_IO_TEST_DIRECTORY_H_
#define IOENGINE_TESTS_IO_TEST_DIRECTORY_H_

#include <string>

namespace ioengine {

// An empty directory below $TEST_TMPDIR; removed with all that is in it.
class TestDirectory {
 public:
  TestDirectory();
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  ~TestDirectory();

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// With the ordinary calls, not through the library.
void WriteWholeFile(const std::string& path, const std::string& content);
std::string ReadWholeFile(const std::string& path);
bool Exists(const std::string& path);

// Descriptors and threads of this process.
int CountOpenFds();
int CountThreads();

// Waits until the process has no more than `threads` threads: the kernel's workers for io_uring end
// a moment after their ring. False when they do not.
bool ThreadsFallTo(int threads);

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_TEST_DIRECTORY_H_
