#include "ioengine/engine/wal/record_assembler.h"

#include "absl/strings/str_cat.h"

namespace ioengine {
namespace {

absl::Status Senseless(uint64_t frame) {
  return absl::DataLossError(
      absl::StrCat("frame ", frame, " of the log has a good checksum and makes no sense"));
}

}  // namespace

absl::Status RecordAssembler::Take(const WalFrameHeader& header, std::span<const std::byte> body) {
  if (header.first_record != next_record_) return Senseless(header.frame);
  WalFragmentReader fragments(body);
  while (const std::optional<WalFragment> fragment = fragments.Next()) {
    absl::Status taken = TakeFragment(*fragment);
    if (absl::IsOutOfRange(taken)) return Senseless(header.frame);
    if (!taken.ok()) return taken;
  }
  if (!fragments.good() || next_record_ - header.first_record != header.record_count) {
    return Senseless(header.frame);
  }
  return absl::OkStatus();
}

// OutOfRange: it cannot stand here.
absl::Status RecordAssembler::TakeFragment(const WalFragment& fragment) {
  const bool begins =
      fragment.kind == WalFragmentKind::kWhole || fragment.kind == WalFragmentKind::kFirst;
  const bool ends =
      fragment.kind == WalFragmentKind::kWhole || fragment.kind == WalFragmentKind::kLast;
  if (!begins && may_begin_within_) skips_ = true;
  may_begin_within_ = false;
  if (begins == (has_begin_ || skips_) ||
      fragment.bytes.size() > kMaxWalRecordBytes - begin_.size()) {
    return absl::OutOfRangeError("a fragment");
  }
  if (skips_) {
    if (ends) {
      skips_ = false;
      ++next_record_;
    }
    return absl::OkStatus();
  }
  if (begins && ends) return visitor_.OnRecord(next_record_++, fragment.bytes);
  begin_.insert(begin_.end(), fragment.bytes.begin(), fragment.bytes.end());
  has_begin_ = !ends;
  if (!ends) return absl::OkStatus();
  absl::Status visited = visitor_.OnRecord(next_record_++, begin_);
  begin_.clear();
  return visited;
}

}  // namespace ioengine
