// ScanProgress: what a client keeps of one scan.
#ifndef IOENGINE_TOOLS_KV_SCAN_PROGRESS_H_
#define IOENGINE_TOOLS_KV_SCAN_PROGRESS_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/sched/clock.h"
#include "ioengine/tools/kv/kv_job.h"

namespace ioengine::kv {

// Counts and checks the keys of a scan, and says when there are enough. One of all keys is counted
// on the way, in parts of kKeysPerLook, and ends with its job.
class ScanProgress {
 public:
  static constexpr uint64_t kKeysPerLook = 128;

  // `end_place`: of the first key behind all that it may give.
  ScanProgress(KvWorker& worker, const KvOperation& operation, uint64_t begin_ns,
               uint64_t end_place)
      : worker_(worker),
        operation_(operation),
        check_(worker.data(), operation.index),
        end_place_(end_place),
        look_ns_(begin_ns) {}

  // Takes one; true: there may be more. Errors: those of ScanCheck.
  absl::StatusOr<bool> Add(std::string_view key, std::string_view value) {
    if (absl::Status status = check_.Add(key, value); !status.ok()) return status;
    ++keys_;
    if (scans_all() && keys_ - counted_ == kKeysPerLook && !Look()) return false;
    return keys_ < operation_.count;
  }

  // It is over. `at_end`: because there were no more keys.
  absl::Status Finish(bool at_end) {
    if (at_end) {
      const absl::Status status = check_.Finish(end_place_);
      if (!status.ok()) return status;
    }
    if (scans_all()) Look();
    return absl::OkStatus();
  }

  uint64_t keys() const { return keys_; }

 private:
  bool scans_all() const { return worker_.job().workload().scans_all; }

  bool Look() {
    const uint64_t now_ns = MonotonicClock::Get().NowNs();
    if (keys_ > counted_) worker_.Scanned(keys_ - counted_, now_ns - look_ns_);
    counted_ = keys_;
    look_ns_ = now_ns;
    return !worker_.job().IsOver(now_ns);
  }

  KvWorker& worker_;
  const KvOperation operation_;
  ScanCheck check_;
  const uint64_t end_place_;
  uint64_t keys_ = 0;
  uint64_t counted_ = 0;
  uint64_t look_ns_;
};

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_SCAN_PROGRESS_H_
