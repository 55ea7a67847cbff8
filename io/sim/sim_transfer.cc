// What moves bytes on a SimDisk, and makes them durable.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <span>

#include "ioengine/io/sim/sim_disk.h"

namespace ioengine {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 44;  // that of ext4 with pages of 4 KiB

}  // namespace

int32_t SimDisk::CheckTransfer(const IoRequest& request, const SimOpenFile& file) const {
  if (file.node->is_directory()) return -EISDIR;
  const bool write = request.opcode == IoOpcode::kWrite;
  if (request.offset_bytes > kMaxFileBytes - request.size_bytes) return write ? -EFBIG : -EINVAL;
  if ((file.flags & O_DIRECT) == 0) return 0;
  const uint64_t together = request.offset_bytes | request.size_bytes |
                            static_cast<uint64_t>(reinterpret_cast<uintptr_t>(request.data));
  return (together & (options_.direct_alignment_bytes - 1)) == 0 ? 0 : -EINVAL;
}

// How much is moved at once: all but where the fault is that.
uint32_t SimDisk::TransferBytes(const IoRequest& request, const SimFaultDraw& fault) const {
  if (fault.fault != SimFault::kShortTransfer) return request.size_bytes;
  if (fault.argument.has_value()) {
    return static_cast<uint32_t>(std::min<uint64_t>(*fault.argument, request.size_bytes));
  }
  // A direct transfer is short by whole blocks, and nothing is never moved.
  const uint32_t unit = options_.direct_alignment_bytes;
  const uint32_t units = request.size_bytes / unit;
  if (units < 2) return request.size_bytes;
  return static_cast<uint32_t>(1 + fault.random % (units - 1)) * unit;
}

// Where a transfer goes that goes astray: to `*offset_bytes` of the file that it gives; null when
// there is no other place.
SimFile* SimDisk::Misdirect(const SimOperation& operation, uint64_t* offset_bytes) {
  SimFile* const own = operation.file->node->file.get();
  if (operation.fault.argument.has_value()) {
    *offset_bytes = *operation.fault.argument;
    return own;
  }
  constexpr int kAttempts = 8;
  Random random(operation.fault.random);
  for (int i = 0; i < kAttempts; ++i) {
    SimFile* file = own;
    if (random.OneIn(2)) {
      const auto other = volume_->nodes.lower_bound(random.Below(volume_->last_id + 1));
      if (other == volume_->nodes.end() || other->second->file == nullptr) continue;
      file = other->second->file.get();
    }
    const uint64_t page = file->PickPage(random.Next());
    if (page == UINT64_MAX) continue;
    const uint64_t offset = page * kSimPageBytes + *offset_bytes % kSimPageBytes;
    if (file == own && offset == *offset_bytes) continue;
    *offset_bytes = offset;
    return file;
  }
  return nullptr;
}

int32_t SimDisk::Read(const IoRequest& request, const SimOperation& operation) {
  const SimOpenFile& open = *operation.file;
  const SimFaultDraw& fault = operation.fault;
  if ((open.flags & O_ACCMODE) == O_WRONLY) return -EBADF;
  if (const int32_t error = CheckTransfer(request, open); error != 0) return error;
  SimFile& file = *open.node->file;
  const uint64_t offset = request.offset_bytes;
  const uint32_t size = TransferBytes(request, fault);
  if (size == 0) return 0;
  if (fault.fault == SimFault::kLatentSector) file.BreakSector(offset + fault.random % size);
  if (file.HasBrokenSector(offset, size)) return -EIO;
  const std::span<std::byte> data(static_cast<std::byte*>(request.data), size);
  const uint64_t left = file.size_bytes() - std::min(file.size_bytes(), offset);
  if (fault.fault == SimFault::kBitRot && left > 0) {
    const uint64_t bits = std::min<uint64_t>(left, size) * 8;
    const uint64_t bit = fault.argument.value_or(fault.random) % bits;
    file.FlipBit(offset + bit / 8, static_cast<unsigned>(bit % 8));
  }
  const size_t read = file.Read(offset, data);
  uint64_t astray = offset;
  if (fault.fault == SimFault::kMisdirectedRead) {
    if (const SimFile* const other = Misdirect(operation, &astray); other != nullptr) {
      const size_t found = other->Read(astray, data.first(read));
      std::memset(data.data() + found, 0, read - found);
    }
  }
  return static_cast<int32_t>(read);
}

