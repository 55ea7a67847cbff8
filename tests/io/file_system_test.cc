// FileSystem, over every backend.

#include "ioengine/io/file_system.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/io_shard.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr DmaFileOptions kCreate = {.access = DmaFileOptions::Access::kReadWrite,
                                    .create = DmaFileOptions::Create::kMustBeNew};

class FileSystemTest : public testing::TestWithParam<BackendFactory> {
 protected:
  void TearDown() override { shard_.ExpectNothingIsLeft(); }

  const TestDirectory directory_;
  IoShard shard_{GetParam().make(64), {.queue_depth = 64, .max_open_files = 8}};
};

void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& text) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(text));
}

Task<> NewFile(const FileSystem* files, std::string path) {
  auto file = co_await files->OpenFile(path, kCreate);
  IOENGINE_CO_ASSERT_OK(file);
  EXPECT_EQ(file->path(), files->root() + "/" + path);
}

Task<> Names(ShardIo* io, std::string root) {
  auto files = co_await FileSystem::Open(*io, root + "/db", {.create = true});
  IOENGINE_CO_ASSERT_OK(files);
  EXPECT_EQ(files->root(), root + "/db");
  co_await NewFile(&*files, "one");
  IOENGINE_CO_ASSERT_OK(co_await files->MakeDirectory("sub"));
  IOENGINE_CO_ASSERT_OK(co_await files->MakeDirectory("sub/below"));
  co_await NewFile(&*files, "sub/below/two");
  IOENGINE_CO_ASSERT_OK(co_await files->SyncDirectory("sub/below"));
  IOENGINE_CO_ASSERT_OK(co_await files->SyncDirectory());
  IOENGINE_CO_ASSERT_OK(co_await files->Rename("sub/below/two", "three"));
  IOENGINE_CO_ASSERT_OK(co_await files->Link("three", "sub/four"));
  const auto stat = co_await files->Stat("sub/four");
  IOENGINE_CO_ASSERT_OK(stat);
  EXPECT_EQ(stat->links, 2u);
  EXPECT_EQ(stat->permissions, 0600u);
  EXPECT_EQ(stat->owner, geteuid());
  const auto directory = co_await files->Stat("sub");
  IOENGINE_CO_ASSERT_OK(directory);
  EXPECT_EQ(directory->kind, FileKind::kDirectory);
  EXPECT_EQ(directory->permissions, 0700u);

  ExpectError(co_await files->Rename("one", "three", FileSystem::Replace::kNo),
              absl::StatusCode::kAlreadyExists, "rename " + root + "/db/one to " + root);
  IOENGINE_CO_ASSERT_OK(co_await files->Rename("one", "three"));
  ExpectError((co_await files->Stat("one")).status(), absl::StatusCode::kNotFound,
              "stat " + root + "/db/one");
  ExpectError(co_await files->RemoveDirectory("sub"), absl::StatusCode::kFailedPrecondition,
              "unlink " + root + "/db/sub");
  IOENGINE_CO_ASSERT_OK(co_await files->Remove("sub/four"));
  IOENGINE_CO_ASSERT_OK(co_await files->RemoveDirectory("sub/below"));
  IOENGINE_CO_ASSERT_OK(co_await files->RemoveDirectory("sub"));
  IOENGINE_CO_ASSERT_OK(co_await files->Remove("three"));
  ExpectError(co_await files->Remove("three"), absl::StatusCode::kNotFound, root + "/db/three");
  // A second one finds the directory there.
  IOENGINE_CO_ASSERT_OK(co_await FileSystem::Open(*io, root + "/db", {.create = true}));
}

TEST_P(FileSystemTest, Names) { shard_.Run(Names(&shard_.io(), directory_.path())); }

