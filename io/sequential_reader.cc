#include "ioengine/io/sequential_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace ioengine {

SequentialReader::SequentialReader(ShardIo& io, const DmaFile& file,
                                   SequentialReaderOptions options)
    : io_(io),
      file_(file),
      options_(options),
      next_read_bytes_(options.begin_bytes - options.begin_bytes % file.offset_alignment_bytes()),
      offset_bytes_(options.begin_bytes),
      scope_(io.executor()) {}

SequentialReader::~SequentialReader() = default;

// Takes as many buffers as there are, and starts to read into them.
absl::Status SequentialReader::Begin(IoSite site) {
  const size_t alignment_bytes = file_.offset_alignment_bytes();
  const size_t buffer_bytes = (std::max(options_.buffer_bytes, size_t{1}) + alignment_bytes - 1) /
                              alignment_bytes * alignment_bytes;
  const size_t wanted = std::max(options_.read_ahead, size_t{1});
  while (slots_.size() < wanted) {
    absl::StatusOr<DmaBuffer> buffer = io_.AllocateBuffer(buffer_bytes);
    if (!buffer.ok()) {
      if (slots_.empty()) return buffer.status();
      break;  // reads less far ahead
    }
    slots_.push_back(std::make_unique<Slot>());
    slots_.back()->buffer = *std::move(buffer);
  }
  for (const auto& slot : slots_) StartNext(*slot, site);
  return absl::OkStatus();
}

void SequentialReader::StartNext(Slot& slot, IoSite site) {
  slot.done.Reset();
  slot.offset_bytes = next_read_bytes_;
  slot.size_bytes = 0;
  slot.result = size_t{0};
  if (at_end_ || next_read_bytes_ >= options_.end_bytes) {
    slot.done.Set();
    return;
  }
  // The last one is not larger than it must be.
  const uint64_t alignment_bytes = file_.offset_alignment_bytes();
  const uint64_t left_bytes = options_.end_bytes - next_read_bytes_;
  slot.size_bytes = slot.buffer.size_bytes();
  if (left_bytes < slot.size_bytes) {
    slot.size_bytes = (left_bytes + alignment_bytes - 1) / alignment_bytes * alignment_bytes;
  }
  next_read_bytes_ += slot.size_bytes;
  scope_.Spawn(Read(&file_, &slot, site));
}

Task<> SequentialReader::Read(const DmaFile* file, Slot* slot, IoSite site) {
  slot->result = co_await file->Read(slot->offset_bytes, slot->buffer, slot->size_bytes, 0, site);
  slot->done.Set();
}

// What was asked for of what was read.
std::span<const std::byte> SequentialReader::BytesOf(const Slot& slot) const {
  const uint64_t begin_bytes = std::max(slot.offset_bytes, options_.begin_bytes);
  const uint64_t end_bytes = std::min(slot.offset_bytes + *slot.result, options_.end_bytes);
  if (begin_bytes >= end_bytes) return {};
  return {slot.buffer.data() + (begin_bytes - slot.offset_bytes),
          static_cast<size_t>(end_bytes - begin_bytes)};
}

Task<absl::StatusOr<std::span<const std::byte>>> SequentialReader::Next(IoSite site) {
  if (!status_.ok()) co_return status_;
  if (slots_.empty()) {
    status_ = Begin(site);
    if (!status_.ok()) co_return status_;
  }
  if (given_) {
    StartNext(*slots_[current_], site);
    current_ = (current_ + 1) % slots_.size();
    given_ = false;
  }
  Slot& slot = *slots_[current_];
  co_await slot.done.Wait();
  if (!slot.result.ok()) {
    status_ = slot.result.status();
    co_return status_;
  }
  if (*slot.result < slot.size_bytes) at_end_ = true;
  const std::span<const std::byte> bytes = BytesOf(slot);
  // At the end the slot stays the current one.
  given_ = !bytes.empty();
  offset_bytes_ += bytes.size();
  co_return bytes;
}

Task<absl::Status> SequentialReader::ReadExactly(std::span<std::byte> into, IoSite site) {
  size_t copied_bytes = 0;
  while (copied_bytes < into.size()) {
    if (rest_.empty()) {
      absl::StatusOr<std::span<const std::byte>> next = co_await Next(site);
      if (!next.ok()) co_return next.status();
      if (next->empty()) {
        co_return absl::OutOfRangeError(
            absl::StrCat("read ", file_.path(), ": the end is at ", offset_bytes_, ", ",
                         into.size() - copied_bytes, " bytes before that of what was to be read"));
      }
      rest_ = *next;
    }
    const size_t size_bytes = std::min(rest_.size(), into.size() - copied_bytes);
    std::memcpy(into.data() + copied_bytes, rest_.data(), size_bytes);
    rest_ = rest_.subspan(size_bytes);
    copied_bytes += size_bytes;
    io_.CountCopy(size_bytes);
  }
  co_return absl::OkStatus();
}

}  // namespace ioengine
