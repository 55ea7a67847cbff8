#include "ioengine/engine/wal/wal_stream.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/sched/canary.h"

namespace ioengine {
namespace {

constexpr uint64_t kSaltSeed = 0x746c61732d6c6177;  // "wal-salt"

}  // namespace

uint64_t WalSalt(const WalStream& stream, uint64_t segment) {
  if (IsCanary("wal-salt-without-segment")) segment = 0;
  std::array<std::byte, 40> identity;
  std::byte* to =
      std::copy(stream.database.bytes.begin(), stream.database.bytes.end(), identity.data());
  for (const uint64_t number : {stream.incarnation, stream.stream, segment}) {
    StoreFixed(to, number);
    to += sizeof(number);
  }
  return Checksum(identity, kSaltSeed);
}

std::string WalSegmentName(uint64_t stream, uint64_t segment) {
  return absl::StrCat("W-", stream, "-", segment);
}

std::optional<uint64_t> ParseWalSegmentName(std::string_view name, uint64_t stream) {
  const std::string prefix = absl::StrCat("W-", stream, "-");
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  uint64_t segment = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), segment);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  // No other spelling, such as one with leading zeros.
  if (absl::StrCat(segment).size() != name.size()) return std::nullopt;
  return segment;
}

}  // namespace ioengine
