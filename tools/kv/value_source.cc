#include "ioengine/tools/kv/value_source.h"

#include <cstring>

#include "ioengine/sched/check.h"
#include "ioengine/sched/random.h"
#include "ioengine/tools/kv/mix.h"

namespace ioengine::kv {
namespace {

// A power of two. It stays in a core's cache, and is large enough that a block of a table holds
// next to nothing twice.
constexpr size_t kPlaces = size_t{256} << 10;

}  // namespace

ValueSource::ValueSource(uint64_t seed, size_t value_bytes)
    : seed_(Mix(seed)), value_bytes_(value_bytes) {
  IOENGINE_CHECK(value_bytes >= kLeastBytes, "values that are too short");
  Random random(seed);
  pool_.resize(kPlaces + value_bytes);
  for (char& byte : pool_) byte = static_cast<char>(random.Next());
}

ValueSource::Parts ValueSource::PartsOf(uint64_t index, uint32_t version) const {
  const uint64_t mixed = Mix(seed_ ^ Mix(index) ^ (uint64_t{version} << 32));
  return {static_cast<uint32_t>(mixed), pool_.data() + (mixed >> 32) % kPlaces};
}

void ValueSource::Make(uint64_t index, uint32_t version, std::string* value) const {
  const Parts parts = PartsOf(index, version);
  value->resize(value_bytes_);
  std::memcpy(value->data(), &version, sizeof version);
  std::memcpy(value->data() + sizeof version, &parts.check, sizeof parts.check);
  std::memcpy(value->data() + kLeastBytes, parts.body, value_bytes_ - kLeastBytes);
}

std::optional<uint32_t> ValueSource::VersionIn(uint64_t index, std::string_view value) const {
  if (value.size() != value_bytes_) return std::nullopt;
  uint32_t version = 0;
  uint32_t check = 0;
  std::memcpy(&version, value.data(), sizeof version);
  std::memcpy(&check, value.data() + sizeof version, sizeof check);
  const Parts parts = PartsOf(index, version);
  const bool is_equal = check == parts.check && std::memcmp(value.data() + kLeastBytes, parts.body,
                                                            value_bytes_ - kLeastBytes) == 0;
  return is_equal ? std::optional(version) : std::nullopt;
}

}  // namespace ioengine::kv
