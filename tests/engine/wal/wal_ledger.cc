#include "ioengine/tests/engine/wal/wal_ledger.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/sched/check.h"

namespace ioengine {

std::string WalRecordContent(uint64_t stream, uint64_t record, size_t size_bytes) {
  std::string content(size_bytes, '\0');
  uint64_t state = stream * 0x9e37'79b9'7f4a'7c15 + record * 0xd1b5'4a32'd192'ed03 + size_bytes;
  for (char& byte : content) {
    state = state * 6364136223846793005 + 1442695040888963407;
    byte = static_cast<char>(state >> 56);
  }
  return content;
}

void WalLedger::OnAppend(uint64_t record, size_t size_bytes) {
  IOENGINE_CHECK(record == sizes_.size() + 1, "records are not numbered one after the other");
  sizes_.push_back(size_bytes);
}

void WalLedger::OnReached(Durability level, uint64_t record) {
  IOENGINE_CHECK(record <= sizes_.size(), "a record has reached a level that was not appended");
  IOENGINE_CHECK(failure_.ok(), "something is acknowledged after the failure");
  uint64_t& reached = level == Durability::kDurable ? durable_ : written_;
  IOENGINE_CHECK(record > reached, "acknowledgements of a level go back");
  reached = record;
}

void WalLedger::OnFailed(const absl::Status& error) {
  IOENGINE_CHECK(failure_.ok(), "a failure is told of twice");
  failure_ = error;
}

void WalLedger::BeginReplay() {
  first_ = start_.record;
  last_ = start_.record - 1;
}

absl::Status WalLedger::OnRecord(uint64_t record, std::span<const std::byte> bytes) {
  // The end of one whose begin was released is not given.
  if (last_ < first_ && record == first_ + 1 && record <= released_ + 1) first_ = last_ = record;
  if (record != last_ + 1 && record != first_) {
    return absl::InternalError(absl::StrCat("record ", record, " comes after ", last_));
  }
  last_ = record;
  if (record > sizes_.size()) {
    return absl::InternalError(absl::StrCat("record ", record, " was never appended"));
  }
  if (AsText(bytes) != WalRecordContent(stream_.stream, record, sizes_[record - 1])) {
    return absl::InternalError(absl::StrCat("record ", record, " is not what was appended"));
  }
  return absl::OkStatus();
}

absl::Status WalLedger::EndReplay(const WalEnd& end) {
  const uint64_t promised = was_cut_ ? durable_ : std::max(written_, durable_);
  const std::string what = absl::StrCat("stream ", stream_.stream, ": records ", first_, " to ",
                                        end.seal.record, " came back, of ", promised, " promised, ",
                                        sizes_.size(), " appended, ", released_, " released");
  if (end.seal.record < promised) return absl::InternalError(absl::StrCat("lost: ", what));
  if (end.seal.record > sizes_.size()) return absl::InternalError(absl::StrCat("invented: ", what));
  if (std::max(end.seal.record, last_) != last_ && end.seal.record > released_) {
    return absl::InternalError(absl::StrCat("not given: ", what));
  }
  if (seal.has_value() && !(end.seal == *seal)) {
    return absl::InternalError(absl::StrCat("not as sealed: ", what));
  }
  written_ = durable_ = std::max(durable_, end.seal.record);
  return absl::OkStatus();
}

}  // namespace ioengine
