// Holds the whole tree to the rules of tidy_rules.h.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/tests/tidy/source_tree.h"
#include "ioengine/tests/tidy/tidy_exceptions.h"
#include "ioengine/tests/tidy/tidy_rules.h"

namespace ioengine::tidy {
namespace {

class TidyTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    files_ = new std::vector<SourceFile>(ReadSourceTree(WorkspaceRoot("tests/tidy/BUILD.bazel")));
  }
  static void TearDownTestSuite() {
    delete files_;
    files_ = nullptr;
  }

  static const std::vector<SourceFile>& files() { return *files_; }

  using FileCheck = std::vector<Violation> (*)(const SourceFile&);
  static void ExpectClean(std::string_view rule, FileCheck check) {
    std::vector<Violation> violations;
    for (const SourceFile& file : files()) {
      for (Violation& violation : check(file)) violations.push_back(violation);
    }
    ExpectNone(rule, violations);
  }

  using TreeCheck = std::vector<Violation> (*)(const std::vector<SourceFile>&);
  static void ExpectClean(std::string_view rule, TreeCheck check) {
    ExpectNone(rule, check(files()));
  }

 private:
  static void ExpectNone(std::string_view rule, const std::vector<Violation>& violations) {
    std::string report;
    for (const Violation& violation : Excuse(rule, Exceptions(), violations)) {
      absl::StrAppend(&report, violation.path, ":", violation.line, ": ", violation.what, "\n");
    }
    if (!report.empty()) ADD_FAILURE() << "\n" << report;
  }

  inline static std::vector<SourceFile>* files_ = nullptr;
};

// Each rule passes on an empty tree, so first of all the tree has to be there.
TEST_F(TidyTest, SeesTheTree) {
  size_t found = 0;
  for (const SourceFile& file : files()) {
    for (const char* known : {"WORKSPACE", "numa/topology.h", "tests/tidy/tidy_test.cc"}) {
      found += file.path == known ? 1 : 0;
    }
    EXPECT_FALSE(file.path.starts_with("bazel-")) << file.path;
  }
  EXPECT_EQ(found, 3u);
}

#define IOENGINE_TIDY_TEST(rule) \
  TEST_F(TidyTest, rule) { ExpectClean(#rule, rule); }

IOENGINE_TIDY_TEST(CheckIncludeDirection)
IOENGINE_TIDY_TEST(CheckLiburing)
IOENGINE_TIDY_TEST(CheckSystemCalls)
IOENGINE_TIDY_TEST(CheckLocks)
IOENGINE_TIDY_TEST(CheckConsole)
IOENGINE_TIDY_TEST(CheckFileLength)
IOENGINE_TIDY_TEST(CheckFunctionLength)
IOENGINE_TIDY_TEST(CheckUnfinished)
IOENGINE_TIDY_TEST(CheckHeaderGuard)
IOENGINE_TIDY_TEST(CheckUsingNamespace)
IOENGINE_TIDY_TEST(CheckWhiteSpace)
IOENGINE_TIDY_TEST(CheckOwnIncludes)
IOENGINE_TIDY_TEST(CheckNamedInBuild)

}  // namespace
}  // namespace ioengine::tidy
