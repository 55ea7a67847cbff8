// A whole database: what ROOT says, and whether the files agree.

#include <algorithm>
#include <filesystem>
#include <map>
#include <span>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/tools/inspect/files.h"
#include "ioengine/tools/inspect/report.h"

namespace ioengine::inspect {
namespace {

void AddProblem(DatabaseReport& report, std::string problem) {
  report.problems.push_back(std::move(problem));
}

// As RootFile finds it. Of a pair with one good slot it makes the other one good.
void FindInForce(DatabaseReport& report) {
  const auto is_newer = [](const RootState& a, const RootState& b) {
    return std::pair(a.epoch, a.incarnation) > std::pair(b.epoch, b.incarnation);
  };
  for (const size_t first : {size_t{0}, size_t{2}}) {
    const RootState* newest = nullptr;
    std::vector<std::string> damage;
    for (const size_t slot : {first, first + 1}) {
      const SlotReport& at = report.slots[slot];
      if (!at.status.ok()) {
        damage.push_back(absl::StrCat("ROOT: ", at.status.message()));
      } else if (newest == nullptr || is_newer(at.state, *newest)) {
        newest = &at.state;
      }
    }
    if (newest == nullptr) {
      report.root.reset();
      for (std::string& each : damage) AddProblem(report, std::move(each));
      AddProblem(report,
                 "ROOT: both slots of a pair are damaged: it is not known what is in force");
      return;
    }
    for (const std::string& each : damage) {
      report.warnings.push_back(
          absl::StrCat(each, "; its copy is good, and the next open writes it again"));
    }
    if (!report.root.has_value() || is_newer(*newest, *report.root)) report.root = *newest;
  }
}

// Adds what follows the chain so far; false where it ends.
bool FollowChain(const SegmentReport& segment, uint64_t salt, StreamReport& stream) {
  for (const FrameReport& frame : segment.frames) {
    const WalFrameHeader& header = frame.header;
    if (header.salt != salt || header.frame != stream.last_frame + 1 ||
        header.previous_hash != stream.last_hash) {
      return false;
    }
    ++stream.frames;
    stream.last_frame = header.frame;
    stream.last_hash = header.checksum;
    stream.last_record = header.first_record + header.record_count - 1;
    stream.frame_bytes += WalFrameBytes(header.body_bytes);
    stream.newest_durable_frame = std::max(stream.newest_durable_frame, header.durable_frame);
    for (const RecordReport& record : frame.records) {
      ++stream.records;
      stream.puts += record.puts;
      stream.deletes += record.deletes;
      stream.record_bytes += record.bytes;
    }
    if (stream.root.seal.has_value() && header.frame == stream.root.seal->frame) return false;
  }
  return true;
}

void CheckEnd(DatabaseReport& report, const StreamReport& stream) {
  const std::string name = absl::StrCat("log ", stream.root.stream, ": ");
  if (stream.root.seal.has_value()) {
    const RootSeal& seal = *stream.root.seal;
    if (stream.last_frame != seal.frame || stream.last_hash != seal.hash ||
        stream.last_record != seal.record) {
      AddProblem(report, absl::StrCat(name, "ROOT seals it with frame ", seal.frame,
                                      ", and its good frames end with ", stream.last_frame));
    }
  } else if (stream.newest_durable_frame > stream.last_frame) {
    AddProblem(report, absl::StrCat(name, "a frame says that ", stream.newest_durable_frame,
                                    " frames were durable, and the good ones end with ",
                                    stream.last_frame));
  }
}

// Frames behind the end that say that there was more.
void LookForProof(const std::map<uint64_t, SegmentReport>& segments, const RootState& root,
                  StreamReport& stream) {
  const WalStream identity = {root.database, stream.root.incarnation, stream.root.stream,
                              stream.root.root_epoch};
  for (const auto& [number, segment] : segments) {
    std::vector<WalFrameHeader> headers = segment.later_frames;
    for (const FrameReport& frame : segment.frames) headers.push_back(frame.header);
    for (const WalFrameHeader& header : headers) {
      if (header.salt != WalSalt(identity, number)) continue;
      stream.newest_durable_frame = std::max(stream.newest_durable_frame, header.durable_frame);
    }
  }
}

bool WasWrittenTo(const SegmentReport& segment, uint64_t salt) {
  const auto has_salt = [&](const FrameReport& frame) { return frame.header.salt == salt; };
  return std::any_of(segment.frames.begin(), segment.frames.end(), has_salt) ||
         std::count(segment.other_salts.begin(), segment.other_salts.end(), salt) > 0;
}

// As WalReplay does, of a stream that is not sealed.
void CheckFiles(DatabaseReport& report, const WalStream& identity, const RootStream& root,
                const std::map<uint64_t, SegmentReport>& segments) {
  uint64_t expected_number = 0;
  for (const auto& [number, segment] : segments) {
    if (number != expected_number && expected_number > 0) {
      AddProblem(report, absl::StrCat("log ", root.stream, ": its segment ",
                                      WalSegmentName(root.stream, expected_number),
                                      " is missing, and a later one is there"));
    }
    expected_number = number + 1;
    const bool may_be_unfinished = number > 0 && number == segments.rbegin()->first &&
                                   !WasWrittenTo(segment, WalSalt(identity, number));
    if (segment.file_bytes < root.segment_bytes && !may_be_unfinished) {
      AddProblem(report, absl::StrCat(segment.name, " has ", segment.file_bytes,
                                      " bytes, and was made with ", root.segment_bytes,
                                      ": it was cut short"));
    }
  }
}

void InspectStream(DatabaseReport& report, const RootStream& root,
                   const std::map<uint64_t, SegmentReport>& segments) {
  StreamReport stream;
  stream.root = root;
  stream.segments = segments.size();
  const WalStream identity = {report.root->database, root.incarnation, root.stream,
                              root.root_epoch};
  uint64_t next = 0;
  for (const auto& [number, segment] : segments) {
    if (number != next++) break;
    if (!FollowChain(segment, WalSalt(identity, number), stream)) break;
  }
  if (segments.empty() || segments.begin()->first != 0) {
    AddProblem(report, absl::StrCat("log ", root.stream, ": its segment ",
                                    WalSegmentName(root.stream, 0), " is missing"));
  }
  if (!root.seal.has_value()) CheckFiles(report, identity, root, segments);
  LookForProof(segments, *report.root, stream);
  CheckEnd(report, stream);
  report.streams.push_back(std::move(stream));
}

// As RootFile tells that its creation was cut short, so that nothing was ever in force.
bool IsUnfinished(const std::vector<SlotReport>& slots) {
  size_t torn = 0;
  for (const SlotReport& slot : slots) {
    if (slot.status.ok()) {
      if (slot.state.epoch > 1) return false;
    } else if (!slot.is_zeros) {
      ++torn;
      if (!slot.begins_as_slot) return false;
    }
  }
  return torn <= 1;
}

using Segments = std::map<uint64_t, std::map<uint64_t, SegmentReport>>;

// Of the logs, by stream and number.
absl::StatusOr<Segments> InspectSegments(const std::string& directory) {
  Segments segments;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const auto id = ParseWalSegmentName(entry.path().filename().string());
    std::error_code ignored;
    if (!id.has_value() || id->kind != WalKind::kLog || entry.is_directory(ignored)) continue;
    absl::StatusOr<SegmentReport> segment = InspectSegment(entry.path().string());
    if (!segment.ok()) return segment.status();
    segments[id->stream][id->segment] = *std::move(segment);
  }
  if (error == std::errc::no_such_file_or_directory) {
    return absl::NotFoundError(absl::StrCat(directory, ": ", error.message()));
  }
  if (error) return absl::FailedPreconditionError(absl::StrCat(directory, ": ", error.message()));
  return segments;
}

// Why there is no database to look at, if that is so.
absl::Status ReadRoot(const Segments& segments, DatabaseReport& report) {
  absl::StatusOr<std::vector<SlotReport>> slots = InspectRoot(report.directory + "/ROOT");
  if (absl::IsNotFound(slots.status()) && !segments.empty()) {
    AddProblem(report, "ROOT is missing, and there are log segments");
    return absl::OkStatus();
  }
  if (!slots.ok()) return slots.status();
  for (const SlotReport& slot : *slots) {
    if (absl::IsFailedPrecondition(slot.status)) return slot.status;
  }
  report.slots = *std::move(slots);
  FindInForce(report);
  if (!report.root.has_value() && segments.empty() && IsUnfinished(report.slots)) {
    return absl::NotFoundError(
        absl::StrCat(report.directory, " holds no database: the creation of one was cut short"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<SlotReport>> InspectRoot(const std::string& path) {
  absl::StatusOr<std::vector<std::byte>> bytes = ReadFile(path);
  if (!bytes.ok()) return bytes.status();
  bytes->resize(kRootSlots * kRootSlotBytes);
  std::vector<SlotReport> slots;
  for (size_t i = 0; i < kRootSlots; ++i) {
    const std::span<const std::byte> slot =
        std::span<const std::byte>(*bytes).subspan(i * kRootSlotBytes, kRootSlotBytes);
    absl::StatusOr<RootState> state = DecodeRootSlot(slot, i);
    SlotReport report;
    report.slot = i;
    report.status = state.status();
    report.is_zeros = IsZeros(slot);
    report.begins_as_slot = IsRootSlot(slot);
    if (state.ok()) report.state = *std::move(state);
    slots.push_back(std::move(report));
  }
  return slots;
}

absl::StatusOr<DatabaseReport> InspectDatabase(const std::string& directory) {
  DatabaseReport report;
  report.directory = directory;
  absl::StatusOr<Segments> segments = InspectSegments(directory);
  if (!segments.ok()) return segments.status();
  if (absl::Status read = ReadRoot(*segments, report); !read.ok()) return read;
  if (!report.root.has_value()) return report;
  for (const RootStream& stream : report.root->streams) {
    InspectStream(report, stream, (*segments)[stream.stream]);
    segments->erase(stream.stream);
  }
  for (const auto& [stream, orphans] : *segments) {
    for (const auto& [number, segment] : orphans) report.orphans.push_back(segment.name);
  }
  return report;
}

}  // namespace ioengine::inspect
