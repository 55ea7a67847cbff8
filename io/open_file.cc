#include "ioengine/io/open_file.h"

namespace ioengine {

void FileRef::LastReferenceGone(OpenFile* file) { file->table->closer_.CloseFile(*file); }

FileTable::FileTable(size_t capacity, FileCloser& closer) : closer_(closer), slots_(capacity) {
  for (size_t i = capacity; i-- > 0;) {
    slots_[i].table = this;
    slots_[i].next_free = first_free_;
    first_free_ = static_cast<int>(i);
  }
}

FileTable::~FileTable() { IOENGINE_CHECK(open_files_ == 0, "a file outlives its shard's table"); }

FileRef FileTable::Reserve() {
  if (first_free_ < 0) return FileRef();
  OpenFile& file = slots_[static_cast<size_t>(first_free_)];
  first_free_ = file.next_free;
  file.references = 1;
  ++open_files_;
  return FileRef(&file);
}

void FileTable::Release(OpenFile& file) {
  IOENGINE_CHECK(file.references == 0, "a file is released that is still referred to");
  const int index = IndexOf(file);
  file = OpenFile();
  file.table = this;
  file.next_free = first_free_;
  first_free_ = index;
  --open_files_;
}

}  // namespace ioengine
