#include "ioengine/tests/tidy/file_kind.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "ioengine/tests/tidy/source_tree.h"

namespace ioengine::tidy {

bool IsHeader(const SourceFile& file) { return file.path.ends_with(".h"); }

bool IsCpp(const SourceFile& file) { return IsHeader(file) || file.path.ends_with(".cc"); }

bool IsLibrary(const SourceFile& file) {
  static constexpr std::array<std::string_view, 4> kFolders = {"numa", "sched", "io", "engine"};
  return IsCpp(file) &&
         std::find(kFolders.begin(), kFolders.end(), FirstFolder(file.path)) != kFolders.end();
}

bool IsCode(const SourceFile& file) {
  static constexpr std::array<std::string_view, 6> kEndings = {".bazel", ".bzl", ".sh",
                                                               ".py",    ".c",   "CMakeLists.txt"};
  return IsCpp(file) || file.content.starts_with("#!") ||
         std::any_of(kEndings.begin(), kEndings.end(),
                     [&](std::string_view ending) { return file.path.ends_with(ending); });
}

std::string_view FirstFolder(std::string_view path) {
  const size_t slash = path.find('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view FolderOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

}  // namespace ioengine::tidy
