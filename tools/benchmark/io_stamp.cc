#include "ioengine/tools/benchmark/io_stamp.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace ioengine::bench {
namespace {

constexpr size_t kSectorBytes = 512;
constexpr size_t kWords = kSectorBytes / sizeof(uint64_t);
constexpr uint64_t kMagic = 0x696f'656e'6769'6e65;  // "ioengine"

using Sector = std::array<uint64_t, kWords>;
static_assert(sizeof(Sector) == kSectorBytes);

// The finaliser of splitmix64 (S. Vigna, public domain).
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9;
  x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11eb;
  return x ^ (x >> 31);
}

Sector MakeSector(uint64_t seed, uint64_t offset_bytes, uint64_t version) {
  Sector sector{kMagic, offset_bytes, version};
  uint64_t state = Mix(Mix(Mix(seed) + offset_bytes) + version);
  for (size_t i = 3; i < kWords; ++i) {
    state += 0x9e37'79b9'7f4a'7c15;
    sector[i] = Mix(state);
  }
  return sector;
}

absl::Status Describe(const Sector& found, uint64_t offset_bytes, uint64_t version) {
  std::string what;
  if (std::all_of(found.begin(), found.end(), [](uint64_t word) { return word == 0; })) {
    what = "only zeros";
  } else if (found[0] != kMagic) {
    what = "no stamp";
  } else if (found[1] != offset_bytes) {
    what = absl::StrCat("the sector of offset ", found[1]);
  } else if (found[2] != version) {
    what = absl::StrCat("version ", found[2], " of it");
  } else {
    what = "a damaged sector";
  }
  return absl::DataLossError(absl::StrCat("verify: at offset ", offset_bytes, " version ", version,
                                          " was expected; the disk gave ", what));
}

}  // namespace

void FillStamped(std::span<std::byte> bytes, uint64_t seed, uint64_t offset_bytes,
                 uint64_t version) {
  for (size_t at = 0; at + kSectorBytes <= bytes.size(); at += kSectorBytes) {
    const Sector sector = MakeSector(seed, offset_bytes + at, version);
    std::memcpy(bytes.data() + at, sector.data(), kSectorBytes);
  }
}

absl::Status CheckStamped(std::span<const std::byte> bytes, uint64_t seed, uint64_t offset_bytes,
                          uint64_t version) {
  for (size_t at = 0; at + kSectorBytes <= bytes.size(); at += kSectorBytes) {
    const Sector expected = MakeSector(seed, offset_bytes + at, version);
    if (std::memcmp(bytes.data() + at, expected.data(), kSectorBytes) != 0) {
      Sector found;
      std::memcpy(found.data(), bytes.data() + at, kSectorBytes);
      return Describe(found, offset_bytes + at, version);
    }
  }
  return absl::OkStatus();
}

VersionMap::VersionMap(uint64_t region_offset_bytes, uint64_t region_size_bytes,
                       uint64_t unit_bytes)
    : region_offset_bytes_(region_offset_bytes),
      unit_bytes_(unit_bytes),
      versions_(region_size_bytes / unit_bytes),
      users_(region_size_bytes / unit_bytes) {}

bool VersionMap::TryClaim(uint64_t offset_bytes, uint64_t size_bytes, bool write) {
  const auto first = users_.begin() + static_cast<ptrdiff_t>(UnitOf(offset_bytes));
  const auto last = first + static_cast<ptrdiff_t>(size_bytes / unit_bytes_);
  const bool free = std::all_of(
      first, last, [write](int16_t users) { return write ? users == 0 : users != kWriting; });
  if (!free) return false;
  for (auto at = first; at != last; ++at) *at = write ? kWriting : static_cast<int16_t>(*at + 1);
  return true;
}

void VersionMap::Release(uint64_t offset_bytes, uint64_t size_bytes, bool write, uint32_t version) {
  const size_t first = UnitOf(offset_bytes);
  const size_t last = first + static_cast<size_t>(size_bytes / unit_bytes_);
  for (size_t unit = first; unit < last; ++unit) {
    users_[unit] = write ? int16_t{0} : static_cast<int16_t>(users_[unit] - 1);
    if (write && version != 0) versions_[unit] = version;
  }
}

absl::Status VersionMap::Check(std::span<const std::byte> bytes, uint64_t seed,
                               uint64_t offset_bytes) const {
  absl::Status status;
  for (size_t at = 0; at < bytes.size() && status.ok(); at += unit_bytes_) {
    status = CheckStamped(bytes.subspan(at, unit_bytes_), seed, offset_bytes + at,
                          versions_[UnitOf(offset_bytes + at)]);
  }
  return status;
}

}  // namespace ioengine::bench
