#include "ioengine/tests/tidy/cpp_text.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ioengine::tidy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

std::vector<std::string> Names(std::string_view code) {
  std::vector<std::string> texts;
  for (const Name& name : FindNames(code)) texts.push_back(name.text);
  return texts;
}

std::vector<std::pair<int, int>> Extents(std::string_view text) {
  std::vector<std::pair<int, int>> extents;
  const Functions found = FindFunctions(text);
  EXPECT_EQ(found.unbalanced_line, 0);
  for (const Function& function : found.functions) {
    extents.emplace_back(function.first_line, function.last_line);
  }
  return extents;
}

TEST(CppTextTest, SplitsLines) {
  EXPECT_THAT(SplitLines("a\n\nb"), ElementsAre("a", "", "b"));
  EXPECT_THAT(SplitLines("a\n"), ElementsAre("a"));
  EXPECT_THAT(SplitLines(""), IsEmpty());
}

TEST(CppTextTest, BlanksCommentsAndLiterals) {
  EXPECT_EQ(BlankNonCode("a; // b\nc"), "a;     \nc");
  EXPECT_EQ(BlankNonCode("a /* b\nc */ d"), "a     \n     d");
  EXPECT_EQ(BlankNonCode("f(\"x // y\", 'z')"), "f(\"      \", ' ')");
  EXPECT_EQ(BlankNonCode("\"a\\\"b\" c"), "\"    \" c");
  EXPECT_EQ(BlankNonCode("'\\'' c"), "'  ' c");
  EXPECT_EQ(BlankNonCode("R\"x(\" ) )x\" c"), "R\"        \" c");
  EXPECT_EQ(BlankNonCode("1'000'000 + 'x'"), "1'000'000 + ' '");
  EXPECT_EQ(BlankNonCode("L'x' 0xff'ff 'y'"), "L' ' 0xff'ff ' '");
}

TEST(CppTextTest, SurvivesWhatIsNotClosed) {
  for (const char* text : {"\"abc", "'a", "/* x", "R\"(", "R\"", "\"\\", "//", "f(", "#include \"",
                           "#include", "::", "a::", "template <"}) {
    EXPECT_EQ(BlankNonCode(text).size(), std::string_view(text).size()) << text;
    FindNames(text);
    FindIncludes(text);
    FindFunctions(text);
  }
}

TEST(CppTextTest, BlanksDirectivesAndAlternatives) {
  const std::string blanked = BlankPreprocessor(
      "#if A\nf {\n#elif B\ng {\n#if C\nh\n#endif\n#else\ni {\n#endif\nj\n#define X \\\n  {\nk\n");
  EXPECT_THAT(Names(blanked), ElementsAre("f", "j", "k"));
}

TEST(CppTextTest, FindsQualifiedNames) {
  EXPECT_THAT(Names("std::filesystem::path p = ::open(x9, 0x1ful);"),
              ElementsAre("std::filesystem::path", "p", "::open", "x9"));
  EXPECT_THAT(Names("a.b->c"), ElementsAre("a", "b", "c"));
}

TEST(CppTextTest, TellsCallsAndMembers) {
  const std::string code = "open(1); open(); file.open(2); file->open(3); T<x>::open(4); open";
  std::vector<std::pair<bool, bool>> opens;
  for (const Name& name : FindNames(code)) {
    if (name.text == "open" || name.text == "::open") {
      opens.emplace_back(name.is_call, name.is_member);
    }
  }
  EXPECT_THAT(opens, ElementsAre(Pair(true, false), Pair(false, false), Pair(true, true),
                                 Pair(true, true), Pair(true, true), Pair(false, false)));
}

TEST(CppTextTest, TellsDeclarationsFromCalls) {
  const auto is_call = [](std::string_view code) {
    for (const Name& name : FindNames(code)) {
      if (name.text == "read" || name.text == "::read") return name.is_call;
    }
    return false;
  };
  for (const char* code : {"read(x)", "return read(x)", "co_await read(x)", "if (0 > read(x))",
                           "else read(x)", "!read(x)", "n = ::read(x)", "return ::read(x)"}) {
    EXPECT_TRUE(is_call(code)) << code;
  }
  for (const char* code : {"File read(x)", "Task<int> read(x)", "auto read(x)", "read()"}) {
    EXPECT_FALSE(is_call(code)) << code;
  }
}

TEST(CppTextTest, FindsIncludes) {
  const std::vector<Include> includes = FindIncludes(
      "#include <vector>\n// #include \"no.h\"\n#  include \"ioengine/io/a.h\"  // why\n"
      "const char* s = \"#include <no>\";\n");
  ASSERT_EQ(includes.size(), 2u);
  EXPECT_EQ(includes[0].path, "vector");
  EXPECT_TRUE(includes[0].angled);
  EXPECT_EQ(includes[1].path, "ioengine/io/a.h");
  EXPECT_FALSE(includes[1].angled);
  EXPECT_EQ(includes[1].line, 3);
}

TEST(CppTextTest, FindsFunctionsInNamespacesAndClasses) {
  EXPECT_THAT(Extents("namespace a {\n"
                      "int f(int x) {\n"
                      "  if (x) {\n"
                      "  }\n"
                      "}\n"
                      "class alignas(64) C : public B {\n"
                      " public:\n"
                      "  int g() const { return 1; }\n"
                      "};\n"
                      "}  // namespace a\n"),
              ElementsAre(Pair(2, 5), Pair(7, 8)));
}

TEST(CppTextTest, FindsFunctionsOfEveryShape) {
  EXPECT_THAT(Extents("template <typename T = int, class U>\nT f(U u = {}) {\n}\n"),
              ElementsAre(Pair(1, 3)));
  EXPECT_THAT(Extents("C::C()\n    : a_{1},\n      b_(2),\n      c_{3} {\n  x();\n}\n"),
              ElementsAre(Pair(1, 6)));
  EXPECT_THAT(Extents("void F(int a,\n       B b = {1, {2}}, C c = {}) {\n  x();\n}\n"),
              ElementsAre(Pair(1, 4)));
  EXPECT_THAT(Extents("C& C::operator=(const C& o) {\n}\n"), ElementsAre(Pair(1, 2)));
  EXPECT_THAT(Extents("TEST(A, B) {\n  auto l = [](int) {\n  };\n}\n"), ElementsAre(Pair(1, 4)));
  EXPECT_THAT(Extents("extern \"C\" {\nvoid f(void) {\n}\n}\n"), ElementsAre(Pair(2, 3)));
}

TEST(CppTextTest, DataIsNoFunction) {
  EXPECT_THAT(Extents("constexpr int kA[] = {1, 2};\nstd::vector<int> b{1};\n"
                      "enum class E : int { kX };\nstruct S {\n  int a = 0;\n};\n"
                      "const auto c = F({1}, {2});\n"),
              IsEmpty());
}

TEST(CppTextTest, ReportsBracesThatDoNotMatch) {
  EXPECT_EQ(FindFunctions("void f() {\n}\n}\n").unbalanced_line, 3);
  EXPECT_EQ(FindFunctions("int x;\nvoid f() {\n").unbalanced_line, 2);
}

}  // namespace
}  // namespace ioengine::tidy
