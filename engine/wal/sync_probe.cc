#include "ioengine/engine/wal/sync_probe.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/sched/clock.h"

namespace ioengine {
namespace {

constexpr size_t kRounds = 5;

Task<absl::Status> WriteOnce(const DmaFile& file, const DmaBuffer& zeros, WalSync sync) {
  const WriteOptions options = {.durable = sync == WalSync::kDsync};
  absl::Status status = co_await file.Write(0, zeros, kWalPageBytes, options);
  if (status.ok() && sync == WalSync::kFlush) status = co_await file.Fdatasync();
  co_return status;
}

}  // namespace

Task<absl::StatusOr<WalSync>> ProbeWalSync(ShardIo& io, const DmaFile& file) {
  absl::StatusOr<DmaBuffer> zeros = io.AllocateBuffer(kWalPageBytes);
  if (!zeros.ok()) co_return zeros.status();
  std::memset(zeros->data(), 0, kWalPageBytes);
  const Clock& clock = io.executor().clock();
  std::array<uint64_t, kRounds> dsync_ns;
  std::array<uint64_t, kRounds> flush_ns;
  for (size_t round = 0; round < kRounds; ++round) {
    const uint64_t start_ns = clock.NowNs();
    absl::Status status = co_await WriteOnce(file, *zeros, WalSync::kDsync);
    const uint64_t middle_ns = clock.NowNs();
    if (status.ok()) status = co_await WriteOnce(file, *zeros, WalSync::kFlush);
    if (!status.ok()) co_return status;
    dsync_ns[round] = middle_ns - start_ns;
    flush_ns[round] = clock.NowNs() - middle_ns;
  }
  for (auto* const times : {&dsync_ns, &flush_ns}) {
    std::nth_element(times->begin(), times->begin() + kRounds / 2, times->end());
  }
  co_return dsync_ns[kRounds / 2] <= flush_ns[kRounds / 2] ? WalSync::kDsync : WalSync::kFlush;
}

}  // namespace ioengine
