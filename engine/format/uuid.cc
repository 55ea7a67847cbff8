#include "ioengine/engine/format/uuid.h"

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

}  // namespace ioengine
