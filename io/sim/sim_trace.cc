#include "ioengine/io/sim/sim_trace.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace ioengine {
namespace {

uint64_t Mix(uint64_t hash, uint64_t word) {
  return std::rotl((hash ^ word) * 0x9fb2'1c65'1e98'df25, 29);
}

const char* KindName(SimEvent::Kind kind) {
  switch (kind) {
    case SimEvent::Kind::kTurn:
      return "turn";
    case SimEvent::Kind::kStart:
      return "start";
    case SimEvent::Kind::kComplete:
      return "complete";
    case SimEvent::Kind::kBegin:
      return "begin";
    case SimEvent::Kind::kEnd:
      return "end";
    case SimEvent::Kind::kPowerCut:
      return "power cut";
  }
  return "unknown";
}

std::string Line(const SimEvent& event) {
  std::string line =
      absl::StrCat(event.time_ns, " ns, shard ", event.shard, ": ", KindName(event.kind));
  const bool operation =
      event.kind == SimEvent::Kind::kStart || event.kind == SimEvent::Kind::kComplete;
  if (!operation) return line;
  absl::StrAppend(&line, " ", IoOpcodeName(event.opcode), " fd ", event.fd);
  if (event.size_bytes > 0) {
    absl::StrAppend(&line, ", ", event.size_bytes, " bytes at ", event.offset_bytes);
  }
  if (event.kind == SimEvent::Kind::kComplete) absl::StrAppend(&line, " = ", event.result);
  if (event.fault != SimFault::kNone) {
    absl::StrAppend(&line, " (", SimFaultName(event.fault), ")");
  }
  return line;
}

}  // namespace

uint64_t SimHash(std::span<const std::byte> bytes) {
  // Four lanes, so that the multiplications need not wait for each other.
  uint64_t lanes[4] = {1, 2, 3, 4};
  while (bytes.size() >= sizeof(lanes)) {
    uint64_t words[4];
    std::memcpy(words, bytes.data(), sizeof(words));
    for (int i = 0; i < 4; ++i) lanes[i] = Mix(lanes[i], words[i]);
    bytes = bytes.subspan(sizeof(words));
  }
  uint64_t hash = bytes.size();
  for (const std::byte byte : bytes) hash = Mix(hash, static_cast<uint64_t>(byte));
  for (const uint64_t lane : lanes) hash = Mix(hash, lane);
  return hash;
}

void SimTrace::Add(const SimEvent& event) {
  last_[count_++ % last_.size()] = event;
  hash_ = Mix(hash_, event.time_ns);
  hash_ =
      Mix(hash_, uint64_t{event.shard} << 32 | static_cast<uint64_t>(event.kind) << 16 |
                     static_cast<uint64_t>(event.opcode) << 8 | static_cast<uint64_t>(event.fault));
  if (event.kind != SimEvent::Kind::kStart && event.kind != SimEvent::Kind::kComplete) return;
  hash_ = Mix(hash_, static_cast<uint64_t>(static_cast<uint32_t>(event.fd)) << 32 |
                         static_cast<uint32_t>(event.result));
  hash_ = Mix(hash_, event.offset_bytes ^ std::rotl(event.size_bytes, 40));
  hash_ = Mix(hash_, event.data);
}

std::string SimTrace::ToString() const {
  std::string text;
  for (uint64_t at = count_ - std::min<uint64_t>(count_, last_.size()); at < count_; ++at) {
    absl::StrAppend(&text, at, ": ", Line(last_[at % last_.size()]), "\n");
  }
  return text;
}

}  // namespace ioengine
