#include "ioengine/tools/benchmark/raw_worker.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <system_error>

#include "absl/status/status.h"

namespace ioengine::bench {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

uint64_t ClockNs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

std::string ErrnoText(int error) { return std::generic_category().message(error); }

}  // namespace

RawWorker::RawWorker(const PeerJob& job, int shard, unsigned wait_count,
                     unsigned latency_sample_every)
    : job_(job),
      shard_(shard),
      wait_count_(std::clamp(wait_count, 1u, static_cast<unsigned>(job.depth))),
      latency_sample_every_(std::max(1u, latency_sample_every)),
      region_(NeedsFile(job.workload) ? ShardRegion(job, shard) : Region{0, job.block_size_bytes}),
      block_count_(region_.size_bytes / job.block_size_bytes),
      start_ns_(static_cast<size_t>(job.depth)),
      random_state_(job.seed + static_cast<uint64_t>(shard)),
      expected_result_(NeedsFile(job.workload) ? static_cast<unsigned>(job.block_size_bytes) : 0) {}

RawWorker::~RawWorker() {
  if (has_ring_) io_uring_queue_exit(&ring_);
  if (buffers_ != nullptr) munmap(buffers_, buffers_size_);
  if (fd_ >= 0) close(fd_);
}

absl::Status RawWorker::SetUp() {
  if (absl::Status status = Pin(); !status.ok()) return status;
  if (absl::Status status = OpenFile(); !status.ok()) return status;
  if (absl::Status status = MapBuffers(); !status.ok()) return status;
  if (absl::Status status = MakeRing(); !status.ok()) return status;
  Register();
  FillTemplates();
  return absl::OkStatus();
}

absl::Status RawWorker::Pin() {
  if (job_.cpus.empty()) return absl::OkStatus();
  const int cpu = job_.cpus[static_cast<size_t>(shard_)];
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) {
    return absl::ErrnoToStatus(errno, "bare loop: cannot run on CPU " + std::to_string(cpu));
  }
  return absl::OkStatus();
}

absl::Status RawWorker::OpenFile() {
  const bool null = !NeedsFile(job_.workload);
  const std::string path = null ? "/dev/null" : job_.path;
  const int mode = Writes(job_.workload) ? O_RDWR : O_RDONLY;
  fd_ = open(path.c_str(), mode | O_CLOEXEC | (job_.direct && !null ? O_DIRECT : 0));
  if (fd_ < 0) return absl::ErrnoToStatus(errno, "bare loop: cannot open " + path);
  return absl::OkStatus();
}

