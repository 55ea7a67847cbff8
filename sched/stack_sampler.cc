#include "ioengine/sched/stack_sampler.h"

#include <cxxabi.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>

#include "absl/debugging/symbolize.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ioengine {
namespace {

// A sample with the deepest stack takes 300 bytes: about the last hundred samples are kept.
constexpr uint16_t kMaxDepth = 32;
constexpr size_t kBufferPages = 8;

size_t PageBytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }
size_t BufferBytes() { return kBufferPages * PageBytes(); }

perf_event_attr Attributes(uint64_t period_ns, bool in_kernel) {
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_TASK_CLOCK;
  attributes.sample_period = period_ns;
  attributes.sample_type = PERF_SAMPLE_TIME | PERF_SAMPLE_CALLCHAIN;
  attributes.sample_max_stack = kMaxDepth;
  attributes.exclude_kernel = in_kernel ? 0 : 1;
  attributes.exclude_hv = 1;
  attributes.exclude_callchain_kernel = 1;
  attributes.use_clockid = 1;
  attributes.clockid = CLOCK_MONOTONIC;
  // With a mapping that cannot be written the kernel overwrites what is old; written backwards, the
  // newest record is the first.
  attributes.write_backward = 1;
  return attributes;
}

int OpenEvent(const perf_event_attr& attributes) {
  return static_cast<int>(
      syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

absl::Status Refusal(const char* what) {
  const int error = errno;
  return absl::FailedPreconditionError(absl::StrCat(
      what, ": ", std::generic_category().message(error),
      error == EACCES || error == EPERM
          ? "; the sysctl kernel.perf_event_paranoid must be 2 or less, or the process have "
            "CAP_PERFMON, and no seccomp filter may forbid it (as containers' often do)"
          : ""));
}

struct Sample {
  uint64_t time_ns;
  uint64_t depth;
  // The call chain follows.
};

// A buffer that wraps around.
class Records {
 public:
  Records(const void* memory, uint64_t head)
      : buffer_(static_cast<const char*>(memory) + PageBytes()), at_(head) {}

  // False at the end of what is kept.
  bool Next(uint64_t head, perf_event_header& header, std::vector<char>& body) {
    Copy(&header, at_, sizeof(header));
    const uint64_t used = at_ - head;
    if (header.size < sizeof(header) || used + header.size > BufferBytes()) return false;
    body.resize(header.size - sizeof(header));
    Copy(body.data(), at_ + sizeof(header), body.size());
    at_ += header.size;
    return true;
  }

 private:
  void Copy(void* to, uint64_t from, size_t size_bytes) const {
    for (size_t i = 0; i < size_bytes; ++i) {
      static_cast<char*>(to)[i] = buffer_[(from + i) % BufferBytes()];
    }
  }

  const char* const buffer_;
  uint64_t at_;
};

std::vector<const void*> UserStack(const std::vector<char>& body, uint64_t depth) {
  std::vector<const void*> stack;
  for (uint64_t i = 0; i < depth && sizeof(Sample) + (i + 1) * sizeof(uint64_t) <= body.size();
       ++i) {
    uint64_t address;
    std::memcpy(&address, body.data() + sizeof(Sample) + i * sizeof(address), sizeof(address));
    if (address >= static_cast<uint64_t>(PERF_CONTEXT_MAX)) continue;  // a mark between contexts
    stack.push_back(reinterpret_cast<const void*>(address));
  }
  return stack;
}

std::string Demangled(std::string_view mangled) {
  int status = 0;
  char* const name = abi::__cxa_demangle(std::string(mangled).c_str(), nullptr, nullptr, &status);
  std::string result(status == 0 ? name : mangled);
  std::free(name);  // NOLINT: it is malloc's
  return result;
}

// Empty when it is not known.
std::string NameOf(const void* address) {
  char name[512];
  if (!absl::Symbolize(address, name, sizeof(name))) return "";
  // Clones (".actor", ".resume", ".cold") are not known to the demangler.
  const std::string_view text = name;
  return text.starts_with("_Z") ? Demangled(text.substr(0, text.find('.'))) : std::string(text);
}

}  // namespace

absl::StatusOr<std::unique_ptr<StackSampler>> StackSampler::Start(uint64_t period_ns) {
  // Samples within the kernel too, where that is allowed: they show which call was slow.
  int fd = OpenEvent(Attributes(period_ns, true));
  if (fd < 0) fd = OpenEvent(Attributes(period_ns, false));
  if (fd < 0) return Refusal("perf_event_open");
  void* const memory = mmap(nullptr, PageBytes() + BufferBytes(), PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    absl::Status status = Refusal("mmap of the samples' buffer");
    close(fd);
    return status;
  }
  // A child process would read its parent's.
  madvise(memory, PageBytes() + BufferBytes(), MADV_DONTFORK);
  return std::unique_ptr<StackSampler>(new StackSampler(fd, memory));
}

StackSampler::~StackSampler() {
  munmap(memory_, PageBytes() + BufferBytes());
  close(fd_);
}

std::vector<const void*> StackSampler::StackBetween(uint64_t begin_ns, uint64_t end_ns) {
  ioctl(fd_, PERF_EVENT_IOC_PAUSE_OUTPUT, 1);
  const auto* const page = static_cast<const perf_event_mmap_page*>(memory_);
  // Acquire: the kernel writes the records before it moves the head.
  const uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
  Records records(memory_, head);
  std::vector<const void*> stack;
  perf_event_header header;
  std::vector<char> body;
  while (records.Next(head, header, body)) {
    Sample sample;
    if (header.type != PERF_RECORD_SAMPLE || body.size() < sizeof(sample)) continue;
    std::memcpy(&sample, body.data(), sizeof(sample));
    if (sample.time_ns > end_ns) continue;
    if (sample.time_ns >= begin_ns) stack = UserStack(body, sample.depth);
    break;  // the others are older
  }
  ioctl(fd_, PERF_EVENT_IOC_PAUSE_OUTPUT, 0);
  return stack;
}

std::string DescribeAddress(const void* address) {
  const std::string name = NameOf(address);
  const std::string text = absl::StrCat("0x", absl::Hex(reinterpret_cast<uintptr_t>(address)));
  return name.empty() ? text : absl::StrCat(text, " ", name);
}

std::string DescribeCoroutine(const void* resume_function) {
  const std::string name = NameOf(resume_function);
  return name.empty() ? DescribeAddress(resume_function) : name;
}

}  // namespace ioengine
