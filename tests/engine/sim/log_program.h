// A small log, right or with a mistake planted: a program for power cuts to find it.
#ifndef IOENGINE_TESTS_ENGINE_SIM_LOG_PROGRAM_H_
#define IOENGINE_TESTS_ENGINE_SIM_LOG_PROGRAM_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/shard.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/io_awaiter.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine {

// What the log promised; outlives power cuts, as whoever was told of it does.
struct LogHistory {
  // To be left out.
  bool syncs_data = true;
  bool syncs_names = true;

  uint64_t acknowledged = 0;  // records
  uint64_t attempted = 0;
  uint64_t acknowledged_version = 0;  // of the file that is replaced by renames
  uint64_t attempted_version = 0;
};

namespace log_program {

inline constexpr size_t kBlockBytes = 4096;
inline constexpr DmaFileOptions kLogOptions = {.access = DmaFileOptions::Access::kReadWrite,
                                               .create = DmaFileOptions::Create::kIfMissing};

// Each word of a block depends on its number.
inline void Fill(std::byte* block, uint64_t number) {
  for (size_t i = 0; i < kBlockBytes / 8; ++i) {
    const uint64_t word = (number + 1) * 0x9e37'79b9'7f4a'7c15 + i;
    std::memcpy(block + 8 * i, &word, 8);
  }
}

inline bool Holds(const std::byte* block, uint64_t number) {
  std::byte expected[kBlockBytes];
  Fill(expected, number);
  return std::memcmp(block, expected, kBlockBytes) == 0;
}

inline Task<absl::Status> SyncDirectory(ShardIo& io, std::string path) {
  absl::StatusOr<FileSystem> files = co_await FileSystem::Open(io, path);
  if (!files.ok()) co_return files.status();
  co_return co_await files->SyncDirectory();
}

// Both in one directory, "/".
inline Task<absl::Status> Rename(ShardIo& io, std::string from, std::string to) {
  absl::StatusOr<FileSystem> files = co_await FileSystem::Open(io, "/");
  if (!files.ok()) co_return files.status();
  co_return co_await files->Rename(from.substr(1), to.substr(1));
}

// How many records the log holds, from its first one on.
inline Task<absl::StatusOr<uint64_t>> CountRecords(ShardIo& io, const DmaFile& log) {
  absl::StatusOr<DmaBuffer> buffer = io.AllocateBuffer(kBlockBytes);
  if (!buffer.ok()) co_return buffer.status();
  for (uint64_t number = 0;; ++number) {
    auto read = co_await log.Read(number * kBlockBytes, *buffer, kBlockBytes);
    if (!read.ok()) co_return read.status();
    if (*read < kBlockBytes || !Holds(buffer->data(), number)) co_return number;
  }
}

inline Task<> AppendOne(ShardIo& io, const DmaFile& log, uint64_t number, absl::Status* status) {
  absl::StatusOr<DmaBuffer> buffer = io.AllocateBuffer(kBlockBytes);
  if (!buffer.ok()) {
    *status = buffer.status();
    co_return;
  }
  Fill(buffer->data(), number);
  absl::Status written = co_await log.Write(number * kBlockBytes, *buffer, kBlockBytes);
  if (!written.ok()) *status = std::move(written);
}

// Several at once, then one sync for all.
inline Task<absl::Status> AppendBatch(Shard& shard, const DmaFile& log, LogHistory* history,
                                      uint64_t first, uint64_t count) {
  absl::Status status;
  history->attempted = std::max(history->attempted, first + count);
  {
    TaskScope scope(shard.executor());
    for (uint64_t i = 0; i < count; ++i) {
      scope.Spawn(AppendOne(shard.io(), log, first + i, &status));
    }
    co_await scope.Join();
  }
  if (!status.ok()) co_return status;
  if (history->syncs_data) {
    if (absl::Status synced = co_await log.Fdatasync(); !synced.ok()) co_return synced;
  }
  history->acknowledged = first + count;
  co_return absl::OkStatus();
}

// Writes a new version beside the old one, and takes its place.
inline Task<absl::Status> Replace(Shard& shard, LogHistory* history) {
  ShardIo& io = shard.io();
  const uint64_t version = ++history->attempted_version;
  absl::StatusOr<DmaFile> file = co_await DmaFile::Open(io, "/new", kLogOptions);
  if (!file.ok()) co_return file.status();
  absl::Status status;
  co_await AppendOne(io, *file, 0, &status);  // a file of two blocks; the second has the version
  absl::StatusOr<DmaBuffer> buffer = io.AllocateBuffer(kBlockBytes);
  if (!buffer.ok()) co_return buffer.status();
  Fill(buffer->data(), version);
  if (status.ok()) status = co_await file->Write(kBlockBytes, *buffer, kBlockBytes);
  if (status.ok() && history->syncs_data) status = co_await file->Fdatasync();
  if (status.ok()) status = co_await file->Close();
  if (status.ok()) status = co_await Rename(io, "/new", "/current");
  if (status.ok() && history->syncs_names) status = co_await SyncDirectory(io, "/");
  if (status.ok()) history->acknowledged_version = version;
  co_return status;
}

inline Task<absl::Status> CheckVersion(ShardIo& io, const LogHistory* history) {
  absl::StatusOr<DmaFile> file = co_await DmaFile::Open(io, "/current", {});
  if (absl::IsNotFound(file.status()) && history->acknowledged_version == 0) {
    co_return absl::OkStatus();
  }
  if (absl::IsNotFound(file.status())) co_return absl::DataLossError(file.status().message());
  if (!file.ok()) co_return file.status();
  absl::StatusOr<DmaBuffer> buffer = io.AllocateBuffer(2 * kBlockBytes);
  if (!buffer.ok()) co_return buffer.status();
  const auto read = co_await file->Read(0, *buffer, 2 * kBlockBytes);
  if (!read.ok()) co_return read.status();
  if (*read == 2 * kBlockBytes && Holds(buffer->data(), 0)) {
    for (uint64_t version = history->acknowledged_version; version <= history->attempted_version;
         ++version) {
      if (Holds(buffer->data() + kBlockBytes, version)) co_return absl::OkStatus();
    }
  }
  co_return absl::DataLossError("the file that was replaced holds no version that it may hold");
}

}  // namespace log_program

