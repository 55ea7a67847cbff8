// Each rule finds a violation planted for it, and lets good code pass.

#include "ioengine/tests/tidy/tidy_rules.h"

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/tests/tidy/source_tree.h"
#include "ioengine/tests/tidy/tidy_exceptions.h"

namespace ioengine::tidy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The lines at which `check` finds something.
template <typename Check>
std::vector<int> LinesFound(const Check& check, const std::string& path,
                            const std::string& content) {
  std::vector<int> lines;
  for (const Violation& violation : check(SourceFile{path, content})) {
    EXPECT_EQ(violation.path, path);
    EXPECT_NE(violation.what, "");
    lines.push_back(violation.line);
  }
  return lines;
}

std::string Include(std::string_view path) {
  return absl::StrCat("\n#include \"ioengine/", std::string(path), "\"\n");
}

TEST(IncludeDirectionTest, DownAndWithinAFolderPass) {
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"sched/a.cc", "numa/b.h"},
                                                        {"io/a.cc", "io/uring/b.h"},
                                                        {"io/uring/a.cc", "io/b.h"},
                                                        {"engine/a.cc", "sched/b.h"},
                                                        {"engine/a.cc", "engine/lsm/b.h"},
                                                        {"engine/sim/a.cc", "engine/b.h"},
                                                        {"engine/lsm/a.cc", "engine/wal/b.h"},
                                                        {"engine/wal/a.cc", "engine/format/b.h"},
                                                        {"tools/benchmark/a.cc", "engine/b.h"},
                                                        {"examples/a.cc", "engine/b.h"},
                                                        {"numa/a.cc", "version.h"},
                                                        {"tests/io/a.cc", "tools/benchmark/b.h"}}) {
    EXPECT_THAT(LinesFound(CheckIncludeDirection, from, Include(to)), IsEmpty()) << from << to;
  }
}

TEST(IncludeDirectionTest, UpAndSidewaysFail) {
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"numa/a.cc", "sched/b.h"},
           {"sched/a.h", "io/b.h"},
           {"io/uring/a.cc", "engine/b.h"},
           {"engine/a.cc", "tools/b.h"},
           {"engine/a.cc", "tests/b.h"},
           {"tools/a.cc", "examples/b.h"},
           {"examples/a.cc", "tests/b.h"},
           {"version.h", "numa/b.h"},
           {"io/a.cc", "unheard_of/b.h"},
           {"unheard_of/a.cc", "io/b.h"},
           {"engine/wal/a.cc", "engine/table/b.h"},
           {"engine/table/a.cc", "engine/wal/b.h"},
           {"engine/format/a.cc", "engine/wal/b.h"},
           {"engine/table/a.cc", "engine/lsm/b.h"},
           {"engine/a.cc", "engine/sim/b.h"},
           {"engine/lsm/a.cc", "engine/options.h"},
           {"engine/lsm/a.cc", "engine/unheard_of/b.h"}}) {
    EXPECT_THAT(LinesFound(CheckIncludeDirection, from, Include(to)), ElementsAre(2)) << from << to;
  }
}

TEST(LiburingTest, OnlyInItsFolderAndTheRawLoops) {
  for (const std::string line :
       {"#include <liburing.h>\n", "#include \"liburing.h\"\n", "#include <linux/io_uring.h>\n",
        "#include <liburing/io_uring.h>\n"}) {
    EXPECT_THAT(LinesFound(CheckLiburing, "io/uring/a.cc", line), IsEmpty());
    EXPECT_THAT(LinesFound(CheckLiburing, "tools/benchmark/raw_loop.h", line), IsEmpty());
    EXPECT_THAT(LinesFound(CheckLiburing, "io/a.cc", line), ElementsAre(1));
    EXPECT_THAT(LinesFound(CheckLiburing, "sched/poller.h", line), ElementsAre(1));
    EXPECT_THAT(LinesFound(CheckLiburing, "tools/benchmark/table.cc", line), ElementsAre(1));
    EXPECT_THAT(LinesFound(CheckLiburing, "tests/io/a.cc", line), ElementsAre(1));
  }
  EXPECT_THAT(LinesFound(CheckLiburing, "io/a.cc", "// #include <liburing.h>\n"), IsEmpty());
}

