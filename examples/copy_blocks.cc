// The program of README.md: `copy_blocks FROM TO`.

#include <cstdio>
#include <string>

#include "ioengine/engine/runtime.h"
#include "ioengine/io/dma_file.h"

namespace {

// Copies a file whose size is a multiple of 4 KiB. Runs on one shard from first line to last;
// parameters by value, because they live across suspensions.
ioengine::Task<absl::Status> CopyBlocks(ioengine::Shard& shard, std::string from, std::string to) {
  using Options = ioengine::DmaFileOptions;
  auto source = co_await ioengine::DmaFile::Open(shard.io(), from, {});
  if (!source.ok()) co_return source.status();
  auto target = co_await ioengine::DmaFile::Open(
      shard.io(), to,
      {.access = Options::Access::kReadWrite, .create = Options::Create::kMustBeNew});
  if (!target.ok()) co_return target.status();
  auto stat = co_await source->Stat();
  if (!stat.ok()) co_return stat.status();

  constexpr size_t kChunkBytes = 1 << 20;
  auto buffer = shard.io().AllocateBuffer(kChunkBytes);  // registered memory, on huge pages
  if (!buffer.ok()) co_return buffer.status();
  for (uint64_t offset = 0; offset < stat->size_bytes; offset += kChunkBytes) {
    auto read = co_await source->Read(offset, *buffer, kChunkBytes);  // O_DIRECT: no copy
    if (!read.ok()) co_return read.status();
    absl::Status written = co_await target->Write(offset, *buffer, *read);
    if (!written.ok()) co_return written;
  }
  co_return co_await target->Fdatasync();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: copy_blocks FROM TO\n");
    return 2;
  }
  auto runtime = ioengine::Runtime::Start({.shard_count = 2});
  if (!runtime.ok()) {
    std::fprintf(stderr, "%s\n", runtime.status().ToString().c_str());
    return 1;
  }
  absl::Status done =
      (*runtime)->Submit(1, CopyBlocks, std::string(argv[1]), std::string(argv[2])).Wait();
  if (!done.ok()) std::fprintf(stderr, "%s\n", done.ToString().c_str());
  return done.ok() ? 0 : 1;
}
