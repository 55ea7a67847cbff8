#include "ioengine/tools/inspect/table_check.h"

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/record_hash.h"
#include "ioengine/engine/table/table_index.h"

namespace ioengine::inspect {
namespace {

constexpr char kSalvageable[] = " (salvage finds those in good blocks)";

struct Position {
  std::string key;
  Sequence sequence;

  bool IsBefore(const Position& other) const {
    const int order = key.compare(other.key);
    return order != 0 ? order < 0 : sequence > other.sequence;
  }
};

Position PositionAt(const Block& block, size_t at) {
  return {block.KeyAt(at), block.At(at).sequence};
}

class TableCheck {
 public:
  TableCheck(const TableScan& scan, const TableRecord& record) : scan_(scan) {
    report_.record = record;
    for (const TableBlock& block : scan.blocks) by_offset_[block.handle.offset_bytes] = &block;
  }

  TableReport Run() {
    const uint64_t file_bytes = scan_.file.size();
    const TableIdentity& identity = report_.record.identity;
    if (file_bytes != identity.file_bytes) {
      Add({std::min(file_bytes, identity.file_bytes), 1},
          absl::StrCat("it has ", file_bytes, " bytes instead of ", identity.file_bytes),
          KeysOf(report_.record) + kSalvageable);
    }
    for (const DamagedBytes& damaged : scan_.damaged) AddDamaged(damaged);
    for (const TableBlock& block : scan_.blocks) {
      if (block.kind == BlockKind::kData) CheckData(block);
    }
    if (!scan_.footer.ok()) return std::move(report_);
    if (scan_.description.info.uuid != identity.uuid) {
      Add(Footer(), absl::StrCat("it is another table, ", scan_.description.info.uuid.ToString()),
          KeysOf(report_.record));
      return std::move(report_);
    }
    if (scan_.damaged.empty()) CheckSums();
    CheckIndex();
    return std::move(report_);
  }

 private:
  // All that the footer says of the records.
  struct Sums {
    uint64_t records = 0;
    uint64_t deletes = 0;
    uint64_t keys = 0;
    uint64_t key_bytes = 0;
    uint64_t value_bytes = 0;
    uint64_t records_hash = 0;
    Sequence smallest = kMaxSequence;
    Sequence largest;
    std::string smallest_key;
  };

  const TableLayout& layout() const { return scan_.description.layout; }
  BlockHandle Footer() const {
    const uint64_t file_bytes = scan_.file.size();
    return {file_bytes - std::min<uint64_t>(file_bytes, kBlockPageBytes), 1};
  }
  std::span<const std::byte> BytesOf(const BlockHandle& handle) const {
    return std::span<const std::byte>(scan_.file).subspan(handle.offset_bytes, handle.size_bytes());
  }
  const TableBlock* Find(const BlockHandle& handle, BlockKind kind) const {
    const auto at = by_offset_.find(handle.offset_bytes);
    const bool fits =
        at != by_offset_.end() && at->second->kind == kind && at->second->handle == handle;
    return fits ? at->second : nullptr;
  }
  bool IsDamaged(const BlockHandle& handle) const {
    const auto overlaps = [&](const DamagedBytes& damaged) {
      return damaged.offset_bytes < handle.end_bytes() &&
             handle.offset_bytes < damaged.offset_bytes + damaged.size_bytes;
    };
    return std::any_of(scan_.damaged.begin(), scan_.damaged.end(), overlaps);
  }

  void Add(const BlockHandle& at, std::string problem, std::string lost) {
    report_.damage.push_back(
        {at.offset_bytes, at.size_bytes(), std::move(problem), std::move(lost)});
  }

  // By what stood there, which the footer tells: what is lost with it differs.
  void AddDamaged(const DamagedBytes& damaged) {
    const uint64_t all = scan_.file.size();
    struct Section {
      const char* name;
      uint64_t end_bytes;
    };
    std::vector<Section> sections = {{"data", EndOfData(scan_)}, {"index, bounds or footer", all}};
    if (scan_.footer.ok()) {
      sections = {{"data", layout().data_bytes},
                  {"index", layout().root.offset_bytes},
                  {"root of the index", layout().root.end_bytes()},
                  {"filter", layout().bounds.offset_bytes},
                  {"bounds", layout().bounds.end_bytes()},
                  {"footer", all}};
    }
    uint64_t begin = damaged.offset_bytes;
    const uint64_t end = damaged.offset_bytes + damaged.size_bytes;
    for (const Section& section : sections) {
      if (begin >= std::min(end, section.end_bytes)) continue;
      const uint64_t stop = std::min(end, section.end_bytes);
      report_.damage.push_back({begin, stop - begin,
                                absl::StrCat("damaged ", section.name, ": ", damaged.problem),
                                LostWith(section.name, begin)});
      begin = stop;
    }
  }

