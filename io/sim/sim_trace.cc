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

// Both halves of a product (W. Yi's wyhash does so).
uint64_t Fold(uint64_t a, uint64_t b) {
  const unsigned __int128 product =
      static_cast<unsigned __int128>(a ^ 0xa076'1d64'78bd'642f) * (b ^ 0xe703'7ed1'a0b4'28db);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t Word(const std::byte* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
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
  if (event.site.known()) absl::StrAppend(&line, " at ", event.site.ToString());
  if (event.fault != SimFault::kNone) {
    absl::StrAppend(&line, " (", SimFaultName(event.fault), ")");
  }
  return line;
}

}  // namespace

uint64_t SimHash(std::span<const std::byte> bytes) {
  // Two words to a multiplication, and lanes that need not wait for each other, since all data of a
  // simulation goes through here. Written out: as a loop over the lanes it takes twice as long.
  constexpr size_t kStepBytes = 64;
  uint64_t lane0 = 1;
  uint64_t lane1 = 2;
  uint64_t lane2 = 3;
  uint64_t lane3 = 4;
  const std::byte* at = bytes.data();
  const std::byte* const end = at + bytes.size();
  for (; static_cast<size_t>(end - at) >= kStepBytes; at += kStepBytes) {
    lane0 = Fold(lane0 ^ Word(at), Word(at + 8));
    lane1 = Fold(lane1 ^ Word(at + 16), Word(at + 24));
    lane2 = Fold(lane2 ^ Word(at + 32), Word(at + 40));
    lane3 = Fold(lane3 ^ Word(at + 48), Word(at + 56));
  }
  uint64_t hash = bytes.size();
  for (; at != end; ++at) hash = Mix(hash, static_cast<uint64_t>(*at));
  return Mix(Mix(Mix(Mix(hash, lane0), lane1), lane2), lane3);
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
