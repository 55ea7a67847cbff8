#include "ioengine/engine/format/wal_frame.h"

#include <algorithm>
#include <cstring>

#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

uint64_t FrameChecksum(uint64_t salt, uint64_t offset_bytes, std::span<const std::byte> frame) {
  return Checksum(frame.subspan(sizeof(uint64_t)), salt ^ offset_bytes);
}

}  // namespace

void StoreWalFragmentHead(std::byte* to, uint32_t size_bytes, WalFragmentKind kind) {
  StoreFixed(to, size_bytes);
  to[4] = static_cast<std::byte>(kind);
}

uint64_t FinishWalFrame(WalFrameHeader header, uint64_t offset_bytes, std::span<std::byte> frame) {
  IOENGINE_CHECK(
      frame.size() == WalFrameBytes(header.body_bytes) && frame.size() <= kMaxWalFrameBytes,
      "a frame of the log has another size than its body needs");
  std::memcpy(frame.data(), &header, sizeof(header));
  const std::span<std::byte> padding = frame.subspan(sizeof(header) + header.body_bytes);
  std::fill(padding.begin(), padding.end(), std::byte{0});
  const uint64_t checksum = FrameChecksum(header.salt, offset_bytes, frame);
  StoreFixed(frame.data(), checksum);
  return checksum;
}

std::optional<WalFrameHeader> PeekWalFrame(std::span<const std::byte> front, uint64_t salt,
                                           uint64_t room_bytes) {
  WalFrameHeader header;
  if (front.size() < sizeof(header)) return std::nullopt;
  std::memcpy(&header, front.data(), sizeof(header));
  if (header.salt != salt || header.body_bytes > kMaxWalBodyBytes ||
      WalFrameBytes(header.body_bytes) > room_bytes) {
    return std::nullopt;
  }
  return header;
}

bool IsWalFrameIntact(const WalFrameHeader& header, uint64_t offset_bytes,
                      std::span<const std::byte> frame) {
  return frame.size() == WalFrameBytes(header.body_bytes) &&
         header.checksum == FrameChecksum(header.salt, offset_bytes, frame);
}

std::optional<WalFragment> WalFragmentReader::Next() {
  if (rest_.size() < kWalFragmentHeadBytes) return std::nullopt;
  const auto size_bytes = LoadFixed<uint32_t>(rest_.data());
  const auto kind = static_cast<WalFragmentKind>(rest_[4]);
  if (size_bytes > rest_.size() - kWalFragmentHeadBytes || kind < WalFragmentKind::kWhole ||
      kind > WalFragmentKind::kLast) {
    return std::nullopt;
  }
  const WalFragment fragment = {kind, rest_.subspan(kWalFragmentHeadBytes, size_bytes)};
  rest_ = rest_.subspan(kWalFragmentHeadBytes + size_bytes);
  return fragment;
}

}  // namespace ioengine
