// A database with tables and a log, for ioengine-inspect to look at.
#ifndef IOENGINE_TESTS_TOOLS_INSPECT_INSPECT_FIXTURE_H_
#define IOENGINE_TESTS_TOOLS_INSPECT_INSPECT_FIXTURE_H_

#include <sys/wait.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine::inspect {

using Contents = std::map<std::string, std::string>;

// The exit status of the tool.
inline int RunTool(const std::string& arguments) {
  const std::string command = "tools/ioengine-inspect " + arguments + " >/dev/null 2>&1";
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

inline StoreOptions SmallOptions() {
  StoreOptions options;
  options.wal.segment_bytes = size_t{64} << 10;
  options.wal.max_frame_bytes = size_t{16} << 10;
  options.wal_read.read_bytes = size_t{64} << 10;
  options.cache = {.capacity_bytes = size_t{1} << 20, .max_pinned_bytes = size_t{512} << 10};
  options.manifest.segment_bytes = size_t{16} << 10;
  return options;
}

inline std::string KeyOf(uint64_t i) { return absl::StrCat("key", 1000 + i); }
inline std::string ValueOf(uint64_t i, std::string_view what) {
  return absl::StrCat(std::string(what), " ", i, std::string(300, 'v'));
}

inline Task<absl::Status> PutKeys(ShardStore& store, uint64_t begin, uint64_t end,
                                  std::string_view what,
                                  Durability durability = Durability::kWritten) {
  for (uint64_t i = begin; i < end; ++i) {
    const std::string key = KeyOf(i);
    const std::string value = ValueOf(i, what);
    const auto put = co_await store.Put(key, value, durability);
    if (!put.ok()) co_return put.status();
    if (i % 64 == 0) co_await Yield();
  }
  co_return absl::OkStatus();
}

// Table one: keys 0 to 299. Table two: 100 to 149 again, and 150 deleted. In the log: 140 to 149
// again, 300 to 309, and 151 deleted.
inline Task<absl::Status> WriteTables(Shard& shard, std::string directory) {
  const StoreOptions options = SmallOptions();
  auto store = co_await ShardStore::Open(shard, directory, options);
  if (!store.ok()) co_return store.status();
  absl::Status status = co_await PutKeys(**store, 0, 300, "one");
  if (status.ok()) status = co_await (*store)->Flush();
  if (status.ok()) status = co_await PutKeys(**store, 100, 150, "two");
  if (!status.ok()) co_return status;
  const std::string key150 = KeyOf(150);
  auto deleted = co_await (*store)->Delete(key150);
  if (!deleted.ok()) co_return deleted.status();
  status = co_await (*store)->Flush();
  if (status.ok()) status = co_await PutKeys(**store, 140, 150, "three");
  if (status.ok()) status = co_await PutKeys(**store, 300, 310, "three");
  if (!status.ok()) co_return status;
  const std::string key151 = KeyOf(151);
  deleted = co_await (*store)->Delete(key151);
  if (!deleted.ok()) co_return deleted.status();
  co_return co_await (*store)->Close();
}

inline Contents WhatWasWritten() {
  Contents contents;
  for (uint64_t i = 0; i < 310; ++i) {
    const bool newest = i >= 300 || (i >= 140 && i < 150);
    const bool second = i >= 100 && i < 150;
    contents[KeyOf(i)] = ValueOf(i, newest ? "three" : second ? "two" : "one");
  }
  contents.erase(KeyOf(150));
  contents.erase(KeyOf(151));
  return contents;
}

inline Task<absl::StatusOr<Contents>> ReadContents(Shard& shard, std::string directory) {
  StoreOptions options;
  options.wal.segment_bytes = size_t{1} << 20;  // it takes as long to make as there are bytes
  auto store = co_await ShardStore::Open(shard, directory, options);
  if (!store.ok()) co_return store.status();
  auto scan = co_await (*store)->Scan();
  if (!scan.ok()) co_return scan.status();
  Contents contents;
  absl::Status status = co_await (*scan)->SeekToFirst();
  while (status.ok() && (*scan)->Valid()) {
    contents[std::string((*scan)->key())] = std::string((*scan)->value());
    status = co_await (*scan)->Next();
  }
  scan->reset();
  const absl::Status closed = co_await (*store)->Close();
  if (status.ok()) status = closed;
  if (!status.ok()) co_return status;
  co_return contents;
}

class TablesTest : public testing::Test {
 protected:
  TablesTest() {
    auto runtime = Runtime::Start({.shard_count = 1});
    EXPECT_TRUE(runtime.ok()) << runtime.status();
    runtime_ = *std::move(runtime);
    const absl::Status status = runtime_->Submit(0, WriteTables, path_).Wait();
    EXPECT_TRUE(status.ok()) << status;
  }

  absl::StatusOr<Contents> Read(const std::string& directory) {
    return runtime_->Submit(0, ReadContents, directory).Wait();
  }

  // Files whose names begin, and end, so; the largest first.
  std::vector<std::string> Files(std::string_view prefix, std::string_view suffix = "") const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(prefix) && name.ends_with(suffix)) names.push_back(name);
    }
    const auto size = [this](const std::string& name) {
      return std::filesystem::file_size(path_ + "/" + name);
    };
    std::sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
      return size(a) != size(b) ? size(a) > size(b) : a < b;
    });
    return names;
  }
  // Table one, which is larger, and two.
  std::string Table(size_t at) const { return Files("", ".sst").at(at); }

  void Flip(const std::string& name, uint64_t offset_bytes) {
    std::fstream file(path_ + "/" + name, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(offset_bytes));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(offset_bytes));
    file.put(byte);
    EXPECT_TRUE(file.good()) << name;
  }
  uint64_t SizeOf(const std::string& name) const {
    return std::filesystem::file_size(path_ + "/" + name);
  }

  const TestDirectory directory_;
  const std::string path_ = directory_.File("db");
  std::unique_ptr<Runtime> runtime_;
};

}  // namespace ioengine::inspect

#endif  // IOENGINE_TESTS_TOOLS_INSPECT_INSPECT_FIXTURE_H_
