// The open files of a shard: a bounded table, and counted references to its entries.
#ifndef IOENGINE_IO_OPEN_FILE_H_
#define IOENGINE_IO_OPEN_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ioengine/io/io_file_stats.h"
#include "ioengine/io/io_site.h"
#include "ioengine/sched/check.h"

namespace ioengine {

class FileTable;

// Who waits for a file to be closed. Unset in the OpenFile when it goes first.
class CloseListener {
 public:
  // `result`: 0, or minus the errno of close().
  virtual void OnClosed(int32_t result) = 0;

 protected:
  ~CloseListener() = default;
};

// What a shard knows of an open file. Lives in a FileTable.
struct OpenFile {
  FileTable* table = nullptr;
  std::string path;
  int fd = -1;
  int registered_index = -1;  // in the backend, or -1
  uint32_t references = 0;
  bool is_direct = false;  // opened with O_DIRECT
  // 1 where it is not.
  uint32_t memory_alignment_bytes = 1;
  uint32_t offset_alignment_bytes = 1;
  CloseListener* close_listener = nullptr;
  IoSite site = {};  // of its close; as long as nobody asked for that, of its open
  IoFileStats stats;
  int next_free = -1;
};

// A counted reference to an OpenFile. Handles and operations in flight hold one each; when the
// last is gone the table's owner closes the descriptor.
//
// Shard: the table's. Not atomic.
class FileRef {
 public:
  FileRef() = default;
  FileRef(FileRef&& other) noexcept : file_(std::exchange(other.file_, nullptr)) {}
  FileRef& operator=(FileRef&& other) noexcept {
    FileRef moved(std::move(other));  // first, so that assigning one to itself changes nothing
    std::swap(file_, moved.file_);
    return *this;
  }
  ~FileRef() { Reset(); }

  FileRef Share() const {
    if (file_ != nullptr) ++file_->references;
    return FileRef(file_);
  }

  void Reset() {
    OpenFile* file = std::exchange(file_, nullptr);
    if (file != nullptr && --file->references == 0) LastReferenceGone(file);
  }

  explicit operator bool() const { return file_ != nullptr; }
  OpenFile* operator->() const { return file_; }
  OpenFile& operator*() const { return *file_; }

 private:
  friend class FileTable;
  explicit FileRef(OpenFile* file) : file_(file) {}
  static void LastReferenceGone(OpenFile* file);

  OpenFile* file_ = nullptr;
};

// Takes the descriptors that nobody refers to any more.
class FileCloser {
 public:
  // `file` has no references left. The closer closes its descriptor, then calls
  // FileTable::Release.
  virtual void CloseFile(OpenFile& file) = 0;

 protected:
  ~FileCloser() = default;
};

// A fixed number of slots for open files.
//
// Shard: one; not synchronised.
class FileTable {
 public:
  // Borrows `closer`.
  FileTable(size_t capacity, FileCloser& closer);
  FileTable(const FileTable&) = delete;
  FileTable& operator=(const FileTable&) = delete;
  // All files must be closed.
  ~FileTable();

  // A reference to a free slot, or an empty one when the table is full.
  FileRef Reserve();

  // Frees a slot whose descriptor is closed.
  void Release(OpenFile& file);

  // The number of `file`'s slot: its index among the backend's registered files.
  int IndexOf(const OpenFile& file) const { return static_cast<int>(&file - slots_.data()); }

  size_t capacity() const { return slots_.size(); }
  size_t open_files() const { return open_files_; }

 private:
  friend class FileRef;

  FileCloser& closer_;
  std::vector<OpenFile> slots_;
  int first_free_ = -1;
  size_t open_files_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_OPEN_FILE_H_
