// A small runtime for tests.

#ifndef IOENGINE_TESTS_ENGINE_RUNTIME_FIXTURE_H_
#define IOENGINE_TESTS_ENGINE_RUNTIME_FIXTURE_H_

#include <cstddef>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"

namespace ioengine {

inline constexpr size_t kSmallPoolBytes = size_t{2} << 20;

// A failure fails the test, and gives null.
inline std::unique_ptr<Runtime> StartRuntime(const RuntimeOptions& options) {
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Start(options);
  EXPECT_TRUE(runtime.ok()) << runtime.status();
  return runtime.ok() ? *std::move(runtime) : nullptr;
}

// Two shards.
class RuntimeFixture : public testing::Test {
 protected:
  const std::unique_ptr<Runtime> runtime_ =
      StartRuntime({.shard_count = 2, .buffer_pool_bytes = kSmallPoolBytes, .inbox_capacity = 8});
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_ENGINE_RUNTIME_FIXTURE_H_
