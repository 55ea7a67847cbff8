// A database with values in blob files, for ioengine-inspect to look at.
#ifndef IOENGINE_TESTS_TOOLS_INSPECT_BLOBS_FIXTURE_H_
#define IOENGINE_TESTS_TOOLS_INSPECT_BLOBS_FIXTURE_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/tests/tools/inspect/inspect_fixture.h"

namespace ioengine::inspect {

inline constexpr uint64_t kOldBlobBytes = 1000;
inline constexpr uint64_t kNewBlobBytes = 2000;
// Each is written alone, so it begins at a page: the values of keys 1, 3, 5 and so on in the first
// file, and those of keys 0 to 3 in the second.
inline constexpr uint64_t PageOf(uint64_t at) { return 4096 * (1 + at); }

inline StoreOptions BlobOptionsForTests() {
  StoreOptions options = SmallOptions();
  options.blobs.least_bytes = 500;
  options.blobs.garbage_percent = 99;  // padding alone is more than is usual
  return options;
}

inline std::string OldValueOf(uint64_t i) {
  return i % 2 == 0 ? absl::StrCat("small ", i) : std::string(kOldBlobBytes, 'a' + i % 26);
}
inline std::string NewValueOf(uint64_t i) {
  return i < 4 ? std::string(kNewBlobBytes, 'A' + i % 26) : "small and new";
}

// In a table: keys 0 to 19.
inline Task<absl::Status> WriteOldValues(Shard& shard, std::string directory) {
  const StoreOptions options = BlobOptionsForTests();
  auto store = co_await ShardStore::Open(shard, directory, options);
  if (!store.ok()) co_return store.status();
  for (uint64_t i = 0; i < 20; ++i) {
    const std::string key = KeyOf(i);
    const std::string value = OldValueOf(i);
    auto put = co_await (*store)->Put(key, value);
    if (!put.ok()) co_return put.status();
  }
  const absl::Status flushed = co_await (*store)->Flush();
  if (!flushed.ok()) co_return flushed;
  co_return co_await (*store)->Close();
}

// In the log: keys 0 to 5 again, and 6 deleted.
inline Task<absl::Status> WriteNewValues(Shard& shard, std::string directory) {
  const StoreOptions options = BlobOptionsForTests();
  auto store = co_await ShardStore::Open(shard, directory, options);
  if (!store.ok()) co_return store.status();
  for (uint64_t i = 0; i < 6; ++i) {
    const std::string key = KeyOf(i);
    const std::string value = NewValueOf(i);
    auto put = co_await (*store)->Put(key, value);
    if (!put.ok()) co_return put.status();
  }
  const std::string key6 = KeyOf(6);
  auto deleted = co_await (*store)->Delete(key6);
  if (!deleted.ok()) co_return deleted.status();
  co_return co_await (*store)->Close();
}

class BlobsTest : public TablesTest {
 protected:
  BlobsTest() {
    std::filesystem::remove_all(path_);
    absl::Status status = runtime_->Submit(0, WriteOldValues, path_).Wait();
    EXPECT_TRUE(status.ok()) << status;
    status = runtime_->Submit(0, WriteNewValues, path_).Wait();
    EXPECT_TRUE(status.ok()) << status;
  }

  // With the old values; with the new ones, which is smaller.
  std::string OldBlobs() const { return Files("", ".blob").at(0); }
  std::string NewBlobs() const { return Files("", ".blob").at(1); }

  static Contents All() {
    Contents contents;
    for (uint64_t i = 0; i < 20; ++i) contents[KeyOf(i)] = i < 6 ? NewValueOf(i) : OldValueOf(i);
    contents.erase(KeyOf(6));
    return contents;
  }
};

inline void ExpectHas(const std::string& text, std::string_view part) {
  EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
}

}  // namespace ioengine::inspect

#endif  // IOENGINE_TESTS_TOOLS_INSPECT_BLOBS_FIXTURE_H_
