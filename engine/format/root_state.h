// RootState: what the file ROOT says, from which everything else of a database is found.
//
// ROOT has four slots of kRootSlotBytes in two pairs. A slot:
//
//    0        8        16       20       24       32                48           56       64
//    ├────────┼────────┼────────┼────────┼────────┼─────────────────┼────────────┼────────┤
//    │checksum│ magic  │format  │body    │ epoch  │ database        │incarnation │zeros   │
//    │        │        │version │bytes   │        │                 │            │        │
//    ├────────┴────────┴────────┴────────┴────────┴─────────────────┴────────────┴────────┤
//    │ body: placement kind u8, prefix bytes varint,                                      │
//    │       streams: count varint, each  number, incarnation, root epoch, segment bytes  │
//    │                varints, sealed u8, if it is 1:  frame, record  varints, hash u64    │
//    │       manifests: count varint, each  number, incarnation, root epoch  varints,     │
//    │                frame, record  varints, hash u64,                                   │
//    │       tablets: count varint, each  number varint, lower text; complete u8          │
//    ├────────────────────────────────────────────────────────────────────────────────────┤
//    │ zeros up to kRootSlotBytes                                                         │
//    └────────────────────────────────────────────────────────────────────────────────────┘
//
// The checksum is that of all behind it, padding included; its seed is the slot's number, so that a
// slot in another one's place is found out. A text is a varint of the length, and so many bytes.
#ifndef IOENGINE_ENGINE_FORMAT_ROOT_STATE_H_
#define IOENGINE_ENGINE_FORMAT_ROOT_STATE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/uuid.h"

namespace ioengine {

inline constexpr size_t kRootSlotBytes = 16384;
inline constexpr size_t kRootSlots = 4;
// Of everything that is written. Files of a newer one are refused.
inline constexpr uint32_t kFormatVersion = 1;

// How keys find their shard. Fixed for the life of a database. On disk.
struct KeyPlacement {
  enum class Kind : uint8_t {
    kHash = 0,   // by a hash of the key's first prefix_bytes
    kRange = 1,  // by the key itself
  };
  Kind kind = Kind::kHash;
  uint64_t prefix_bytes = 0;  // 0: all of the key

  friend bool operator==(const KeyPlacement&, const KeyPlacement&) = default;
};

// Where a log stream ended when its database was opened again: replay goes exactly so far.
struct RootSeal {
  uint64_t frame = 0;
  uint64_t record = 0;
  uint64_t hash = 0;  // checksum of that frame; 0 without a frame

  friend bool operator==(const RootSeal&, const RootSeal&) = default;
};

struct RootStream {
  uint64_t stream = 0;
  uint64_t incarnation = 0;
  uint64_t root_epoch = 0;
  uint64_t segment_bytes = 0;  // of each of its files, once it was made; 0: not known
  std::optional<RootSeal> seal = std::nullopt;  // none: it is being written

  friend bool operator==(const RootStream&, const RootStream&) = default;
};

// A manifest is a stream too, numbered apart from those of the log.
struct RootManifest {
  uint64_t stream = 0;
  uint64_t incarnation = 0;
  uint64_t root_epoch = 0;
  RootSeal least;  // the end of its snapshot, so it goes on at least so far

  friend bool operator==(const RootManifest&, const RootManifest&) = default;
};

// What one shard has of a database of several: a store in a directory of its own.
struct RootTablet {
  uint64_t number = 0;  // of the directory; never used twice
  std::string lower;    // kRange: its first key; that of the first tablet is empty

  friend bool operator==(const RootTablet&, const RootTablet&) = default;
};

struct RootState {
  uint64_t epoch = 0;  // counts the changes of ROOT
  Uuid database;
  uint64_t incarnation = 0;  // counts the opens
  KeyPlacement placement;
  std::vector<RootStream> streams;
  std::vector<RootManifest> manifests;
  // Of a database of several shards, whose streams and manifests are those of its tablets; in the
  // order of keys, or of hashes, of which with kHash each has an equal part.
  std::vector<RootTablet> tablets;
  bool complete = true;  // else they are being made, and hold nothing

  friend bool operator==(const RootState&, const RootState&) = default;
};

// Fills `slot`, kRootSlotBytes, as that of number `slot_number`. ResourceExhausted: it has too many
// streams, manifests and tablets for one.
absl::Status EncodeRootSlot(const RootState& state, size_t slot_number, std::span<std::byte> slot);

// Whether it begins as a slot does, whatever else of it is damaged.
bool IsRootSlot(std::span<const std::byte> slot);

// DataLoss: damaged, torn, or never written. FailedPrecondition: good, but of a newer format.
absl::StatusOr<RootState> DecodeRootSlot(std::span<const std::byte> slot, size_t slot_number);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_ROOT_STATE_H_