TEST(SystemCallsTest, FindsThemInLibraryFolders) {
  for (const char* line :
       {"int fd = ::open(path, 0);", "return pread(fd, p, n, 0);", "::close(fd);",
        "if (fsync(fd) != 0) {", "FILE* f = fopen(p, m);", "std::ofstream out(path);",
        "std::ifstream in;", "std::filesystem::remove_all(path);", "std::rename(a, b);",
        "::write (fd, p, n);", "std::this_thread::sleep_for(t);", "::syscall(__NR_read, 0);",
        "::poll(&p, 1, -1);", "namespace fs = std::filesystem;"}) {
    EXPECT_THAT(LinesFound(CheckSystemCalls, "engine/a.cc", absl::StrCat("\n", line, "\n")),
                ElementsAre(2))
        << line;
    EXPECT_THAT(LinesFound(CheckSystemCalls, "tools/a.cc", line), IsEmpty());
  }
}

TEST(SystemCallsTest, LetsMethodsAndPathsPass) {
  for (const char* line :
       {"file.read(p, n);", "file->close(x);", "co_await backend.write(x);", "bool open() const;",
        "std::filesystem::path p;", "// ::open(path)", "Log(\"open(2) failed\");",
        "Backend::open(x)", "reopen(x);", "#define X ::open(y)", "int read = 0;",
        "std::remove(a, b, c);", "Vtable<T>::close(x);"}) {
    EXPECT_THAT(LinesFound(CheckSystemCalls, "io/a.cc", line), IsEmpty()) << line;
  }
}

TEST(LocksTest, FindsThem) {
  for (const char* line : {"std::mutex mutex_;", "std::lock_guard<std::shared_mutex> l(m);",
                           "std::condition_variable c;", "pthread_mutex_lock(&m);",
                           "std::call_once(f, g);", "std::promise<int> p;"}) {
    EXPECT_THAT(LinesFound(CheckLocks, "sched/a.h", line), testing::Not(IsEmpty())) << line;
    EXPECT_THAT(LinesFound(CheckLocks, "tests/a.cc", line), IsEmpty()) << line;
  }
  EXPECT_THAT(LinesFound(CheckLocks, "tests/a.cc", "absl::Mutex m;"), ElementsAre(1));
  EXPECT_THAT(LinesFound(CheckLocks, "io/a.cc", "absl::MutexLock l(&m);"), ElementsAre(1));
  EXPECT_THAT(LinesFound(CheckLocks, "io/a.cc", "#include <mutex>\n// std::mutex\nFuture f;"),
              IsEmpty());
}

TEST(ConsoleTest, FindsPrintingInLibraries) {
  for (const char* line :
       {"std::cout << 1;", "std::cerr << 1;", "printf(\"x\");", "std::fprintf(stderr, \"x\");",
        "::puts(\"x\");", "perror(\"x\");", "absl::PrintF(\"x\");"}) {
    EXPECT_THAT(LinesFound(CheckConsole, "engine/wal/a.cc", line), ElementsAre(1)) << line;
    EXPECT_THAT(LinesFound(CheckConsole, "tools/a.cc", line), IsEmpty()) << line;
  }
  EXPECT_THAT(LinesFound(CheckConsole, "io/a.cc", "std::snprintf(b, n, \"x\"); s.puts(x);"),
              IsEmpty());
}

std::string Repeat(std::string_view line, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) absl::StrAppend(&text, std::string(line), "\n");
  return text;
}

TEST(LengthTest, BoundsFiles) {
  EXPECT_THAT(LinesFound(CheckFileLength, "io/a.cc", Repeat("x;", kMaxFileLines)), IsEmpty());
  EXPECT_THAT(LinesFound(CheckFileLength, "io/a.cc", Repeat("x;", kMaxFileLines + 1)),
              ElementsAre(kMaxFileLines + 1));
  EXPECT_THAT(LinesFound(CheckFileLength, "README.md", Repeat("x", 9999)), IsEmpty());
}

