// FileTable and FileRef.

#include "ioengine/io/open_file.h"

#include <memory>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ioengine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Notes whom it should close, and releases the slot when the test says so.
class NotingCloser final : public FileCloser {
 public:
  void CloseFile(OpenFile& file) override { closing.push_back(&file); }

  void ReleaseAll() {
    for (OpenFile* file : std::exchange(closing, {})) file->table->Release(*file);
  }

  std::vector<OpenFile*> closing;
};

TEST(FileTableTest, HoldsAsManyFilesAsItSays) {
  NotingCloser closer;
  FileTable table(3, closer);
  EXPECT_EQ(table.capacity(), 3u);
  std::vector<FileRef> files;
  std::vector<int> indices;
  for (int i = 0; i < 3; ++i) {
    files.push_back(table.Reserve());
    ASSERT_TRUE(files.back());
    indices.push_back(table.IndexOf(*files.back()));
  }
  EXPECT_THAT(indices, testing::UnorderedElementsAre(0, 1, 2));
  EXPECT_EQ(table.open_files(), 3u);
  EXPECT_FALSE(table.Reserve());
  files.pop_back();
  EXPECT_FALSE(table.Reserve()) << "its descriptor is not closed yet";
  closer.ReleaseAll();
  EXPECT_EQ(table.open_files(), 2u);
  files.push_back(table.Reserve());
  EXPECT_EQ(table.IndexOf(*files.back()), indices.back());
  files.clear();
  closer.ReleaseAll();
}

TEST(FileTableTest, ASlotComesBackClean) {
  NotingCloser closer;
  FileTable table(1, closer);
  FileRef file = table.Reserve();
  file->path = "/somewhere";
  file->fd = 17;
  file->registered_index = 3;
  file->offset_alignment_bytes = 512;
  file->memory_alignment_bytes = 4;
  file.Reset();
  ASSERT_EQ(closer.closing.size(), 1u);
  EXPECT_EQ(closer.closing[0]->fd, 17);
  closer.ReleaseAll();
  file = table.Reserve();
  EXPECT_EQ(file->path, "");
  EXPECT_EQ(file->fd, -1);
  EXPECT_EQ(file->registered_index, -1);
  EXPECT_EQ(file->offset_alignment_bytes, 1u);
  EXPECT_EQ(file->memory_alignment_bytes, 1u);
  EXPECT_EQ(file->close_listener, nullptr);
  file.Reset();
  closer.ReleaseAll();
}

TEST(FileRefTest, TheLastReferenceCloses) {
  NotingCloser closer;
  FileTable table(2, closer);
  FileRef first = table.Reserve();
  OpenFile* const file = &*first;
  FileRef second = first.Share();
  FileRef third = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move)
  second.Reset();
  second.Reset();
  FileRef& same = third;
  third = std::move(same);
  EXPECT_THAT(closer.closing, IsEmpty());
  third = FileRef();
  EXPECT_THAT(closer.closing, ElementsAre(file));
  closer.ReleaseAll();
}

TEST(FileRefTest, AssignmentDropsTheFileThatWasThere) {
  NotingCloser closer;
  FileTable table(2, closer);
  FileRef first = table.Reserve();
  FileRef second = table.Reserve();
  OpenFile* const dropped = &*first;
  first = std::move(second);
  EXPECT_THAT(closer.closing, ElementsAre(dropped));
  first.Reset();
  closer.ReleaseAll();
}

TEST(FileRefTest, EmptyOnesShareNothing) {
  const FileRef empty;
  EXPECT_FALSE(empty);
  EXPECT_FALSE(empty.Share());
}

TEST(FileTableDeathTest, AFileOutlivesItsTable) {
  NotingCloser closer;
  EXPECT_DEATH(
      {
        FileTable table(1, closer);
        closer.CloseFile(*table.Reserve());
      },
      "a file outlives its shard's table");
}

TEST(FileTableDeathTest, ReleaseOfAFileThatIsReferredTo) {
  NotingCloser closer;
  FileTable table(1, closer);
  FileRef file = table.Reserve();
  EXPECT_DEATH(table.Release(*file), "released that is still referred to");
  file.Reset();
  closer.ReleaseAll();
}

}  // namespace
}  // namespace ioengine
