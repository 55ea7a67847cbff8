// Keys, values, and what a reader may find, without a database.

#include "ioengine/tools/kv/kv_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/tools/kv/key_space.h"
#include "ioengine/tools/kv/ledger.h"
#include "ioengine/tools/kv/value_source.h"

namespace ioengine::kv {
namespace {

using ::testing::HasSubstr;

TEST(KeySpaceTest, KeysAreOfOneLengthInTheOrderOfTheirNumbers) {
  const KeySpace keys(1000, 16);
  EXPECT_EQ(keys.Key(0), "0000000000000000");
  EXPECT_EQ(keys.Key(25), "0000000000000100");
  EXPECT_EQ(keys.Key(999), "0000000000003996");
  for (uint64_t index = 0; index + 1 < keys.keys(); ++index) {
    std::string missing;
    keys.FormatMissing(index, &missing);
    EXPECT_LT(keys.Key(index), missing);
    EXPECT_LT(missing, keys.Key(index + 1));
    EXPECT_EQ(keys.IndexOf(missing), std::nullopt);
  }
}

TEST(KeySpaceTest, FindsTheIndexOfEachKey) {
  for (const uint64_t count : {1, 2, 3, 4, 7, 10, 97, 100, 618, 1000}) {
    const KeySpace keys(count, KeySpace::LeastKeyBytes(count));
    std::set<std::string> all;
    for (uint64_t index = 0; index < keys.capacity(); ++index) {
      const std::string key = keys.Key(index);
      EXPECT_TRUE(all.insert(key).second) << count << " keys, twice " << key;
      EXPECT_EQ(keys.IndexOf(key), index) << count << " keys, " << key;
    }
  }
}

TEST(KeySpaceTest, PutsInsertedKeysBetweenLoadedOnesInNoOrder) {
  const KeySpace keys(1000, 16);
  int ascending = 0;
  for (uint64_t i = 1; i < 1000; ++i) {
    if (keys.Key(1000 + i) > keys.Key(1000 + i - 1)) ++ascending;
    EXPECT_LT(keys.Key(keys.PlaceOf(1000 + i)), keys.Key(1000 + i));
  }
  EXPECT_GT(ascending, 200);
  EXPECT_LT(ascending, 800);
}

TEST(KeySpaceTest, KnowsNoOtherText) {
  const KeySpace keys(1000, 16);
  for (const char* text : {"", "0", "0000000000004000", "000000000000000x", "00000000000000000",
                           "9999999999999999", "0000000000000003"}) {
    EXPECT_EQ(keys.IndexOf(text), std::nullopt) << text;
  }
}

TEST(ValueSourceTest, SeedIndexAndVersionDecideAValue) {
  const ValueSource source(1, 100);
  const ValueSource same(1, 100);
  const ValueSource other(2, 100);
  std::string value;
  std::string again;
  source.Make(5, 2, &value);
  same.Make(5, 2, &again);
  EXPECT_EQ(value, again);
  EXPECT_EQ(source.VersionIn(5, value), 2u);
  EXPECT_EQ(source.VersionIn(6, value), std::nullopt) << "that of another key";
  other.Make(5, 2, &again);
  EXPECT_NE(value, again);
  EXPECT_EQ(source.VersionIn(5, again), std::nullopt) << "that of another seed";
}

TEST(ValueSourceTest, FindsEachBitThatIsWrong) {
  for (const size_t size : {8, 9, 100, 1000}) {
    const ValueSource source(3, size);
    std::string value;
    source.Make(7, 4, &value);
    ASSERT_EQ(source.VersionIn(7, value), 4u);
    for (size_t bit = 0; bit < 8 * size; ++bit) {
      value[bit / 8] = static_cast<char>(value[bit / 8] ^ (1 << bit % 8));
      EXPECT_EQ(source.VersionIn(7, value), std::nullopt) << "bit " << bit << " of " << size;
      value[bit / 8] = static_cast<char>(value[bit / 8] ^ (1 << bit % 8));
    }
    EXPECT_EQ(source.VersionIn(7, std::string_view(value).substr(1)), std::nullopt);
    EXPECT_EQ(source.VersionIn(7, value + "x"), std::nullopt);
  }
}

TEST(LedgerTest, ExpectsTheNewestOfWritesThatDoNotOverlap) {
  Ledger ledger(2);
  EXPECT_TRUE(ledger.MayBe(0, ledger.Expect(0), std::nullopt));
  EXPECT_FALSE(ledger.IsPresent(0));
  EXPECT_EQ(ledger.BeginPut(0), 2u);
  ledger.EndWrite(0);
  EXPECT_EQ(ledger.BeginPut(0), 4u);
  ledger.EndWrite(0);
  const Ledger::Expected expected = ledger.Expect(0);
  EXPECT_TRUE(ledger.MayBe(0, expected, 4));
  EXPECT_FALSE(ledger.MayBe(0, expected, 2)) << "an older one";
  EXPECT_FALSE(ledger.MayBe(0, expected, 6)) << "one that was never written";
  EXPECT_FALSE(ledger.MayBe(0, expected, 3)) << "a deletion";
  EXPECT_FALSE(ledger.MayBe(0, expected, std::nullopt));
  EXPECT_EQ(ledger.CountPresent(), 1u);
}

TEST(LedgerTest, AnyOfWritesThatOverlapMayBeTheLast) {
  Ledger ledger(1);
  ledger.BeginPut(0);
  ledger.EndWrite(0);
  ledger.BeginPut(0);
  ledger.BeginPut(0);
  const Ledger::Expected meanwhile = ledger.Expect(0);
  EXPECT_TRUE(ledger.MayBe(0, meanwhile, 2));
  EXPECT_TRUE(ledger.MayBe(0, meanwhile, 6));
  EXPECT_FALSE(ledger.MayBe(0, meanwhile, std::nullopt));
  ledger.EndWrite(0);
  ledger.EndWrite(0);
  const Ledger::Expected after = ledger.Expect(0);
  EXPECT_TRUE(ledger.MayBe(0, after, 4));
  EXPECT_TRUE(ledger.MayBe(0, after, 6));
  EXPECT_FALSE(ledger.MayBe(0, after, 2)) << "what was before both";
}

TEST(LedgerTest, ADeletedKeyIsAbsent) {
  Ledger ledger(1);
  ledger.BeginPut(0);
  ledger.EndWrite(0);
  const Ledger::Expected before = ledger.Expect(0);
  EXPECT_EQ(ledger.BeginDelete(0), 3u);
  EXPECT_TRUE(ledger.MayBe(0, before, std::nullopt)) << "it was deleted meanwhile";
  EXPECT_TRUE(ledger.MayBe(0, ledger.Expect(0), 2));
  ledger.EndWrite(0);
  EXPECT_TRUE(ledger.MayBe(0, ledger.Expect(0), std::nullopt));
  EXPECT_FALSE(ledger.MayBe(0, ledger.Expect(0), 2));
  EXPECT_EQ(ledger.BeginDelete(0), 5u);
  ledger.EndWrite(0);
  EXPECT_EQ(ledger.BeginPut(0), 6u);
  ledger.EndWrite(0);
  EXPECT_TRUE(ledger.IsPresent(0));
}

class KvDataTest : public ::testing::Test {
 protected:
  KvDataTest() {
    for (uint64_t index = 0; index < 10; ++index) {
      values_.emplace_back();
      data_.BeginPut(index, &values_.back());
      data_.EndWrite(index);
    }
  }

