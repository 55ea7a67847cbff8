// SimFile: the bytes, the size and the extents of one simulated file, as seen and as durable.
//
//                    Write, Truncate, …                  f(data)sync, or the cache is full
//   caller ─────────────────────────► visible, pending ─────────────────────────────────► durable
//                                              │
//                                              └── power cut: some of it ─► the new file
//
// Changes are kept in the order in which they completed, until they are durable:
//
//   data      bytes of one page. They survive a power cut one by one and in any order, torn between
//             sectors of 512 bytes: so each sector holds one of the values that it had since the
//             last sync.
//   metadata  map pages, grow, truncate, unmap. A journal keeps these in order: some first ones
//             survive, the others do not.
//
// Data whose page is mapped only by metadata that is lost is lost too, whatever the device did with
// it; mapped pages whose data is lost, and pages that were never written, read as zeros.
#ifndef IOENGINE_IO_SIM_SIM_FILE_H_
#define IOENGINE_IO_SIM_SIM_FILE_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "ioengine/io/sim/crash_choices.h"
#include "ioengine/io/sim/page_map.h"

namespace ioengine {

// What all files of a disk share.
struct SimSpace {
  uint64_t capacity_pages = 0;
  uint64_t used_pages = 0;
  uint64_t pending_changes = 0;  // of all files: what is in the device's cache
  SimPageRef zeros;

  bool Take() { return used_pages < capacity_pages && (++used_pages, true); }
};

// Shard: all of a simulation, on one thread.
class SimFile {
 public:
  // Borrows `space`.
  explicit SimFile(SimSpace& space) : space_(space) {}
  SimFile(const SimFile&) = delete;
  SimFile& operator=(const SimFile&) = delete;
  ~SimFile();

  uint64_t size_bytes() const { return visible_.size_bytes; }
  uint64_t allocated_bytes() const { return visible_.pages.pages() * kSimPageBytes; }

  // The part of [offset, offset + data.size()) that is below the size; its length in bytes.
  size_t Read(uint64_t offset_bytes, std::span<std::byte> data) const;

  // Gives the bytes written: fewer, or none, where the space is not enough. Where the device loses
  // the data (`keeps_data` is false) only the metadata is changed.
  size_t Write(uint64_t offset_bytes, std::span<const std::byte> data, bool keeps_data = true);
  // A write that reached the wrong place: changes the bytes of mapped pages, and nothing else.
  void Misplace(uint64_t offset_bytes, std::span<const std::byte> data);
  // False, and nothing changed, where the space is not enough.
  bool Allocate(uint64_t offset_bytes, uint64_t range_bytes);
  void Punch(uint64_t offset_bytes, uint64_t range_bytes);
  void Truncate(uint64_t size_bytes);

  // Changes have positions: those that have completed are before this one.
  uint64_t position() const { return first_position_ + pending_.size(); }
  bool has_pending() const { return !pending_.empty(); }

  // A sync that began at position `end`.
  void MakeDurable(uint64_t end);
  // A device's flush of its cache: only data, and only where it can be found.
  void MakeDataDurable();
  // A write with FUA, which is the last one, from position `begin` on: its data, and the metadata
  // that is needed to find that.
  void MakeLastDurable(uint64_t begin);
  // A sync that failed and dropped the data that it was to write.
  void DropData(uint64_t end);

  // What a power cut leaves, in `to`, which is new.
  void CrashInto(SimFile& to, CrashChoices& choices) const;

  // Damage of the medium: seen at once, and after power cuts.
  void FlipBit(uint64_t offset_bytes, unsigned bit);
  // Sectors that cannot be read, until they are written.
  void BreakSector(uint64_t offset_bytes);
  bool HasBrokenSector(uint64_t offset_bytes, uint64_t size_bytes) const;

  // A mapped page, `choice` decides which; UINT64_MAX where there is none.
  uint64_t PickPage(uint64_t choice) const;

 private:
  struct State {
    SimPageMap pages;
    uint64_t size_bytes = 0;
  };
  struct Change {
    enum class Kind : uint8_t { kGone, kData, kMap, kGrow, kTruncate, kUnmap };

    Kind kind = Kind::kGone;
    uint32_t write = 0;        // kData: parts of one write have the same
    uint64_t begin_bytes = 0;  // kData, kMap, kUnmap
    uint64_t end_bytes = 0;    // kGrow, kTruncate: the new size
    SimPageRef page = {};      // kData: holds the bytes at their place

    bool is_data() const { return kind == Kind::kData; }
    bool is_metadata() const { return kind != Kind::kData && kind != Kind::kGone; }
  };

  using Ranges = std::vector<std::pair<uint64_t, uint64_t>>;  // of pages

  void Add(Change change);
  void AddMapped(uint64_t page, size_t begin);
  void Clear(Change& change);
  void DropFinished();

  void Apply(const Change& change, State& state) const;
  void CopyBytes(const Change& change, uint64_t begin_bytes, uint64_t end_bytes,
                 State& state) const;
  void ZeroBytes(uint64_t begin_bytes, uint64_t end_bytes, State& state) const;
  void Free(State& state, uint64_t first_page, uint64_t end_page) const;
  SimPageRef PageFor(uint64_t begin_bytes, uint64_t end_bytes, const SimPageRef* old) const;

  void PutPage(uint64_t begin_bytes, std::span<const std::byte> bytes);
  bool NeedsMetadata(size_t begin) const;
  static void NoteUnmapped(const Change& change, Ranges& unmapped);
  static void NoteEdges(const Change& change, Ranges& pages);
  static bool IsUnmapped(const Change& data, const Ranges& unmapped);
  size_t SectorsOfWrite(size_t first) const;
  void Tear(const Change& change, State& state, CrashChoices& choices) const;
  void Supersede(size_t end, uint64_t begin_bytes, uint64_t end_bytes, const SimPageRef& bytes);

  SimSpace& space_;
  State visible_;
  State durable_;
  std::vector<Change> pending_;
  uint64_t first_position_ = 0;
  uint32_t writes_ = 0;
  std::set<uint64_t> broken_sectors_;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_SIM_SIM_FILE_H_
