// DeviceProfile and the flat JSON that it is read from.

#include "ioengine/io/device_profile.h"

#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/flat_json.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using testing::AllOf;
using testing::HasSubstr;

DeviceProfile Sample() {
  DeviceProfile profile;
  profile.device = "vda \"fast\"";
  profile.useful_read_depth = 64;
  profile.useful_write_depth = 16;
  profile.useful_sequential_bytes = 8 << 20;
  profile.read_iops = 123456.75;
  profile.write_iops = 0.1;
  profile.read_bytes_per_s = 2.5e9;
  profile.write_bytes_per_s = 1e9;
  return profile;
}

std::string ErrorOf(std::string_view text) {
  const absl::StatusOr<DeviceProfile> parsed = DeviceProfile::Parse(text);
  EXPECT_TRUE(absl::IsInvalidArgument(parsed.status())) << parsed.status() << " of " << text;
  return std::string(parsed.status().message());
}

std::string Replaced(std::string text, std::string_view old_part, std::string_view new_part) {
  const size_t at = text.find(old_part);
  EXPECT_NE(at, std::string::npos) << old_part;
  return text.replace(at, old_part.size(), new_part);
}

TEST(DeviceProfileTest, IsReadAsItWasWritten) {
  const DeviceProfile sample = Sample();
  const absl::StatusOr<DeviceProfile> read = DeviceProfile::Parse(sample.Serialize());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->device, sample.device);
  EXPECT_EQ(read->useful_read_depth, 64u);
  EXPECT_EQ(read->useful_write_depth, 16u);
  EXPECT_EQ(read->useful_sequential_bytes, 8u << 20);
  EXPECT_EQ(read->read_iops, 123456.75);
  EXPECT_EQ(read->write_iops, 0.1);
  EXPECT_EQ(read->read_bytes_per_s, 2.5e9);
  EXPECT_EQ(read->write_bytes_per_s, 1e9);
  EXPECT_EQ(read->Serialize(), sample.Serialize());
}

// The form is a promise to those who keep such files.
TEST(DeviceProfileTest, TheFormIsFixed) {
  EXPECT_THAT(Sample().Serialize(), AllOf(HasSubstr("{\n  \"schema\": \"ioengine.probe/1\",\n"),
                                          HasSubstr("  \"useful_read_depth\": 64,\n"),
                                          HasSubstr("  \"write_bytes_per_s\": 1000000000\n}\n")));
}

TEST(DeviceProfileTest, PassesOverWhatItDoesNotKnow) {
  const std::string text =
      Replaced(Sample().Serialize(), "{", "{\"fua\": \"yes\", \"direct\": true, \"x\": -1.5e3,");
  EXPECT_TRUE(DeviceProfile::Parse(text).ok());
}

TEST(DeviceProfileTest, NamesLineAndFieldOfWhatIsWrong) {
  const std::string good = Sample().Serialize();
  EXPECT_THAT(ErrorOf(Replaced(good, "probe/1", "probe/2")),
              HasSubstr("line 2, field 'schema': it must be \"ioengine.probe/1\""));
  EXPECT_THAT(ErrorOf(Replaced(good, "\"useful_read_depth\": 64", "\"useful_read_depth\": 0")),
              HasSubstr("line 4, field 'useful_read_depth': it must be a whole number from 1"));
  EXPECT_THAT(ErrorOf(Replaced(good, ": 16,", ": 1.5,")), HasSubstr("'useful_write_depth'"));
  EXPECT_THAT(ErrorOf(Replaced(good, ": 16,", ": \"16\",")), HasSubstr("'useful_write_depth'"));
  EXPECT_THAT(ErrorOf(Replaced(good, ": 16,", ": 1e300,")), HasSubstr("'useful_write_depth'"));
  EXPECT_THAT(ErrorOf(Replaced(good, "8388608", "9e18")), HasSubstr("'useful_sequential_bytes'"));
  EXPECT_THAT(ErrorOf(Replaced(good, "123456.75", "-1")),
              HasSubstr("line 7, field 'read_iops': it must be a number above 0"));
  EXPECT_THAT(ErrorOf(Replaced(good, "2500000000", "true")), HasSubstr("'read_bytes_per_s'"));
  EXPECT_THAT(ErrorOf(Replaced(good, "\"vda \\\"fast\\\"\"", "5")),
              HasSubstr("line 3, field 'device': it must be a string"));
  EXPECT_THAT(ErrorOf(Replaced(good, "write_iops", "write_ops")),
              HasSubstr("field 'write_iops': it is missing"));
  EXPECT_THAT(ErrorOf(Replaced(good, "schema", "scheme")), HasSubstr("'schema': it is missing"));
  EXPECT_THAT(ErrorOf(Replaced(good, "\"useful_write_depth\"", "\"useful_read_depth\"")),
              HasSubstr("line 5, field 'useful_read_depth': it is there twice"));
}

