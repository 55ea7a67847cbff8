// BlobFile: an open file of values; BlobFiles: those that a shard's database has.
#ifndef IOENGINE_ENGINE_BLOB_BLOB_FILE_H_
#define IOENGINE_ENGINE_BLOB_BLOB_FILE_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/semaphore.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// Whoever refers to values of it keeps it: tables, memtables, writes on their way. When nobody does
// any more, the file is of no use, and BlobFiles::RemoveUnused removes it.
//
// Shard: that of its BlobFiles. Ownership: must be gone before those.
class BlobFile {
 public:
  // Told of one that nobody keeps any more. Must not suspend.
  class Owner {
   public:
    virtual void OnUnused(const Uuid& uuid) = 0;

   protected:
    ~Owner() = default;
  };

  // Reads take a unit of `reads` for each page of their buffers.
  BlobFile(ShardIo& io, const BlobFileInfo& info, DmaFile file, uint64_t size_bytes,
           Semaphore& reads, Owner& owner)
      : io_(io),
        info_(info),
        file_(std::move(file)),
        size_bytes_(size_bytes),
        reads_(reads),
        owner_(owner) {}
  BlobFile(const BlobFile&) = delete;
  BlobFile& operator=(const BlobFile&) = delete;
  ~BlobFile() { owner_.OnUnused(uuid()); }

  const Uuid& uuid() const { return info_.file; }
  const DmaFile& file() const { return file_; }

  // The value, checked, with the file kept until it is there. Errors: DataLoss, naming file and
  // offset, for a damaged one; those of reads. Cost: a read of its pages, in pieces of 1 MiB, and a
  // copy; waits while others have all of BlobOptions::read_bytes.
  static Task<absl::StatusOr<std::string>> Read(std::shared_ptr<const BlobFile> blobs,
                                                BlobPointer pointer);

  // Of the file; while it is written, of what is durable.
  uint64_t size_bytes() const { return size_bytes_; }
  // Of values that open tables refer to, with their heads. More for a while when a table has a
  // successor, and readers.
  uint64_t table_bytes() const { return table_bytes_; }
  // What no table refers to. Of a file with values that were moved, those alone: moved again,
  // they would have as much padding around them.
  uint64_t garbage_bytes() const;
  // Values may be added, or memory refers to some.
  bool is_in_use() const { return users_ > 0; }

  // For tables.
  void AddTableBytes(uint64_t bytes) { table_bytes_ += bytes; }
  void SubtractTableBytes(uint64_t bytes) { table_bytes_ -= bytes; }

  // For the writer. Why nothing can be added any more; what was durable before is.
  const absl::Status& write_status() const { return write_status_; }
  void set_write_status(const absl::Status& status) { write_status_ = status; }
  // The file is durable up to there, with so many more bytes of values and their heads.
  void Extend(uint64_t size_bytes, uint64_t added_bytes) {
    size_bytes_ = size_bytes;
    stored_bytes_ += added_bytes;
  }

  // Keeps the file, and says that it is in use.
  class Use {
   public:
    explicit Use(std::shared_ptr<BlobFile> file) : file_(std::move(file)) { ++file_->users_; }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() { --file_->users_; }

    const std::shared_ptr<BlobFile>& file() const { return file_; }

   private:
    const std::shared_ptr<BlobFile> file_;
  };

 private:
  absl::Status At(const BlobPointer& pointer, const absl::Status& status) const;

  ShardIo& io_;
  const BlobFileInfo info_;
  const DmaFile file_;
  uint64_t size_bytes_;
  uint64_t stored_bytes_ = 0;  // of values, by this process; 0: not known
  uint64_t table_bytes_ = 0;
  size_t users_ = 0;
  absl::Status write_status_;
  Semaphore& reads_;
  Owner& owner_;
};

// Shard: that of `io`.
class BlobFiles final : private BlobFile::Owner {
 public:
  // Borrows both. `read_bytes`: see BlobOptions.
  BlobFiles(ShardIo& io, FileSystem& files, size_t read_bytes)
      : io_(io), files_(files), reads_(std::bit_floor(read_bytes) / kBlobPageBytes) {}
  BlobFiles(const BlobFiles&) = delete;
  BlobFiles& operator=(const BlobFiles&) = delete;
  // No file may be kept (CHECK).
  ~BlobFiles();

  // The file, if somebody keeps it; else null.
  std::shared_ptr<BlobFile> Find(const Uuid& uuid) const;

  // The value that an encoded pointer leads to. Whoever has the pointer keeps the file; only until
  // this is called. Errors: those of BlobFile::Read.
  Task<absl::StatusOr<std::string>> Read(std::string_view pointer) const;

  // Opens those that nobody keeps yet; all of them, in any order. Errors: DataLoss for a missing
  // one; FailedPrecondition for a newer format; those of files.
  Task<absl::StatusOr<std::vector<std::shared_ptr<BlobFile>>>> Open(std::vector<Uuid> uuids);

  // Makes one, with nothing but a header, of which nothing is durable. Errors: those of files.
  Task<absl::StatusOr<std::shared_ptr<BlobFile>>> Create(BlobFileInfo info);

  // Removes the files that nobody keeps any more. That no log record or manifest refers to them is
  // the caller's to know. Errors: those of the first that failed, which is tried again the next
  // time.
  Task<absl::Status> RemoveUnused();

  // Removes files that nobody keeps, whoever made them. Errors: likewise.
  Task<absl::Status> RemoveOrphans();

  // All that somebody keeps, in no order.
  std::vector<std::shared_ptr<BlobFile>> all() const;

 private:
  void OnUnused(const Uuid& uuid) override;
  Task<absl::StatusOr<std::shared_ptr<BlobFile>>> OpenOne(Uuid uuid);
  std::shared_ptr<BlobFile> Add(const BlobFileInfo& info, DmaFile file, uint64_t size_bytes);

  ShardIo& io_;
  FileSystem& files_;
  Semaphore reads_;  // pages
  absl::flat_hash_map<Uuid, std::weak_ptr<BlobFile>> kept_;
  std::vector<Uuid> unused_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_BLOB_BLOB_FILE_H_