int32_t SimDisk::Write(const IoRequest& request, const SimOperation& operation) {
  const SimOpenFile& open = *operation.file;
  const SimFaultDraw& fault = operation.fault;
  if ((open.flags & O_ACCMODE) == O_RDONLY) return -EBADF;
  if (const int32_t error = CheckTransfer(request, open); error != 0) return error;
  SimFile& file = *open.node->file;
  const uint32_t size = TransferBytes(request, fault);
  if (size == 0) return 0;
  const std::span<const std::byte> data(static_cast<const std::byte*>(request.data), size);
  const bool astray = fault.fault == SimFault::kMisdirectedWrite;
  const uint64_t before = file.position();
  const size_t written =
      file.Write(request.offset_bytes, data, !astray && fault.fault != SimFault::kLostWrite);
  if (written == 0) return -ENOSPC;
  if ((request.flags & kIoDsync) != 0) {
    if (!options_.fua) {
      file.MakeDurable(operation.position);
      FlushDevice();
    }
    file.MakeLastDurable(before);
  }
  if (astray) {
    uint64_t offset = request.offset_bytes;
    SimFile* const other = Misdirect(operation, &offset);
    if (other != nullptr) other->Misplace(offset, data.first(written));
  }
  LimitCache();
  return static_cast<int32_t>(written);
}

int32_t SimDisk::Sync(const SimOperation& operation) {
  const SimNode& node = *operation.file->node;
  const bool drops = operation.fault.fault == SimFault::kSyncDropsData;
  if (drops && node.file != nullptr) node.file->DropData(operation.position);
  if (drops || operation.fault.fault == SimFault::kSyncKeepsData) return -EIO;
  if (node.file != nullptr) {
    node.file->MakeDurable(operation.position);
  } else {
    names_->MakeDurable(node, operation.position);
  }
  FlushDevice();
  return 0;
}

int32_t SimDisk::ChangeExtents(const IoRequest& request, const SimOpenFile& open) {
  if (open.node->file == nullptr) return -EBADF;
  SimFile& file = *open.node->file;
  if (request.range_bytes > kMaxFileBytes) return -EFBIG;
  if (request.opcode == IoOpcode::kTruncate) {
    file.Truncate(request.range_bytes);
    LimitCache();
    return 0;
  }
  if (request.range_bytes == 0) return -EINVAL;
  if (request.offset_bytes > kMaxFileBytes - request.range_bytes) return -EFBIG;
  if (request.opcode == IoOpcode::kPunch) {
    file.Punch(request.offset_bytes, request.range_bytes);
  } else if (!file.Allocate(request.offset_bytes, request.range_bytes)) {
    return -ENOSPC;
  }
  LimitCache();
  return 0;
}

void SimDisk::FlushDevice() {
  if (!options_.flush_covers_device) return;
  for (const auto& [id, node] : volume_->nodes) {
    if (node->file != nullptr) node->file->MakeDataDurable();
  }
}

void SimDisk::LimitCache() {
  while (volume_->space.pending_changes > options_.max_cached_changes) {
    auto next = volume_->nodes.upper_bound(cache_hand_);
    if (next == volume_->nodes.end()) next = volume_->nodes.begin();
    const auto& [id, node] = *next;
    cache_hand_ = id;
    if (node->file != nullptr) node->file->MakeDurable(node->file->position());
  }
}

}  // namespace ioengine
