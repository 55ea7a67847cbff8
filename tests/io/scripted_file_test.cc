// DmaFile over a scripted backend: who closes a descriptor, and when.

#include <fcntl.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/tests/io/scripted_io_fixture.h"

namespace ioengine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

class ScriptedFileTest : public ScriptedIoFixture {
 protected:
  // Opens a file, which the steps interrupt; then nothing may be left of it.
  void OpenAnd(const Steps& steps) {
    std::optional<absl::StatusOr<DmaFile>> opened;
    Steps all = {[&] { executor_->Spawn(Open(io_.get(), "/data/x", {}, &opened)); }};
    all.insert(all.end(), steps.begin(), steps.end());
    Run(all);
    EXPECT_FALSE(opened.has_value());
    io_->queue().Drain();
    EXPECT_THAT(backend_.open_fds, IsEmpty());
    EXPECT_EQ(io_->files().open_files(), 0u);
  }
};

TEST_F(ScriptedFileTest, OpenLearnsTheAlignmentAndRegistersTheFile) {
  backend_.stat.memory_alignment_bytes = 8;
  backend_.stat.offset_alignment_bytes = 1024;
  std::optional<absl::StatusOr<DmaFile>> opened;
  Run({[&] { executor_->Spawn(Open(io_.get(), "/data/x", {}, &opened)); }});
  ASSERT_TRUE((*opened).ok());
  file_ = **std::move(opened);
  EXPECT_TRUE(file_.is_open());
  EXPECT_EQ(file_.path(), "/data/x");
  EXPECT_EQ(file_.memory_alignment_bytes(), 8u);
  EXPECT_EQ(file_.offset_alignment_bytes(), 1024u);
  EXPECT_TRUE(file_.registered());
  EXPECT_THAT(backend_.registered_files, ElementsAre(Pair(0, ScriptedBackend::kFirstFd)));
}

TEST_F(ScriptedFileTest, AnUnknownAlignmentIsTakenForAPage) {
  backend_.stat.memory_alignment_bytes = 0;
  backend_.stat.offset_alignment_bytes = 0;
  OpenFile();
  EXPECT_EQ(file_.memory_alignment_bytes(), 4096u);
  EXPECT_EQ(file_.offset_alignment_bytes(), 4096u);
}

TEST_F(ScriptedFileTest, CloseGivesTheFileBackBeforeItReturns) {
  OpenFile();
  std::optional<absl::Status> closed;
  Run({[&] { executor_->Spawn(Close(&file_, &closed)); }});
  EXPECT_EQ(*closed, absl::OkStatus());
  EXPECT_FALSE(file_.is_open());
  EXPECT_THAT(backend_.open_fds, IsEmpty());
  EXPECT_THAT(backend_.registered_files, ElementsAre(Pair(0, -1)));
  EXPECT_EQ(io_->files().open_files(), 0u);
}

TEST_F(ScriptedFileTest, CloseTellsWhatCloseSays) {
  OpenFile();
  backend_.TakeOver(IoOpcode::kClose);
  std::optional<absl::Status> closed;
  Run({[&] { executor_->Spawn(Close(&file_, &closed)); }, [&] { backend_.Finish(0, -EIO); }});
  EXPECT_EQ(closed->code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(closed->message()), HasSubstr("close /data/x: Input/output error"));
  EXPECT_EQ(io_->files().open_files(), 0u);
}

TEST_F(ScriptedFileTest, CloseWaitsForOperationsInFlight) {
  OpenFile();
  std::optional<absl::Status> closed;
  std::optional<absl::StatusOr<size_t>> read;
  DmaFile* const reader = &file_;
  Run({[&] {
         executor_->Spawn(Read(reader, 0, Buffer(512), 512, &read));
         executor_->Spawn(Close(&file_, &closed));
       },
       [&] {
         EXPECT_FALSE(file_.is_open());
         EXPECT_FALSE(closed.has_value());
         EXPECT_EQ(backend_.open_fds.size(), 1u);
         EXPECT_THAT(backend_.registered_files, IsEmpty());
         backend_.Finish(0, 512);
       }});
  EXPECT_EQ(**read, 512u);
  EXPECT_EQ(*closed, absl::OkStatus());
}

TEST_F(ScriptedFileTest, DestroyingTheTaskThatClosesLeavesTheCloseToGoOn) {
  OpenFile();
  backend_.TakeOver(IoOpcode::kClose);
  std::optional<absl::Status> closed;
  Run({[&] { executor_->Spawn(Close(&file_, &closed)); }});
  EXPECT_FALSE(closed.has_value());
  EXPECT_EQ(backend_.pending(), 1u);
  EXPECT_THAT(backend_.cancelled, IsEmpty());
  EXPECT_EQ(io_->files().open_files(), 1u);
  backend_.Finish(0, 0);
  backend_.Poll();
  EXPECT_EQ(io_->files().open_files(), 0u);
}

