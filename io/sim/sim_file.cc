#include "ioengine/io/sim/sim_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ioengine {
namespace {

constexpr uint64_t PageOf(uint64_t offset_bytes) { return offset_bytes / kSimPageBytes; }
constexpr uint64_t EndPage(uint64_t end_bytes) {
  return (end_bytes + kSimPageBytes - 1) / kSimPageBytes;
}
constexpr uint64_t kForEver = UINT64_MAX - kSimPageBytes;

}  // namespace

SimFile::~SimFile() {
  space_.used_pages -= visible_.pages.pages();
  space_.pending_changes -= pending_.size();
}

size_t SimFile::Read(uint64_t offset_bytes, std::span<std::byte> data) const {
  if (offset_bytes >= visible_.size_bytes) return 0;
  const uint64_t end = std::min(visible_.size_bytes, offset_bytes + data.size());
  for (uint64_t at = offset_bytes; at < end;) {
    const uint64_t until = std::min(end, (PageOf(at) + 1) * kSimPageBytes);
    const SimPageRef* const page = visible_.pages.Find(PageOf(at));
    std::byte* const to = data.data() + (at - offset_bytes);
    if (page == nullptr) {
      std::memset(to, 0, until - at);
    } else {
      std::memcpy(to, (*page)->bytes.data() + at % kSimPageBytes, until - at);
    }
    at = until;
  }
  return end - offset_bytes;
}

// A page of its own for bytes that are about to be changed, with the old ones around them.
SimPageRef SimFile::PageFor(uint64_t begin_bytes, uint64_t end_bytes, const SimPageRef* old) const {
  if (end_bytes - begin_bytes == kSimPageBytes) return SimPageRef::Make();
  return SimPageRef::CopyOf(old == nullptr ? *space_.zeros : **old);
}

void SimFile::PutPage(uint64_t begin_bytes, std::span<const std::byte> bytes) {
  const uint64_t end_bytes = begin_bytes + bytes.size();
  SimPageRef page = PageFor(begin_bytes, end_bytes, visible_.pages.Find(PageOf(begin_bytes)));
  std::memcpy(page->bytes.data() + begin_bytes % kSimPageBytes, bytes.data(), bytes.size());
  visible_.pages.Set(PageOf(begin_bytes), page);
  Add({.kind = Change::Kind::kData,
       .write = writes_,
       .begin_bytes = begin_bytes,
       .end_bytes = end_bytes,
       .page = std::move(page)});
}

size_t SimFile::Write(uint64_t offset_bytes, std::span<const std::byte> data, bool keeps_data) {
  ++writes_;
  const size_t begin = pending_.size();
  uint64_t end = offset_bytes + data.size();
  for (uint64_t page = PageOf(offset_bytes); page < EndPage(end); ++page) {
    if (visible_.pages.Find(page) != nullptr) continue;
    if (!space_.Take()) {
      end = std::max(offset_bytes, page * kSimPageBytes);
      break;
    }
    visible_.pages.Set(page, space_.zeros);
    AddMapped(page, begin);
  }
  if (end <= offset_bytes) return 0;
  if (!broken_sectors_.empty()) {
    broken_sectors_.erase(broken_sectors_.lower_bound(offset_bytes / kSimSectorBytes),
                          broken_sectors_.lower_bound((end - 1) / kSimSectorBytes + 1));
  }
  for (uint64_t at = offset_bytes; keeps_data && at < end;) {
    const uint64_t until = std::min(end, (PageOf(at) + 1) * kSimPageBytes);
    PutPage(at, data.subspan(at - offset_bytes, until - at));
    at = until;
  }
  if (end > visible_.size_bytes) {
    visible_.size_bytes = end;
    Add({.kind = Change::Kind::kGrow, .end_bytes = end});
  }
  return end - offset_bytes;
}

void SimFile::Misplace(uint64_t offset_bytes, std::span<const std::byte> data) {
  ++writes_;
  const uint64_t end = std::min(offset_bytes + data.size(), visible_.size_bytes);
  for (uint64_t at = offset_bytes; at < end;) {
    const uint64_t until = std::min(end, (PageOf(at) + 1) * kSimPageBytes);
    if (visible_.pages.Find(PageOf(at)) != nullptr) {
      PutPage(at, data.subspan(at - offset_bytes, until - at));
    }
    at = until;
  }
}

