#include "ioengine/tests/io/faults/io_program.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/sequential_reader.h"
#include "ioengine/io/sequential_writer.h"

// The status is that of an operation, and the first that is not OK ends the coroutine.
#define IO_PROGRAM_TRY(operation)                                       \
  do {                                                                  \
    if (absl::Status tried = (operation); !tried.ok()) co_return tried; \
  } while (false)

namespace ioengine {
namespace {

constexpr size_t kPage = 4096;

constexpr DmaFileOptions kCreate = {.access = DmaFileOptions::Access::kReadWrite,
                                    .create = DmaFileOptions::Create::kIfMissing};
constexpr DmaFileOptions kReadOnly = {};
constexpr WriteOptions kPlain = {};
constexpr WriteOptions kDurable = {.durable = true};
constexpr WriteOptions kThenSync = {.then_sync = true};

absl::Status Expect(bool right, const char* what) {
  return right ? absl::OkStatus() : absl::DataLossError(absl::StrCat("wrong: ", what));
}

bool AllAre(std::span<const std::byte> bytes, char value) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [=](std::byte byte) { return static_cast<char>(byte) == value; });
}

}  // namespace

Task<absl::Status> UseNames(ShardIo* io, std::string root) {
  const FileSystemOptions create = {.create = true};
  absl::StatusOr<FileSystem> files = co_await FileSystem::Open(*io, root, create);
  if (!files.ok()) co_return files.status();
  IO_PROGRAM_TRY(co_await files->Lock(IoLock::kExclusive));
  IO_PROGRAM_TRY(co_await files->MakeDirectory("d"));
  absl::StatusOr<DmaFile> file = co_await files->OpenFile("d/f", kCreate);
  if (!file.ok()) co_return file.status();
  IO_PROGRAM_TRY(co_await file->Close());
  absl::StatusOr<FileStat> stat = co_await files->Stat("d/f");
  if (!stat.ok()) co_return stat.status();
  IO_PROGRAM_TRY(Expect(stat->is_regular(), "the kind of a file"));
  stat = co_await files->Stat("");
  if (!stat.ok()) co_return stat.status();
  IO_PROGRAM_TRY(co_await files->Link("d/f", "d/g"));
  IO_PROGRAM_TRY(co_await files->Rename("d/g", "d/h"));
  IO_PROGRAM_TRY(co_await files->Rename("d/h", "i", FileSystem::Replace::kNo));
  absl::StatusOr<std::vector<DirectoryEntry>> entries = co_await files->List("d");
  if (!entries.ok()) co_return entries.status();
  IO_PROGRAM_TRY(Expect(entries->size() == 1 && entries->front().name == "f", "names in d"));
  entries = co_await files->List();
  if (!entries.ok()) co_return entries.status();
  IO_PROGRAM_TRY(co_await files->SyncDirectory("d"));
  IO_PROGRAM_TRY(co_await files->SyncDirectory());
  IO_PROGRAM_TRY(co_await files->Remove("d/f"));
  IO_PROGRAM_TRY(co_await files->Remove("i"));
  IO_PROGRAM_TRY(co_await files->RemoveDirectory("d"));
  IO_PROGRAM_TRY(co_await files->Lock(IoLock::kNone));
  co_return absl::OkStatus();
}

