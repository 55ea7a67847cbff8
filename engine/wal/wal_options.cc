#include "ioengine/engine/wal/wal_options.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/wal_frame.h"

namespace ioengine {
namespace {

constexpr size_t kMaxSegmentBytes = size_t{1} << 40;
constexpr size_t kMaxFramesInFlight = 1024;
constexpr uint64_t kMaxDelayNs = 3'600'000'000'000;

absl::Status OutOfRange(const char* name, size_t value, size_t least, size_t most) {
  return absl::InvalidArgumentError(
      absl::StrCat("WalOptions::", name, " is ", value, "; it must be ", least, " to ", most,
                   ", and those of files and frames multiples of ", kWalPageBytes));
}

}  // namespace

absl::Status WalOptions::Validate() const {
  if (max_frame_bytes < kWalPageBytes || max_frame_bytes > kMaxWalFrameBytes ||
      max_frame_bytes % kWalPageBytes != 0) {
    return OutOfRange("max_frame_bytes", max_frame_bytes, kWalPageBytes, kMaxWalFrameBytes);
  }
  if (segment_bytes < max_frame_bytes || segment_bytes > kMaxSegmentBytes ||
      segment_bytes % kWalPageBytes != 0) {
    return OutOfRange("segment_bytes", segment_bytes, max_frame_bytes, kMaxSegmentBytes);
  }
  if (max_frames_in_flight < 1 || max_frames_in_flight > kMaxFramesInFlight) {
    return OutOfRange("max_frames_in_flight", max_frames_in_flight, 1, kMaxFramesInFlight);
  }
  if (max_pending_bytes < kWalPageBytes || max_pending_bytes > kMaxWalRecordBytes) {
    return OutOfRange("max_pending_bytes", max_pending_bytes, kWalPageBytes, kMaxWalRecordBytes);
  }
  for (const auto& [name, delay_ns] :
       {std::pair("memory_delay_ns", memory_delay_ns), std::pair("idle_ns", idle_ns),
        std::pair("space_retry_ns", space_retry_ns)}) {
    if (delay_ns > kMaxDelayNs) return OutOfRange(name, delay_ns, 0, kMaxDelayNs);
  }
  return absl::OkStatus();
}

}  // namespace ioengine