bool SimFile::Allocate(uint64_t offset_bytes, uint64_t range_bytes) {
  const size_t begin = pending_.size();
  const uint64_t end = offset_bytes + range_bytes;
  uint64_t missing = 0;
  for (uint64_t page = PageOf(offset_bytes); page < EndPage(end); ++page) {
    if (visible_.pages.Find(page) == nullptr) ++missing;
    if (space_.used_pages + missing > space_.capacity_pages) return false;
  }
  for (uint64_t page = PageOf(offset_bytes); page < EndPage(end); ++page) {
    if (visible_.pages.Find(page) != nullptr) continue;
    space_.Take();
    visible_.pages.Set(page, space_.zeros);
    AddMapped(page, begin);
  }
  if (end > visible_.size_bytes) {
    visible_.size_bytes = end;
    Add({.kind = Change::Kind::kGrow, .end_bytes = end});
  }
  return true;
}

void SimFile::Punch(uint64_t offset_bytes, uint64_t range_bytes) {
  Add({.kind = Change::Kind::kUnmap,
       .begin_bytes = offset_bytes,
       .end_bytes = offset_bytes + range_bytes});
  Apply(pending_.back(), visible_);
}

void SimFile::Truncate(uint64_t size_bytes) {
  Add({.kind = Change::Kind::kTruncate, .end_bytes = size_bytes});
  Apply(pending_.back(), visible_);
}

void SimFile::Add(Change change) {
  pending_.push_back(std::move(change));
  ++space_.pending_changes;
}

// Extends a change of the same operation, whose changes begin at index `begin`.
void SimFile::AddMapped(uint64_t page, size_t begin) {
  if (pending_.size() > begin) {
    Change& last = pending_.back();
    if (last.kind == Change::Kind::kMap && last.end_bytes == page * kSimPageBytes) {
      last.end_bytes += kSimPageBytes;
      return;
    }
  }
  Add({.kind = Change::Kind::kMap,
       .begin_bytes = page * kSimPageBytes,
       .end_bytes = (page + 1) * kSimPageBytes});
}

void SimFile::Clear(Change& change) {
  change.kind = Change::Kind::kGone;
  change.page = SimPageRef();
}

// Takes away those that are gone, as far as that leaves the positions of the others as they are.
void SimFile::DropFinished() {
  size_t gone = 0;
  while (gone < pending_.size() && pending_[gone].kind == Change::Kind::kGone) ++gone;
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(gone));
  first_position_ += gone;
  space_.pending_changes -= gone;
}

void SimFile::Free(State& state, uint64_t first_page, uint64_t end_page) const {
  const uint64_t freed = state.pages.Erase(first_page, end_page);
  if (&state == &visible_) space_.used_pages -= freed;
}

void SimFile::ZeroBytes(uint64_t begin_bytes, uint64_t end_bytes, State& state) const {
  if (begin_bytes >= end_bytes) return;
  const SimPageRef* const old = state.pages.Find(PageOf(begin_bytes));
  if (old == nullptr || old->SameAs(space_.zeros)) return;
  SimPageRef page = SimPageRef::CopyOf(**old);
  std::memset(page->bytes.data() + begin_bytes % kSimPageBytes, 0, end_bytes - begin_bytes);
  state.pages.Set(PageOf(begin_bytes), std::move(page));
}

// The bytes [begin, end) of a change of data.
void SimFile::CopyBytes(const Change& change, uint64_t begin_bytes, uint64_t end_bytes,
                        State& state) const {
  const uint64_t page = PageOf(change.begin_bytes);
  if (end_bytes - begin_bytes == kSimPageBytes) {
    state.pages.Set(page, change.page);
    return;
  }
  SimPageRef copy = PageFor(begin_bytes, end_bytes, state.pages.Find(page));
  const uint64_t at = begin_bytes % kSimPageBytes;
  std::memcpy(copy->bytes.data() + at, change.page->bytes.data() + at, end_bytes - begin_bytes);
  state.pages.Set(page, std::move(copy));
}

void SimFile::Apply(const Change& change, State& state) const {
  switch (change.kind) {
    case Change::Kind::kGone:
      return;
    case Change::Kind::kData:
      CopyBytes(change, change.begin_bytes, change.end_bytes, state);
      return;
    case Change::Kind::kMap:
      for (uint64_t page = PageOf(change.begin_bytes); page < PageOf(change.end_bytes); ++page) {
        if (state.pages.Find(page) == nullptr) state.pages.Set(page, space_.zeros);
      }
      return;
    case Change::Kind::kGrow:
      state.size_bytes = std::max(state.size_bytes, change.end_bytes);
      return;
    case Change::Kind::kTruncate:
      Free(state, EndPage(change.end_bytes), kForEver);
      ZeroBytes(change.end_bytes, EndPage(change.end_bytes) * kSimPageBytes, state);
      state.size_bytes = change.end_bytes;
      return;
    case Change::Kind::kUnmap: {
      const uint64_t first = EndPage(change.begin_bytes);
      const uint64_t end = PageOf(change.end_bytes);
      if (first > end) {
        ZeroBytes(change.begin_bytes, change.end_bytes, state);
        return;
      }
      Free(state, first, end);
      ZeroBytes(change.begin_bytes, first * kSimPageBytes, state);
      ZeroBytes(end * kSimPageBytes, change.end_bytes, state);
      return;
    }
  }
}

