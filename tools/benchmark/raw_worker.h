// One thread's part of the bare loop (raw_loop.h).
#ifndef IOENGINE_TOOLS_BENCHMARK_RAW_WORKER_H_
#define IOENGINE_TOOLS_BENCHMARK_RAW_WORKER_H_

#include <liburing.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/sched/histogram.h"
#include "ioengine/tools/benchmark/peer.h"

namespace ioengine::bench {

// Owns a ring, a file and the buffers, and keeps `depth` operations in flight. All of it happens on
// the thread that called SetUp: SINGLE_ISSUER binds the ring to it.
class RawWorker {
 public:
  RawWorker(const PeerJob& job, int shard, unsigned wait_count, unsigned latency_sample_every);
  ~RawWorker();

  RawWorker(const RawWorker&) = delete;
  RawWorker& operator=(const RawWorker&) = delete;

  // Pins the thread, opens the file and makes the ring. What the machine refuses and the loop can
  // do without is listed in degraded().
  absl::Status SetUp();

  // Runs until `stop`, then waits for what is in flight.
  absl::Status Run(const std::atomic<bool>& stop);

  // Valid after Run.
  uint64_t operations() const { return operations_; }
  uint64_t bytes() const { return bytes_; }
  double elapsed_s() const { return elapsed_s_; }
  const Histogram& latencies() const { return latencies_; }

  const std::vector<std::string>& degraded() const { return degraded_; }
  const std::string& ring_flags() const { return ring_flags_; }

 private:
  absl::Status Pin();
  absl::Status OpenFile();
  absl::Status MapBuffers();
  absl::Status MakeRing();
  void Register();
  void FillTemplates();

  // Puts the next operation of buffer `slot` into the submission queue.
  void Issue(unsigned slot);
  uint64_t NextOffset();
  uint64_t NextRandom();
  // Handles all completions that are there; `reissue` keeps the depth.
  absl::Status Reap(bool reissue);
  absl::Status Drain();
  uint64_t NowNs();  // one clock reading per turn at most

  const PeerJob job_;
  const int shard_;
  const unsigned wait_count_;
  const unsigned latency_sample_every_;
  const Region region_;
  const uint64_t block_count_;

  int fd_ = -1;
  int sqe_fd_ = -1;  // an index if the file is registered
  io_uring ring_ = {};
  bool has_ring_ = false;
  bool fixed_file_ = false;
  bool fixed_buffers_ = false;
  std::byte* buffers_ = nullptr;
  size_t buffers_size_ = 0;

  unsigned in_flight_ = 0;
  uint64_t turn_ = 0;
  uint64_t turn_now_ns_ = 0;        // 0: the clock was not read in this turn
  std::vector<uint64_t> start_ns_;  // per slot; 0: this operation is not timed
  uint64_t next_block_ = 0;         // of the sequential workloads
  uint64_t random_state_ = 0;
  unsigned expected_result_ = 0;
  uint8_t read_opcode_ = 0;
  uint8_t write_opcode_ = 0;

  uint64_t operations_ = 0;
  uint64_t bytes_ = 0;
  double elapsed_s_ = 0;
  Histogram latencies_;
  std::vector<std::string> degraded_;
  std::string ring_flags_;
};

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_RAW_WORKER_H_
