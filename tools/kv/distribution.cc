#include "ioengine/tools/kv/distribution.h"

#include <algorithm>
#include <cmath>

#include "ioengine/sched/check.h"
#include "ioengine/tools/kv/mix.h"

namespace ioengine::kv {
namespace {

// The sum of r^-theta for r from 1 to `items`. Beyond the first terms by Euler and Maclaurin's
// formula, whose next term would be less than 1e-6 of the sum.
double Zeta(uint64_t items, double theta) {
  constexpr uint64_t kExact = 1000;
  double sum = 0;
  for (uint64_t rank = 1; rank <= std::min(items, kExact); ++rank) {
    sum += std::pow(static_cast<double>(rank), -theta);
  }
  if (items <= kExact) return sum;
  const auto first = static_cast<double>(kExact);
  const auto last = static_cast<double>(items);
  const double integral = (std::pow(last, 1 - theta) - std::pow(first, 1 - theta)) / (1 - theta);
  return sum + integral + (std::pow(last, -theta) - std::pow(first, -theta)) / 2;
}

// Below 1.
double Fraction(Random& random) { return static_cast<double>(random.Next() >> 11) * 0x1p-53; }

}  // namespace

Zipfian::Zipfian(uint64_t items, double theta)
    : items_(items),
      second_(1 + std::pow(0.5, theta)),
      zeta_(Zeta(items, theta)),
      alpha_(1 / (1 - theta)),
      eta_((1 - std::pow(2 / static_cast<double>(items), 1 - theta)) / (1 - second_ / zeta_)) {
  IOENGINE_CHECK(items > 0, "a distribution over nothing");
}

uint64_t Zipfian::Rank(Random& random) const {
  const double fraction = Fraction(random);
  const double scaled = fraction * zeta_;
  if (scaled < 1 || items_ == 1) return 0;
  if (scaled < second_ || items_ == 2) return 1;
  const double rank = static_cast<double>(items_) * std::pow(eta_ * fraction - eta_ + 1, alpha_);
  return std::min(static_cast<uint64_t>(rank), items_ - 1);
}

std::string_view DistributionName(Distribution distribution) {
  switch (distribution) {
    case Distribution::kUniform:
      return "uniform";
    case Distribution::kZipfian:
      return "zipfian";
    case Distribution::kLatest:
      return "latest";
  }
  return "unknown distribution";
}

uint64_t IndexPicker::Pick(Random& random, uint64_t inserted) const {
  switch (distribution_) {
    case Distribution::kUniform:
      return random.Below(keys_);
    case Distribution::kZipfian:
      return Mix(zipfian_.Rank(random)) % keys_;
    case Distribution::kLatest:
      break;
  }
  const uint64_t place = keys_ + inserted - 1 - zipfian_.Rank(random);
  return place < keys_ ? place : keys_ + place % keys_;
}

}  // namespace ioengine::kv