void SimFile::MakeDurable(uint64_t end) {
  for (size_t i = 0; i < pending_.size() && first_position_ + i < end; ++i) {
    Apply(pending_[i], durable_);
    Clear(pending_[i]);
  }
  DropFinished();
}

void SimFile::MakeDataDurable() {
  Ranges unmapped;
  for (Change& change : pending_) {
    if (change.is_metadata()) {
      NoteUnmapped(change, unmapped);
      NoteEdges(change, unmapped);
    } else if (change.is_data() && !IsUnmapped(change, unmapped)) {
      Apply(change, durable_);
      Clear(change);
    }
  }
  DropFinished();
}

void SimFile::DropData(uint64_t end) {
  for (size_t i = 0; i < pending_.size() && first_position_ + i < end; ++i) {
    if (pending_[i].is_data()) Clear(pending_[i]);
  }
  DropFinished();
}

// Whether the changes from index `begin` on cannot be found without metadata that is pending.
bool SimFile::NeedsMetadata(size_t begin) const {
  for (size_t i = begin; i < pending_.size(); ++i) {
    const Change& own = pending_[i];
    if (own.is_metadata()) return true;
    if (own.is_data() && own.end_bytes > durable_.size_bytes) return true;
    for (size_t j = 0; j < begin; ++j) {
      const Change& other = pending_[j];
      const bool overlaps = other.kind == Change::Kind::kTruncate ||
                            (other.is_metadata() && other.begin_bytes < own.end_bytes &&
                             own.begin_bytes < other.end_bytes);
      if (overlaps) return true;
    }
  }
  return false;
}

// Data of the first `end` pending changes is not to come back over what became durable after it:
// the bytes [begin, end) of its pages become those of `bytes`.
void SimFile::Supersede(size_t end, uint64_t begin_bytes, uint64_t end_bytes,
                        const SimPageRef& bytes) {
  for (size_t i = 0; i < end; ++i) {
    Change& change = pending_[i];
    if (!change.is_data()) continue;
    const uint64_t from = std::max(change.begin_bytes, begin_bytes);
    const uint64_t to = std::min(change.end_bytes, end_bytes);
    if (from >= to) continue;
    if (from == change.begin_bytes && to == change.end_bytes) {
      Clear(change);
      continue;
    }
    SimPageRef page = SimPageRef::CopyOf(*change.page);
    const uint64_t at = from % kSimPageBytes;
    std::memcpy(page->bytes.data() + at, bytes->bytes.data() + at, to - from);
    change.page = std::move(page);
  }
}

void SimFile::MakeLastDurable(uint64_t begin) {
  // A flush of the device may have come to its data before.
  const size_t first = begin > first_position_ ? begin - first_position_ : 0;
  const bool metadata = NeedsMetadata(first);
  for (size_t i = 0; i < pending_.size(); ++i) {
    Change& change = pending_[i];
    if (change.is_metadata() && metadata) {
      if (change.kind == Change::Kind::kTruncate) {
        Supersede(i, change.end_bytes, kForEver, space_.zeros);
      }
      if (change.kind == Change::Kind::kUnmap) {
        Supersede(i, change.begin_bytes, change.end_bytes, space_.zeros);
      }
    } else if (change.is_data() && i >= first) {
      Supersede(first, change.begin_bytes, change.end_bytes, change.page);
    } else {
      continue;
    }
    Apply(change, durable_);
    Clear(change);
  }
  DropFinished();
}

// Where later data cannot be found when `change` is lost: its mapping does not exist then.
void SimFile::NoteUnmapped(const Change& change, Ranges& unmapped) {
  switch (change.kind) {
    case Change::Kind::kTruncate:
      unmapped.emplace_back(EndPage(change.end_bytes), kForEver);
      return;
    case Change::Kind::kMap:
    case Change::Kind::kUnmap:
      unmapped.emplace_back(EndPage(change.begin_bytes), PageOf(change.end_bytes));
      return;
    default:
      return;
  }
}

// The pages that `change` zeroes in part. Data that came later must not become durable before it:
// the zeros would go over it.
void SimFile::NoteEdges(const Change& change, Ranges& pages) {
  const bool cuts = change.kind == Change::Kind::kTruncate;
  if (!cuts && change.kind != Change::Kind::kUnmap) return;
  pages.emplace_back(PageOf(change.end_bytes), EndPage(change.end_bytes));
  if (!cuts) pages.emplace_back(PageOf(change.begin_bytes), EndPage(change.begin_bytes));
}

