// ValueSeparator: has the large values of batches written before the batches are.
#ifndef IOENGINE_ENGINE_VALUE_SEPARATOR_H_
#define IOENGINE_ENGINE_VALUE_SEPARATOR_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/engine/blob/blob_writer.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/engine/write_batch.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// A batch whose large values are elsewhere, and durable.
struct SeparatedBatch {
  std::string operations;  // with pointers, as format/batch_record.h has them
  std::vector<PlacedBlob> blobs;
  size_t value_bytes = 0;  // of those

  // Has the memtable keep the files that the batch's changes in it refer to.
  void KeepIn(Memtable& memtable) const;
};

// Puts each value of `least_bytes` or more into a blob file, and waits until all are durable, so
// that no record of the log ever points to what may be lost.
//
// Ownership: borrows the writer, and keys and values until the task has ended. Errors: those of
// BlobWriter; what was written already is garbage then.
Task<absl::StatusOr<SeparatedBatch>> Separate(BlobWriter& writer, std::vector<Operation> operations,
                                              size_t least_bytes);

// Those of a batch, which they refer to.
std::vector<Operation> OperationsOf(const WriteBatch& batch);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_VALUE_SEPARATOR_H_