// Opens what is there, checks that it keeps its promises, and goes on for `batches` batches, with
// a replacement of the other file now and then. DataLoss: a promise was broken.
inline Task<absl::Status> RunLog(Shard& shard, LogHistory* history, Random* random, int batches) {
  ShardIo& io = shard.io();
  if (absl::Status status = co_await log_program::CheckVersion(io, history); !status.ok()) {
    co_return status;
  }
  absl::StatusOr<DmaFile> log = co_await DmaFile::Open(io, "/log", log_program::kLogOptions);
  if (!log.ok()) co_return log.status();
  absl::StatusOr<uint64_t> found = co_await log_program::CountRecords(io, *log);
  if (!found.ok()) co_return found.status();
  if (*found < history->acknowledged || *found > history->attempted) {
    co_return absl::DataLossError(absl::StrCat("the log has ", *found, " records, of ",
                                               history->acknowledged, " acknowledged and ",
                                               history->attempted, " attempted"));
  }
  // Whoever reads records may tell of them: from here on they are promised. So they, and the file's
  // name, have to be durable first.
  if (history->syncs_names) {
    if (absl::Status s = co_await log_program::SyncDirectory(io, "/"); !s.ok()) co_return s;
  }
  if (history->syncs_data) {
    if (absl::Status s = co_await log->Fdatasync(); !s.ok()) co_return s;
  }
  uint64_t next = history->acknowledged = *found;
  for (int i = 0; i < batches; ++i) {
    const uint64_t count = 1 + random->Below(3);
    absl::Status status = co_await log_program::AppendBatch(shard, *log, history, next, count);
    if (!status.ok()) co_return status;
    next += count;
    if (!random->OneIn(3)) continue;
    if (absl::Status s = co_await log_program::Replace(shard, history); !s.ok()) co_return s;
  }
  co_return absl::OkStatus();
}

}  // namespace ioengine

#endif  // IOENGINE_TESTS_ENGINE_SIM_LOG_PROGRAM_H_
