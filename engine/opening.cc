#include "ioengine/engine/opening.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/sched/clock.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/sleep.h"

namespace ioengine {
namespace {

constexpr std::chrono::milliseconds kLockRetry(5);

std::string DirectoryAround(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(path.substr(0, std::max<size_t>(slash, 1)));
}

}  // namespace

Task<absl::Status> LockDirectory(ShardIo& io, FileSystem& files, uint64_t wait_ns) {
  const Clock& clock = io.executor().clock();
  const uint64_t start_ns = clock.NowNs();
  for (;;) {
    absl::Status locked = co_await files.Lock(IoLock::kExclusive);
    if (!absl::IsUnavailable(locked)) co_return locked;
    if (clock.NowNs() - start_ns >= wait_ns) break;
    co_await Sleep(kLockRetry);
  }
  co_return absl::UnavailableError(absl::StrCat(
      files.root(), " is open already, by this process or another one: close it there"));
}

Task<absl::Status> SyncNameOf(ShardIo& io, std::string directory) {
  // It may be anybody's.
  const FileSystemOptions how = {.create = false, .only_ours = false};
  const absl::StatusOr<FileSystem> files =
      co_await FileSystem::Open(io, DirectoryAround(directory), how);
  if (!files.ok()) co_return files.status();
  co_return co_await files->SyncDirectory();
}

Task<absl::StatusOr<Uuid>> RandomIdentity(ShardIo& io) {
  const DmaFileOptions options = {.direct = DmaFileOptions::Direct::kNever};
  auto file = co_await DmaFile::Open(io, "/dev/urandom", options);
  if (!file.ok()) co_return file.status();
  auto buffer = io.AllocateBuffer(2 * sizeof(uint64_t));
  if (!buffer.ok()) co_return buffer.status();
  const absl::StatusOr<size_t> read = co_await file->Read(0, *buffer, 2 * sizeof(uint64_t));
  if (!read.ok()) co_return read.status();
  if (*read != 2 * sizeof(uint64_t)) co_return absl::InternalError("/dev/urandom is cut short");
  co_return MakeUuid(LoadFixed<uint64_t>(buffer->data()), LoadFixed<uint64_t>(buffer->data() + 8));
}

}  // namespace ioengine
