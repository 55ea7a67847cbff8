#include "ioengine/io/device_profile.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ioengine/io/flat_json.h"

namespace ioengine {
namespace {

constexpr uint64_t kMaxDepth = 16384;
constexpr uint64_t kLeastSequentialBytes = 4096;
constexpr uint64_t kMostSequentialBytes = uint64_t{1} << 30;
constexpr size_t kMaxFileBytes = size_t{1} << 20;

struct CountField {
  const char* name;
  uint64_t DeviceProfile::*value;
  uint64_t low;
  uint64_t high;
};
constexpr std::array<CountField, 3> kCounts = {{
    {"useful_read_depth", &DeviceProfile::useful_read_depth, 1, kMaxDepth},
    {"useful_write_depth", &DeviceProfile::useful_write_depth, 1, kMaxDepth},
    {"useful_sequential_bytes", &DeviceProfile::useful_sequential_bytes, kLeastSequentialBytes,
     kMostSequentialBytes},
}};

struct RateField {
  const char* name;
  double DeviceProfile::*value;
};
constexpr std::array<RateField, 4> kRates = {{
    {"read_iops", &DeviceProfile::read_iops},
    {"write_iops", &DeviceProfile::write_iops},
    {"read_bytes_per_s", &DeviceProfile::read_bytes_per_s},
    {"write_bytes_per_s", &DeviceProfile::write_bytes_per_s},
}};

absl::Status At(const FlatJsonField& field, const std::string& what) {
  return absl::InvalidArgumentError(
      absl::StrCat("line ", field.line, ", field '", field.name, "': ", what));
}

std::string RangeText(const CountField& count) {
  return absl::StrCat("it must be a whole number from ", count.low, " to ", count.high);
}

// Takes a field of the library's, or leaves it alone.
absl::Status Take(const FlatJsonField& field, DeviceProfile* profile) {
  const double* const number = std::get_if<double>(&field.value);
  for (const CountField& count : kCounts) {
    if (field.name != count.name) continue;
    if (number == nullptr || *number != std::floor(*number) ||
        *number < static_cast<double>(count.low) || *number > static_cast<double>(count.high)) {
      return At(field, RangeText(count));
    }
    profile->*count.value = static_cast<uint64_t>(*number);
  }
  for (const RateField& rate : kRates) {
    if (field.name != rate.name) continue;
    if (number == nullptr || *number <= 0) return At(field, "it must be a number above 0");
    profile->*rate.value = *number;
  }
  if (field.name == "device") {
    const auto* const name = std::get_if<std::string>(&field.value);
    if (name == nullptr) return At(field, "it must be a string");
    profile->device = *name;
  }
  return absl::OkStatus();
}

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ') continue;
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  return quoted + "\"";
}

}  // namespace

size_t DeviceProfile::QueueDepth() const {
  // Devices are shared and their answers vary: twice what was of use in a quiet moment. Fewer than
  // 32 would keep tasks waiting that the device could tell apart.
  constexpr uint64_t kLeastDepth = 32;
  constexpr uint64_t kMostDepth = 1024;
  return static_cast<size_t>(
      std::clamp(2 * std::max(useful_read_depth, useful_write_depth), kLeastDepth, kMostDepth));
}

size_t DeviceProfile::MaxBytesInFlight() const {
  constexpr uint64_t kLeastBytes = uint64_t{8} << 20;
  return static_cast<size_t>(std::max(kLeastBytes, 4 * useful_sequential_bytes));
}

size_t DeviceProfile::MaxBackgroundBytes() const {
  constexpr uint64_t kLeastBytes = uint64_t{1} << 20;
  return static_cast<size_t>(std::max(kLeastBytes, useful_sequential_bytes));
}

std::string DeviceProfile::Describe() const {
  return absl::StrFormat(
      "%s: %.0f reads/s (%d in flight), %.0f writes/s (%d), %.0f MB/s read and %.0f written (%d "
      "KiB "
      "in flight)",
      device, read_iops, useful_read_depth, write_iops, useful_write_depth, read_bytes_per_s * 1e-6,
      write_bytes_per_s * 1e-6, useful_sequential_bytes / 1024);
}

absl::Status DeviceProfile::Validate() const {
  for (const CountField& count : kCounts) {
    const uint64_t value = this->*count.value;
    if (value >= count.low && value <= count.high) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("DeviceProfile::", count.name, " is ", value, "; ", RangeText(count)));
  }
  for (const RateField& rate : kRates) {
    const double value = this->*rate.value;
    if (std::isfinite(value) && value > 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("DeviceProfile::", rate.name, " is ", value, "; it must be above 0"));
  }
  return absl::OkStatus();
}

absl::StatusOr<DeviceProfile> DeviceProfile::Parse(std::string_view text) {
  const absl::StatusOr<std::vector<FlatJsonField>> fields = ParseFlatJson(text);
  if (!fields.ok()) return fields.status();
  const auto has = [&](std::string_view name) {
    return std::any_of(fields->begin(), fields->end(),
                       [&](const FlatJsonField& field) { return field.name == name; });
  };
  const auto last_line = 1 + std::count(text.begin(), text.end(), '\n');
  const auto missing = [&](std::string_view name) {
    return absl::InvalidArgumentError(absl::StrCat(
        "line ", last_line, ", field '", std::string(name), "': it is missing up to here"));
  };
  if (!has("schema")) return missing("schema");
  DeviceProfile profile;
  for (const FlatJsonField& field : *fields) {
    if (field.name == "schema" && field.value != decltype(field.value)(std::string(kSchema))) {
      return At(field, absl::StrCat("it must be \"", std::string(kSchema), "\""));
    }
    if (absl::Status status = Take(field, &profile); !status.ok()) return status;
  }
  for (const CountField& count : kCounts) {
    if (!has(count.name)) return missing(count.name);
  }
  for (const RateField& rate : kRates) {
    if (!has(rate.name)) return missing(rate.name);
  }
  return profile;
}

absl::StatusOr<DeviceProfile> DeviceProfile::ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be opened for reading"));
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  if (file.bad() || text.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read as a device profile"));
  }
  absl::StatusOr<DeviceProfile> profile = Parse(text);
  if (profile.ok()) return profile;
  return absl::Status(profile.status().code(),
                      absl::StrCat(path, ": ", profile.status().message()));
}

std::string DeviceProfile::Serialize() const {
  std::string text =
      absl::StrCat("{\n  \"schema\": ", Quoted(kSchema), ",\n  \"device\": ", Quoted(device));
  for (const CountField& count : kCounts) {
    absl::StrAppend(&text, ",\n  \"", count.name, "\": ", this->*count.value);
  }
  for (const RateField& rate : kRates) {
    absl::StrAppend(&text, absl::StrFormat(",\n  \"%s\": %.17g", rate.name, this->*rate.value));
  }
  return text + "\n}\n";
}

}  // namespace ioengine