TEST_F(ScriptedFileTest, DestroyingTheTaskThatWaitsToCloseLetsTheLastOperationClose) {
  OpenFile();
  std::optional<absl::Status> closed;
  std::optional<absl::StatusOr<size_t>> read;
  Run({[&] {
    executor_->Spawn(Read(&file_, 0, Buffer(512), 512, &read));
    executor_->Spawn(Close(&file_, &closed));
  }});
  EXPECT_EQ(backend_.open_fds.size(), 1u);
  ASSERT_EQ(backend_.pending(), 1u);
  backend_.Finish(0, -ECANCELED);
  backend_.Poll();
  backend_.Poll();
  EXPECT_THAT(backend_.open_fds, IsEmpty());
}

TEST_F(ScriptedFileTest, DroppingTheFileClosesIt) {
  OpenFile();
  file_ = DmaFile();
  EXPECT_EQ(io_->files().open_files(), 1u);
  backend_.Poll();
  EXPECT_THAT(backend_.open_fds, IsEmpty());
  EXPECT_EQ(io_->files().open_files(), 0u);
}

TEST_F(ScriptedFileTest, DroppingTheFileWithAnOperationInFlightClosesItAfterwards) {
  OpenFile();
  std::optional<absl::StatusOr<size_t>> read;
  Run({[&] { executor_->Spawn(Read(&file_, 0, Buffer(512), 512, &read)); },
       [&] {
         file_ = DmaFile();
         EXPECT_EQ(backend_.requests.size(), 1u);
         backend_.Finish(0, 512);
       }});
  EXPECT_EQ(**read, 512u);
  EXPECT_EQ(backend_.requests.back().opcode, IoOpcode::kClose);
  EXPECT_THAT(backend_.open_fds, IsEmpty());
}

TEST_F(ScriptedFileTest, AnOpenThatFailsGivesItsSlotBack) {
  backend_.TakeOver(IoOpcode::kOpen);
  for (int i = 0; i < 5; ++i) {  // more often than there are slots
    std::optional<absl::StatusOr<DmaFile>> opened;
    Run({[&] { executor_->Spawn(Open(io_.get(), "/data/x", {}, &opened)); },
         [&] { backend_.Finish(0, -ENOENT); }});
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->status().code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(opened->status().message()), HasSubstr("open /data/x: "));
    EXPECT_EQ(io_->files().open_files(), 0u);
  }
}

// The page cache instead; and a new file is there already when direct I/O is refused.
TEST_F(ScriptedFileTest, WithoutDirectIoWhereThatIsRefused) {
  backend_.TakeOver(IoOpcode::kOpen);
  std::optional<absl::StatusOr<DmaFile>> opened;
  Run({[&] {
         executor_->Spawn(Open(io_.get(), "/data/x",
                               {.access = DmaFileOptions::Access::kReadWrite,
                                .create = DmaFileOptions::Create::kMustBeNew},
                               &opened));
       },
       [&] { backend_.Finish(0, -EINVAL); },
       [&] {
         const int flags = backend_.Pending(0).command.path->open_flags;
         EXPECT_EQ(flags & O_DIRECT, 0);
         EXPECT_EQ(flags & (O_CREAT | O_EXCL), O_CREAT);
         backend_.Finish(0, ScriptedBackend::kFirstFd);
       }});
  ASSERT_TRUE(opened.has_value() && opened->ok());
  EXPECT_FALSE((*opened)->is_direct());
  EXPECT_EQ((*opened)->offset_alignment_bytes(), 1u);
}

