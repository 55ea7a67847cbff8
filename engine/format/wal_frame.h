// WalFrame: what the log's segments consist of.
//
// A segment is a file W-<stream>-<n>, zero-filled when it is made. Frames stand in it one behind
// the other from its front, each at a multiple of kWalPageBytes, whole in one segment:
//
//    0        8        16       24       32       40       48       56    60     64
//    ├────────┼────────┼────────┼────────┼────────┼────────┼────────┼─────┼──────┤
//    │checksum│ salt   │ frame  │previous│durable │ root   │ first  │body │record│
//    │        │        │        │hash    │frame   │ epoch  │ record │bytes│count │
//    ├────────┴────────┴────────┴────────┴────────┴────────┴────────┴─────┴──────┤
//    │ body: fragments                                                           │
//    ├───────────────────────────────────────────────────────────────────────────┤
//    │ zeros up to a multiple of kWalPageBytes                                   │
//    └───────────────────────────────────────────────────────────────────────────┘
//
// A fragment is a record, or a piece of one that spans frames:
//
//    0       4      5
//    ├───────┼──────┼───────────────┐
//    │ size  │ kind │ `size` bytes  │
//    └───────┴──────┴───────────────┘
//
// The salt is a hash of the segment's identity (WalSalt), which a reader knows before it reads: so
// what is left of a recycled segment's earlier life is never taken for a frame. The checksum is
// that of all behind it, padding included; its seed is salt ^ offset in the segment, so that a
// frame at another one's place is found out. Each frame has the checksum of the one before, so that
// frames are a chain.
#ifndef IOENGINE_ENGINE_FORMAT_WAL_FRAME_H_
#define IOENGINE_ENGINE_FORMAT_WAL_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>

namespace ioengine {

inline constexpr size_t kWalPageBytes = 4096;
// Of a frame with its padding.
inline constexpr size_t kMaxWalFrameBytes = size_t{1} << 20;
inline constexpr size_t kMaxWalRecordBytes = size_t{64} << 20;

// As it stands on disk.
struct WalFrameHeader {
  uint64_t checksum = 0;
  uint64_t salt = 0;
  uint64_t frame = 0;          // counts the stream's frames from 1, across segments
  uint64_t previous_hash = 0;  // checksum of the frame before it; 0 in frame 1
  uint64_t durable_frame = 0;  // frames up to this one were known to be durable
  uint64_t root_epoch = 0;     // of ROOT when the stream began
  uint64_t first_record = 0;   // the number of the first record that ends here, or of the next one
  uint32_t body_bytes = 0;
  uint32_t record_count = 0;  // records that end here
};
static_assert(sizeof(WalFrameHeader) == 64 && std::is_trivially_copyable_v<WalFrameHeader>);
static_assert(offsetof(WalFrameHeader, frame) == 16);
static_assert(offsetof(WalFrameHeader, durable_frame) == 32);
static_assert(offsetof(WalFrameHeader, first_record) == 48);
static_assert(offsetof(WalFrameHeader, record_count) == 60);

inline constexpr size_t kMaxWalBodyBytes = kMaxWalFrameBytes - sizeof(WalFrameHeader);

// Of a frame with such a body: header and padding included.
constexpr size_t WalFrameBytes(size_t body_bytes) {
  return (sizeof(WalFrameHeader) + body_bytes + kWalPageBytes - 1) / kWalPageBytes * kWalPageBytes;
}

// On disk: no value may change its meaning.
enum class WalFragmentKind : uint8_t {
  kWhole = 1,  // a record
  kFirst = 2,  // of a record that goes on in the next frame with a fragment
  kMiddle = 3,
  kLast = 4,  // the record counts here
};

inline constexpr size_t kWalFragmentHeadBytes = 5;

void StoreWalFragmentHead(std::byte* to, uint32_t size_bytes, WalFragmentKind kind);

// Completes `frame`, WalFrameBytes(header.body_bytes) with the body in its place: puts the header
// before it and zeros behind it. Gives the checksum.
uint64_t FinishWalFrame(WalFrameHeader header, uint64_t offset_bytes, std::span<std::byte> frame);

// The header at `front`, which may be anything, if it has that salt and the frame's size can be:
// at most `room_bytes`. What it says may still be wrong: see IsWalFrameIntact.
std::optional<WalFrameHeader> PeekWalFrame(std::span<const std::byte> front, uint64_t salt,
                                           uint64_t room_bytes);

// Whether all bytes of `frame`, which begins with `header`, are as they were written there.
bool IsWalFrameIntact(const WalFrameHeader& header, uint64_t offset_bytes,
                      std::span<const std::byte> frame);

struct WalFragment {
  WalFragmentKind kind;
  std::span<const std::byte> bytes;
};

// Reads a body, which may be anything.
//
// Ownership: borrows it; what it gives refers to it.
class WalFragmentReader {
 public:
  explicit WalFragmentReader(std::span<const std::byte> body) : rest_(body) {}

  // The next one; nothing behind the last one, and where the body makes no sense.
  std::optional<WalFragment> Next();
  // After Next gave nothing: whether all of the body made sense.
  bool good() const { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_WAL_FRAME_H_