Task<> Lists(ShardIo* io, std::string root) {
  auto files = co_await FileSystem::Open(*io, root);
  IOENGINE_CO_ASSERT_OK(files);
  auto empty = co_await files->List();
  IOENGINE_CO_ASSERT_OK(empty);
  EXPECT_TRUE(empty->empty());
  IOENGINE_CO_ASSERT_OK(co_await files->MakeDirectory("sub"));
  std::vector<std::string> expected;
  for (int i = 0; i < 300; ++i) {
    expected.push_back("a-file-with-quite-a-long-name-" + std::to_string(1000 + i));
    co_await NewFile(&*files, expected.back());
  }
  expected.push_back("sub");
  for (int i = 0; i < 2; ++i) {
    auto listed = co_await files->List();
    IOENGINE_CO_ASSERT_OK(listed);
    std::vector<std::string> names;
    for (const DirectoryEntry& entry : *listed) {
      names.push_back(entry.name);
      EXPECT_EQ(entry.kind, entry.name == "sub" ? FileKind::kDirectory : FileKind::kRegular);
    }
    EXPECT_EQ(names, expected);
  }
  auto below = co_await files->List("sub");
  IOENGINE_CO_ASSERT_OK(below);
  EXPECT_TRUE(below->empty());
  ExpectError((co_await files->List("none")).status(), absl::StatusCode::kNotFound, root + "/none");
  ExpectError((co_await files->List(expected[0])).status(), absl::StatusCode::kFailedPrecondition,
              "Not a directory");
}

TEST_P(FileSystemTest, Lists) { shard_.Run(Lists(&shard_.io(), directory_.path())); }

Task<> Outside(ShardIo* io, std::string root) {
  auto files = co_await FileSystem::Open(*io, root);
  IOENGINE_CO_ASSERT_OK(files);
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  for (const char* path :
       {"..", "../x", "/etc/passwd", "a/../../x", "a/..", ".", "a/.", "a/", ""}) {
    ExpectError((co_await files->OpenFile(path)).status(), kInvalid, "leads out of " + root);
    ExpectError(co_await files->Remove(path), kInvalid, "leads out of " + root);
    ExpectError(co_await files->Rename(path, "x"), kInvalid, "leads out of " + root);
    ExpectError(co_await files->Rename("x", path), kInvalid, "leads out of " + root);
  }
  ExpectError((co_await files->List("../..")).status(), kInvalid, "leads out of");
  ExpectError((co_await files->OpenFile(std::string("a\0b", 3))).status(), kInvalid, "NUL");
}

TEST_P(FileSystemTest, NoPathLeadsOutside) { shard_.Run(Outside(&shard_.io(), directory_.path())); }

Task<> Links(ShardIo* io, std::string root) {
  auto files = co_await FileSystem::Open(*io, root);
  IOENGINE_CO_ASSERT_OK(files);
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  ExpectError((co_await files->OpenFile("link")).status(), kInvalid, "link: it is a symbolic link");
  ExpectError((co_await files->OpenFile("away/passwd")).status(), kInvalid, "symbolic link");
  ExpectError(co_await files->Remove("away/passwd"), kInvalid, "symbolic link");
  ExpectError((co_await files->List("away")).status(), kInvalid, "symbolic link");
  const auto stat = co_await files->Stat("link");
  IOENGINE_CO_ASSERT_OK(stat);
  EXPECT_EQ(stat->kind, FileKind::kSymbolicLink);
  IOENGINE_CO_ASSERT_OK(co_await files->Remove("link"));
}

TEST_P(FileSystemTest, LinksAreNotFollowed) {
  if (!GetParam().real_files) return;  // there are no links
  WriteWholeFile(directory_.File("file"), "content");
  ASSERT_EQ(symlink("file", directory_.File("link").c_str()), 0);
  ASSERT_EQ(symlink("/etc", directory_.File("away").c_str()), 0);
  shard_.Run(Links(&shard_.io(), directory_.path()));
  EXPECT_EQ(ReadWholeFile(directory_.File("file")), "content");
}

Task<> OpenRoot(ShardIo* io, std::string root, FileSystemOptions options, absl::Status* status) {
  *status = (co_await FileSystem::Open(*io, root, options)).status();
}

