#include "ioengine/version.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace ioengine {
namespace {

TEST(VersionTest, TextSaysWhatTheNumbersSay) {
  EXPECT_EQ(absl::StrCat(IOENGINE_VERSION_MAJOR, ".", IOENGINE_VERSION_MINOR, ".",
                         IOENGINE_VERSION_PATCH),
            kVersion);
}

}  // namespace
}  // namespace ioengine
