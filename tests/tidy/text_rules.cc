// The rules about sizes and the look of files.

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/tests/tidy/cpp_text.h"
#include "ioengine/tests/tidy/file_kind.h"
#include "ioengine/tests/tidy/source_tree.h"
#include "ioengine/tests/tidy/tidy_rules.h"

namespace ioengine::tidy {
namespace {

size_t CountColumns(std::string_view line) {
  return static_cast<size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;  // not a continuation byte of UTF-8
  }));
}

// Lines that cannot be broken.
bool MayBeLong(std::string_view line) {
  return line.starts_with("#") || line.find("://") != std::string_view::npos;
}

}  // namespace

std::vector<Violation> CheckFileLength(const SourceFile& file) {
  if (!IsCpp(file)) return {};
  const size_t lines = SplitLines(file.content).size();
  if (lines <= size_t{kMaxFileLines}) return {};
  return {{file.path, kMaxFileLines + 1,
           absl::StrCat("the file has ", lines, " lines, of at most ", kMaxFileLines,
                        ": split it by concept")}};
}

std::vector<Violation> CheckFunctionLength(const SourceFile& file) {
  if (!IsCpp(file)) return {};
  std::vector<Violation> violations;
  const Functions found = FindFunctions(file.content);
  if (found.unbalanced_line != 0) {
    violations.push_back({file.path, found.unbalanced_line,
                          "cannot match braces from here, so that functions cannot be measured: "
                          "balance them within each branch of #if"});
  }
  for (const Function& function : found.functions) {
    const int lines = function.last_line - function.first_line + 1;
    if (lines <= kMaxFunctionLines) continue;
    violations.push_back({file.path, function.first_line,
                          absl::StrCat("the function has ", lines, " lines, of at most ",
                                       kMaxFunctionLines, ": split it by step")});
  }
  return violations;
}

std::vector<Violation> CheckHeaderGuard(const SourceFile& file) {
  if (!IsHeader(file)) return {};
  std::string guard = "IOENGINE_";
  for (const char c : file.path) {
    const auto byte = static_cast<unsigned char>(c);
    guard += std::isalnum(byte) != 0 ? static_cast<char>(std::toupper(byte)) : '_';
  }
  guard += '_';
  std::vector<std::pair<int, std::string_view>> directives;
  const std::vector<std::string_view> lines = SplitLines(file.content);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].starts_with('#')) directives.emplace_back(static_cast<int>(i) + 1, lines[i]);
  }
  const std::array<std::string, 3> expected = {"#ifndef " + guard, "#define " + guard,
                                               "#endif  // " + guard};
  if (directives.size() < 3) {
    return {{file.path, 1, "no header guard: write " + expected[0] + " and so on"}};
  }
  std::vector<Violation> violations;
  const std::array<std::pair<int, std::string_view>, 3> actual = {directives[0], directives[1],
                                                                  directives.back()};
  for (size_t i = 0; i < expected.size(); ++i) {
    if (actual[i].second == expected[i]) continue;
    violations.push_back({file.path, actual[i].first,
                          "the header guard does not match the path: expected " + expected[i]});
  }
  return violations;
}

std::vector<Violation> CheckWhiteSpace(const SourceFile& file) {
  std::vector<Violation> violations;
  if (!IsCode(file) || file.content.empty()) return violations;
  const std::vector<std::string_view> lines = SplitLines(file.content);
  const auto add = [&](size_t index, std::string what) {
    violations.push_back({file.path, static_cast<int>(index) + 1, std::move(what)});
  };
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = lines[i];
    if (line.find('\t') != std::string_view::npos) add(i, "a tab: indent with spaces");
    if (line.ends_with(' ') || line.ends_with('\r')) add(i, "white space at the end of the line");
    const size_t columns = CountColumns(line);
    if (IsCpp(file) && columns > size_t{kMaxColumns} && !MayBeLong(line)) {
      add(i, absl::StrCat(columns, " columns, of at most ", kMaxColumns, ": run clang-format"));
    }
  }
  if (!file.content.ends_with('\n')) add(lines.size() - 1, "no line end at the end of the file");
  return violations;
}

}  // namespace ioengine::tidy
