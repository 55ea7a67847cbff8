#include "ioengine/io/io_error.h"

#include <cerrno>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/io_request.h"
#include "ioengine/io/open_file.h"

namespace ioengine {
namespace {

using testing::HasSubstr;

struct Case {
  int error;
  absl::StatusCode code;
  std::string text;
};

class IoErrorTest : public testing::TestWithParam<Case> {};

TEST_P(IoErrorTest, HasACodeAndSaysWhatToDo) {
  const absl::Status status = IoError(GetParam().error, "open /data/x");
  EXPECT_EQ(status.code(), GetParam().code);
  EXPECT_THAT(std::string(status.message()), HasSubstr("open /data/x: "));
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().text));
}

INSTANTIATE_TEST_SUITE_P(
    Errnos, IoErrorTest,
    testing::Values(Case{ENOENT, absl::StatusCode::kNotFound, "No such file"},
                    Case{EEXIST, absl::StatusCode::kAlreadyExists, "File exists"},
                    Case{EACCES, absl::StatusCode::kPermissionDenied, "Permission denied"},
                    Case{EPERM, absl::StatusCode::kPermissionDenied, "not permitted"},
                    Case{EROFS, absl::StatusCode::kPermissionDenied, "remount it read-write"},
                    Case{ENOSPC, absl::StatusCode::kResourceExhausted, "free space"},
                    Case{EDQUOT, absl::StatusCode::kResourceExhausted, "quota"},
                    Case{EMFILE, absl::StatusCode::kResourceExhausted, "ulimit -n"},
                    Case{ENFILE, absl::StatusCode::kResourceExhausted, "open files"},
                    Case{ENOMEM, absl::StatusCode::kResourceExhausted, "memory"},
                    Case{EIO, absl::StatusCode::kInternal, "kernel log"},
                    Case{EREMOTEIO, absl::StatusCode::kInternal, "Remote I/O"},
                    Case{ENXIO, absl::StatusCode::kInternal, "No such device"},
                    Case{ENODATA, absl::StatusCode::kInternal, "kernel log"},
                    Case{ENOLINK, absl::StatusCode::kInternal, "kernel log"},
                    Case{EILSEQ, absl::StatusCode::kInternal, "kernel log"},
                    Case{ETIMEDOUT, absl::StatusCode::kInternal, "timed out; look for the device"},
                    Case{ETIME, absl::StatusCode::kInternal, "kernel log"},
                    Case{EUCLEAN, absl::StatusCode::kDataLoss, "fsck"},
                    Case{EBADMSG, absl::StatusCode::kDataLoss, "fsck"},
                    Case{ECANCELED, absl::StatusCode::kCancelled, "canceled"},
                    Case{EINVAL, absl::StatusCode::kInvalidArgument, "Invalid argument"}));

// A slot of a file table, for its path.
class NoCloser final : public FileCloser {
 public:
  void CloseFile(OpenFile& file) override { file.table->Release(file); }
};

TEST(CommandErrorTest, NamesOperationFileAndPlace) {
  NoCloser closer;
  FileTable table(1, closer);
  IoCommand command;
  command.file = table.Reserve();
  command.file->path = "/data/x";
  command.request.opcode = IoOpcode::kWrite;
  command.request.size_bytes = 4096;
  command.request.offset_bytes = 123456789;
  EXPECT_EQ(std::string(CommandError(command, -ENOSPC).message()),
            "write /data/x (4096 bytes at offset 123456789): No space left on device; free space "
            "on the file system and try again");
  command.request.opcode = IoOpcode::kRead;
  EXPECT_EQ(CommandError(command, -EIO).code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(CommandError(command, -EIO).message()),
              HasSubstr("read /data/x (4096 bytes at offset 123456789): "));
  command.request.opcode = IoOpcode::kAllocate;
  command.request.range_bytes = 1 << 30;
  EXPECT_THAT(std::string(CommandError(command, -ENOSPC).message()),
              HasSubstr("fallocate /data/x (1073741824 bytes at offset 123456789): "));
  command.request.opcode = IoOpcode::kFdatasync;
  EXPECT_THAT(std::string(CommandError(command, -EIO).message()), HasSubstr("fdatasync /data/x: "));
}

TEST(CommandErrorTest, NamesThePathOfOperationsOnPaths) {
  IoCommand command;
  command.path = std::make_unique<PathArguments>();
  command.path->path = "/data/y";
  command.request.opcode = IoOpcode::kOpen;
  EXPECT_EQ(std::string(CommandError(command, -ENOENT).message()),
            "open /data/y: No such file or directory");
  command.request.opcode = IoOpcode::kRemove;
  EXPECT_EQ(std::string(CommandError(command, -EISDIR).message()),
            "unlink /data/y: Is a directory");
}

}  // namespace
}  // namespace ioengine