  KvData data_{10, 8, 32, 1};
  std::vector<std::string> values_;
};

TEST_F(KvDataTest, NamesTheKeyOfAWrongValue) {
  EXPECT_TRUE(data_.EndRead(data_.BeginRead(3), values_[3]).ok());
  const absl::Status wrong = data_.EndRead(data_.BeginRead(3), values_[4]);
  EXPECT_EQ(wrong.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(wrong.message()), HasSubstr("key 00000012 has a value of 32 bytes"));
  EXPECT_THAT(std::string(data_.EndRead(data_.BeginRead(3), std::nullopt).message()),
              HasSubstr("key 00000012 is missing"));
  std::string newer;
  data_.BeginPut(3, &newer);
  data_.EndWrite(3);
  EXPECT_TRUE(data_.EndRead(data_.BeginRead(3), newer).ok());
  EXPECT_THAT(std::string(data_.EndRead(data_.BeginRead(3), values_[3]).message()),
              HasSubstr("has version 2; 4 or a later one"));
  EXPECT_TRUE(data_.EndMissingRead(3, std::nullopt).ok());
  EXPECT_THAT(std::string(data_.EndMissingRead(3, newer).message()),
              HasSubstr("key 00000014 has a value"));
}

TEST_F(KvDataTest, AScanMissesNothingAndGivesNothingTwice) {
  const KeySpace& keys = data_.keys();
  ScanCheck good(data_, 2);
  for (uint64_t index = 2; index < 10; ++index) {
    EXPECT_TRUE(good.Add(keys.Key(index), values_[index]).ok());
  }
  EXPECT_TRUE(good.Finish(10).ok());

  ScanCheck passes(data_, 2);
  EXPECT_TRUE(passes.Add(keys.Key(2), values_[2]).ok());
  EXPECT_THAT(std::string(passes.Add(keys.Key(4), values_[4]).message()),
              HasSubstr("key 00000012 is missing in a scan"));
  ScanCheck begins_late(data_, 2);
  EXPECT_FALSE(begins_late.Add(keys.Key(3), values_[3]).ok());
  ScanCheck ends_early(data_, 9);
  EXPECT_FALSE(ends_early.Finish(10).ok());
  ScanCheck repeats(data_, 2);
  EXPECT_TRUE(repeats.Add(keys.Key(2), values_[2]).ok());
  EXPECT_THAT(std::string(repeats.Add(keys.Key(2), values_[2]).message()),
              HasSubstr("out of order"));
  ScanCheck foreign(data_, 2);
  EXPECT_FALSE(foreign.Add("00000010", values_[2]).ok());
}

TEST_F(KvDataTest, AScanPassesOverWhatWasDeletedOrInserted) {
  const KeySpace& keys = data_.keys();
  data_.BeginDelete(3);
  data_.EndWrite(3);
  std::string inserted;
  const uint64_t index = data_.BeginInsert();
  data_.BeginPut(index, &inserted);
  data_.EndWrite(index);
  ScanCheck check(data_, 0);
  std::vector<uint64_t> in_order = {0, 1, 2, 4, 5, 6, 7, 8, 9, index};
  std::sort(in_order.begin(), in_order.end(),
            [&](uint64_t a, uint64_t b) { return keys.Key(a) < keys.Key(b); });
  for (const uint64_t one : in_order) {
    EXPECT_TRUE(check.Add(keys.Key(one), one == index ? inserted : values_[one]).ok()) << one;
  }
  EXPECT_TRUE(check.Finish(10).ok());
  EXPECT_FALSE(data_.IsLoaded());
}

}  // namespace
}  // namespace ioengine::kv
