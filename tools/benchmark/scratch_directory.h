// ScratchDirectory: where a benchmark makes its databases.
#ifndef IOENGINE_TOOLS_BENCHMARK_SCRATCH_DIRECTORY_H_
#define IOENGINE_TOOLS_BENCHMARK_SCRATCH_DIRECTORY_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace ioengine::bench {

// A new directory, which is removed with all that is in it.
class ScratchDirectory {
 public:
  // Below `parent`. Errors: those of CheckOnDisk and ExplainCreateError.
  static absl::StatusOr<std::unique_ptr<ScratchDirectory>> Make(const std::string& parent);

  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory();

  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_SCRATCH_DIRECTORY_H_
