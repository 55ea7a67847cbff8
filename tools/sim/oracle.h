// Oracle: what a store may answer, from what was asked of it. Knows nothing of the engine.
#ifndef IOENGINE_TOOLS_SIM_ORACLE_H_
#define IOENGINE_TOOLS_SIM_ORACLE_H_

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ioengine::sim {

// What a write that was acknowledged survives, weakest first.
enum class Promise : uint8_t { kNothing, kKill, kPowerCut };

// How a life of the store ended. After a clean end everything acknowledged is there.
enum class Ending : uint8_t { kClean, kKill, kPowerCut };

// The store's own order of its writes, which it tells when it acknowledges one.
struct Order {
  uint64_t major = 0;
  uint64_t minor = 0;
  friend auto operator<=>(const Order&, const Order&) = default;
};

struct Change {
  std::string key;
  bool is_delete = false;
};

// A multi-version map of everything that was written, with what is known of each write:
//
//   Begin ──► in flight ──Acknowledge──► acknowledged ─┐
//                │ └──Fail──► unknown                   ├─Recovered──► there, or gone for ever
//                └───────── end of the life ───────────┘
//
// Every check that fails is a complaint; the first one is kept. A value says which write it is of,
// so that no read is taken for another one's.
class Oracle {
 public:
  using WriteId = uint64_t;

  // A write of some changes is about to be asked for. Of two on one key the later counts.
  WriteId Begin(std::vector<Change> changes, Promise promise);
  // The value that `id` puts at `key`, of `size_bytes` or a few more.
  static std::string ValueOf(WriteId id, std::string_view key, size_t size_bytes);
  void SetValueSize(WriteId id, size_t size_bytes);
  void Acknowledge(WriteId id, Order order, Promise reached);
  // It failed: nobody may see it, until the store is opened again and it is there or not.
  void Fail(WriteId id);

  // A read is about to begin: what it must see at least. Then what it gave.
  struct ReadFloor {
    std::string key;
    std::optional<WriteId> newest;  // that was acknowledged, or seen, before
  };
  ReadFloor BeginRead(std::string_view key) const;
  void EndRead(const ReadFloor& floor, std::optional<std::string_view> value);

  // A snapshot; reads at it.
  using SnapshotId = uint64_t;
  // `floor`: of BeginSnapshot.
  uint64_t BeginSnapshot() const { return acknowledged_; }
  SnapshotId AddSnapshot(uint64_t floor, Order order);
  void ReadAt(SnapshotId id, std::string_view key, std::optional<std::string_view> value);

  // A life has ended, and the next one has opened the store, and reads this and nothing else.
  // `damaged`: bytes that were durable have been changed on purpose.
  void Recovered(Ending ending, const std::map<std::string, std::string>& contents);

  // Counts what was acknowledged, over all lives.
  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t writes() const { return writes_.size(); }
  // Empty: all is well.
  const std::string& complaint() const { return complaint_; }
  void Complain(std::string complaint);

 private:
  enum class State : uint8_t { kInFlight, kAcknowledged, kUnknown, kThere, kGone };

  struct Write {
    std::vector<Change> changes;
    State state = State::kInFlight;
    Promise promise = Promise::kNothing;
    Order order;  // once acknowledged
    uint64_t acknowledged_at = 0;
    bool seen = false;
    size_t value_bytes = 0;
  };

  struct SnapshotReads {
    uint64_t floor;
    Order order;
    std::map<std::string, std::string> values;  // what was read; "" for nothing
  };

  const Write& At(WriteId id) const { return writes_[id - 1]; }
  Write& At(WriteId id) { return writes_[id - 1]; }
  // The write whose value this is, or nullopt after a complaint.
  std::optional<WriteId> Identify(std::string_view key, std::string_view value);
  bool Deletes(const Write& write, std::string_view key) const;
  // Whether the changes of `key` leave room for nothing being there, given the floor.
  bool MayBeAbsent(const ReadFloor& floor) const;
  bool MustSurvive(const Write& write, Ending ending) const;
  void CheckKey(const std::string& key, std::optional<WriteId> there, Ending ending, Order newest);
  void CheckBatches(const std::map<std::string, WriteId>& there);

  std::vector<Write> writes_;
  // Of each key: writes that may still count, in the order of their Begin.
  std::map<std::string, std::vector<WriteId>, std::less<>> by_key_;
  std::vector<SnapshotReads> snapshots_;
  uint64_t acknowledged_ = 0;
  std::string complaint_;
};

}  // namespace ioengine::sim

#endif  // IOENGINE_TOOLS_SIM_ORACLE_H_
