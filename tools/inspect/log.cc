// Logs: a stream, and the values that its records point to.

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/wal/record_assembler.h"
#include "ioengine/tools/inspect/blob_check.h"
#include "ioengine/tools/inspect/frame_bodies.h"
#include "ioengine/tools/inspect/stream.h"

namespace ioengine::inspect {
namespace {

// Those of records that no table contains.
class LoggedBlobs final : public WalVisitor {
 public:
  LoggedBlobs(uint64_t stream, uint64_t contained_record, BlobCheck& blobs)
      : stream_(stream), contained_record_(contained_record), blobs_(blobs) {}

  absl::Status OnRecord(uint64_t record, std::span<const std::byte> bytes) override {
    if (record <= contained_record_) return absl::OkStatus();
    OperationReader operations = DecodeBatchRecord(bytes).operations;
    Operation operation;
    while (operations.Next(&operation)) {
      if (operation.kind != OperationKind::kPutBlob) continue;
      BlobPointer pointer;
      // The reader of operations has looked that it makes sense.
      (void)DecodeBlobPointer(operation.value, &pointer);
      blobs_.CheckLogged(pointer, operation.key,
                         absl::StrCat(" of record ", record, " of log ", stream_));
    }
    if (operations.good()) return absl::OkStatus();
    return absl::DataLossError(
        absl::StrCat("record ", record, " has a good checksum and makes no sense"));
  }

 private:
  const uint64_t stream_;
  const uint64_t contained_record_;
  BlobCheck& blobs_;
};

}  // namespace

StreamReport InspectLog(const std::string& directory, const WalStream& stream,
                        const RootStream& root, const ContainedLog& contained,
                        const Segments& segments, BlobCheck& blobs,
                        std::vector<std::string>& problems) {
  const WalStart start = {contained.segment, contained.frame, contained.previous_hash,
                          contained.first_record};
  LoggedBlobs visitor(stream.stream, contained.record, blobs);
  RecordAssembler records(visitor, start.record, /*may_begin_within=*/start.frame > 1);
  FrameBodies bodies(directory);
  absl::Status status;
  const auto take = [&](const SegmentReport& segment, const FrameReport& frame) {
    if (!status.ok()) return;
    const auto body = bodies.Of(segment, frame);
    status = body.ok() ? records.Take(frame.header, *body) : body.status();
    if (status.ok()) return;
    problems.push_back(absl::StrCat("log ", stream.stream, ": ", segment.name, ", offset ",
                                    frame.offset_bytes, ": ", std::string(status.message())));
  };
  StreamReport report = InspectStream(stream, root, start, segments, take, problems);
  report.contained_record = contained.record;
  return report;
}

}  // namespace ioengine::inspect
