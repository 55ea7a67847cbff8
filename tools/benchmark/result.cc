#include "ioengine/tools/benchmark/result.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/tools/benchmark/metrics.h"

namespace ioengine::bench {
namespace {

using nlohmann::json;

absl::Status ErrnoStatus(int error, const std::string& message) {
  return absl::ErrnoToStatus(error, absl::string_view(message.data(), message.size()));
}

json ToJson(const Result& result) {
  return {{"suite", result.suite},
          {"workload", result.workload},
          {"parameters", json(result.parameters)},
          {"metric", result.metric},
          {"value", result.value},
          {"unit", result.unit},
          {"min", result.min},
          {"max", result.max},
          {"repetitions", result.repetitions},
          {"ratios", json(result.ratios)}};
}

absl::Status WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "");
    text.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

// A temporary file and a rename, so that the old file stays until the new one is whole.
absl::Status Replace(const std::string& path, std::string_view text) {
  std::string temporary = path + ".XXXXXX";
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "");
  absl::Status status = WriteAll(fd, text);
  if (status.ok() && fchmod(fd, 0644) != 0) status = ErrnoStatus(errno, "");
  if (status.ok() && fsync(fd) != 0) status = ErrnoStatus(errno, "");
  if (close(fd) != 0 && status.ok()) status = ErrnoStatus(errno, "");
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) status = ErrnoStatus(errno, "");
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

// For a terminal, a pipe or /dev/null, which a rename would put a file in place of.
absl::Status WriteInto(const std::string& path, std::string_view text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "");
  absl::Status status = WriteAll(fd, text);
  if (close(fd) != 0 && status.ok()) status = ErrnoStatus(errno, "");
  return status;
}

}  // namespace

Result MakeResult(const std::string& suite, const std::string& workload,
                  const std::map<std::string, json>& parameters, const std::string& metric,
                  std::vector<double> values) {
  std::sort(values.begin(), values.end());
  Result result;
  result.suite = suite;
  result.workload = workload;
  result.parameters = parameters;
  result.metric = metric;
  const size_t middle = values.size() / 2;
  result.value =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  result.min = values.front();
  result.max = values.back();
  result.repetitions = static_cast<int>(values.size());
  if (const Metric* known = FindMetric(suite, metric)) result.unit = known->unit;
  return result;
}

absl::Status CheckResult(const Result& result) {
  const std::string name = result.suite + "/" + result.workload + "/" + result.metric;
  const Metric* metric = FindMetric(result.suite, result.metric);
  if (metric == nullptr) {
    return absl::InvalidArgumentError("result " + name + ": suite '" + result.suite +
                                      "' has no metric '" + result.metric +
                                      "' (tools/benchmark/metrics.cc)");
  }
  if (result.unit != metric->unit) {
    return absl::InvalidArgumentError("result " + name + ": unit '" + result.unit +
                                      "', but the metric is in '" + std::string(metric->unit) +
                                      "'");
  }
  if (result.workload.empty()) {
    return absl::InvalidArgumentError("result " + name + ": no workload");
  }
  if (result.repetitions < 1) {
    return absl::InvalidArgumentError("result " + name + ": no repetition");
  }
  // JSON has no NaN and no infinity: the file would not say what was measured.
  if (!std::isfinite(result.min) || !std::isfinite(result.value) || !std::isfinite(result.max)) {
    return absl::InvalidArgumentError("result " + name + ": a value that is not finite");
  }
  if (result.value < result.min || result.value > result.max) {
    return absl::InvalidArgumentError("result " + name + ": value outside [min, max]");
  }
  for (const auto& [peer, ratio] : result.ratios) {
    if (!std::isfinite(ratio)) {
      return absl::InvalidArgumentError("result " + name + ": ratio to " + peer + " is not finite");
    }
  }
  return absl::OkStatus();
}

json ToJson(const Report& report) {
  json results = json::array();
  for (const Result& result : report.results) results.push_back(ToJson(result));
  return {{"environment", ToJson(report.environment)}, {"results", std::move(results)}};
}

absl::Status CheckWritable(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  const std::string folder = parent.empty() ? "." : parent;
  const bool exists = access(path.c_str(), F_OK) == 0;
  const std::string& place = exists ? path : folder;
  if (access(place.c_str(), W_OK) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "cannot write the results to " + path + " (" + place + ")");
}

absl::Status WriteReport(const Report& report, const std::string& path) {
  for (const Result& result : report.results) {
    if (absl::Status status = CheckResult(result); !status.ok()) return status;
  }
  // A path or a model name may hold bytes that are not UTF-8; replace those rather than throw.
  const std::string text =
      ToJson(report).dump(2, ' ', false, json::error_handler_t::replace) + "\n";

  struct stat existing;
  const bool special = stat(path.c_str(), &existing) == 0 && !S_ISREG(existing.st_mode);
  absl::Status status = special ? WriteInto(path, text) : Replace(path, text);
  if (status.ok()) return status;
  return absl::Status(status.code(), "cannot write " + path + std::string(status.message()) +
                                         "; name a file in a directory that can be written");
}

}  // namespace ioengine::bench
