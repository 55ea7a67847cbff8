#include "ioengine/engine/format/uuid.h"

#include "ioengine/engine/format/coding.h"

namespace ioengine {

std::string Uuid::ToString() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += kDigits[static_cast<size_t>(byte >> 4)];
    text += kDigits[static_cast<size_t>(byte & std::byte{15})];
  }
  return text;
}

Uuid MakeUuid(uint64_t random_high, uint64_t random_low) {
  Uuid uuid;
  StoreFixed(uuid.bytes.data(), random_high);
  StoreFixed(uuid.bytes.data() + 8, random_low);
  uuid.bytes[6] = (uuid.bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  uuid.bytes[8] = (uuid.bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  return uuid;
}

}  // namespace ioengine