TEST_F(ScriptedFileTest, ARefusalOfDirectIoSaysWhatToDo) {
  backend_.TakeOver(IoOpcode::kOpen);
  std::optional<absl::StatusOr<DmaFile>> opened;
  Run({[&] {
         executor_->Spawn(
             Open(io_.get(), "/data/x", {.direct = DmaFileOptions::Direct::kRequired}, &opened));
       },
       [&] { backend_.Finish(0, -EINVAL); }});
  EXPECT_EQ(opened->status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(opened->status().message()),
              HasSubstr("open /data/x: it refuses O_DIRECT"));
  opened.reset();
  Run({[&] {
         executor_->Spawn(
             Open(io_.get(), "/data/x", {.direct = DmaFileOptions::Direct::kNever}, &opened));
       },
       [&] { backend_.Finish(0, -EINVAL); }});
  EXPECT_EQ(opened->status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ScriptedFileTest, AFileWhoseStatFailsIsClosed) {
  backend_.TakeOver(IoOpcode::kStat);
  std::optional<absl::StatusOr<DmaFile>> opened;
  Run({[&] { executor_->Spawn(Open(io_.get(), "/data/x", {}, &opened)); },
       [&] { backend_.Finish(0, -EIO); }});
  EXPECT_EQ(opened->status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(opened->status().message()), HasSubstr("statx /data/x"));
  EXPECT_THAT(backend_.open_fds, IsEmpty());
  EXPECT_EQ(io_->files().open_files(), 0u);
}

TEST_F(ScriptedFileTest, TheTableOfFilesIsBounded) {
  std::optional<absl::StatusOr<DmaFile>> opened[4];
  Run({[&] {
    for (auto& one : opened) executor_->Spawn(Open(io_.get(), "/data/x", {}, &one));
  }});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(opened[i]->ok());
  EXPECT_EQ(opened[3]->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(opened[3]->status().message()), HasSubstr("3 files open already"));
  EXPECT_THAT(std::string(opened[3]->status().message()), HasSubstr("max_open_files"));
}

// The open, at every point at which its task may be destroyed.

TEST_F(ScriptedFileTest, AnAbandonedOpenThatComesTooLateToCancelIsClosed) {
  backend_.TakeOver(IoOpcode::kOpen);
  std::optional<absl::StatusOr<DmaFile>> opened;
  Run({[&] { executor_->Spawn(Open(io_.get(), "/data/x", {}, &opened)); }});
  ASSERT_EQ(backend_.pending(), 1u);
  EXPECT_EQ(backend_.cancelled.size(), 1u);
  EXPECT_EQ(io_->files().open_files(), 1u);
  backend_.Finish(0, 200);
  while (backend_.Poll() > 0) {
  }
  EXPECT_THAT(backend_.open_fds, IsEmpty());
  EXPECT_EQ(io_->files().open_files(), 0u);
}

TEST_F(ScriptedFileTest, AnAbandonedOpenThatIsCancelledLeavesNothing) {
  backend_.TakeOver(IoOpcode::kOpen);
  OpenAnd({});
  EXPECT_EQ(backend_.cancelled.size(), 1u);
  EXPECT_EQ(backend_.requests.size(), 1u);
}

TEST_F(ScriptedFileTest, AnOpenWhoseTaskIsDestroyedBeforeItSeesTheDescriptorIsClosed) {
  backend_.TakeOver(IoOpcode::kOpen);
  OpenAnd({[&] {
    backend_.Finish(0, 200);   // the completion makes the task runnable …
    executor_->RequestStop();  // … and the stop destroys it before its turn
  }});
}

TEST_F(ScriptedFileTest, AnOpenWhoseTaskIsDestroyedDuringItsStatIsClosed) {
  backend_.TakeOver(IoOpcode::kStat);
  OpenAnd({[&] { EXPECT_EQ(backend_.open_fds.size(), 1u); }});
}

TEST_F(ScriptedFileTest, AnOpenWhoseTaskIsDestroyedAfterItsStatIsClosed) {
  backend_.TakeOver(IoOpcode::kStat);
  OpenAnd({[&] {
    backend_.Finish(0, 0);
    executor_->RequestStop();
  }});
}

TEST_F(ScriptedFileTest, APathWithANulIsRefused) {
  const std::string path("/data/x\0/../../etc", 18);
  std::optional<absl::StatusOr<DmaFile>> opened;
  std::optional<absl::Status> removed;
  const auto remove = [](ShardIo* io, std::string name,
                         std::optional<absl::Status>* result) -> Task<> {
    result->emplace(co_await RemoveFile(*io, std::move(name)));
  };
  Run({[&] {
    executor_->Spawn(Open(io_.get(), path, {}, &opened));
    executor_->Spawn(remove(io_.get(), path, &removed));
  }});
  EXPECT_TRUE(backend_.requests.empty());
  EXPECT_EQ(opened->status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(removed->code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(removed->message()), HasSubstr("unlink /data/x: "));
}

// I/O on a file that is not open.

class ClosedFileDeathTest : public ScriptedIoFixture {};

Task<> UseAll(DmaFile* file, int which) {
  const DmaBuffer none;
  switch (which) {
    case 0:
      static_cast<void>(co_await file->Read(0, none, 512));
      break;
    case 1:
      static_cast<void>(co_await file->Write(0, none, 512));
      break;
    case 2:
      static_cast<void>(co_await file->Fdatasync());
      break;
    case 3:
      static_cast<void>(co_await file->Preallocate(0, 512));
      break;
    case 4:
      static_cast<void>(co_await file->Stat());
      break;
    default:
      static_cast<void>(co_await file->Close());
  }
}

TEST_F(ClosedFileDeathTest, EveryOperation) {
  DmaFile never_open;
  OpenFile();
  DmaFile moved_from = std::move(file_);
  file_ = std::move(moved_from);
  for (int which = 0; which < 6; ++which) {
    EXPECT_DEATH(Run({[&] { executor_->Spawn(UseAll(&never_open, which)); }}),
                 "I/O on a DmaFile that is closed or was moved from");
    EXPECT_DEATH(Run({[&] { executor_->Spawn(UseAll(&moved_from, which)); }}),
                 "I/O on a DmaFile that is closed or was moved from");
  }
}

}  // namespace
}  // namespace ioengine
