#include "ioengine/tools/benchmark/scratch_directory.h"

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ioengine/tools/benchmark/target_file.h"

namespace ioengine::bench {

absl::StatusOr<std::unique_ptr<ScratchDirectory>> ScratchDirectory::Make(
    const std::string& parent) {
  if (absl::Status status = CheckOnDisk(parent); !status.ok()) return status;
  std::string path = absl::StrCat(parent, "/ioengine-bench.XXXXXX");
  if (mkdtemp(path.data()) == nullptr) return ExplainCreateError(path, errno);
  return std::make_unique<ScratchDirectory>(std::move(path));
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace ioengine::bench
