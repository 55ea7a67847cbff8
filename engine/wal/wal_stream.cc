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

constexpr uint64_t kSaltSeed = 0x746c61732d6c6177;          // "wal-salt"
constexpr uint64_t kManifestSaltSeed = 0x746c61732d6e616d;  // "man-salt"

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
  return Checksum(identity, stream.kind == WalKind::kLog ? kSaltSeed : kManifestSaltSeed);
}

std::string WalSegmentName(uint64_t stream, uint64_t segment, WalKind kind) {
  return absl::StrCat(kind == WalKind::kLog ? "W-" : "M-", stream, "-", segment);
}

std::optional<WalSegmentId> ParseWalSegmentName(std::string_view name) {
  WalSegmentId id;
  if (name.starts_with("M-")) {
    id.kind = WalKind::kManifest;
  } else if (!name.starts_with("W-")) {
    return std::nullopt;
  }
  const char* const end = name.data() + name.size();
  const auto stream = std::from_chars(name.data() + 2, end, id.stream);
  if (stream.ec != std::errc() || stream.ptr == end) return std::nullopt;
  const auto segment = std::from_chars(stream.ptr + 1, end, id.segment);
  if (segment.ec != std::errc()) return std::nullopt;
  // No other spelling, such as one with leading zeros, another separator, or more behind it.
  if (WalSegmentName(id.stream, id.segment, id.kind) != name) return std::nullopt;
  return id;
}

}  // namespace ioengine
