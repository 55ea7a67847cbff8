#include "ioengine/engine/store_iterator.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "ioengine/engine/format/blob_format.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/yield.h"

namespace ioengine {
namespace {

// Changes of a key stand from the newest to the oldest: the first place, and the last.
constexpr Sequence kNewest = kMaxSequence;
constexpr Sequence kOldest = {};

// Changes that do not count, after which it looks for those of the next key instead.
constexpr size_t kMostSteps = 64;

// Of memory, of a cursor in each memtable and run, beside keys; and of the two blocks of a run, as
// they usually are.
constexpr size_t kSourceBytes = 1024;
constexpr size_t kUsualBlocks = 2 * kBlockPageBytes;

size_t SourceCount(const ReadView& view) {
  return 1 + view.frozen.size() + view.version->runs().size();
}

}  // namespace

ScanOptions ScanOptions::Prefix(std::string prefix) {
  ScanOptions options;
  options.lower = prefix;
  // The first key behind all that begin so: without bytes that cannot grow.
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (prefix.empty()) return options;
  ++prefix.back();
  options.upper = std::move(prefix);
  return options;
}

class StoreIterator::Moving {
 public:
  explicit Moving(StoreIterator& iterator) : iterator_(iterator) {
    IOENGINE_CHECK(!iterator.moving_, "a StoreIterator has two moves at once");
    iterator_.moving_ = true;
  }
  Moving(const Moving&) = delete;
  Moving& operator=(const Moving&) = delete;
  ~Moving() { iterator_.moving_ = false; }

