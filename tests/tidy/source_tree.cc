#include "ioengine/tests/tidy/source_tree.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace ioengine::tidy {
namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kMaxFileBytes = uintmax_t{1} << 20;

bool IsSkippedFolder(const fs::path& folder) {
  const std::string name = folder.filename().string();
  return name == ".git" || name == "testdata" || name.starts_with("bazel-");
}

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

std::string WorkspaceRoot(const std::string& data_file) {
  const std::string real = fs::canonical(data_file).string();
  return real.substr(0, real.size() - data_file.size() - 1);
}

std::vector<SourceFile> ReadSourceTree(const std::string& root) {
  std::vector<SourceFile> files;
  fs::recursive_directory_iterator entries(root);
  for (; entries != fs::recursive_directory_iterator(); ++entries) {
    const fs::directory_entry& entry = *entries;
    if (entry.is_symlink()) continue;
    if (entry.is_directory() && IsSkippedFolder(entry.path())) {
      entries.disable_recursion_pending();
      continue;
    }
    if (!entry.is_regular_file() || entry.file_size() > kMaxFileBytes) continue;
    std::string content = ReadFile(entry.path());
    if (content.find('\0') != std::string::npos) continue;
    files.push_back({entry.path().lexically_relative(root).string(), std::move(content)});
  }
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace ioengine::tidy
