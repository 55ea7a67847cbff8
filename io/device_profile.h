// DeviceProfile: what a device gives, as `ioengine-bench probe` found it out.
#ifndef IOENGINE_IO_DEVICE_PROFILE_H_
#define IOENGINE_IO_DEVICE_PROFILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ioengine {

// The part of a probe's file that the library uses. The file is one flat JSON object, whose form
// docs/METRICS.md describes: strings, numbers and booleans by name, "schema" being kSchema.
struct DeviceProfile {
  static constexpr std::string_view kSchema = "ioengine.probe/1";

  std::string device = "unknown";  // "vda"
  // Operations of 4 KiB in flight at which the device gives 95 % of its best rate.
  uint64_t useful_read_depth = 0;
  uint64_t useful_write_depth = 0;
  // Bytes in flight at which it gives 95 % of its best sequential rate, reading and writing.
  uint64_t useful_sequential_bytes = 0;
  // The best rates.
  double read_iops = 0;
  double write_iops = 0;
  double read_bytes_per_s = 0;
  double write_bytes_per_s = 0;

  // What a shard is to have in flight on such a device (RuntimeOptions): as much as is of use, and
  // not more, which would only wait in the device instead of in its class's queue.
  size_t QueueDepth() const;
  size_t MaxBytesInFlight() const;
  size_t MaxBackgroundBytes() const;

  // "vda: 120000 reads/s (64 in flight), …", for a log.
  std::string Describe() const;

  // InvalidArgument, naming the field, when a value cannot be.
  absl::Status Validate() const;

  // The text of a file. Fields that are not known are passed over: a newer probe may say more.
  // Errors: InvalidArgument with the line, and the field if it is one: what is no flat JSON,
  // another schema, a field that is missing, there twice, of another type or out of range.
  static absl::StatusOr<DeviceProfile> Parse(std::string_view text);

  // Reads a file on the calling thread, for what happens before a runtime starts. Errors: those of
  // Parse and of the system, naming the path; larger than 1 MiB is no profile.
  static absl::StatusOr<DeviceProfile> ReadFile(const std::string& path);

  // What Parse reads, a field a line.
  std::string Serialize() const;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_DEVICE_PROFILE_H_