 private:
  StoreIterator& iterator_;
};

StoreIterator::StoreIterator(ReadViewSource& store, Sequence at, ScanOptions options)
    : Reader(at),
      store_(store),
      options_(std::move(options)),
      charge_(store.reader_memory().copies),
      buffers_(store.reader_memory().buffers) {
  charge_.Resize(own_bytes());
  store_.Register(*this);
}

size_t StoreIterator::own_bytes() const {
  const size_t bounds_bytes = (options_.lower.has_value() ? options_.lower->capacity() : 0) +
                              (options_.upper.has_value() ? options_.upper->capacity() : 0);
  return sizeof(*this) + bounds_bytes + key_.capacity() + own_value_.capacity();
}

void StoreIterator::LetGo() {
  if (moving_ || cursor_ == nullptr) return;
  // Whoever has the value now has it for as long as before.
  if (valid_ && place_ == CursorPlace::kAtChange && !cursor_->in_memtable()) {
    own_block_ = cursor_->TakeBlock();
  }
  DropView();
}

void StoreIterator::DropView() {
  place_ = CursorPlace::kElsewhere;
  cursor_ = nullptr;
  view_ = nullptr;
  charge_.Resize(own_bytes());
  key_bytes_ = key_.capacity();
  buffers_.Resize(0);
}

absl::Status StoreIterator::BeginMove() {
  valid_ = false;
  steps_ = 0;
  has_candidate_ = false;
  refused_bytes_ = 0;
  needs_blob_ = false;
  own_block_ = LoadedBlock();
  if (absl::Status status = store_.MayRead(); !status.ok()) {
    DropView();
    return status;
  }
  const std::shared_ptr<const ReadView>& current = store_.read_view();
  if (view_ == current) return absl::OkStatus();
  DropView();
  view_ = current;
  absl::Status made = MakeCursor();
  if (!made.ok()) DropView();
  return made;
}

absl::Status StoreIterator::MakeCursor() {
  TableIteratorOptions bounds;
  bounds.lower = options_.lower.value_or("");
  bounds.upper = options_.upper;
  const size_t sources = SourceCount(*view_);
  // Bounds are copied twice for each, and there is the key that it is at.
  const size_t keys_bytes =
      2 * (bounds.lower.size() + (bounds.upper.has_value() ? bounds.upper->size() : 0)) +
      key_.capacity();
  const size_t bytes = own_bytes() + sources * (kSourceBytes + keys_bytes);
  MemoryBudget* const memory = charge_.budget();
  // What others do not use right now may be enough.
  if (memory != nullptr && !memory->HasRoomFor(bytes + sources * kUsualBlocks)) {
    store_.LetGoOfViews();
  }
  if (!charge_.TryResize(bytes)) return ReadersAreFull(*memory, bytes);
  if (options_.read_ahead.has_value()) {
    const ReadAheadOptions& ahead = *options_.read_ahead;
    const size_t buffer_bytes = std::bit_ceil(std::max<size_t>(ahead.buffer_bytes, 1));
    const bool reads_ahead = buffers_.TryResize(sources * ahead.read_ahead * buffer_bytes);
    if (reads_ahead) bounds.read_ahead = ahead;
  }
  bounds.copies = {.memory = memory};
  cursor_ = std::make_unique<MergeIterator>(MergeSources::Of(*view_), std::move(bounds));
  return absl::OkStatus();
}

bool StoreIterator::TryOwn(std::string_view value) {
  if (value.size() <= own_value_.capacity()) {
    own_value_.assign(value);
    return true;
  }
  // Its place before it is given back first, or both would be there for a moment. (An empty string
  // that is assigned would leave it there.)
  const size_t other_bytes = charge_.bytes() - own_value_.capacity();
  std::string().swap(own_value_);
  const bool has_room = charge_.TryResize(other_bytes + value.size());
  if (has_room) {
    own_value_.assign(value);
  } else {
    refused_bytes_ = value.size();
  }
  charge_.Resize(other_bytes + own_value_.capacity());
  return has_room;
}

absl::Status StoreIterator::Settled() {
  if (key_.capacity() > key_bytes_) {
    const size_t more_bytes = key_.capacity() - std::exchange(key_bytes_, key_.capacity());
    charge_.Resize(charge_.bytes() + (1 + SourceCount(*view_)) * more_bytes);
  }
  if (refused_bytes_ == 0) return absl::OkStatus();
  valid_ = false;
  return ReadersAreFull(*charge_.budget(), refused_bytes_);
}

void StoreIterator::TakeValue() {
  needs_blob_ = cursor_->kind() == OperationKind::kPutBlob;
  if (cursor_->in_memtable() || needs_blob_) {
    TryOwn(cursor_->value());
    value_ = own_value_;
  } else {
    value_ = cursor_->value();
  }
  place_ = CursorPlace::kAtChange;
  valid_ = !needs_blob_;
}

// In the place of the pointer in own_value_.
Task<absl::Status> StoreIterator::LoadBlob() {
  absl::Status settled = Settled();
  if (!settled.ok() || !std::exchange(needs_blob_, false)) co_return settled;
  BlobPointer pointer;
  // The block, or the reader of the log, has looked that it makes sense.
  (void)DecodeBlobPointer(own_value_, &pointer);
  const size_t other_bytes = charge_.bytes() - own_value_.capacity();
  if (!charge_.TryResize(other_bytes + own_value_.capacity() + pointer.value_bytes)) {
    refused_bytes_ = pointer.value_bytes;
    co_return Settled();
  }
  absl::StatusOr<std::string> value = co_await store_.blobs().Read(own_value_);
  if (value.ok()) own_value_ = *std::move(value);
  charge_.Resize(other_bytes + own_value_.capacity());
  if (!value.ok()) co_return value.status();
  value_ = own_value_;
  valid_ = true;
  co_return absl::OkStatus();
}

bool StoreIterator::TrySettleForward() {
  while (cursor_->Valid()) {
    const bool passed = passes_key_ && cursor_->key() == key_;
    if (!passed && cursor_->sequence() <= at()) {
      key_.assign(cursor_->key());
      passes_key_ = true;
      if (HasValue(cursor_->kind())) {
        TakeValue();
        return true;
      }
    }
    if (++steps_ > kMostSteps || !cursor_->TryNext()) return false;
  }
  return true;
}

// Over changes of a key that do not count.
Task<absl::Status> StoreIterator::JumpForward() {
  steps_ = 0;
  co_await MaybeYield();
  std::string key(cursor_->key());
  const bool passed = passes_key_ && key == key_;
  const Sequence sequence = passed ? kOldest : at();
  co_return co_await cursor_->Seek(std::move(key), sequence);
}

Task<absl::Status> StoreIterator::SettleForward() {
  while (!needs_blob_ && !TrySettleForward()) {
    absl::Status status;
    if (steps_ > kMostSteps) {
      status = co_await JumpForward();
    } else {
      status = co_await cursor_->Next();
    }
    if (!status.ok()) co_return status;
  }
  co_return co_await LoadBlob();
}

bool StoreIterator::TryTakeCandidate() {
  candidate_is_put_ = HasValue(cursor_->kind());
  candidate_is_blob_ = cursor_->kind() == OperationKind::kPutBlob;
  return !candidate_is_put_ || TryOwn(cursor_->value());
}

bool StoreIterator::TrySettleBackward() {
  while (cursor_->Valid()) {
    if (has_candidate_ && cursor_->key() != key_) {
      if (candidate_is_put_) break;
      has_candidate_ = false;
    }
    // Each is newer than the one before.
    if (cursor_->sequence() <= at()) {
      if (!has_candidate_) key_.assign(cursor_->key());
      has_candidate_ = true;
      if (!TryTakeCandidate()) return true;
    }
    if (++steps_ > kMostSteps || !cursor_->TryPrev()) return false;
  }
  needs_blob_ = has_candidate_ && candidate_is_blob_;
  valid_ = has_candidate_ && candidate_is_put_ && !needs_blob_;
  value_ = own_value_;
  place_ = CursorPlace::kBefore;
  return true;
}

// To the one of a key's changes that counts, and before all of them.
Task<absl::Status> StoreIterator::JumpBackward() {
  steps_ = 0;
  co_await MaybeYield();
  const std::string key(cursor_->key());
  if (absl::Status status = co_await cursor_->Seek(key, at()); !status.ok()) co_return status;
  has_candidate_ = cursor_->Valid() && cursor_->key() == key;
  if (has_candidate_) {
    key_ = key;
    if (!TryTakeCandidate()) co_return Settled();
  }
  co_return co_await cursor_->SeekForPrev(key, kNewest);
}

Task<absl::Status> StoreIterator::SettleAtCandidate(absl::Status damage) {
  if (absl::Status status = co_await cursor_->Seek(key_, at()); !status.ok()) co_return status;
  const bool counts = cursor_->Valid() && cursor_->key() == key_;
  // Of what is before a deleted key nothing can be said.
  if (!counts || !HasValue(cursor_->kind())) co_return damage;
  TakeValue();
  co_return co_await LoadBlob();
}

Task<absl::Status> StoreIterator::SettleBackward() {
  while (!needs_blob_ && !TrySettleBackward()) {
    absl::Status status;
    if (steps_ > kMostSteps) {
      status = co_await JumpBackward();
    } else {
      status = co_await cursor_->Prev();
    }
    if (absl::IsDataLoss(status) && has_candidate_) {
      co_return co_await SettleAtCandidate(std::move(status));
    }
    if (!status.ok()) co_return status;
  }
  co_return co_await LoadBlob();
}

Task<absl::Status> StoreIterator::SeekToFirst() {
  const Moving moving(*this);
  if (absl::Status status = BeginMove(); !status.ok()) co_return status;
  place_ = CursorPlace::kElsewhere;
  passes_key_ = false;
  if (absl::Status status = co_await cursor_->SeekToFirst(); !status.ok()) co_return status;
  co_return co_await SettleForward();
}

Task<absl::Status> StoreIterator::SeekToLast() {
  const Moving moving(*this);
  if (absl::Status status = BeginMove(); !status.ok()) co_return status;
  place_ = CursorPlace::kElsewhere;
  if (absl::Status status = co_await cursor_->SeekToLast(); !status.ok()) co_return status;
  co_return co_await SettleBackward();
}

Task<absl::Status> StoreIterator::Seek(std::string_view key) {
  const Moving moving(*this);
  std::string from(key);
  if (absl::Status status = BeginMove(); !status.ok()) co_return status;
  place_ = CursorPlace::kElsewhere;
  passes_key_ = false;
  absl::Status status = co_await cursor_->Seek(std::move(from), at());
  if (!status.ok()) co_return status;
  co_return co_await SettleForward();
}

Task<absl::Status> StoreIterator::SeekForPrev(std::string_view key) {
  const Moving moving(*this);
  std::string from(key);
  if (absl::Status status = BeginMove(); !status.ok()) co_return status;
  place_ = CursorPlace::kElsewhere;
  absl::Status status = co_await cursor_->SeekForPrev(std::move(from), kOldest);
  if (!status.ok()) co_return status;
  co_return co_await SettleBackward();
}

Task<absl::Status> StoreIterator::Next() {
  IOENGINE_CHECK(valid_, "Next of a StoreIterator that is not Valid()");
  const Moving moving(*this);
  if (absl::Status status = BeginMove(); !status.ok()) co_return status;
  passes_key_ = true;
  const bool goes_on = std::exchange(place_, CursorPlace::kElsewhere) == CursorPlace::kAtChange;
  if (!goes_on) {
    absl::Status status = co_await cursor_->Seek(key_, kOldest);
    if (!status.ok()) co_return status;
  }
  if (TrySettleForward() && !needs_blob_) co_return Settled();
  co_return co_await SettleForward();
}

Task<absl::Status> StoreIterator::Prev() {
  IOENGINE_CHECK(valid_, "Prev of a StoreIterator that is not Valid()");
  const Moving moving(*this);
  if (absl::Status status = BeginMove(); !status.ok()) co_return status;
  const bool goes_on = std::exchange(place_, CursorPlace::kElsewhere) == CursorPlace::kBefore;
  if (!goes_on) {
    absl::Status status = co_await cursor_->SeekForPrev(key_, kNewest);
    if (!status.ok()) co_return status;
  }
  if (TrySettleBackward() && !needs_blob_) co_return Settled();
  co_return co_await SettleBackward();
}

}  // namespace ioengine
