#include "ioengine/tools/inspect/stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace ioengine::inspect {
namespace {

class StreamInspection {
 public:
  StreamInspection(const WalStream& stream, const WalStart& start, const Segments& segments,
                   std::vector<std::string>& problems)
      : stream_(stream), start_(start), segments_(segments), problems_(problems) {}

  StreamReport Run(const RootStream& root, const FrameVisitor& visit) {
    report_.root = root;
    report_.segments = segments_.size();
    report_.last_frame = start_.frame - 1;
    report_.last_hash = start_.previous_hash;
    report_.last_record = start_.record - 1;
    report_.end_segment = WalSegmentName(stream_, start_.segment);
    uint64_t next = start_.segment;
    for (auto at = segments_.find(next); at != segments_.end() && at->first == next; ++at) {
      if (IsAtSeal() || !FollowChain(at->second, WalSalt(stream_, next++), visit)) break;
    }
    if (!IsAtSeal() && segments_.count(start_.segment) == 0) {
      AddProblem(
          absl::StrCat("its segment ", WalSegmentName(stream_, start_.segment), " is missing"));
    }
    if (!root.seal.has_value()) CheckFiles();
    LookForProof();
    CheckEnd();
    return std::move(report_);
  }

 private:
  void AddProblem(const std::string& problem) {
    const char* const kind = stream_.kind == WalKind::kManifest ? "manifest " : "log ";
    problems_.push_back(absl::StrCat(kind, stream_.stream, ": ", problem));
  }

  bool IsAtSeal() const {
    return report_.root.seal.has_value() && report_.last_frame >= report_.root.seal->frame;
  }

  // Adds what follows the chain so far; false where it ends. The next frame may stand in the next
  // segment, if this one had no room for it.
  bool FollowChain(const SegmentReport& segment, uint64_t salt, const FrameVisitor& visit) {
    bool is_first = true;
    for (const FrameReport& frame : segment.frames) {
      const WalFrameHeader& header = frame.header;
      if (header.salt != salt || header.frame != report_.last_frame + 1 ||
          header.previous_hash != report_.last_hash) {
        return !is_first;
      }
      is_first = false;
      Count(segment, frame);
      visit(segment, frame);
      if (IsAtSeal()) return false;
    }
    return !is_first;
  }

  void Count(const SegmentReport& segment, const FrameReport& frame) {
    const WalFrameHeader& header = frame.header;
    ++report_.frames;
    report_.last_frame = header.frame;
    report_.last_hash = header.checksum;
    report_.last_record = header.first_record + header.record_count - 1;
    report_.frame_bytes += WalFrameBytes(header.body_bytes);
    report_.newest_durable_frame = std::max(report_.newest_durable_frame, header.durable_frame);
    report_.newest_root_epoch = std::max(report_.newest_root_epoch, header.root_epoch);
    report_.end_segment = segment.name;
    report_.end_offset_bytes = frame.offset_bytes + WalFrameBytes(header.body_bytes);
    for (const RecordReport& record : frame.records) {
      ++report_.records;
      report_.puts += record.puts;
      report_.deletes += record.deletes;
      report_.record_bytes += record.bytes;
    }
  }

  bool WasWrittenTo(const SegmentReport& segment, uint64_t salt) const {
    const auto has_salt = [&](const FrameReport& frame) { return frame.header.salt == salt; };
    return std::any_of(segment.frames.begin(), segment.frames.end(), has_salt) ||
           std::count(segment.other_salts.begin(), segment.other_salts.end(), salt) > 0;
  }

  // As WalReplay does, of a stream that is not sealed.
  void CheckFiles() {
    uint64_t expected_number = start_.segment;
    for (auto at = segments_.lower_bound(start_.segment); at != segments_.end(); ++at) {
      const auto& [number, segment] = *at;
      if (number != expected_number && expected_number > start_.segment) {
        AddProblem(absl::StrCat("its segment ", WalSegmentName(stream_, expected_number),
                                " is missing, and a later one is there"));
      }
      expected_number = number + 1;
      const bool may_be_unfinished = number > start_.segment &&
                                     number == segments_.rbegin()->first &&
                                     !WasWrittenTo(segment, WalSalt(stream_, number));
      if (segment.file_bytes < report_.root.segment_bytes && !may_be_unfinished) {
        problems_.push_back(absl::StrCat(segment.name, " has ", segment.file_bytes,
                                         " bytes, and was made with ", report_.root.segment_bytes,
                                         ": it was cut short"));
      }
    }
  }

  // Frames behind the end that say that there was more.
  void LookForProof() {
    for (auto at = segments_.lower_bound(start_.segment); at != segments_.end(); ++at) {
      const SegmentReport& segment = at->second;
      std::vector<WalFrameHeader> headers = segment.later_frames;
      for (const FrameReport& frame : segment.frames) headers.push_back(frame.header);
      const uint64_t salt = WalSalt(stream_, at->first);
      for (const WalFrameHeader& header : headers) {
        if (header.salt != salt) continue;
        report_.newest_durable_frame = std::max(report_.newest_durable_frame, header.durable_frame);
        report_.newest_root_epoch = std::max(report_.newest_root_epoch, header.root_epoch);
      }
    }
  }

  void CheckEnd() {
    const std::string end = absl::StrCat(report_.last_frame, ", before offset ",
                                         report_.end_offset_bytes, " of ", report_.end_segment);
    const char* const consequence = stream_.kind == WalKind::kManifest
                                        ? "; what the database consists of is not known"
                                        : "; which keys are lost is not known";
    if (report_.root.seal.has_value()) {
      const RootSeal& seal = *report_.root.seal;
      if (report_.last_frame != seal.frame || report_.last_hash != seal.hash ||
          report_.last_record != seal.record) {
        AddProblem(absl::StrCat("ROOT seals it with frame ", seal.frame,
                                ", and its good frames end with ", end, consequence));
      }
    } else if (report_.newest_durable_frame > report_.last_frame) {
      AddProblem(absl::StrCat("a frame says that ", report_.newest_durable_frame,
                              " frames were durable, and the good ones end with ", end,
                              consequence));
    }
    if (report_.newest_root_epoch > stream_.root_epoch) {
      AddProblem(absl::StrCat("it has frames of ROOT's epoch ", report_.newest_root_epoch,
                              ", and began at ", stream_.root_epoch,
                              ": an older ROOT has taken the place of a newer one"));
    }
  }

  const WalStream& stream_;
  const WalStart& start_;
  const Segments& segments_;
  std::vector<std::string>& problems_;
  StreamReport report_;
};

}  // namespace

StreamReport InspectStream(const WalStream& stream, const RootStream& root, const WalStart& start,
                           const Segments& segments, const FrameVisitor& visit,
                           std::vector<std::string>& problems) {
  return StreamInspection(stream, start, segments, problems).Run(root, visit);
}

}  // namespace ioengine::inspect
