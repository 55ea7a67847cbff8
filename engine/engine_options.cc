#include "ioengine/engine/engine_options.h"

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/operation.h"

namespace ioengine {

absl::Status EngineOptions::Validate(size_t shard_count) const {
  if (placement.prefix_bytes > kMaxKeyBytes) {
    return absl::InvalidArgumentError(absl::StrCat("EngineOptions::placement.prefix_bytes is ",
                                                   placement.prefix_bytes, "; a key has at most ",
                                                   kMaxKeyBytes));
  }
  const bool by_range = placement.kind == KeyPlacement::Kind::kRange;
  if (by_range && placement.prefix_bytes > 0) {
    return absl::InvalidArgumentError(
        "EngineOptions::placement.prefix_bytes is of a placement by hash, and this one is by "
        "range");
  }
  const size_t splits = by_range ? shard_count - 1 : 0;
  if (split_keys.size() != splits) {
    return absl::InvalidArgumentError(
        absl::StrCat("EngineOptions::split_keys has ", split_keys.size(), " keys; ",
                     by_range ? "a placement by range" : "a placement by hash", " over ",
                     shard_count, " shards needs ", splits));
  }
  for (size_t i = 0; i < splits; ++i) {
    const std::string& before = i == 0 ? std::string() : split_keys[i - 1];
    if (split_keys[i] > before && split_keys[i].size() <= kMaxKeyBytes) continue;
    return absl::InvalidArgumentError(absl::StrCat("EngineOptions::split_keys[", i,
                                                   "] is not behind the one before it, or is ",
                                                   "longer than ", kMaxKeyBytes, " bytes"));
  }
  return store.Validate();
}

}  // namespace ioengine
