#include "ioengine/engine/lsm/version_lookup.h"

#include <memory>

namespace ioengine {

// The next table that may have the key; false when there is none, or it cannot be read.
bool VersionLookup::GoToNextTable() {
  const std::vector<SortedRun>& runs = version_->runs();
  table_.reset();
  while (next_run_ < runs.size()) {
    const std::shared_ptr<Table>* const table = runs[next_run_++].Find(key_);
    if (table == nullptr) continue;
    if (const TableReader* const reader = (*table)->reader(); reader != nullptr) {
      table_.emplace(*reader, key_, at_);
      return true;
    }
    status_ = (*table)->damage();
    next_run_ = runs.size();
  }
  done_ = true;
  return false;
}

// Of the table that is done. True: what is in it is the result.
bool VersionLookup::IsResult() {
  done_ = !table_->status().ok() || table_->found().has_value();
  return done_;
}

bool VersionLookup::TryFinish() {
  if (!table_.has_value() && !GoToNextTable()) return true;
  for (;;) {
    if (!table_->TryFinish()) return false;
    if (IsResult() || !GoToNextTable()) return true;
  }
}

bool VersionLookup::Step(BlockCache::Pin& pin) {
  if (table_.has_value() && table_->Step(pin)) return true;
  if (done_ || (table_.has_value() && (!table_->done() || IsResult()))) return false;
  return GoToNextTable();
}

Task<> VersionLookup::Finish() {
  do {
    co_await table_->Finish();
  } while (!TryFinish());
}

}  // namespace ioengine
