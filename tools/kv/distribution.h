// Which keys a workload asks for.
#ifndef IOENGINE_TOOLS_KV_DISTRIBUTION_H_
#define IOENGINE_TOOLS_KV_DISTRIBUTION_H_

#include <cstdint>
#include <string_view>

#include "ioengine/sched/random.h"

namespace ioengine::kv {

// Ranks below `items`, of which rank r is drawn in proportion to (r + 1)^-theta (J. Gray et al.,
// "Quickly generating billion-record synthetic databases", SIGMOD 1994; as YCSB does it).
//
// Any thread; it does not change. Cost: of a draw a pow, some 20 ns; of making it, little for any
// number of items.
class Zipfian {
 public:
  static constexpr double kTheta = 0.99;

  // REQUIRES: items > 0, 0 < theta < 1.
  explicit Zipfian(uint64_t items, double theta = kTheta);

  uint64_t Rank(Random& random) const;
  // Of the draws, those that give rank 0.
  double share_of_first() const { return 1 / zeta_; }

 private:
  const uint64_t items_;
  const double second_;  // 1 + 2^-theta
  const double zeta_;    // the sum of r^-theta over all ranks r, from 1
  const double alpha_;
  const double eta_;
};

enum class Distribution : uint8_t {
  kUniform,
  kZipfian,  // by ranks that have nothing to do with the order of keys, as YCSB's scrambled one
  kLatest,   // by how late they were inserted
};

std::string_view DistributionName(Distribution distribution);

// Indexes of keys that are there.
class IndexPicker {
 public:
  IndexPicker(Distribution distribution, uint64_t keys)
      : distribution_(distribution), keys_(keys), zipfian_(keys) {}

  // `inserted`: how many keys were, beside the loaded ones; of those beyond keys() each has taken
  // the place of an older one.
  uint64_t Pick(Random& random, uint64_t inserted) const;

 private:
  const Distribution distribution_;
  const uint64_t keys_;
  const Zipfian zipfian_;
};

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_DISTRIBUTION_H_
