// Manifests: a stream, and what its edits come to.

#include "ioengine/engine/manifest/manifest.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/wal/record_assembler.h"
#include "ioengine/tools/inspect/frame_bodies.h"
#include "ioengine/tools/inspect/stream.h"

namespace ioengine::inspect {
namespace {

class Edits final : public WalVisitor {
 public:
  explicit Edits(ManifestState& state) : state_(state) {}

  absl::Status OnRecord(uint64_t record, std::span<const std::byte> bytes) override {
    ManifestEdit edit;
    if (!DecodeManifestEdit(bytes, &edit)) {
      return absl::DataLossError(
          absl::StrCat("edit ", record, " has a good checksum and makes no sense"));
    }
    return state_.Apply(edit);
  }

 private:
  ManifestState& state_;
};

}  // namespace

ManifestReport InspectManifest(const std::string& directory, const RootState& root,
                               const RootManifest& named, const Segments& segments,
                               std::vector<std::string>& problems) {
  ManifestReport report;
  const size_t problems_before = problems.size();
  const WalStream stream = ManifestStream(root, named);
  Edits edits(report.state);
  RecordAssembler records(edits, /*first_record=*/1, /*may_begin_within=*/false);
  FrameBodies bodies(directory);
  absl::Status status;
  const RootStream as_stream = {
      .stream = named.stream, .incarnation = named.incarnation, .root_epoch = named.root_epoch};
  const auto take = [&](const SegmentReport& segment, const FrameReport& frame) {
    if (!status.ok()) return;
    const auto body = bodies.Of(segment, frame);
    status = body.ok() ? records.Take(frame.header, *body) : body.status();
    if (status.ok()) return;
    problems.push_back(absl::StrCat("manifest ", named.stream, ": ", segment.name, ", offset ",
                                    frame.offset_bytes, ": ", std::string(status.message())));
  };
  report.stream = InspectStream(stream, as_stream, WalStart(), segments, take, problems);
  const StreamReport& end = report.stream;
  const bool has_snapshot =
      end.last_frame > named.least.frame ||
      (end.last_frame == named.least.frame && end.last_hash == named.least.hash);
  if (!has_snapshot) {
    problems.push_back(absl::StrCat(
        "manifest ", named.stream, ": it ends with frame ", end.last_frame, ", before offset ",
        end.end_offset_bytes, " of ", end.end_segment, ", and had ", named.least.frame,
        " when ROOT came to name it: what the database consists of is not known"));
  }
  report.is_whole = problems.size() == problems_before;
  return report;
}

}  // namespace ioengine::inspect
