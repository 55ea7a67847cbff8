#include "ioengine/engine/lsm/version_lookup.h"

#include <memory>
#include <vector>

namespace ioengine {

bool VersionLookup::TryFinish() {
  const std::vector<SortedRun>& runs = version_->runs();
  for (;;) {
    if (table_.has_value()) {
      if (!table_->TryFinish()) return false;
      if (!table_->status().ok() || table_->found().has_value()) return true;
      table_.reset();
    }
    if (next_run_ == runs.size()) return true;
    const std::shared_ptr<Table>* const table = runs[next_run_++].Find(key_);
    if (table == nullptr) continue;
    const TableReader* const reader = (*table)->reader();
    if (reader == nullptr) {
      status_ = (*table)->damage();
      next_run_ = runs.size();
      return true;
    }
    table_.emplace(*reader, key_, at_);
  }
}

Task<> VersionLookup::Finish() {
  do {
    co_await table_->Finish();
  } while (!TryFinish());
}

}  // namespace ioengine
