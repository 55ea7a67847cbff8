#include "ioengine/engine/store_iterator.h"

#include "ioengine/engine/shard_store.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

// Changes of a key stand from the newest to the oldest: the first place, and the last.
constexpr Sequence kNewest = kMaxSequence;
constexpr Sequence kOldest = {};

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

absl::Status StoreIterator::Check() const { return store_.MayRead(); }

// From where the cursor stands, to the newest change of a key that the snapshot sees.
void StoreIterator::SettleForward() {
  valid_ = false;
  while (cursor_.Valid() && WithinUpper(cursor_.key())) {
    if (cursor_.sequence() > at_) {
      cursor_.Next();
      continue;
    }
    key_ = cursor_.key();
    if (cursor_.kind() == OperationKind::kPut) {
      value_ = cursor_.value();
      valid_ = true;
      return;
    }
    cursor_.Seek(key_, kOldest);
    if (cursor_.Valid() && cursor_.key() == key_) cursor_.Next();
  }
}

// From where the cursor stands, at any change of a key, backwards.
void StoreIterator::SettleBackward() {
  valid_ = false;
  while (cursor_.Valid() && WithinLower(cursor_.key())) {
    key_ = cursor_.key();
    cursor_.Seek(key_, at_);
    if (cursor_.Valid() && cursor_.key() == key_ && cursor_.kind() == OperationKind::kPut) {
      value_ = cursor_.value();
      valid_ = true;
      return;
    }
    SkipKeyBackward(key_);
  }
}

void StoreIterator::SkipKeyBackward(const std::string& key) {
  cursor_.SeekForPrev(key, kNewest);
  if (cursor_.Valid() && cursor_.key() == key) cursor_.Prev();
}

Task<absl::Status> StoreIterator::SeekToFirst() {
  if (options_.lower.has_value()) co_return co_await Seek(*options_.lower);
  valid_ = false;
  if (absl::Status status = Check(); !status.ok()) co_return status;
  cursor_.SeekToFirst();
  SettleForward();
  co_return absl::OkStatus();
}

Task<absl::Status> StoreIterator::SeekToLast() {
  valid_ = false;
  if (absl::Status status = Check(); !status.ok()) co_return status;
  if (options_.upper.has_value()) {
    SkipKeyBackward(*options_.upper);
  } else {
    cursor_.SeekToLast();
  }
  SettleBackward();
  co_return absl::OkStatus();
}

Task<absl::Status> StoreIterator::Seek(std::string_view key) {
  valid_ = false;
  if (absl::Status status = Check(); !status.ok()) co_return status;
  const bool below = !WithinLower(key);
  cursor_.Seek(below ? std::string_view(*options_.lower) : key, kNewest);
  SettleForward();
  co_return absl::OkStatus();
}

Task<absl::Status> StoreIterator::SeekForPrev(std::string_view key) {
  if (!WithinUpper(key)) co_return co_await SeekToLast();
  valid_ = false;
  if (absl::Status status = Check(); !status.ok()) co_return status;
  cursor_.SeekForPrev(key, kOldest);
  SettleBackward();
  co_return absl::OkStatus();
}

Task<absl::Status> StoreIterator::Next() {
  IOENGINE_CHECK(valid_, "Next of a StoreIterator that is not Valid()");
  valid_ = false;
  if (absl::Status status = Check(); !status.ok()) co_return status;
  cursor_.Seek(key_, kOldest);
  if (cursor_.Valid() && cursor_.key() == key_) cursor_.Next();
  SettleForward();
  co_return absl::OkStatus();
}

Task<absl::Status> StoreIterator::Prev() {
  IOENGINE_CHECK(valid_, "Prev of a StoreIterator that is not Valid()");
  valid_ = false;
  if (absl::Status status = Check(); !status.ok()) co_return status;
  SkipKeyBackward(key_);
  SettleBackward();
  co_return absl::OkStatus();
}

}  // namespace ioengine