TEST(LengthTest, BoundsFunctions) {
  const auto function_of = [](int lines) {
    return absl::StrCat("namespace a {\nvoid F() {\n", Repeat("  x();", lines - 2), "}\n}\n");
  };
  EXPECT_THAT(LinesFound(CheckFunctionLength, "io/a.cc", function_of(kMaxFunctionLines)),
              IsEmpty());
  EXPECT_THAT(LinesFound(CheckFunctionLength, "io/a.cc", function_of(kMaxFunctionLines + 1)),
              ElementsAre(2));
  const std::string method =
      absl::StrCat("class A {\n  void F() {\n", Repeat("    x();", kMaxFunctionLines), "  }\n};\n");
  EXPECT_THAT(LinesFound(CheckFunctionLength, "io/a.h", method), ElementsAre(2));
  EXPECT_THAT(LinesFound(CheckFunctionLength, "io/a.h", "void F() {\n"), ElementsAre(1));
}

TEST(UnfinishedTest, FindsMarks) {
  for (const char* mark : {"FIX"
                           "ME",
                           "TO"
                           "DO",
                           "XX"
                           "X",
                           "HA"
                           "CK"}) {
    EXPECT_THAT(LinesFound(CheckUnfinished, "io/a.cc", absl::StrCat("x;\n// ", mark, "(me): y\n")),
                ElementsAre(2));
    EXPECT_THAT(LinesFound(CheckUnfinished, "tools/run", absl::StrCat("#!/bin/sh\n# ", mark)),
                ElementsAre(2));
    EXPECT_THAT(LinesFound(CheckUnfinished, "BUILD.bazel", absl::StrCat("# ", mark)),
                ElementsAre(1));
    EXPECT_THAT(LinesFound(CheckUnfinished, "docs/a.md", mark), IsEmpty());
  }
  EXPECT_THAT(LinesFound(CheckUnfinished, "io/a.cc", "mkstemp(\"/tmp/XXXXXX\"); Hack();"),
              IsEmpty());
}

TEST(HeaderGuardTest, MatchesThePath) {
  const std::string good =
      "// Doc.\n\n#ifndef IOENGINE_IO_DMA_FILE_H_\n#define IOENGINE_IO_DMA_FILE_H_\n\n"
      "#include <vector>\n#endif  // IOENGINE_IO_DMA_FILE_H_\n";
  EXPECT_THAT(LinesFound(CheckHeaderGuard, "io/dma_file.h", good), IsEmpty());
  EXPECT_THAT(LinesFound(CheckHeaderGuard, "io/dma_files.h", good), ElementsAre(3, 4, 7));
  EXPECT_THAT(LinesFound(CheckHeaderGuard, "engine/io/dma_file.h", good), ElementsAre(3, 4, 7));
  EXPECT_THAT(LinesFound(CheckHeaderGuard, "io/a.h", "#pragma once\n"), ElementsAre(1));
  EXPECT_THAT(LinesFound(CheckHeaderGuard, "io/a.h", ""), ElementsAre(1));
  EXPECT_THAT(LinesFound(CheckHeaderGuard, "io/a.cc", ""), IsEmpty());
}

TEST(UsingNamespaceTest, NotInHeaders) {
  EXPECT_THAT(LinesFound(CheckUsingNamespace, "io/a.h", "\nusing  namespace std;\n"),
              ElementsAre(2));
  EXPECT_THAT(LinesFound(CheckUsingNamespace, "io/a.h", "// using namespace std;\nusing A = B;\n"),
              IsEmpty());
  EXPECT_THAT(LinesFound(CheckUsingNamespace, "io/a.cc", "using namespace std::literals;\n"),
              IsEmpty());
}

