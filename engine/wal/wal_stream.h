// WalStream: which log it is, and the places in one.
#ifndef IOENGINE_ENGINE_WAL_WAL_STREAM_H_
#define IOENGINE_ENGINE_WAL_WAL_STREAM_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ioengine/engine/format/uuid.h"

namespace ioengine {

// What a stream is for. A manifest is a log of edits: written, cut off and read back by the same
// rules as that of the writes.
enum class WalKind : uint8_t { kLog, kManifest };

// The identity of a stream, as ROOT has it. A stream is written during one incarnation, by one
// writer, and never again.
struct WalStream {
  Uuid database;
  uint64_t incarnation = 0;
  uint64_t stream = 0;
  uint64_t root_epoch = 0;  // of ROOT when the stream began
  WalKind kind = WalKind::kLog;
};

// Where replay begins: the front of a segment. At first that of the stream; later ones when what
// lies before has been released.
struct WalStart {
  uint64_t segment = 0;
  uint64_t frame = 1;          // the first one in it
  uint64_t previous_hash = 0;  // checksum of the frame before that
  uint64_t record = 1;         // the first record that ends there or later

  friend bool operator==(const WalStart&, const WalStart&) = default;
};

// The last frame that counts. All 0: none does.
struct WalSeal {
  uint64_t frame = 0;
  uint64_t hash = 0;    // its checksum
  uint64_t record = 0;  // the last record that had ended then

  friend bool operator==(const WalSeal&, const WalSeal&) = default;
};

// What distinguishes a segment's frames from whatever else may stand in its file.
uint64_t WalSalt(const WalStream& stream, uint64_t segment);

// "W-<stream>-<segment>", of a manifest "M-<stream>-<segment>".
std::string WalSegmentName(uint64_t stream, uint64_t segment, WalKind kind = WalKind::kLog);
inline std::string WalSegmentName(const WalStream& stream, uint64_t segment) {
  return WalSegmentName(stream.stream, segment, stream.kind);
}

struct WalSegmentId {
  uint64_t stream = 0;
  uint64_t segment = 0;
  WalKind kind = WalKind::kLog;

  friend bool operator==(const WalSegmentId&, const WalSegmentId&) = default;
};

// Which segment `name` is that of; nothing if WalSegmentName gives no such name.
std::optional<WalSegmentId> ParseWalSegmentName(std::string_view name);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_WAL_STREAM_H_
