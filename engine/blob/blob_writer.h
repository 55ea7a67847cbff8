// BlobWriter: puts values into blob files.
#ifndef IOENGINE_ENGINE_BLOB_BLOB_WRITER_H_
#define IOENGINE_ENGINE_BLOB_BLOB_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/blob/blob_file.h"
#include "ioengine/engine/blob/blob_options.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/mutex.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine {

// A value that has its place.
struct PlacedBlob {
  BlobPointer pointer;
  // Keeps the file, which counts as in use, until whoever refers to the value keeps it.
  std::shared_ptr<const BlobFile::Use> use;
};

// Values that come while others are written are written together next:
//
//   Append ──copied──► staged ──► written, all at once ──► fdatasync, and of a new file the
//                        ▲            directory ──► durable
//                        └── what comes meanwhile
//
// When a write or a sync of a file fails, nothing is added to it any more, what was not durable in
// it is not there, and the next value begins another file: nothing refers to what is lost.
//
// Shard: that of `io`.
class BlobWriter {
 public:
  // Where values come from.
  enum class Source : uint8_t {
    kWrites,  // each is waited for
    kMoved,   // from other blob files; nothing is written before a write is full, or waited for
  };

  // Borrows what it is given; `new_uuid` gives each file its name. Its own task has the class of
  // the one that makes it.
  BlobWriter(ShardIo& io, FileSystem& files, BlobFiles& blobs, const Uuid& database,
             std::function<Uuid()> new_uuid, Source source, const BlobOptions& options);
  BlobWriter(const BlobWriter&) = delete;
  BlobWriter& operator=(const BlobWriter&) = delete;
  ~BlobWriter() { scope_.Cancel(); }

  // Gives the value a place, and copies it; waits while too much is under way. Ownership: borrows
  // the value until the task has ended. Errors: InvalidArgument above kMaxBlobBytes; those of
  // files and buffers; Unavailable after Stop. Cost: a checksum and a copy.
  Task<absl::StatusOr<PlacedBlob>> Append(std::string_view value);

  // Waits until the value is durable, and its file's name. Errors: why it is not, and never will
  // be.
  Task<absl::Status> MakeDurable(PlacedBlob blob);

  // Ends, when what was appended is written.
  Task<> Stop();

  // Of values that are durable, with heads and padding.
  uint64_t written_bytes() const { return written_bytes_; }

 private:
  // A piece of a file that is to be written.
  struct Piece {
    std::shared_ptr<const BlobFile::Use> use;
    DmaBuffer buffer;
    uint64_t offset_bytes = 0;
    size_t filled_bytes = 0;
    size_t stored_bytes = 0;  // of them, values and heads
  };

  Task<absl::Status> BeginFile();
  Task<absl::Status> Copy(std::span<const std::byte> bytes);
  Task<absl::Status> AddPiece();
  bool HasWork() const;
  Task<> Run();
  void PadToPage(Piece& piece);
  Task<> WriteGroup(std::deque<Piece>* group);
  Task<> WritePiece(const Piece* piece);
  Task<absl::Status> Sync(BlobFile* file);
  // Asks for what is staged to be written, and waits for one group.
  Task<> WaitForProgress();
  void Pulse();

  // Counts a task, as long as it is there.
  class Waiting {
   public:
    explicit Waiting(size_t& count) : count_(count) { ++count_; }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() { --count_; }

   private:
    size_t& count_;
  };

  ShardIo& io_;
  FileSystem& files_;
  BlobFiles& blobs_;
  const Uuid database_;
  const std::function<Uuid()> new_uuid_;
  const Source source_;
  const BlobOptions options_;

  std::shared_ptr<const BlobFile::Use> use_;  // of the file that is written to
  uint64_t next_bytes_ = 0;                   // where in it the next value goes
  std::deque<Piece> staged_;
  size_t pieces_ = 0;   // that have buffers
  size_t waiting_ = 0;  // tasks, for what was appended, or for room
  uint64_t written_bytes_ = 0;
  bool stopping_ = false;
  Mutex appending_;
  Event work_;
  Event progress_;  // pulsed
  TaskScope scope_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_BLOB_BLOB_WRITER_H_
