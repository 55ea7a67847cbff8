// A batch of changes as one record of the log.
//
//    0        8        16      20
//    ├────────┼────────┼───────┼──────────────────────────────────────────────────────┐
//    │ epoch  │counter │ count │ count operations, each:                              │
//    │        │        │       │ kind u8, key size varint, key,                       │
//    │        │        │       │ and of a put: value size varint, value               │
//    └────────┴────────┴───────┴──────────────────────────────────────────────────────┘
//
// All operations of a record have its Sequence. Of two on the same key the later one counts.
#ifndef IOENGINE_ENGINE_FORMAT_BATCH_RECORD_H_
#define IOENGINE_ENGINE_FORMAT_BATCH_RECORD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"

namespace ioengine {

inline constexpr size_t kBatchHeadBytes = 20;

std::array<std::byte, kBatchHeadBytes> EncodeBatchHead(Sequence sequence, uint32_t count);
void AppendOperation(std::string& to, const Operation& operation);

// Reads a record that may be anything.
//
// Ownership: borrows the bytes; what it gives refers to them.
class BatchRecordReader {
 public:
  explicit BatchRecordReader(std::span<const std::byte> record);

  Sequence sequence() const { return sequence_; }
  // How many operations it has, if it is whole.
  uint32_t count() const { return count_; }

  // The next operation; false behind the last one, and where the record makes no sense.
  bool Next(Operation* operation);
  // After Next gave false: whether all of the record was read, and made sense.
  bool good() const { return decoder_.done() && read_ == count_; }

 private:
  Decoder decoder_;
  Sequence sequence_;
  uint32_t count_ = 0;
  uint32_t read_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_BATCH_RECORD_H_
