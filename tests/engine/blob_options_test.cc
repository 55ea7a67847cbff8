#include "ioengine/engine/blob/blob_options.h"

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "ioengine/engine/format/blob_format.h"

namespace ioengine {
namespace {

TEST(BlobOptionsTest, WhatMakesNoSenseIsNamed) {
  BlobOptions options;
  options.write_bytes = 1000;
  EXPECT_TRUE(absl::StrContains(options.Validate().message(), "write_bytes"));
  options = BlobOptions();
  options.write_behind = 0;
  EXPECT_TRUE(absl::StrContains(options.Validate().message(), "write_behind"));
  options = BlobOptions();
  options.read_bytes = 4096;
  EXPECT_TRUE(absl::StrContains(options.Validate().message(), "read_bytes"));
  options = BlobOptions();
  options.flush_bytes = 0;
  EXPECT_TRUE(absl::StrContains(options.Validate().message(), "flush_bytes"));
  options = BlobOptions();
  options.garbage_percent = 0;
  EXPECT_TRUE(absl::StrContains(options.Validate().message(), "garbage_percent"));
  options = BlobOptions();
  options.least_bytes = kMaxBlobBytes + 1;
  EXPECT_TRUE(absl::StrContains(options.Validate().message(), "least_bytes"));
}

}  // namespace
}  // namespace ioengine
