// KeyRouter: golden placements, which are part of the format, and even shares.

#include "ioengine/engine/key_router.h"

#include <cstddef>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace ioengine {
namespace {

KeyRouter ByHash(size_t tablets, uint64_t prefix_bytes = 0) {
  std::vector<RootTablet> all(tablets);
  return KeyRouter({.kind = KeyPlacement::Kind::kHash, .prefix_bytes = prefix_bytes}, all);
}

TEST(KeyRouterTest, PlacesByHashAsItAlwaysDid) {
  const KeyRouter router = ByHash(1000);
  EXPECT_EQ(router.TabletOf(""), 100u);
  EXPECT_EQ(router.TabletOf("a"), 70u);
  EXPECT_EQ(router.TabletOf("key"), 952u);
  EXPECT_EQ(router.TabletOf(std::string(1000, 'x')), 887u);
}

TEST(KeyRouterTest, SharesAreEven) {
  for (const size_t tablets : {1, 2, 3, 7}) {
    const KeyRouter router = ByHash(tablets);
    std::vector<size_t> counts(tablets);
    constexpr size_t kKeys = 30'000;
    for (size_t i = 0; i < kKeys; ++i) ++counts[router.TabletOf("user" + std::to_string(i))];
    for (const size_t count : counts) {
      EXPECT_NEAR(static_cast<double>(count), static_cast<double>(kKeys / tablets), 500);
    }
  }
}

TEST(KeyRouterTest, KeysWithOnePrefixAreTogether) {
  const KeyRouter router = ByHash(64, 4);
  EXPECT_EQ(router.TabletOf("usr1/a"), router.TabletOf("usr1/b"));
  EXPECT_EQ(router.TabletOf("usr1"), router.TabletOf("usr1/b"));
  // Shorter ones are hashed whole.
  EXPECT_EQ(router.TabletOf("us"), ByHash(64).TabletOf("us"));
  EXPECT_NE(router.TabletOf("usr1/a"), router.TabletOf("usr2/a"));
}

TEST(KeyRouterTest, PlacesByRange) {
  const KeyRouter router({.kind = KeyPlacement::Kind::kRange, .prefix_bytes = 0},
                         {{1, ""}, {2, "g"}, {3, "p"}});
  EXPECT_EQ(router.TabletOf(""), 0u);
  EXPECT_EQ(router.TabletOf("fzz"), 0u);
  EXPECT_EQ(router.TabletOf("g"), 1u);
  EXPECT_EQ(router.TabletOf(std::string_view("g\0", 2)), 1u);
  EXPECT_EQ(router.TabletOf("ozz"), 1u);
  EXPECT_EQ(router.TabletOf("p"), 2u);
  EXPECT_EQ(router.TabletOf("\xff"), 2u);
}

}  // namespace
}  // namespace ioengine
