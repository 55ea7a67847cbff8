#include "ioengine/io/sim/sim_faults.h"

#include <algorithm>

namespace ioengine {
namespace {

bool IsSync(IoOpcode opcode) {
  return opcode == IoOpcode::kFdatasync || opcode == IoOpcode::kFsync;
}

bool CanMeet(SimFault fault, IoOpcode opcode) {
  const bool read = opcode == IoOpcode::kRead;
  const bool write = opcode == IoOpcode::kWrite;
  switch (fault) {
    case SimFault::kNone:
      return false;
    case SimFault::kMisdirectedRead:
    case SimFault::kBitRot:
    case SimFault::kLatentSector:
      return read;
    case SimFault::kMisdirectedWrite:
    case SimFault::kLostWrite:
      return write;
    case SimFault::kShortTransfer:
    case SimFault::kTryAgain:
      return read || write;
    case SimFault::kSyncDropsData:
    case SimFault::kSyncKeepsData:
      return IsSync(opcode);
    case SimFault::kNoSpace:
      return write || opcode == IoOpcode::kAllocate || opcode == IoOpcode::kOpen ||
             opcode == IoOpcode::kRename || opcode == IoOpcode::kLink ||
             opcode == IoOpcode::kMakeDirectory;
    case SimFault::kError:
    case SimFault::kInterrupted:
    case SimFault::kSlow:
    case SimFault::kIgnoresCancel:
    case SimFault::kRefused:
      return opcode != IoOpcode::kClose;  // whose descriptor is gone in any case
    case SimFault::kStuck:
      return read || write || IsSync(opcode);
  }
  return false;
}

}  // namespace

const char* SimFaultName(SimFault fault) {
  static constexpr std::array<const char*, kSimFaultCount> kNames = {
      "none",
      "misdirected read",
      "misdirected write",
      "lost write",
      "bit rot",
      "latent sector",
      "error",
      "sync drops data",
      "sync keeps data",
      "no space",
      "short transfer",
      "interrupted",
      "try again",
      "slow",
      "stuck",
      "ignores cancel",
      "refused",
  };
  return kNames[static_cast<size_t>(fault)];
}

void SimFaults::SetRates(const SimFaultRates& rates) {
  rates_ = rates;
  any_rate_ = std::any_of(rates.per_million.begin(), rates.per_million.end(),
                          [](uint32_t rate) { return rate > 0; });
}

void SimFaults::Clear() {
  SetRates({});
  rules_.clear();
}

bool SimFaults::Matches(const SimFaultRule& rule, const IoRequest& request, std::string_view path) {
  const bool meets = rule.opcode.has_value() ? *rule.opcode == request.opcode
                                             : CanMeet(rule.fault, request.opcode);
  if (!meets) return false;
  if (rule.site.known() && !(rule.site == request.site)) return false;
  if (path.find(rule.path_part) == std::string_view::npos) return false;
  if (!rule.offset_bytes.has_value()) return true;
  return request.offset_bytes <= *rule.offset_bytes &&
         *rule.offset_bytes < request.offset_bytes + request.size_bytes;
}

void SimFaults::Record(const IoRequest& request, std::string_view path) {
  const auto found =
      std::find_if(site_uses_.begin(), site_uses_.end(), [&](const SimSiteUses& uses) {
        return uses.opcode == request.opcode && uses.site == request.site;
      });
  if (found != site_uses_.end()) {
    ++found->uses;
  } else {
    site_uses_.push_back(
        {.site = request.site, .opcode = request.opcode, .path = std::string(path), .uses = 1});
  }
}

SimFaultDraw SimFaults::Draw(const IoRequest& request, std::string_view path, Random& random) {
  if (records_sites_) Record(request, path);
  for (Rule& rule : rules_) {
    if (!Matches(rule, request, path)) continue;
    const uint64_t before = rule.matched++;
    if (before < rule.skip || before - rule.skip >= rule.times) continue;
    ++counts_[static_cast<size_t>(rule.fault)];
    return {.fault = rule.fault, .argument = rule.argument, .random = random.Next()};
  }
  if (!any_rate_) return {};
  uint64_t chance = random.Below(1'000'000);
  for (size_t i = 0; i < kSimFaultCount; ++i) {
    const uint64_t rate = rates_.per_million[i];
    const auto fault = static_cast<SimFault>(i);
    if (rate == 0 || !CanMeet(fault, request.opcode)) continue;
    if (chance >= rate) {
      chance -= rate;
      continue;
    }
    ++counts_[i];
    return {.fault = fault, .argument = {}, .random = random.Next()};
  }
  return {};
}

}  // namespace ioengine
