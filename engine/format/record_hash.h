// RecordHash: sums of hashes of records, by which it is shown that none was lost or made up.
#ifndef IOENGINE_ENGINE_FORMAT_RECORD_HASH_H_
#define IOENGINE_ENGINE_FORMAT_RECORD_HASH_H_

#include <cstdint>
#include <string_view>

#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"

namespace ioengine {

// The hash of a set of records is the sum (modulo 2^64) of theirs, whatever their order: what goes
// into a compaction is what comes out of it and what it drops. On disk, in tables and manifests.
inline uint64_t RecordHash(OperationKind kind, std::string_view key, Sequence sequence,
                           std::string_view value) {
  std::byte head[17];
  StoreFixed(head, sequence.epoch);
  StoreFixed(head + 8, sequence.counter);
  head[16] = static_cast<std::byte>(kind);
  return Checksum(AsBytes(value), Checksum(AsBytes(key), Checksum(head, 0)));
}

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_RECORD_HASH_H_
