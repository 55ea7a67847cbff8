#include "ioengine/sched/stall.h"

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace ioengine {
namespace {

constexpr uint64_t kMinuteNs = 60'000'000'000;

}  // namespace

void StallDetector::Start(bool real_time) {
  if (options_.threshold_ns == 0 || !options_.report) return;
  if (!real_time) {
    no_sampler_ = "time is simulated";
    return;
  }
  // Two samples at least in a stall that uses the CPU.
  absl::StatusOr<std::unique_ptr<StackSampler>> sampler =
      StackSampler::Start(options_.threshold_ns / 2 + 1);
  if (sampler.ok()) {
    sampler_ = *std::move(sampler);
  } else {
    no_sampler_ = std::string(sampler.status().message());
  }
}

bool StallDetector::MayReport(uint64_t now_ns) {
  if (now_ns - minute_begin_ns_ >= kMinuteNs) {
    minute_begin_ns_ = now_ns;
    reports_in_minute_ = 0;
  }
  if (reports_in_minute_ == options_.max_reports_per_minute) return false;
  ++reports_in_minute_;
  return true;
}

void StallDetector::Report(const std::string& class_name, uint64_t begin_ns, uint64_t end_ns) {
  if (!options_.report) return;
  if (!MayReport(end_ns)) {
    ++not_shown_;
    return;
  }
  StallReport report;
  report.class_name = class_name;
  report.task = DescribeCoroutine(resume_function_);
  report.duration_ns = end_ns - begin_ns;
  report.stalls_not_shown = std::exchange(not_shown_, 0);
  if (sampler_ == nullptr) {
    report.no_stack = no_sampler_;
  } else {
    for (const void* address : sampler_->StackBetween(begin_ns, end_ns)) {
      absl::StrAppend(&report.stack, DescribeAddress(address), "\n");
    }
    if (report.stack.empty()) {
      report.no_stack =
          "the thread used little CPU meanwhile: it waited in a system call that "
          "blocks, or other threads had its CPU";
    }
  }
  options_.report(report);
}

}  // namespace ioengine
