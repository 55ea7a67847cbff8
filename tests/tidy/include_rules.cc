// The rules about who includes whom, and what Bazel knows of.

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
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

constexpr std::string_view kPrefix = "ioengine/";

// Where a folder stands in the order of includes; nullopt when it has no place.
std::optional<int> RankOf(std::string_view folder) {
  static constexpr std::array<std::pair<std::string_view, int>, 8> kRanks = {{{"", -1},
                                                                              {"numa", 0},
                                                                              {"sched", 1},
                                                                              {"io", 2},
                                                                              {"engine", 3},
                                                                              {"tools", 4},
                                                                              {"examples", 4},
                                                                              {"tests", 5}}};
  for (const auto& [name, rank] : kRanks) {
    if (name == folder) return rank;
  }
  return std::nullopt;
}

// The same for what is below engine/; the empty folder is engine/ itself. What is simulated is
// seen by nothing that runs in earnest.
std::optional<int> RankInEngine(std::string_view folder) {
  static constexpr std::array<std::pair<std::string_view, int>, 8> kRanks = {{{"format", 0},
                                                                              {"blob", 1},
                                                                              {"wal", 1},
                                                                              {"table", 1},
                                                                              {"lsm", 2},
                                                                              {"manifest", 3},
                                                                              {"", 4},
                                                                              {"sim", 5}}};
  for (const auto& [name, rank] : kRanks) {
    if (name == folder) return rank;
  }
  return std::nullopt;
}

// What is wrong with `from` including `to`, both folders of one order; empty when nothing is.
template <typename Rank>
std::string JudgeInclude(std::string_view from, std::string_view to, const Rank& rank_of,
                         std::string_view order) {
  if (from == to) return "";
  const std::optional<int> from_rank = rank_of(from);
  const std::optional<int> to_rank = rank_of(to);
  if (from_rank.has_value() && to_rank.has_value() && *to_rank < *from_rank) return "";
  return absl::StrCat(std::string(from), "/ must not include from ", std::string(to),
                      "/: the order is ", std::string(order),
                      "; move what is needed down, or pass it in");
}

// The lines of a BUILD file that are not comments.
std::string WithoutHashComments(std::string_view content) {
  std::string kept;
  for (const std::string_view line : SplitLines(content)) {
    const size_t first = line.find_first_not_of(' ');
    if (first == std::string_view::npos || line[first] == '#') continue;
    absl::StrAppend(&kept, std::string(line), "\n");
  }
  return kept;
}

}  // namespace

std::vector<Violation> CheckIncludeDirection(const SourceFile& file) {
  std::vector<Violation> violations;
  const std::string_view from = FirstFolder(file.path);
  if (!IsCpp(file) || from == "tests") return violations;
  const auto judge = [&](int line, const std::string& problem) {
    if (!problem.empty()) violations.push_back({file.path, line, problem});
  };
  for (const Include& include : FindIncludes(file.content)) {
    std::string_view to_path = include.path;
    if (!to_path.starts_with(kPrefix)) continue;
    to_path.remove_prefix(kPrefix.size());
    const std::string_view to = FirstFolder(to_path);
    judge(include.line, JudgeInclude(from, to, RankOf, "numa <- sched <- io <- engine <- tools"));
    if (from != "engine" || to != "engine") continue;
    const auto below_engine = [](std::string_view path) {
      return FirstFolder(path.substr(std::string_view("engine/").size()));
    };
    judge(include.line, JudgeInclude(below_engine(file.path), below_engine(to_path), RankInEngine,
                                     "format <- blob, wal, table <- lsm <- engine <- sim"));
  }
  return violations;
}

std::vector<Violation> CheckLiburing(const SourceFile& file) {
  std::vector<Violation> violations;
  const bool allowed =
      file.path.starts_with("io/uring/") || file.path.starts_with("tools/benchmark/raw_");
  if (!IsCpp(file) || allowed) return violations;
  for (const Include& include : FindIncludes(file.content)) {
    if (include.path != "liburing.h" && !include.path.starts_with("liburing/") &&
        include.path != "linux/io_uring.h") {
      continue;
    }
    violations.push_back({file.path, include.line,
                          include.path + " belongs in io/uring/ alone (and in the bench's raw_* "
                                         "loops): use the Backend seam"});
  }
  return violations;
}

std::vector<Violation> CheckOwnIncludes(const std::vector<SourceFile>& files) {
  std::set<std::string> paths;
  for (const SourceFile& file : files) paths.insert(file.path);
  std::vector<Violation> violations;
  for (const SourceFile& file : files) {
    if (!IsCpp(file)) continue;
    for (const Include& include : FindIncludes(file.content)) {
      const bool prefixed = include.path.starts_with(kPrefix);
      const bool ours =
          paths.count(include.path) > 0 ||
          paths.count(absl::StrCat(std::string(FolderOf(file.path)), "/", include.path)) > 0;
      if (prefixed && include.angled) {
        violations.push_back(
            {file.path, include.line, "our headers go in quotes: \"" + include.path + "\""});
      } else if (!prefixed && !include.angled && ours) {
        violations.push_back({file.path, include.line,
                              include.path + " is ours: include it from the root, as "
                                             "\"ioengine/folder/name.h\""});
      }
    }
  }
  return violations;
}

std::vector<Violation> CheckNamedInBuild(const std::vector<SourceFile>& files) {
  constexpr std::string_view kBuildFile = "BUILD.bazel";
  std::map<std::string, std::string> builds;  // by folder
  for (const SourceFile& file : files) {
    if (file.path != kBuildFile && !file.path.ends_with("/BUILD.bazel")) continue;
    builds[std::string(FolderOf(file.path))] = WithoutHashComments(file.content);
  }
  std::vector<Violation> violations;
  for (const SourceFile& file : files) {
    if (!IsCpp(file)) continue;
    std::string_view folder = FolderOf(file.path);
    while (!folder.empty() && builds.count(std::string(folder)) == 0) folder = FolderOf(folder);
    const std::string label = folder.empty() ? file.path : file.path.substr(folder.size() + 1);
    const auto build = builds.find(std::string(folder));
    if (build != builds.end() && build->second.find("\"" + label + "\"") != std::string::npos) {
      continue;
    }
    violations.push_back({file.path, 1,
                          absl::StrCat("not named, as \"", label, "\", in ", std::string(folder),
                                       folder.empty() ? "" : "/", std::string(kBuildFile),
                                       ": so it is neither built nor tested")});
  }
  return violations;
}

}  // namespace ioengine::tidy
