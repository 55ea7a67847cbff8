// embed FOLDER: what a program that embeds ioengine does first. Starts a Runtime, writes a block to
// a new file in FOLDER, reads it back and compares. Built against an installed library, outside the
// tree and without Bazel.

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/version.h"

namespace {

using ioengine::DmaBuffer;
using ioengine::DmaFile;
using ioengine::Shard;
using ioengine::Task;

constexpr size_t kBlockBytes = 4096;

std::byte PatternAt(size_t position) { return static_cast<std::byte>(position * 7 + 3); }

// Writes the pattern at the front of `file`, and reads it into memory of its own.
Task<absl::Status> WriteAndVerify(Shard& shard, DmaFile& file) {
  absl::StatusOr<DmaBuffer> written = shard.io().AllocateBuffer(kBlockBytes);
  if (!written.ok()) co_return written.status();
  absl::StatusOr<DmaBuffer> read = shard.io().AllocateBuffer(kBlockBytes);
  if (!read.ok()) co_return read.status();
  for (size_t i = 0; i < kBlockBytes; ++i) written->data()[i] = PatternAt(i);
  std::fill_n(read->data(), kBlockBytes, std::byte{0});

  if (absl::Status done = co_await file.Write(0, *written, kBlockBytes); !done.ok()) co_return done;
  if (absl::Status done = co_await file.Fdatasync(); !done.ok()) co_return done;
  const absl::StatusOr<size_t> size_bytes = co_await file.Read(0, *read, kBlockBytes);
  if (!size_bytes.ok()) co_return size_bytes.status();
  if (*size_bytes != kBlockBytes) co_return absl::DataLossError("the file is too short");

  for (size_t i = 0; i < kBlockBytes; ++i) {
    if (read->data()[i] != PatternAt(i)) co_return absl::DataLossError("not what was written");
  }
  co_return absl::OkStatus();
}

// Runs on `shard` from first line to last.
Task<absl::Status> Run(Shard& shard, std::string path) {
  absl::StatusOr<DmaFile> file =
      co_await DmaFile::Open(shard.io(), path,
                             {.access = ioengine::DmaFileOptions::Access::kReadWrite,
                              .create = ioengine::DmaFileOptions::Create::kMustBeNew});
  if (!file.ok()) co_return file.status();
  absl::Status verified = co_await WriteAndVerify(shard, *file);
  absl::Status closed = co_await file->Close();
  absl::Status removed = co_await ioengine::RemoveFile(shard.io(), path);
  if (!verified.ok()) co_return verified;
  if (!closed.ok()) co_return closed;
  co_return removed;
}

absl::Status StartAndRun(const std::string& folder) {
  ioengine::RuntimeOptions options;
  options.shard_count = 2;
  auto runtime = ioengine::Runtime::Start(options);
  if (!runtime.ok()) return runtime.status();
  for (ioengine::ShardId id = 0; id < (*runtime)->shard_count(); ++id) {
    const std::string path = folder + "/embed." + std::to_string(id);
    if (absl::Status done = (*runtime)->Submit(id, Run, path).Wait(); !done.ok()) return done;
  }
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: embed FOLDER\n");
    return 2;
  }
  if (const absl::Status done = StartAndRun(argv[1]); !done.ok()) {
    std::fprintf(stderr, "embed: %s\n", done.ToString().c_str());
    return 1;
  }
  std::printf("ioengine %s: written, read and compared\n", ioengine::kVersion);
  return 0;
}