TEST(WhiteSpaceTest, FindsWhatTheFormatterWouldMend) {
  EXPECT_THAT(LinesFound(CheckWhiteSpace, "io/a.cc", "a;\n\tb;\n"), ElementsAre(2));
  EXPECT_THAT(LinesFound(CheckWhiteSpace, "io/BUILD.bazel", "a \n"), ElementsAre(1));
  EXPECT_THAT(LinesFound(CheckWhiteSpace, "io/a.cc", "a;\r\n"), ElementsAre(1));
  EXPECT_THAT(LinesFound(CheckWhiteSpace, "io/a.cc", "a;\nb;"), ElementsAre(2));
  EXPECT_THAT(LinesFound(CheckWhiteSpace, "io/a.cc", std::string(101, 'x') + "\n"), ElementsAre(1));
  EXPECT_THAT(LinesFound(CheckWhiteSpace, "io/a.cc", std::string(100, 'x') + "\n"), IsEmpty());
  EXPECT_THAT(LinesFound(CheckWhiteSpace, "io/a.cc", Repeat("// ä", 1) + "\n"), IsEmpty());
  std::string umlauts = "// ";
  for (int i = 0; i < 97; ++i) umlauts += "ä";
  EXPECT_THAT(LinesFound(CheckWhiteSpace, "io/a.cc", umlauts + "\n"), IsEmpty());
  EXPECT_THAT(LinesFound(CheckWhiteSpace, "io/a.cc", umlauts + "ä\n"), ElementsAre(1));
  EXPECT_THAT(LinesFound(CheckWhiteSpace, "io/a.cc",
                         absl::StrCat("// https://", std::string(100, 'x'), "\n")),
              IsEmpty());
}

TEST(OwnIncludesTest, StartWithThePrefix) {
  const std::vector<SourceFile> tree = {
      {"io/a.h", ""},
      {"io/b.cc",
       "#include \"a.h\"\n#include \"io/a.h\"\n#include <ioengine/io/a.h>\n"
       "#include \"ioengine/io/a.h\"\n#include \"absl/strings/str_cat.h\"\n"
       "#include <io/a.h>\n"}};
  std::vector<int> lines;
  for (const Violation& violation : CheckOwnIncludes(tree)) lines.push_back(violation.line);
  EXPECT_THAT(lines, ElementsAre(1, 2, 3));
}

TEST(NamedInBuildTest, FindsWhatBazelDoesNotKnow) {
  const std::vector<Violation> found = CheckNamedInBuild({
      {"io/BUILD.bazel", "srcs = [\n  \"a.cc\",\n  # \"c.cc\",\n  \"uring/d.cc\",\n]"},
      {"io/a.cc", ""},
      {"io/b.cc", ""},
      {"io/c.cc", ""},
      {"io/uring/d.cc", ""},
      {"io/uring/e.cc", ""},
      {"sched/f.h", ""},
      {"BUILD.bazel", "\"version.h\""},
      {"version.h", ""},
      {"README.md", ""},
  });
  std::vector<std::string> paths;
  for (const Violation& violation : found) paths.push_back(violation.path);
  EXPECT_THAT(paths, ElementsAre("io/b.cc", "io/c.cc", "io/uring/e.cc", "sched/f.h"));
}

TEST(ExceptionsTest, ExcuseAFileOrAFolderFromOneRule) {
  const std::vector<Violation> violations = {
      {"io/a.cc", 1, "x"}, {"io/a.cc", 2, "x"}, {"io/uring/b.cc", 1, "x"}, {"io/c.cc", 1, "x"}};
  const std::vector<Exception> exceptions = {
      {"Rule", "io/a.cc", "why"}, {"Rule", "io/uring/", "why"}, {"Other", "io/c.cc", "why"}};
  const std::vector<Violation> left = Excuse("Rule", exceptions, violations);
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].path, "io/c.cc");
}

TEST(ExceptionsTest, AnUnneededOneIsAViolation) {
  const std::vector<Violation> left =
      Excuse("Rule", {{"Rule", "io/a", "why"}}, {{"io/ab", 1, "x"}});
  ASSERT_EQ(left.size(), 2u);
  EXPECT_EQ(left[1].path, "io/a");
  EXPECT_THAT(left[1].what, HasSubstr("take the exception out"));
}

TEST(ExceptionsTest, EachGivesItsReason) {
  for (const Exception& exception : Exceptions()) {
    EXPECT_GE(exception.reason.size(), 20u) << exception.path_prefix;
  }
}

}  // namespace
}  // namespace ioengine::tidy