  std::string LostWith(std::string_view section, uint64_t offset_bytes) const {
    if (section == "filter") return "";
    if (section == "data") return KeysBetweenGood(scan_, offset_bytes, &report_.record);
    const TableBlock* const root =
        section == "index" ? Find(layout().root, BlockKind::kIndex) : nullptr;
    if (root == nullptr) return KeysOf(report_.record) + kSalvageable;
    const Block& block = root->block;
    for (size_t at = 0; at < block.size(); ++at) {
      const auto handle = HandleAt(block, at, layout().root.offset_bytes);
      if (!handle.ok() || offset_bytes >= handle->end_bytes()) continue;
      const std::string from = absl::StrCat("keys from ", ShownKey(block.KeyAt(at)));
      if (at + 1 == block.size()) return absl::StrCat(from, " on", kSalvageable);
      return absl::StrCat(from, " to ", ShownKey(block.KeyAt(at + 1)), kSalvageable);
    }
    return KeysOf(report_.record) + kSalvageable;
  }

  void CheckData(const TableBlock& data) {
    ++report_.data_blocks;
    std::optional<std::string> disorder;
    std::optional<std::string> outside;
    std::optional<std::string> unfiltered;
    for (size_t at = 0; at < data.block.size(); ++at) {
      Position here = PositionAt(data.block, at);
      const Block::Record record = data.block.At(at);
      const bool is_new = !last_.has_value() || last_->key != here.key;
      if (last_.has_value() && !last_->IsBefore(here) && !disorder.has_value()) {
        disorder = here.key;
      }
      if (!IsWithinBounds(here.key) && !outside.has_value()) outside = here.key;
      if (is_new && !unfiltered.has_value() && !FilterHas(here.key)) unfiltered = here.key;
      Count(here, record, is_new);
      last_ = std::move(here);
    }
    const auto lost = [&] { return KeysBetweenGood(scan_, data.handle.offset_bytes, nullptr); };
    if (disorder.has_value()) {
      Add(data.handle, absl::StrCat(ShownKey(*disorder), " does not stand in its order"), lost());
    }
    if (unfiltered.has_value()) {
      Add(data.handle, absl::StrCat("the filter lacks ", ShownKey(*unfiltered)),
          absl::StrCat("key ", ShownKey(*unfiltered), kSalvageable));
    }
    if (outside.has_value()) {
      Add(data.handle, absl::StrCat(ShownKey(*outside), " is outside of the table's bounds"),
          absl::StrCat("key ", ShownKey(*outside), kSalvageable));
    }
  }

  void Count(const Position& here, const Block::Record& record, bool is_new) {
    if (sums_.records++ == 0) sums_.smallest_key = here.key;
    sums_.deletes += record.kind == OperationKind::kDelete ? 1 : 0;
    sums_.keys += is_new ? 1 : 0;
    sums_.key_bytes += here.key.size();
    sums_.value_bytes += record.value.size();
    sums_.records_hash += RecordHash(record.kind, here.key, here.sequence, record.value);
    sums_.smallest = std::min(sums_.smallest, here.sequence);
    sums_.largest = std::max(sums_.largest, here.sequence);
  }

  bool IsWithinBounds(std::string_view key) const {
    if (!report_.record.MayHave(key)) return false;
    const TableInfo& info = scan_.description.info;
    return !scan_.has_bounds || (key >= info.smallest_key && key <= info.largest_key);
  }

  // A page that is damaged says nothing.
  bool FilterHas(std::string_view key) const {
    if (!scan_.footer.ok() || layout().filter.buckets == 0) return true;
    const BloomFilterShape& filter = layout().filter;
    const uint64_t hash = TableKeyHash(key, scan_.seed);
    const BlockHandle page = {layout().filter_offset_bytes + filter.PageOf(hash) * kBlockPageBytes,
                              1};
    return Find(page, BlockKind::kFilter) == nullptr || filter.MayContain(hash, BytesOf(page));
  }

  // Where every block is good: what they hold, what the footer says of it, and the manifest.
  void CheckSums() {
    const TableInfo& info = scan_.description.info;
    const TableRecord& record = report_.record;
    uint64_t digest = 0;
    for (const TableBlock& block : scan_.blocks) {
      if (block.kind == BlockKind::kFooter) continue;
      const uint64_t checksum = LoadBlockHeader(BytesOf(block.handle)).checksum;
      digest = Checksum(std::as_bytes(std::span(&checksum, size_t{1})), digest);
    }
    const auto compare = [this](const char* what, uint64_t here, uint64_t footer,
                                uint64_t manifest) {
      if (here == footer && here == manifest) return;
      Add(Footer(),
          absl::StrCat(what, " of what it holds: ", here, ", in its footer: ", footer,
                       ", in the manifest: ", manifest),
          "which keys is not known");
    };
    compare("records", sums_.records, info.records, record.identity.records);
    compare("deletes", sums_.deletes, info.deletes, record.deletes);
    compare("keys", sums_.keys, info.keys, info.keys);
    compare("bytes of keys", sums_.key_bytes, info.key_bytes, record.key_bytes);
    compare("bytes of values", sums_.value_bytes, info.value_bytes, record.value_bytes);
    compare("hash", sums_.records_hash, info.records_hash, record.identity.records_hash);
    compare("digest", digest, info.digest, record.identity.digest);
    const bool is_empty = sums_.records == 0;
    if (sums_.largest != info.largest_sequence || sums_.largest != record.largest_sequence ||
        sums_.smallest != info.smallest_sequence) {
      Add(Footer(), "the sequences of what it holds are not those of its footer and the manifest",
          "");
    }
    if (!scan_.has_bounds) {
      Add(layout().bounds, "it has no bounds", KeysOf(record) + kSalvageable);
    } else if (!is_empty &&
               (sums_.smallest_key != info.smallest_key || last_->key != info.largest_key)) {
      Add(layout().bounds, "its bounds are not its first and its last key", "");
    }
  }

