// What kind of file a path is, as far as the tidy rules tell them apart.

#ifndef IOENGINE_TESTS_TIDY_FILE_KIND_H_
#define IOENGINE_TESTS_TIDY_FILE_KIND_H_

#include <string_view>

#include "ioengine/tests/tidy/source_tree.h"

namespace ioengine::tidy {

bool IsHeader(const SourceFile& file);
bool IsCpp(const SourceFile& file);

// C++ in numa/, sched/, io/ or engine/: what an embedder links.
bool IsLibrary(const SourceFile& file);

// C++, Bazel's files, and scripts; not prose.
bool IsCode(const SourceFile& file);

// "io" of "io/uring/kernel_ring.h"; empty for a file at the root.
std::string_view FirstFolder(std::string_view path);

// "io/uring" of "io/uring/kernel_ring.h"; empty for a file at the root.
std::string_view FolderOf(std::string_view path);

}  // namespace ioengine::tidy

#endif  // IOENGINE_TESTS_TIDY_FILE_KIND_H_
