// Contents that tell where and when they were written, for --verify.
#ifndef IOENGINE_TOOLS_BENCHMARK_IO_STAMP_H_
#define IOENGINE_TOOLS_BENCHMARK_IO_STAMP_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"

namespace ioengine::bench {

// A stamped sector of 512 bytes:
//
//   0        8          16        24                     512
//   | magic  | offset   | version | words of a generator  |
//
// where the generator (splitmix64) is seeded with all of seed, offset and version; so a sector that
// is old, misplaced, torn or damaged in any bit differs from the one that is expected.

// Fills `bytes`, which stand at `offset_bytes` of the file; both multiples of 512.
void FillStamped(std::span<std::byte> bytes, uint64_t seed, uint64_t offset_bytes,
                 uint64_t version);

// Errors: DataLoss, naming the sector's offset and what was found instead: another offset's sector,
// an older version, zeros, or damage.
absl::Status CheckStamped(std::span<const std::byte> bytes, uint64_t seed, uint64_t offset_bytes,
                          uint64_t version);

// Which version each block of a shard's region has on disk, and which blocks are in use, so that
// what a read must return is always known. In units of 4 KiB, or smaller blocks' size.
//
// Shard: one.
class VersionMap {
 public:
  // All blocks have version 0: that of the layout.
  VersionMap(uint64_t region_offset_bytes, uint64_t region_size_bytes, uint64_t unit_bytes);

  // Claims a block for a write (alone) or a read (not beside a write). False when it is in use;
  // choose another, or try later. Whole units only.
  bool TryClaim(uint64_t offset_bytes, uint64_t size_bytes, bool write);

  // Gives it back; a write then has `version` on disk. Version 0 leaves the versions as they are.
  void Release(uint64_t offset_bytes, uint64_t size_bytes, bool write, uint32_t version);

  // For the next write.
  uint32_t NextVersion() { return ++last_version_; }

  // Checks a claimed block that was read. Errors: see CheckStamped.
  absl::Status Check(std::span<const std::byte> bytes, uint64_t seed, uint64_t offset_bytes) const;

  uint64_t unit_bytes() const { return unit_bytes_; }

 private:
  static constexpr int16_t kWriting = -1;

  size_t UnitOf(uint64_t offset_bytes) const {
    return static_cast<size_t>((offset_bytes - region_offset_bytes_) / unit_bytes_);
  }

  const uint64_t region_offset_bytes_;
  const uint64_t unit_bytes_;
  std::vector<uint32_t> versions_;
  std::vector<int16_t> users_;  // readers, or kWriting
  uint32_t last_version_ = 0;
};

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_IO_STAMP_H_