TEST_P(FileSystemTest, ADirectoryOfOthersIsRefused) {
  if (!GetParam().real_files || geteuid() != 0) return;
  const std::string path = directory_.path();
  absl::Status status;
  ASSERT_EQ(chmod(path.c_str(), 0777), 0);
  shard_.Run(OpenRoot(&shard_.io(), path, {}, &status));
  ExpectError(status, absl::StatusCode::kPermissionDenied,
              "its mode is 0777, other users may write to it; take that from them (chmod go-w " +
                  path + ")");
  ASSERT_EQ(chmod(path.c_str(), 0700), 0);
  // In a sandbox's user namespace there is no other user; outside of it this runs to the end.
  if (chown(path.c_str(), 65534, 65534) != 0) return;
  shard_.Run(OpenRoot(&shard_.io(), path, {}, &status));
  ExpectError(status, absl::StatusCode::kPermissionDenied,
              "it belongs to user 65534, with mode 0700, and this process runs as 0; run it as "
              "that user, or give it the directory (chown 0 " +
                  path + ")");
  shard_.Run(OpenRoot(&shard_.io(), path, {.only_ours = false}, &status));
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(FileSystemTest, RootsThatCannotBeOpened) {
  absl::Status status;
  shard_.Run(OpenRoot(&shard_.io(), directory_.File("none"), {}, &status));
  ExpectError(status, absl::StatusCode::kNotFound, directory_.File("none"));
  shard_.Run(OpenRoot(&shard_.io(), directory_.File("none/none"), {.create = true}, &status));
  ExpectError(status, absl::StatusCode::kNotFound, directory_.File("none/none"));
}

Task<> Locks(ShardIo* io, std::string root) {
  auto first = co_await FileSystem::Open(*io, root);
  IOENGINE_CO_ASSERT_OK(first);
  auto second = co_await FileSystem::Open(*io, root);
  IOENGINE_CO_ASSERT_OK(second);
  co_await NewFile(&*first, "lock");
  constexpr DmaFileOptions kReadWrite = {.access = DmaFileOptions::Access::kReadWrite};
  auto one = co_await first->OpenFile("lock", kReadWrite);
  IOENGINE_CO_ASSERT_OK(one);
  auto two = co_await second->OpenFile("lock", kReadWrite);
  IOENGINE_CO_ASSERT_OK(two);
  IOENGINE_CO_ASSERT_OK(co_await one->Lock(IoLock::kExclusive));
  ExpectError(co_await two->Lock(IoLock::kExclusive), absl::StatusCode::kUnavailable,
              "lock " + root + "/lock");
  ExpectError(co_await two->Lock(IoLock::kShared), absl::StatusCode::kUnavailable,
              "holds its lock");
  IOENGINE_CO_ASSERT_OK(co_await one->Lock(IoLock::kShared));
  IOENGINE_CO_ASSERT_OK(co_await two->Lock(IoLock::kShared));
  IOENGINE_CO_ASSERT_OK(co_await two->Lock(IoLock::kNone));
  IOENGINE_CO_ASSERT_OK(co_await one->Lock(IoLock::kExclusive));
  EXPECT_EQ(co_await one->Close(), absl::OkStatus());
  IOENGINE_CO_ASSERT_OK(co_await two->Lock(IoLock::kExclusive));
}

TEST_P(FileSystemTest, LocksAreOfOpenFiles) { shard_.Run(Locks(&shard_.io(), directory_.path())); }

Task<> FullTable(ShardIo* io, std::string root) {
  auto files = co_await FileSystem::Open(*io, root);
  IOENGINE_CO_ASSERT_OK(files);
  IOENGINE_CO_ASSERT_OK(co_await files->MakeDirectory("d"));
  std::vector<DmaFile> open;
  for (int i = 0; i < 7; ++i) {
    auto file = co_await files->OpenFile(std::to_string(i), kCreate);
    IOENGINE_CO_ASSERT_OK(file);
    open.push_back(*std::move(file));
  }
  constexpr auto kFull = absl::StatusCode::kResourceExhausted;
  ExpectError((co_await files->OpenFile("8", kCreate)).status(), kFull, "max_open_files");
  ExpectError(co_await files->Remove("d/x"), kFull, "max_open_files");
  IOENGINE_CO_ASSERT_OK(co_await files->Remove("0"));
  open.clear();
  // The closes go on in the background.
  absl::Status status;
  for (int i = 0; i < 10'000; ++i) {
    status = co_await files->SyncDirectory("d");
    if (status.ok()) break;
    co_await Sleep(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(FileSystemTest, AFullTableOfFilesIsAnError) {
  shard_.Run(FullTable(&shard_.io(), directory_.path()));
}

INSTANTIATE_TEST_SUITE_P(Backends, FileSystemTest, testing::ValuesIn(ConformingBackends()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace ioengine
