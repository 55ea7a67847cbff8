// BloomFilter: whether a table may have a key; one cache line for each question.
//
//    block of one page     │header│zeros │ bucket 0 │ bucket 1 │ … │ bucket 62 │
//                          0     32     64        128                      4096
//
// A blocked Bloom filter (F. Putze, P. Sanders, J. Singler, "Cache-, Hash- and Space-Efficient
// Bloom Filters", JEA 14, 2009): the key's hash chooses a bucket of 512 bits, and in that as many
// bits as the filter has probes. Bucket b is in page b / 63. Pages are blocks of their own, so a
// large filter needs not to be in memory as a whole.
#ifndef IOENGINE_ENGINE_TABLE_BLOOM_FILTER_H_
#define IOENGINE_ENGINE_TABLE_BLOOM_FILTER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ioengine/engine/table/block_format.h"

namespace ioengine {

inline constexpr size_t kFilterBucketBytes = 64;
inline constexpr size_t kFilterBucketsBegin = 64;
inline constexpr size_t kFilterBucketsPerPage =
    (kBlockPageBytes - kFilterBucketsBegin) / kFilterBucketBytes;
static_assert(kFilterBucketsPerPage == 63);
inline constexpr uint32_t kMaxFilterProbes = 7;

// What is to be known of a filter beside its pages. No buckets: there is none.
struct BloomFilterShape {
  uint64_t buckets = 0;
  uint32_t probes = 0;

  uint64_t pages() const { return (buckets + kFilterBucketsPerPage - 1) / kFilterBucketsPerPage; }
  // Which page the key's bucket is in.
  uint64_t PageOf(uint64_t key_hash) const { return BucketOf(key_hash) / kFilterBucketsPerPage; }

  // For so many keys. With 10 bits for each, about one in a hundred keys that are not there is
  // said to be. 0 bits: none.
  static BloomFilterShape For(uint64_t keys, size_t bits_per_key) {
    if (keys == 0 || bits_per_key == 0) return {};
    const uint64_t bits = keys * bits_per_key;
    BloomFilterShape shape;
    shape.buckets = (bits + kFilterBucketBytes * 8 - 1) / (kFilterBucketBytes * 8);
    // ln 2 · bits per key would be best where bits are spread over all of the filter.
    shape.probes =
        static_cast<uint32_t>(std::clamp<size_t>(bits_per_key * 69 / 100, 1, kMaxFilterProbes));
    return shape;
  }

  // The page of the key's bucket must be the one that is given.
  void Insert(uint64_t key_hash, std::span<std::byte> page) const {
    std::byte* const bucket = page.data() + BucketBegin(key_hash);
    for (uint32_t probe = 0; probe < probes; ++probe) {
      const size_t bit = BitOf(key_hash, probe);
      bucket[bit / 8] |= static_cast<std::byte>(1 << bit % 8);
    }
  }
  bool MayContain(uint64_t key_hash, std::span<const std::byte> page) const {
    const std::byte* const bucket = page.data() + BucketBegin(key_hash);
    for (uint32_t probe = 0; probe < probes; ++probe) {
      const size_t bit = BitOf(key_hash, probe);
      if ((bucket[bit / 8] & static_cast<std::byte>(1 << bit % 8)) == std::byte{0}) return false;
    }
    return true;
  }
  // Asks for what MayContain reads.
  void Prefetch(uint64_t key_hash, std::span<const std::byte> page) const {
    __builtin_prefetch(page.data() + BucketBegin(key_hash));
  }

 private:
  // From the hash's upper bits.
  uint64_t BucketOf(uint64_t key_hash) const {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(key_hash) * buckets) >> 64);
  }
  size_t BucketBegin(uint64_t key_hash) const {
    return kFilterBucketsBegin + BucketOf(key_hash) % kFilterBucketsPerPage * kFilterBucketBytes;
  }
  // Nine bits of a number that no bits of the hash alone decide.
  static size_t BitOf(uint64_t key_hash, uint32_t probe) {
    const uint64_t mixed = (key_hash ^ (key_hash >> 32)) * 0x9e37'79b9'7f4a'7c15;
    return (mixed >> (55 - 9 * probe)) & 511;
  }
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_BLOOM_FILTER_H_