Task<absl::Status> UseFile(ShardIo* io, std::string root) {
  const std::string path = root + "/x";
  absl::StatusOr<DmaFile> file = co_await DmaFile::Open(*io, path, kCreate);
  if (!file.ok()) co_return file.status();
  IO_PROGRAM_TRY(co_await file->Lock(IoLock::kExclusive));
  IO_PROGRAM_TRY(co_await file->SetExtentHint(1 << 20));
  IO_PROGRAM_TRY(co_await file->Preallocate(0, 8 * kPage));
  absl::StatusOr<DmaBuffer> buffer = io->AllocateBuffer(2 * kPage);
  if (!buffer.ok()) co_return buffer.status();
  std::memset(buffer->data(), 'a', 2 * kPage);
  IO_PROGRAM_TRY(co_await file->Write(0, *buffer, 2 * kPage, kPlain));
  std::memset(buffer->data(), 'b', 2 * kPage);
  IO_PROGRAM_TRY(co_await file->Write(2 * kPage, *buffer, 2 * kPage, kDurable));
  std::memset(buffer->data(), 'c', 2 * kPage);
  IO_PROGRAM_TRY(co_await file->Write(4 * kPage, *buffer, 2 * kPage, kThenSync));
  IO_PROGRAM_TRY(co_await file->Fdatasync());
  absl::StatusOr<size_t> read = co_await file->Read(2 * kPage, *buffer, 2 * kPage);
  if (!read.ok()) co_return read.status();
  IO_PROGRAM_TRY(Expect(*read == 2 * kPage && AllAre(buffer->bytes(), 'b'), "Read"));
  const FileRange range = {.offset_bytes = kPage - 10, .size_bytes = 10};
  absl::StatusOr<FileBytes> bytes = co_await file->ReadRange(range);
  if (!bytes.ok()) co_return bytes.status();
  IO_PROGRAM_TRY(Expect(bytes->bytes.size() == 10 && AllAre(bytes->bytes, 'a'), "ReadRange"));
  // Two windows.
  std::vector<FileRange> ranges = {{.offset_bytes = 0, .size_bytes = 100},
                                   {.offset_bytes = 4 * kPage + 1, .size_bytes = 2 * kPage - 1}};
  absl::StatusOr<std::vector<FileBytes>> many = co_await file->ReadMany(std::move(ranges));
  if (!many.ok()) co_return many.status();
  IO_PROGRAM_TRY(
      Expect(AllAre((*many)[0].bytes, 'a') && AllAre((*many)[1].bytes, 'c'), "ReadMany"));
  IO_PROGRAM_TRY(co_await file->Advise(0, kPage, IoAdvice::kRandom));
  IO_PROGRAM_TRY(co_await file->Punch(0, kPage));
  IO_PROGRAM_TRY(co_await file->Truncate(3 * kPage));
  absl::StatusOr<FileStat> stat = co_await file->Stat();
  if (!stat.ok()) co_return stat.status();
  IO_PROGRAM_TRY(Expect(stat->size_bytes == 3 * kPage, "the size after Truncate"));
  // One that nobody closes.
  absl::StatusOr<DmaFile> again = co_await DmaFile::Open(*io, path, kReadOnly);
  if (!again.ok()) co_return again.status();
  IO_PROGRAM_TRY(co_await file->Close());
  co_return co_await RemoveFile(*io, path);
}

Task<absl::Status> UseSequential(ShardIo* io, std::string root) {
  // Two and a half buffers, then a half that is filled in place: a last write that is padded.
  constexpr size_t kBufferBytes = 2 * kPage;
  constexpr size_t kSizeBytes = 5 * kPage + 1000;
  const std::string path = root + "/s";
  absl::StatusOr<DmaFile> file = co_await DmaFile::Open(*io, path, kCreate);
  if (!file.ok()) co_return file.status();
  {
    SequentialWriter writer(*io, *file, {.buffer_bytes = kBufferBytes, .write_behind = 2});
    const std::vector<std::byte> bytes(3 * kPage, std::byte{'s'});
    IO_PROGRAM_TRY(co_await writer.Append(bytes));
    // The rest of the second buffer, and then some of a third one.
    for (const size_t size_bytes : {kPage, kPage + 1000}) {
      absl::StatusOr<std::span<std::byte>> room = co_await writer.Room();
      if (!room.ok()) co_return room.status();
      std::memset(room->data(), 's', size_bytes);
      writer.Commit(size_bytes);
    }
    IO_PROGRAM_TRY(co_await writer.Finish(SequentialWriter::Sync::kYes));
  }
  {
    SequentialReader reader(
        *io, *file, {.end_bytes = kSizeBytes, .buffer_bytes = kBufferBytes, .read_ahead = 2});
    std::array<std::byte, 100> head;
    IO_PROGRAM_TRY(co_await reader.ReadExactly(head));
    IO_PROGRAM_TRY(Expect(AllAre(head, 's'), "ReadExactly"));
    uint64_t read_bytes = 0;
    for (;;) {
      absl::StatusOr<std::span<const std::byte>> next = co_await reader.Next();
      if (!next.ok()) co_return next.status();
      if (next->empty()) break;
      IO_PROGRAM_TRY(Expect(AllAre(*next, 's'), "Next"));
      read_bytes += next->size();
    }
    IO_PROGRAM_TRY(Expect(read_bytes == kSizeBytes - kBufferBytes, "the size of a sequence"));
  }
  IO_PROGRAM_TRY(co_await file->Close());
  co_return co_await RemoveFile(*io, path);
}

Task<absl::Status> RunIoProgram(ShardIo* io, std::string root) {
  IO_PROGRAM_TRY(co_await UseNames(io, root));
  IO_PROGRAM_TRY(co_await UseFile(io, root));
  co_return co_await UseSequential(io, root);
}

}  // namespace ioengine