absl::Status RawWorker::MapBuffers() {
  // Two megabytes more than needed, so that the buffers can start on a huge page.
  const size_t wanted = static_cast<size_t>(job_.depth) * job_.block_size_bytes;
  const size_t rounded = (wanted + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  void* const mapped = mmap(nullptr, rounded + kHugePageBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    return absl::ErrnoToStatus(
        errno, "bare loop: cannot map " + std::to_string(rounded) + " bytes of buffers");
  }
  auto* const start = static_cast<std::byte*>(mapped);
  const size_t lead =
      (kHugePageBytes - reinterpret_cast<uintptr_t>(mapped) % kHugePageBytes) % kHugePageBytes;
  buffers_ = start + lead;
  buffers_size_ = rounded;
  if (lead > 0) munmap(start, lead);
  if (lead < kHugePageBytes) munmap(buffers_ + rounded, kHugePageBytes - lead);
  if (madvise(buffers_, buffers_size_, MADV_HUGEPAGE) != 0) {
    degraded_.push_back("no transparent huge pages under the buffers: " + ErrnoText(errno));
  }
  // Random, so that no device can make the writes smaller.
  for (size_t i = 0; i < buffers_size_; i += sizeof(uint64_t)) {
    const uint64_t word = NextRandom();
    std::memcpy(buffers_ + i, &word, sizeof(word));
  }
  return absl::OkStatus();
}

absl::Status RawWorker::MakeRing() {
  struct Mode {
    unsigned flags;
    const char* name;
  };
  constexpr std::array<Mode, 3> kModes = {
      Mode{IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, "SINGLE_ISSUER|DEFER_TASKRUN"},
      Mode{IORING_SETUP_COOP_TASKRUN, "COOP_TASKRUN"},
      Mode{0, "no flags"},
  };
  const unsigned entries = std::bit_ceil(static_cast<unsigned>(job_.depth));
  int result = 0;
  for (const Mode& mode : kModes) {
    result = io_uring_queue_init(entries, &ring_, mode.flags);
    if (result == 0) {
      has_ring_ = true;
      ring_flags_ = mode.name;
      if (&mode != kModes.data()) {
        degraded_.push_back(std::string("a ring with ") + mode.name + " instead of " +
                            kModes[0].name);
      }
      return absl::OkStatus();
    }
    if (result != -EINVAL) break;  // only an old kernel's answer to a new flag is worth another try
  }
  return absl::ErrnoToStatus(
      -result,
      "bare loop: io_uring is not to be had (see /proc/sys/kernel/io_uring_disabled, "
      "`ulimit -l` and the container's seccomp profile)");
}

void RawWorker::Register() {
  if (const int result = io_uring_register_ring_fd(&ring_); result < 0) {
    degraded_.push_back("ring not registered: " + ErrnoText(-result));
  }
  const int registered = io_uring_register_files(&ring_, &fd_, 1);
  fixed_file_ = registered == 0;
  sqe_fd_ = fixed_file_ ? 0 : fd_;
  if (!fixed_file_) degraded_.push_back("file not registered: " + ErrnoText(-registered));

  const iovec buffers = {buffers_, buffers_size_};
  const int pinned = io_uring_register_buffers(&ring_, &buffers, 1);
  fixed_buffers_ = pinned == 0;
  if (!fixed_buffers_) degraded_.push_back("buffers not registered: " + ErrnoText(-pinned));
  read_opcode_ = fixed_buffers_ ? IORING_OP_READ_FIXED : IORING_OP_READ;
  write_opcode_ = fixed_buffers_ ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE;
}

// The kernel only reads submission entries: what is the same in all of them is written once.
void RawWorker::FillTemplates() {
  for (unsigned i = 0; i < *ring_.sq.kring_entries; ++i) {
    io_uring_sqe* const sqe = &ring_.sq.sqes[i];
    std::memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = Writes(job_.workload) ? write_opcode_ : read_opcode_;
    sqe->flags = fixed_file_ ? IOSQE_FIXED_FILE : 0;
    sqe->fd = sqe_fd_;
    sqe->len = static_cast<unsigned>(job_.block_size_bytes);
    if (job_.workload == Workload::kSyncWrite) sqe->rw_flags = RWF_DSYNC;
  }
}

uint64_t RawWorker::NextRandom() {
  // splitmix64: as good as offsets need, and it has no state but a counter.
  uint64_t z = random_state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint64_t RawWorker::NextOffset() {
  if (IsRandom(job_.workload)) {
    const auto block =
        static_cast<uint64_t>((static_cast<unsigned __int128>(NextRandom()) * block_count_) >> 64);
    return region_.offset_bytes + block * job_.block_size_bytes;
  }
  if (next_block_ == block_count_) next_block_ = 0;
  return region_.offset_bytes + next_block_++ * job_.block_size_bytes;
}

uint64_t RawWorker::NowNs() {
  if (turn_now_ns_ == 0) turn_now_ns_ = ClockNs();
  return turn_now_ns_;
}

void RawWorker::Issue(unsigned slot) {
  // Never null: the ring has an entry for each slot.
  io_uring_sqe* const sqe = io_uring_get_sqe(&ring_);
  if (job_.workload == Workload::kMixed) {
    const bool read = NextRandom() < static_cast<uint64_t>(kMixedReadShare * 0x1p64);
    sqe->opcode = read ? read_opcode_ : write_opcode_;
  }
  sqe->off = NextOffset();
  sqe->addr = reinterpret_cast<uintptr_t>(buffers_ + slot * job_.block_size_bytes);
  sqe->user_data = slot;
  start_ns_[slot] = turn_ % latency_sample_every_ == 0 ? NowNs() : 0;
  ++in_flight_;
}

absl::Status RawWorker::Reap(bool reissue) {
  unsigned head = 0;
  unsigned count = 0;
  io_uring_cqe* cqe = nullptr;
  absl::Status status;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    ++count;
    --in_flight_;
    const auto slot = static_cast<unsigned>(cqe->user_data);
    if (cqe->res != static_cast<int>(expected_result_)) {
      status = cqe->res < 0
                   ? absl::ErrnoToStatus(-cqe->res, "bare loop: I/O on " + job_.path)
                   : absl::InternalError("bare loop: " + std::to_string(cqe->res) + " bytes of " +
                                         std::to_string(expected_result_) + " on " + job_.path);
      reissue = false;
      continue;
    }
    if (start_ns_[slot] != 0) latencies_.Record(NowNs() - start_ns_[slot]);
    if (reissue) Issue(slot);
  }
  io_uring_cq_advance(&ring_, count);
  operations_ += count;
  return status;
}

absl::Status RawWorker::Drain() {
  absl::Status status;
  while (in_flight_ > 0) {
    const int result = io_uring_submit_and_wait(&ring_, 1);
    if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
      return absl::ErrnoToStatus(-result, "bare loop: io_uring_enter");
    }
    turn_now_ns_ = 0;
    if (absl::Status reaped = Reap(/*reissue=*/false); status.ok()) status = reaped;
  }
  return status;
}

absl::Status RawWorker::Run(const std::atomic<bool>& stop) {
  const uint64_t begin_ns = ClockNs();
  for (unsigned slot = 0; slot < static_cast<unsigned>(job_.depth); ++slot) Issue(slot);
  absl::Status status;
  while (status.ok() && !stop.load(std::memory_order_relaxed)) {
    const int result = io_uring_submit_and_wait(&ring_, wait_count_);
    if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
      status = absl::ErrnoToStatus(-result, "bare loop: io_uring_enter");
      break;
    }
    ++turn_;
    turn_now_ns_ = 0;
    status = Reap(/*reissue=*/true);
  }
  elapsed_s_ = static_cast<double>(ClockNs() - begin_ns) / 1e9;
  const uint64_t measured = operations_;
  if (absl::Status drained = Drain(); status.ok()) status = drained;
  operations_ = measured;
  bytes_ = measured * expected_result_;
  return status;
}

}  // namespace ioengine::bench
