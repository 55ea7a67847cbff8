#include "ioengine/engine/value_separator.h"

#include <utility>

#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/check.h"

namespace ioengine {

void SeparatedBatch::KeepIn(Memtable& memtable) const {
  for (const PlacedBlob& blob : blobs) {
    const Uuid& file = blob.pointer.file;
    if (!memtable.Keeps(file)) memtable.Keep(file, blob.use);
  }
}

std::vector<Operation> OperationsOf(const WriteBatch& batch) {
  std::vector<Operation> operations;
  OperationReader reader(AsBytes(batch.operations()), batch.count());
  Operation operation;
  while (reader.Next(&operation)) operations.push_back(operation);
  IOENGINE_CHECK(reader.good(), "a WriteBatch does not read as it was written");
  return operations;
}

Task<absl::StatusOr<SeparatedBatch>> Separate(BlobWriter& writer, std::vector<Operation> operations,
                                              size_t least_bytes) {
  SeparatedBatch separated;
  for (const Operation& operation : operations) {
    if (operation.kind != OperationKind::kPut || operation.value.size() < least_bytes) {
      AppendOperation(separated.operations, operation);
      continue;
    }
    absl::StatusOr<PlacedBlob> placed = co_await writer.Append(operation.value);
    if (!placed.ok()) co_return placed.status();
    const std::string pointer = EncodeBlobPointer(placed->pointer);
    AppendOperation(separated.operations, {OperationKind::kPutBlob, operation.key, pointer});
    separated.value_bytes += operation.value.size();
    separated.blobs.push_back(*std::move(placed));
  }
  for (const PlacedBlob& blob : separated.blobs) {
    if (IsCanary("blob-frame-before-durable")) break;
    absl::Status durable = co_await writer.MakeDurable(blob);
    if (!durable.ok()) co_return durable;
  }
  co_return separated;
}

}  // namespace ioengine
