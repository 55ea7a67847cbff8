#include "ioengine/engine/wal/wal_replay.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"

namespace ioengine {

Task<absl::StatusOr<WalEnd>> WalReplay::Run() {
  if (absl::Status listed = co_await ListSegments(); !listed.ok()) co_return listed;
  // What a seal counts, the seal checks; of what is behind it anything may be left.
  if (!seal_.has_value() && !IsCanary("wal-segment-size-unchecked")) {
    if (absl::Status checked = co_await CheckFiles(); !checked.ok()) co_return checked;
  }
  bool is_missing = false;
  if (!sealed_here()) {
    if (absl::Status opened = co_await OpenFirst(&is_missing); !opened.ok()) co_return opened;
  }
  if (!is_missing) {
    if (absl::Status read = co_await ReadFrames(); !read.ok()) co_return read;
  }
  if (absl::Status sealed = CheckSeal(); !sealed.ok()) co_return sealed;
  TaskScope beside(io_.executor());
  beside.Spawn(visitor_.OnEnd());
  const absl::Status durable = co_await MakeDurable();
  (co_await beside.Join()).IgnoreError();
  if (!durable.ok()) co_return durable;
  end_.last_segment = segment_;
  end_.seal = {next_frame_ - 1, last_hash_, records_.next_record() - 1};
  co_return std::move(end_);
}

Task<absl::Status> WalReplay::ListSegments() {
  absl::StatusOr<std::vector<DirectoryEntry>> entries = co_await files_.List();
  if (!entries.ok()) co_return entries.status();
  for (DirectoryEntry& entry : *entries) {
    const std::optional<WalSegmentId> id = ParseWalSegmentName(entry.name);
    if (!id.has_value() || id->stream != stream_.stream || id->kind != stream_.kind) continue;
    // Not the log's, whatever it is called.
    if (entry.kind == FileKind::kDirectory) continue;
    if (id->segment >= first_segment_) present_.push_back(id->segment);
    end_.segments.push_back(std::move(entry.name));
  }
  std::sort(present_.begin(), present_.end());
  co_return absl::OkStatus();
}

Task<absl::Status> WalReplay::CheckFiles() {
  uint64_t expected_number = first_segment_;
  for (const uint64_t number : present_) {
    if (number != expected_number++) {
      co_return absl::DataLossError(absl::StrCat(
          "the log's segment ", WalSegmentName(stream_, expected_number - 1), " is missing, and ",
          WalSegmentName(stream_, number), ", which was made later, is there"));
    }
    const absl::StatusOr<FileStat> stat = co_await files_.Stat(WalSegmentName(stream_, number));
    if (!stat.ok()) co_return stat.status();
    if (stat->size_bytes >= expected_.segment_bytes) continue;
    const bool is_begin = number == first_segment_ && !expected_.may_be_missing;
    if (number == present_.back() && !is_begin) {
      const absl::StatusOr<bool> written = co_await WasWrittenTo(number);
      if (!written.ok()) co_return written.status();
      if (!*written) continue;
    }
    co_return ShortError(number, stat->size_bytes);
  }
  co_return absl::OkStatus();
}

// Whether a frame was, though it may be torn.
Task<absl::StatusOr<bool>> WalReplay::WasWrittenTo(uint64_t number) {
  absl::StatusOr<std::unique_ptr<SegmentReader>> opened = co_await OpenSegment(number);
  if (!opened.ok()) co_return opened.status();
  SegmentReader& reader = **opened;
  const uint64_t salt = WalSalt(stream_, number);
  for (uint64_t offset = 0; offset < reader.size_bytes(); offset += kWalPageBytes) {
    co_await MaybeYield();
    const auto page = co_await reader.View(offset, kWalPageBytes);
    if (!page.ok()) co_return page.status();
    if (LoadFixed<uint64_t>(page->data() + offsetof(WalFrameHeader, salt)) == salt) co_return true;
  }
  co_return false;
}

absl::Status WalReplay::ShortError(uint64_t number, uint64_t file_bytes) const {
  return absl::DataLossError(absl::StrCat(
      "the log's segment ", files_.root(), "/", WalSegmentName(stream_, number), " has ",
      file_bytes, " bytes, and was made with ", expected_.segment_bytes, ": it was cut short"));
}

Task<absl::Status> WalReplay::OpenFirst(bool* is_missing) {
  *is_missing = present_.empty() && expected_.may_be_missing && next_frame_ == 1;
  if (*is_missing) co_return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<SegmentReader>> opened = co_await OpenSegment(segment_);
  if (absl::IsNotFound(opened.status())) {
    co_return absl::DataLossError(absl::StrCat("the log's segment ",
                                               WalSegmentName(stream_, segment_),
                                               ", from which it is replayed, is missing"));
  }
  if (opened.ok()) reader_ = *std::move(opened);
  co_return opened.status();
}

Task<absl::StatusOr<std::unique_ptr<SegmentReader>>> WalReplay::OpenSegment(uint64_t number) {
  return SegmentReader::Open(io_, files_, WalSegmentName(stream_, number), options_);
}

// The frame there, if there is one, whichever it is.
Task<absl::StatusOr<std::optional<WalReplay::Found>>> WalReplay::FrameAt(SegmentReader* reader,
                                                                         uint64_t segment,
                                                                         uint64_t offset_bytes) {
  std::optional<Found> found;
  const uint64_t room_bytes = reader->size_bytes() - offset_bytes;
  if (room_bytes < kWalPageBytes) co_return found;
  absl::StatusOr<std::span<const std::byte>> front =
      co_await reader->View(offset_bytes, kWalPageBytes);
  if (!front.ok()) co_return front.status();
  const std::optional<WalFrameHeader> header =
      PeekWalFrame(*front, WalSalt(stream_, segment), room_bytes);
  if (!header.has_value()) co_return found;
  absl::StatusOr<std::span<const std::byte>> frame =
      co_await reader->View(offset_bytes, WalFrameBytes(header->body_bytes));
  if (!frame.ok()) co_return frame.status();
  if (IsWalFrameIntact(*header, offset_bytes, *frame) || IsCanary("wal-skip-checksum")) {
    found = {*header, *frame};
  }
  co_return found;
}

bool WalReplay::Follows(const std::optional<Found>& found) const {
  return found.has_value() && found->header.frame == next_frame_ &&
         (found->header.previous_hash == last_hash_ || IsCanary("wal-skip-checksum"));
}

absl::Status WalReplay::Take(const Found& found) {
  const WalFrameHeader& header = found.header;
  if (header.root_epoch > stream_.root_epoch) {
    return absl::DataLossError(
        absl::StrCat("frame ", header.frame, " of log ", stream_.stream, " is of ROOT's epoch ",
                     header.root_epoch, ", and ROOT says that the log began at ",
                     stream_.root_epoch, ": an older ROOT has taken the place of a newer one"));
  }
  end_.root_epoch = std::max(end_.root_epoch, header.root_epoch);
  absl::Status taken =
      records_.Take(header, found.frame.subspan(sizeof(WalFrameHeader), header.body_bytes));
  last_hash_ = header.checksum;
  ++next_frame_;
  return taken;
}

bool WalReplay::sealed_here() const { return seal_.has_value() && next_frame_ > seal_->frame; }

Task<absl::Status> WalReplay::ReadFrames() {
  while (!sealed_here()) {
    co_await MaybeYield();
    absl::StatusOr<std::optional<Found>> found =
        co_await FrameAt(reader_.get(), segment_, offset_bytes_);
    if (!found.ok()) co_return found.status();
    if (!Follows(*found)) {
      absl::StatusOr<bool> goes_on = co_await GoToNextSegment();
      if (!goes_on.ok()) co_return goes_on.status();
      if (*goes_on) continue;
      if (seal_.has_value() || IsCanary("wal-no-proof")) co_return absl::OkStatus();
      co_return co_await SearchProof();
    }
    absl::Status taken = Take(**found);
    if (!taken.ok()) co_return taken;
    // What a seal counts was durable before it.
    if (!seal_.has_value()) {
      tail_.Add((*found)->header, segment_, offset_bytes_, (*found)->frame.size());
    }
    offset_bytes_ += (*found)->frame.size();
  }
  co_return absl::OkStatus();
}

// The next frame may have had no room behind the one before.
Task<absl::StatusOr<bool>> WalReplay::GoToNextSegment() {
  const uint64_t next = segment_ + 1;
  if (!std::binary_search(present_.begin(), present_.end(), next)) co_return false;
  absl::StatusOr<std::unique_ptr<SegmentReader>> opened = co_await OpenSegment(next);
  if (!opened.ok()) co_return opened.status();
  ahead_ = *std::move(opened);
  absl::StatusOr<std::optional<Found>> found = co_await FrameAt(ahead_.get(), next, 0);
  if (!found.ok()) co_return found.status();
  if (!Follows(*found)) co_return false;
  reader_ = std::move(ahead_);
  segment_ = next;
  offset_bytes_ = 0;
  co_return true;
}

// Whether anything behind the end says that there was more.
Task<absl::Status> WalReplay::SearchProof() {
  absl::Status searched = co_await SearchSegment(reader_.get(), segment_, offset_bytes_);
  if (!searched.ok()) co_return searched;
  for (const uint64_t number : present_) {
    if (number <= segment_) continue;
    if (number != segment_ + 1 || ahead_ == nullptr) {
      ahead_.reset();
      absl::StatusOr<std::unique_ptr<SegmentReader>> opened = co_await OpenSegment(number);
      if (!opened.ok()) co_return opened.status();
      ahead_ = *std::move(opened);
    }
    searched = co_await SearchSegment(ahead_.get(), number, 0);
    if (!searched.ok()) co_return searched;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> WalReplay::SearchSegment(SegmentReader* reader, uint64_t segment,
                                            uint64_t offset_bytes) {
  while (offset_bytes < reader->size_bytes()) {
    co_await MaybeYield();
    absl::StatusOr<std::optional<Found>> found = co_await FrameAt(reader, segment, offset_bytes);
    if (!found.ok()) co_return found.status();
    if (!found->has_value()) {
      offset_bytes += kWalPageBytes;
      continue;
    }
    const WalFrameHeader& header = (*found)->header;
    if (header.durable_frame >= next_frame_) {
      co_return absl::DataLossError(absl::StrCat(
          "frame ", next_frame_, " of log ", stream_.stream, " is missing or damaged (segment ",
          WalSegmentName(stream_, segment_), ", offset ", offset_bytes_, "), and frame ",
          header.frame, " proves that it was durable up to ", header.durable_frame));
    }
    if (header.frame >= next_frame_) ++end_.torn_frames;
    end_.root_epoch = std::max(end_.root_epoch, header.root_epoch);
    offset_bytes += (*found)->frame.size();
  }
  co_return absl::OkStatus();
}

absl::Status WalReplay::CheckSeal() const {
  if (!seal_.has_value()) return absl::OkStatus();
  if (next_frame_ - 1 == seal_->frame && last_hash_ == seal_->hash &&
      records_.next_record() - 1 == seal_->record) {
    return absl::OkStatus();
  }
  if (reader_ != nullptr && reader_->file_bytes() < expected_.segment_bytes) {
    return ShortError(segment_, reader_->file_bytes());
  }
  if (ahead_ != nullptr && ahead_->file_bytes() < expected_.segment_bytes) {
    return ShortError(segment_ + 1, ahead_->file_bytes());
  }
  return absl::DataLossError(absl::StrCat("log ", stream_.stream, " was sealed with frame ",
                                          seal_->frame, " and record ", seal_->record,
                                          ", and what is there ends with frame ", next_frame_ - 1,
                                          " and record ", records_.next_record() - 1));
}

// Rule 6.
Task<absl::Status> WalReplay::MakeDurable() {
  if (IsCanary("wal-no-recovery-sync")) co_return absl::OkStatus();
  reader_.reset();
  ahead_.reset();
  if (!IsCanary("wal-tail-not-rewritten")) {
    absl::Status rewritten = co_await tail_.Rewrite(io_, files_, stream_, options_.read_bytes);
    if (!rewritten.ok()) co_return rewritten;
  }
  for (const uint64_t number : present_) {
    const DmaFileOptions read_only;
    absl::StatusOr<DmaFile> file =
        co_await files_.OpenFile(WalSegmentName(stream_, number), read_only);
    if (!file.ok()) co_return file.status();
    absl::Status synced = co_await file->Fdatasync();
    if (!synced.ok()) co_return synced;
  }
  co_return co_await files_.SyncDirectory();
}

}  // namespace ioengine