bool SimFile::IsUnmapped(const Change& data, const Ranges& unmapped) {
  const uint64_t page = PageOf(data.begin_bytes);
  return std::any_of(unmapped.begin(), unmapped.end(), [page](const auto& range) {
    return range.first <= page && page < range.second;
  });
}

// Of the write to which the pending change `first` belongs; it is the first one.
size_t SimFile::SectorsOfWrite(size_t first) const {
  const Change& change = pending_[first];
  uint64_t end_bytes = change.end_bytes;
  for (size_t i = first; i < pending_.size() && pending_[i].write == change.write; ++i) {
    end_bytes = pending_[i].end_bytes;
  }
  return (end_bytes - 1) / kSimSectorBytes - change.begin_bytes / kSimSectorBytes + 1;
}

void SimFile::Tear(const Change& change, State& state, CrashChoices& choices) const {
  for (uint64_t at = change.begin_bytes; at < change.end_bytes;) {
    const uint64_t until = std::min(change.end_bytes, (at / kSimSectorBytes + 1) * kSimSectorBytes);
    if (choices.Keep()) CopyBytes(change, at, until, state);
    at = until;
  }
}

void SimFile::CrashInto(SimFile& to, CrashChoices& choices) const {
  choices.BeginPart();
  State state = durable_;
  size_t metadata_left = 0;
  for (const Change& change : pending_) metadata_left += change.is_metadata() ? 1 : 0;
  if (metadata_left > 0) metadata_left = choices.KeepPrefix(metadata_left);
  Ranges unmapped;
  auto fate = CrashChoices::Fate::kLost;
  uint32_t fate_of = 0;
  for (size_t i = 0; i < pending_.size(); ++i) {
    const Change& change = pending_[i];
    if (change.is_metadata()) {
      if (metadata_left > 0) {
        --metadata_left;
        Apply(change, state);
      } else {
        NoteUnmapped(change, unmapped);
      }
      continue;
    }
    if (!change.is_data() || IsUnmapped(change, unmapped)) continue;
    if (fate_of != change.write) fate = choices.FateOfWrite(SectorsOfWrite(i));
    fate_of = change.write;
    if (fate == CrashChoices::Fate::kWhole) Apply(change, state);
    if (fate == CrashChoices::Fate::kTorn) Tear(change, state, choices);
  }

  // What lies beyond the end is never seen.
  state.pages.Erase(EndPage(state.size_bytes), kForEver);
  ZeroBytes(state.size_bytes, EndPage(state.size_bytes) * kSimPageBytes, state);
  to.space_.used_pages += state.pages.pages();
  to.visible_ = state;
  to.durable_ = std::move(state);
  to.broken_sectors_ = broken_sectors_;
}

void SimFile::FlipBit(uint64_t offset_bytes, unsigned bit) {
  const uint64_t page = PageOf(offset_bytes);
  const SimPageRef* const found = visible_.pages.Find(page);
  if (found == nullptr || found->SameAs(space_.zeros)) return;
  const SimPageRef old = *found;
  const SimPageRef* const durable = durable_.pages.Find(page);
  const bool same = durable != nullptr && durable->SameAs(old);
  SimPageRef rotten = SimPageRef::CopyOf(*old);
  rotten->bytes[offset_bytes % kSimPageBytes] ^= static_cast<std::byte>(1U << (bit % 8));
  visible_.pages.Set(page, rotten);
  if (same) durable_.pages.Set(page, rotten);
  for (Change& change : pending_) {
    if (change.is_data() && change.page.SameAs(old)) change.page = rotten;
  }
}

void SimFile::BreakSector(uint64_t offset_bytes) {
  broken_sectors_.insert(offset_bytes / kSimSectorBytes);
}

bool SimFile::HasBrokenSector(uint64_t offset_bytes, uint64_t size_bytes) const {
  if (broken_sectors_.empty() || size_bytes == 0) return false;
  const auto at = broken_sectors_.lower_bound(offset_bytes / kSimSectorBytes);
  return at != broken_sectors_.end() && *at <= (offset_bytes + size_bytes - 1) / kSimSectorBytes;
}

uint64_t SimFile::PickPage(uint64_t choice) const {
  if (visible_.pages.pages() == 0) return UINT64_MAX;
  const uint64_t found = visible_.pages.NextMapped(choice % EndPage(visible_.size_bytes + 1));
  return found != UINT64_MAX ? found : visible_.pages.NextMapped(0);
}

}  // namespace ioengine
