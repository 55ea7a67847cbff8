// A batch of changes as one record of the log.
//
//    0        8        16      20
//    ├────────┼────────┼───────┼──────────────────────────────────────────────────────┐
//    │ epoch  │counter │ count │ count operations, each:                              │
//    │        │        │       │ kind u8, key size varint, key,                       │
//    │        │        │       │ and of a put: value size varint, value (of a blob,   │
//    │        │        │       │ its pointer)                                         │
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
// What that appends.
size_t OperationBytes(const Operation& operation);

// Reads operations, which may be anything.
//
// Ownership: borrows the bytes; what it gives refers to them.
class OperationReader {
 public:
  OperationReader(std::span<const std::byte> operations, uint32_t count)
      : decoder_(operations), count_(count) {}

  // How many there are, if they are whole.
  uint32_t count() const { return count_; }
  // The next one; false behind the last, and where they make no sense.
  bool Next(Operation* operation);
  // After Next gave false: whether all were read, and made sense.
  bool good() const { return decoder_.done() && read_ == count_; }

 private:
  Decoder decoder_;
  uint32_t count_;
  uint32_t read_ = 0;
};

// A record taken apart. Its operations are to be read yet.
struct BatchRecord {
  Sequence sequence;
  OperationReader operations;
};

// Ownership: as above. A record that is too short has no operations, and they are not good().
BatchRecord DecodeBatchRecord(std::span<const std::byte> record);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_BATCH_RECORD_H_
