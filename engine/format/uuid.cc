#include "ioengine/engine/format/uuid.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "ioengine/engine/format/coding.h"

namespace ioengine {

std::string Uuid::ToString() const {
  return absl::BytesToHexString({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

Uuid MakeUuid(uint64_t random_high, uint64_t random_low) {
  Uuid uuid;
  StoreFixed(uuid.bytes.data(), random_high);
  StoreFixed(uuid.bytes.data() + 8, random_low);
  uuid.bytes[6] = (uuid.bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  uuid.bytes[8] = (uuid.bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  return uuid;
}

uint64_t SeedOf(const Uuid& uuid) {
  return LoadFixed<uint64_t>(uuid.bytes.data()) ^ LoadFixed<uint64_t>(uuid.bytes.data() + 8);
}

std::optional<Uuid> ParseUuidName(std::string_view name, std::string_view suffix) {
  Uuid uuid;
  const size_t digits = 2 * uuid.bytes.size();
  if (name.size() < digits || name.substr(digits) != suffix) return std::nullopt;
  // Other characters count as zeros here.
  const std::string bytes = absl::HexStringToBytes(std::string(name.substr(0, digits)));
  const std::span<const std::byte> from = AsBytes(bytes);
  std::copy(from.begin(), from.end(), uuid.bytes.begin());
  // No other spelling, such as one with capitals.
  if (uuid.ToString() != name.substr(0, digits)) return std::nullopt;
  return uuid;
}

}  // namespace ioengine
