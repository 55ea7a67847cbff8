#include "ioengine/io/sim/page_map.h"

#include <algorithm>

namespace ioengine {

size_t SimPageMap::PositionOf(uint64_t chunk) const {
  // Files are appended to.
  if (chunks_.empty() || chunks_.back().first < chunk) return chunks_.size();
  if (chunks_.back().first == chunk) return chunks_.size() - 1;
  const auto at =
      std::lower_bound(chunks_.begin(), chunks_.end(), chunk,
                       [](const Entry& entry, uint64_t number) { return entry.first < number; });
  return static_cast<size_t>(at - chunks_.begin());
}

SimPageMap::Chunk& SimPageMap::MakePrivate(Entry& entry) {
  if (!entry.second.unique()) entry.second = Shared<Chunk>::CopyOf(*entry.second);
  return *entry.second;
}

const SimPageRef* SimPageMap::Find(uint64_t page) const {
  const uint64_t chunk = page / kChunkPages;
  const size_t at = PositionOf(chunk);
  if (at == chunks_.size() || chunks_[at].first != chunk) return nullptr;
  const SimPageRef& ref = chunks_[at].second->pages[page % kChunkPages];
  return ref ? &ref : nullptr;
}

bool SimPageMap::Set(uint64_t page, SimPageRef ref) {
  const uint64_t number = page / kChunkPages;
  const size_t at = PositionOf(number);
  if (at == chunks_.size() || chunks_[at].first != number) {
    chunks_.emplace(chunks_.begin() + static_cast<ptrdiff_t>(at), number, Shared<Chunk>::Make());
  }
  Chunk& chunk = MakePrivate(chunks_[at]);
  SimPageRef& slot = chunk.pages[page % kChunkPages];
  const bool was_hole = !slot;
  slot = std::move(ref);
  if (was_hole) {
    ++chunk.used;
    ++pages_;
  }
  return was_hole;
}

uint64_t SimPageMap::Erase(uint64_t first, uint64_t end) {
  uint64_t erased = 0;
  for (size_t at = PositionOf(first / kChunkPages); at < chunks_.size(); ++at) {
    const uint64_t base = chunks_[at].first * kChunkPages;
    if (base >= end) break;
    const uint64_t from = std::max(first, base) - base;
    const uint64_t to = std::min(end - base, kChunkPages);
    Chunk& chunk = MakePrivate(chunks_[at]);
    for (uint64_t i = from; i < to; ++i) {
      if (!chunk.pages[i]) continue;
      chunk.pages[i] = SimPageRef();
      --chunk.used;
      ++erased;
    }
  }
  if (erased > 0) {
    std::erase_if(chunks_, [](const Entry& entry) { return entry.second->used == 0; });
  }
  pages_ -= erased;
  return erased;
}

uint64_t SimPageMap::NextMapped(uint64_t page) const {
  for (size_t at = PositionOf(page / kChunkPages); at < chunks_.size(); ++at) {
    const uint64_t base = chunks_[at].first * kChunkPages;
    for (uint64_t i = page > base ? page - base : 0; i < kChunkPages; ++i) {
      if (chunks_[at].second->pages[i]) return base + i;
    }
  }
  return UINT64_MAX;
}

}  // namespace ioengine
