// Records for tests of tables: in order, with keys that are hard to keep so.
#ifndef IOENGINE_TESTS_ENGINE_TABLE_TABLE_RECORDS_H_
#define IOENGINE_TESTS_ENGINE_TABLE_TABLE_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/table/block_builder.h"
#include "ioengine/sched/random.h"

namespace ioengine {

// A table's order.
struct TablePlace {
  std::string key;
  Sequence sequence;

  friend bool operator<(const TablePlace& a, const TablePlace& b) {
    return a.key != b.key ? a.key < b.key : a.sequence > b.sequence;
  }
};

struct TableChange {
  OperationKind kind = OperationKind::kPut;
  std::string value;
};

using TableModel = std::map<TablePlace, TableChange>;

inline std::string ChangeText(std::string_view key, Sequence sequence, OperationKind kind,
                              std::string_view value) {
  return absl::StrCat(std::string(key), "@", sequence.epoch, ".", sequence.counter,
                      kind == OperationKind::kPut ? "=" : "-", std::string(value));
}

inline std::string ChangeText(const TableModel::value_type& entry) {
  return ChangeText(entry.first.key, entry.first.sequence, entry.second.kind, entry.second.value);
}

// One of few, so that keys meet: empty, long, of zeros and of 0xff, with equal beginnings.
inline std::string RandomTableKey(Random& random) {
  static const std::string kPrefixes[] = {"", "user/profile/", std::string(8, '\xff'),
                                          std::string(8, '\0'), std::string(300, 'k')};
  static constexpr std::string_view kBytes(
      "\x00\x01"
      "a\x7f\x80\xff",
      6);
  std::string key = random.OneIn(2) ? kPrefixes[random.Below(5)] : "user/1";
  for (uint64_t more = random.Below(6); more > 0; --more) key += kBytes[random.Below(6)];
  return key;
}

struct RandomTableOptions {
  size_t records = 1000;
  size_t most_value_bytes = 100;
  uint64_t versions_one_in = 3;  // a key has another version
};

inline TableModel RandomTable(Random& random, const RandomTableOptions& options) {
  TableModel model;
  std::string key;
  for (size_t i = 0; i < options.records; ++i) {
    if (i == 0 || !random.OneIn(options.versions_one_in)) key = RandomTableKey(random);
    TableChange change;
    if (random.OneIn(5)) {
      change.kind = OperationKind::kDelete;
    } else {
      change.value = std::string(random.Below(options.most_value_bytes + 1), 'v');
    }
    model[{key, {random.Below(3) + 1, random.Below(1000)}}] = change;
  }
  return model;
}

inline BlockRecord RecordOf(const TableModel::value_type& entry) {
  return {entry.second.kind, entry.first.key, entry.first.sequence, entry.second.value};
}

}  // namespace ioengine

#endif  // IOENGINE_TESTS_ENGINE_TABLE_TABLE_RECORDS_H_
