#include "ioengine/io/io_stats.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ioengine/io/io_operation.h"

namespace ioengine {

std::string SlowIo::Describe() const {
  const auto ms = [](uint64_t ns) { return static_cast<double>(ns) / 1e6; };
  std::string text = IoOpcodeName(opcode);
  if (!path.empty()) absl::StrAppend(&text, " ", path);
  if (size_bytes > 0)
    absl::StrAppend(&text, " (", size_bytes, " bytes at offset ", offset_bytes, ")");
  if (!class_name.empty()) absl::StrAppend(&text, " of class '", class_name, "'");
  if (site.known()) absl::StrAppend(&text, " at ", site.ToString());
  absl::StrAppendFormat(
      &text, " took %.1f ms: %.1f in the queue, %.1f in the ring, %.1f in the device; ",
      ms(times.total_ns()), ms(times.queue_ns), ms(times.ring_ns), ms(times.device_ns));
  absl::StrAppend(&text, in_flight, " operations with ", in_flight_bytes, " bytes are in flight");
  if (result < 0) absl::StrAppend(&text, "; it failed");
  if (slow_not_shown > 0) absl::StrAppend(&text, " (", slow_not_shown, " more were not reported)");
  return text;
}

}  // namespace ioengine
