// History: what concurrent clients of a database saw, and whether some order in time explains it.
#ifndef IOENGINE_TESTS_ENGINE_HISTORY_H_
#define IOENGINE_TESTS_ENGINE_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ioengine {

// One operation, from its begin to its end; both are times at which nothing else began or ended.
struct HistoryOperation {
  uint64_t begin = 0;
  uint64_t end = 0;
  std::map<size_t, int> reads = {};   // what keys showed; 0: nothing
  std::map<size_t, int> writes = {};  // after that

  friend bool operator==(const HistoryOperation&, const HistoryOperation&) = default;
};

// At most 64 operations, on so many keys, which show nothing at first.
//
// By the search of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993), with the
// states that were seen kept (Lowe, "Testing for linearizability", 2017): whichever operation could
// be the first one is tried.
class History {
 public:
  explicit History(size_t keys) : keys_(keys) {}

  void Add(HistoryOperation operation) { operations_.push_back(std::move(operation)); }
  const std::vector<HistoryOperation>& operations() const { return operations_; }

  // Whether the operations happened one after the other, each at a moment between its begin and its
  // end. Cost: exponential in how many there are at one time.
  bool IsLinearizable() const;

  // What of it concerns one key.
  History OfKey(size_t key) const;
  // Without operations that only read one key.
  History OfSnapshotsAndWrites() const;

  // A line for each operation.
  std::string ToString() const;

 private:
  const size_t keys_;
  std::vector<HistoryOperation> operations_;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_ENGINE_HISTORY_H_
