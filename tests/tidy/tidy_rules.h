// The rules of style that a machine can hold us to. tidy_test applies them to the tree;
// tidy_rules_test proves that each of them bites.
//
// A rule that one file has a good reason to break is excused in tidy_exceptions.cc.

#ifndef IOENGINE_TESTS_TIDY_TIDY_RULES_H_
#define IOENGINE_TESTS_TIDY_TIDY_RULES_H_

#include <string>
#include <vector>

#include "ioengine/tests/tidy/source_tree.h"

namespace ioengine::tidy {

inline constexpr int kMaxFileLines = 500;
inline constexpr int kMaxFunctionLines = 90;
inline constexpr int kMaxColumns = 100;

struct Violation {
  std::string path;
  int line = 0;
  std::string what;  // what is wrong, why, and what to do instead
};

// numa ← sched ← io ← engine ← tools and examples; tests include anything. Within engine:
// format ← wal, table ← lsm ← the files directly in it ← sim.
std::vector<Violation> CheckIncludeDirection(const SourceFile& file);

// The ring is met only in io/uring/, and in the bare loops that the bench compares with.
std::vector<Violation> CheckLiburing(const SourceFile& file);

// Library folders reach files, sockets and sleep through the Backend seam, never by system calls.
std::vector<Violation> CheckSystemCalls(const SourceFile& file);

// Nothing blocks a shard: no locks in library folders, and absl's nowhere.
std::vector<Violation> CheckLocks(const SourceFile& file);

// Libraries do not print.
std::vector<Violation> CheckConsole(const SourceFile& file);

std::vector<Violation> CheckFileLength(const SourceFile& file);
std::vector<Violation> CheckFunctionLength(const SourceFile& file);

// No unfinished work in the tree.
std::vector<Violation> CheckUnfinished(const SourceFile& file);

// IOENGINE_IO_DMA_FILE_H_ for io/dma_file.h.
std::vector<Violation> CheckHeaderGuard(const SourceFile& file);

std::vector<Violation> CheckUsingNamespace(const SourceFile& file);

// No tabs, no trailing white space, no long lines, a line end at the end.
std::vector<Violation> CheckWhiteSpace(const SourceFile& file);

// Our headers are included as "ioengine/…", so that an embedder's own io/ cannot be meant.
std::vector<Violation> CheckOwnIncludes(const std::vector<SourceFile>& files);

// Each source is named by the BUILD.bazel above it: what is not named is not built nor tested.
std::vector<Violation> CheckNamedInBuild(const std::vector<SourceFile>& files);

}  // namespace ioengine::tidy

#endif  // IOENGINE_TESTS_TIDY_TIDY_RULES_H_
