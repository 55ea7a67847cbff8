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
// All operations of a record have its Sequence. Of two on the same key the later one counts. The
// upper four bits of the count are the RecordKind, 0 here. A batch over several tablets has a
// commit record in the log of one of them, its coordinator, and a copy of its part in that of each
// other one. The batch's id is its commit's place among the writes of the coordinator:
//
//    commit   0        8        16      20       28       36       44       52
//    ├────────┼────────┼───────┼────────┼────────┼────────┼────────┼──────────────────┐
//    │ id:    │counter │ 1,    │sequence│counter │settled:│counter │ parts, each:     │
//    │ epoch  │        │ parts │ epoch  │        │ epoch  │        │ tablet varint,   │
//    │        │        │       │        │        │        │        │ count varint,    │
//    │        │        │       │        │        │        │        │ bytes varint,    │
//    │        │        │       │        │        │        │        │ operations       │
//    └────────┴────────┴───────┴────────┴────────┴────────┴────────┴──────────────────┘
//    copy     0        8        16      20       28       36       44
//    ├────────┼────────┼───────┼────────┼────────┼────────┼───────────────────────────┐
//    │sequence│counter │ 2,    │coordi- │ id:    │counter │ count operations          │
//    │ epoch  │        │ count │ nator  │ epoch  │        │                           │
//    └────────┴────────┴───────┴────────┴────────┴────────┴───────────────────────────┘
//
// The coordinator is a tablet's number; in its own commits its own part has the tablet 0. All
// batches of the coordinator up to `settled` have durable copies in every log that they concern.
#ifndef IOENGINE_ENGINE_FORMAT_BATCH_RECORD_H_
#define IOENGINE_ENGINE_FORMAT_BATCH_RECORD_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"

namespace ioengine {

inline constexpr size_t kBatchHeadBytes = 20;

// On disk: no value may change its meaning.
enum class RecordKind : uint8_t {
  kChanges = 0,  // of one tablet
  kCommit = 1,   // a batch over several, as its coordinator has it
  kCopy = 2,     // what another one has of it
};

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

// So many encoded operations of one tablet.
struct BatchPart {
  uint64_t tablet = 0;  // its number; 0: that of the log
  uint32_t count = 0;
  std::string_view operations = {};

  friend bool operator==(const BatchPart&, const BatchPart&) = default;
};

// What a batch over several tablets is known by.
struct BatchId {
  uint64_t coordinator = 0;  // number of its tablet; 0: that of the log
  Sequence place;            // of the commit among the coordinator's writes
};

struct BatchCommit {
  Sequence place;
  Sequence sequence;  // of all operations
  Sequence settled = {};
  std::vector<BatchPart> parts = {};
};

std::string EncodeBatchCommit(const BatchCommit& commit);
// What that has, without operations.
size_t BatchCommitBytes(size_t parts);

inline constexpr size_t kCopyHeadBytes = 44;
std::array<std::byte, kCopyHeadBytes> EncodeCopyHead(Sequence sequence, uint32_t count,
                                                     const BatchId& batch);

// A record taken apart. Its operations are to be read yet.
struct BatchRecord {
  RecordKind kind = RecordKind::kChanges;
  Sequence sequence = {};
  OperationReader operations;          // of the log's own tablet
  BatchId batch = {};                  // of a commit or a copy
  Sequence settled = {};               // of a commit
  std::vector<BatchPart> others = {};  // of a commit: the parts of other tablets

  // The largest Sequence that it takes up.
  Sequence last() const { return std::max(sequence, batch.place); }
};

// Ownership: as above. A record that makes no sense has operations that are not good().
BatchRecord DecodeBatchRecord(std::span<const std::byte> record);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_BATCH_RECORD_H_