TEST(FlatJsonTest, RefusesWhatIsNone) {
  for (const auto& [text, what] : std::vector<std::pair<std::string, std::string>>{
           {"", "line 1: a JSON object is expected"},
           {"[]", "object is expected"},
           {"{", "in quotes is expected"},
           {"{\"a\"", "line 1, field 'a': ':' is expected"},
           {"{\"a\":", "the value is missing"},
           {"{\"a\":1", "',' or '}' is expected"},
           {"{\"a\":1,}", "in quotes is expected"},
           {"{\"a\":1}\n\nx", "line 3: something follows"},
           {"{\"a\":\n[1]}", "line 2, field 'a': objects within it"},
           {"{\"a\":{}}", "objects within it"},
           {"{\"a\":nan}", "a number, true or false"},
           {"{\"a\":inf}", "a number, true or false"},
           {"{\"a\":1e999}", "a number, true or false"},
           {"{\"a\":null}", "a number, true or false"},
           {"{\"a\":\"x", "the string does not end"},
           {"{\"a\":\"x\\", "the string does not end"},
           {"{\"a\":\"\\u0041\"}", "an escape that is not known"},
           {"{\"a\":\"x\ny\"}", "a control character"},
           {"{\"a\":1 \"b\":2}", "',' or '}' is expected"}}) {
    const auto parsed = ParseFlatJson(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(what)) << text;
  }
}

// Whatever is cut off a file, it is an error and nothing worse.
TEST(DeviceProfileTest, AFileThatIsCutIsRefused) {
  const std::string good = Sample().Serialize();
  for (size_t size = 0; size + 2 < good.size(); ++size) {
    EXPECT_FALSE(DeviceProfile::Parse(std::string_view(good).substr(0, size)).ok()) << size;
  }
}

TEST(DeviceProfileTest, ReadsAFileAndNamesIt) {
  TestDirectory directory;
  const std::string path = directory.File("probe.json");
  EXPECT_TRUE(absl::IsNotFound(DeviceProfile::ReadFile(path).status()));
  std::ofstream(path) << Sample().Serialize();
  EXPECT_TRUE(DeviceProfile::ReadFile(path).ok());
  std::ofstream(path) << "{\n\"schema\": 1}";
  EXPECT_THAT(std::string(DeviceProfile::ReadFile(path).status().message()),
              HasSubstr("probe.json: line 2, field 'schema'"));
  std::ofstream(path) << std::string(2 << 20, ' ');
  EXPECT_THAT(std::string(DeviceProfile::ReadFile(path).status().message()),
              HasSubstr("cannot be read as a device profile"));
}

TEST(DeviceProfileTest, BoundsAreOfUseOnTheDevice) {
  DeviceProfile profile = Sample();
  EXPECT_EQ(profile.QueueDepth(), 128u);
  EXPECT_EQ(profile.MaxBytesInFlight(), size_t{32} << 20);
  EXPECT_EQ(profile.MaxBackgroundBytes(), size_t{8} << 20);
  profile.useful_read_depth = profile.useful_write_depth = 1;
  profile.useful_sequential_bytes = 4096;
  EXPECT_EQ(profile.QueueDepth(), 32u);
  EXPECT_EQ(profile.MaxBytesInFlight(), size_t{8} << 20);
  EXPECT_EQ(profile.MaxBackgroundBytes(), size_t{1} << 20);
  profile.useful_write_depth = 16384;
  EXPECT_EQ(profile.QueueDepth(), 1024u);
}

TEST(DeviceProfileTest, ValidatesWhatWasMadeByHand) {
  EXPECT_TRUE(Sample().Validate().ok());
  EXPECT_THAT(std::string(DeviceProfile().Validate().message()),
              HasSubstr("DeviceProfile::useful_read_depth is 0"));
  DeviceProfile profile = Sample();
  profile.write_iops = std::numeric_limits<double>::infinity();
  EXPECT_THAT(std::string(profile.Validate().message()), HasSubstr("write_iops"));
}

}  // namespace
}  // namespace ioengine
