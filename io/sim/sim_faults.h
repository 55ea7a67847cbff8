// SimFaults: what goes wrong on a simulated disk, by chance or exactly as a test says.
#ifndef IOENGINE_IO_SIM_SIM_FAULTS_H_
#define IOENGINE_IO_SIM_SIM_FAULTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ioengine/io/io_request.h"
#include "ioengine/io/io_site.h"
#include "ioengine/sched/random.h"

namespace ioengine {

enum class SimFault : uint8_t {
  kNone,
  // The device lies.
  kMisdirectedRead,   // gives the bytes of another place, of this file or of another
  kMisdirectedWrite,  // changes another place instead
  kLostWrite,         // changes nothing, and says that it did
  kBitRot,            // read: a bit of what is read has flipped for good
  // It says so.
  kLatentSector,  // read: EIO, again and again until that sector is written
  kError,         // an errno, EIO unless SimFaultRule::argument says another; nothing happens
  // A sync fails (EIO). What it was to write is dropped, as Linux does: the next sync succeeds and
  // the data is not durable. Or it is kept.
  kSyncDropsData,
  kSyncKeepsData,
  // The file system.
  kNoSpace,        // write, allocate, names: ENOSPC
  kShortTransfer,  // read, write: some of the bytes
  kInterrupted,    // EINTR
  kTryAgain,       // EAGAIN
  // Time.
  kSlow,           // takes 100 times as long
  kStuck,          // completes only when it is cancelled
  kIgnoresCancel,  // completes with its result after it was cancelled
  // Its submission: an errno (EAGAIN …, as for kError), as soon as somebody looks.
  kRefused,
};
inline constexpr size_t kSimFaultCount = 17;

const char* SimFaultName(SimFault fault);

// How often each fault meets an operation that it can meet, in a million.
struct SimFaultRates {
  std::array<uint32_t, kSimFaultCount> per_million = {};

  uint32_t& operator[](SimFault fault) { return per_million[static_cast<size_t>(fault)]; }
  uint32_t operator[](SimFault fault) const { return per_million[static_cast<size_t>(fault)]; }
};

// How often one place of the program started operations of one kind.
struct SimSiteUses {
  IoSite site;
  IoOpcode opcode;
  std::string path;  // of the first
  uint64_t uses;     // those that are started again for what is left count again
};

// One fault for the operations that can meet it and match all that is set; the first `skip` of
// them do not.
struct SimFaultRule {
  SimFault fault = SimFault::kError;
  std::optional<IoOpcode> opcode = {};        // also one that would not meet it by chance
  std::string path_part = {};                 // in the path that the file was opened by
  IoSite site = {};                           // who asked for it
  std::optional<uint64_t> offset_bytes = {};  // is within the transfer
  uint64_t skip = 0;
  uint64_t times = 1;  // UINT64_MAX: for ever
  // kError, kRefused: the errno. kShortTransfer: the bytes that are moved. kMisdirected…: the
  // offset in the same file. kBitRot: the bit, counted from the start of the transfer. Otherwise,
  // and where it is not set, the seed decides.
  std::optional<uint64_t> argument = {};
};

// What an operation meets.
struct SimFaultDraw {
  SimFault fault = SimFault::kNone;
  std::optional<uint64_t> argument = {};
  uint64_t random = 0;  // for what is not said exactly
};

// Shard: all of a simulation, on one thread.
class SimFaults {
 public:
  // By chance, from now on.
  void SetRates(const SimFaultRates& rates);
  // Rules go before chance, the first that matches is taken.
  void Add(SimFaultRule rule) { rules_.push_back({std::move(rule)}); }
  // Neither rates nor rules: what is broken stays broken, nothing else breaks.
  void Clear();

  // For each operation once. Cost: a random number where there are rates.
  SimFaultDraw Draw(const IoRequest& request, std::string_view path, Random& random);

  // From now on tells in site_uses() who starts what, in the order of the first use.
  void RecordSites() {
    records_sites_ = true;
    site_uses_.clear();
  }
  const std::vector<SimSiteUses>& site_uses() const { return site_uses_; }

  // How often it was drawn.
  uint64_t count(SimFault fault) const { return counts_[static_cast<size_t>(fault)]; }

 private:
  struct Rule : SimFaultRule {
    uint64_t matched = 0;
  };

  static bool Matches(const SimFaultRule& rule, const IoRequest& request, std::string_view path);
  void Record(const IoRequest& request, std::string_view path);

  SimFaultRates rates_;
  bool any_rate_ = false;
  std::vector<Rule> rules_;
  bool records_sites_ = false;
  std::vector<SimSiteUses> site_uses_;
  std::array<uint64_t, kSimFaultCount> counts_ = {};
};

}  // namespace ioengine

#endif  // IOENGINE_IO_SIM_SIM_FAULTS_H_