  // Whether root and index lead to all blocks of data, in their order, and separate them.
  void CheckIndex() {
    const TableBlock* const root = Find(layout().root, BlockKind::kIndex);
    if (root == nullptr) {
      if (!IsDamaged(layout().root)) {
        Add(layout().root, "its root is not where its footer says", KeysOf(report_.record));
      }
      return;
    }
    next_offset_ = 0;
    for (size_t at = 0; at < root->block.size(); ++at) {
      const auto handle = HandleAt(root->block, at, layout().root.offset_bytes);
      const TableBlock* const index = handle.ok() ? Find(*handle, BlockKind::kIndex) : nullptr;
      if (index != nullptr) {
        CheckIndexBlock(*index);
        continue;
      }
      next_offset_.reset();
      if (handle.ok() && IsDamaged(*handle)) continue;
      Add(root->handle, absl::StrCat("record ", at, " of its root leads to no block of the index"),
          absl::StrCat("keys from ", ShownKey(root->block.KeyAt(at)), " on", kSalvageable));
    }
    if (next_offset_.has_value() && *next_offset_ != layout().data_bytes) {
      Add(root->handle,
          absl::StrCat("its index ends at ", *next_offset_, ", and its data at ",
                       layout().data_bytes),
          "");
    }
  }

  void CheckIndexBlock(const TableBlock& index) {
    for (size_t at = 0; at < index.block.size(); ++at) {
      const std::string lost =
          absl::StrCat("keys from ", ShownKey(index.block.KeyAt(at)), " on", kSalvageable);
      const auto handle = HandleAt(index.block, at, layout().data_bytes);
      if (!handle.ok() || (next_offset_.has_value() && handle->offset_bytes != *next_offset_)) {
        Add(index.handle,
            absl::StrCat("record ", at, " of the index does not lead to the next ",
                         "block of data"),
            lost);
        next_offset_.reset();
        continue;
      }
      next_offset_ = handle->end_bytes();
      const TableBlock* const data = Find(*handle, BlockKind::kData);
      if (data == nullptr) {
        last_of_data_.reset();
        if (!IsDamaged(*handle)) {
          Add(index.handle, absl::StrCat("record ", at, " of the index leads to no block"), lost);
        }
        continue;
      }
      if (data->block.size() == 0) continue;
      const Position separator = PositionAt(index.block, at);
      if (PositionAt(data->block, 0).IsBefore(separator) ||
          (last_of_data_.has_value() && !last_of_data_->IsBefore(separator))) {
        Add(index.handle, absl::StrCat("record ", at, " of the index does not separate"), lost);
      }
      last_of_data_ = PositionAt(data->block, data->block.size() - 1);
    }
  }

  const TableScan& scan_;
  TableReport report_;
  std::map<uint64_t, const TableBlock*> by_offset_;
  std::optional<Position> last_;  // record
  Sums sums_;
  std::optional<uint64_t> next_offset_;   // of data that the index has to lead to
  std::optional<Position> last_of_data_;  // to which it led
};

}  // namespace

TableReport CheckTable(const TableScan& scan, const TableRecord& record) {
  return TableCheck(scan, record).Run();
}

uint64_t EndOfData(const TableScan& scan) {
  if (scan.footer.ok()) return scan.description.layout.data_bytes;
  for (const TableBlock& block : scan.blocks) {
    if (block.kind != BlockKind::kData) return block.handle.offset_bytes;
  }
  return scan.file.size();
}

std::string KeysOf(const TableRecord& record) {
  const std::string from = absl::StrCat("keys from ", ShownKey(record.lower));
  if (!record.upper.has_value()) return from + " on";
  return absl::StrCat(from, " to below ", ShownKey(*record.upper));
}

std::string KeysBetweenGood(const TableScan& scan, uint64_t offset_bytes,
                            const TableRecord* record) {
  std::string from = record == nullptr ? "the first one" : ShownKey(record->lower);
  std::string to = "the last one";
  if (record != nullptr && record->upper.has_value()) {
    to = absl::StrCat("below ", ShownKey(*record->upper));
  }
  for (const TableBlock& block : scan.blocks) {
    if (block.kind != BlockKind::kData || block.block.size() == 0) continue;
    if (block.handle.offset_bytes < offset_bytes) {
      from = ShownKey(block.block.KeyAt(block.block.size() - 1));
    } else if (block.handle.offset_bytes > offset_bytes) {
      to = ShownKey(block.block.KeyAt(0));
      break;
    }
  }
  return absl::StrCat("keys from ", from, " to ", to);
}

}  // namespace ioengine::inspect
