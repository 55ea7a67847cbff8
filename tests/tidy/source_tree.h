// The files of this workspace, as they are on disk now.

#ifndef IOENGINE_TESTS_TIDY_SOURCE_TREE_H_
#define IOENGINE_TESTS_TIDY_SOURCE_TREE_H_

#include <string>
#include <vector>

namespace ioengine::tidy {

struct SourceFile {
  std::string path;  // from the root of the workspace: "io/dma_file.h"
  std::string content;
};

// The folder that holds WORKSPACE. Bazel links the files that a test names as data to where they
// really are, so it is found by following the link of `data_file` (a path from the root), which
// must be one of them. Run outside of Bazel, the current folder is the root.
std::string WorkspaceRoot(const std::string& data_file);

// All text files below `root` in alphabetical order, but for .git, Bazel's bazel-* links, testdata
// folders, and what is larger than 1 MiB.
std::vector<SourceFile> ReadSourceTree(const std::string& root);

}  // namespace ioengine::tidy

#endif  // IOENGINE_TESTS_TIDY_SOURCE_TREE_H_
