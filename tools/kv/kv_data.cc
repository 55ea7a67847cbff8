#include "ioengine/tools/kv/kv_data.h"

#include "absl/strings/str_cat.h"

namespace ioengine::kv {

void KvData::Clear() {
  ledger_.Clear();
  inserts_begun_.store(0, std::memory_order_relaxed);
  inserts_.store(0, std::memory_order_relaxed);
}

bool KvData::IsLoaded() const {
  for (uint64_t index = 0; index < keys_.keys(); ++index) {
    if (!ledger_.IsPresent(index)) return false;
  }
  return true;
}

absl::Status KvData::Wrong(std::string_view key, std::string_view what) const {
  return absl::DataLossError(absl::StrCat("key ", std::string(key), " ", std::string(what)));
}

absl::Status KvData::CheckValue(const Read& read, std::string_view value) const {
  const std::optional<uint32_t> version = values_.VersionIn(read.index, value);
  if (!version.has_value()) {
    return Wrong(keys_.Key(read.index),
                 absl::StrCat("has a value of ", value.size(), " bytes that was never written"));
  }
  if (!ledger_.MayBe(read.index, read.expected, version)) {
    return Wrong(keys_.Key(read.index),
                 absl::StrCat("has version ", *version, "; ", read.expected.least,
                              " or a later one that was written was expected"));
  }
  return absl::OkStatus();
}

absl::Status KvData::EndRead(const Read& read, std::optional<std::string_view> value) const {
  if (value.has_value()) return CheckValue(read, *value);
  if (ledger_.MayBe(read.index, read.expected, std::nullopt)) return absl::OkStatus();
  return Wrong(keys_.Key(read.index), "is missing");
}

absl::Status KvData::EndMissingRead(uint64_t index, std::optional<std::string_view> value) const {
  if (!value.has_value()) return absl::OkStatus();
  std::string key;
  keys_.FormatMissing(index, &key);
  return Wrong(key, "has a value, but was never written");
}

absl::Status ScanCheck::CheckPassed(uint64_t end_place) const {
  for (uint64_t place = next_place_; place < end_place; ++place) {
    if (data_.IsPresent(place)) return data_.Wrong(data_.keys().Key(place), "is missing in a scan");
  }
  return absl::OkStatus();
}

absl::Status ScanCheck::Add(std::string_view key, std::string_view value) {
  const KeySpace& keys = data_.keys();
  const std::optional<uint64_t> index = keys.IndexOf(key);
  if (!index.has_value()) return data_.Wrong(key, "was never written, and is in a scan");
  if (!last_key_.empty() && key <= last_key_) return data_.Wrong(key, "is out of order in a scan");
  last_key_ = key;
  const uint64_t place = keys.PlaceOf(*index);
  const bool is_loaded = *index == place;
  if (absl::Status passed = CheckPassed(is_loaded ? place : place + 1); !passed.ok()) {
    return passed;
  }
  if (place + 1 > next_place_) next_place_ = place + 1;
  // The scan may be of an earlier moment than an insert that took another one's place.
  KvData::Read read = data_.BeginRead(*index);
  if (!is_loaded) read.expected.least = 0;
  return data_.CheckValue(read, value);
}

absl::Status ScanCheck::Finish(uint64_t end_place) { return CheckPassed(end_place); }

}  // namespace ioengine::kv
