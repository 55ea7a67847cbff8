// The workloads of the suite `kv`.
#ifndef IOENGINE_TOOLS_KV_WORKLOAD_H_
#define IOENGINE_TOOLS_KV_WORKLOAD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ioengine/engine/wal/durability.h"
#include "ioengine/tools/kv/distribution.h"

namespace ioengine::kv {

enum class OperationKind : uint8_t {
  kGet,
  kGetMissing,  // of a key that is not there, and lies between two that are
  kMultiGet,
  kScan,  // a seek, and the keys from there
  kPut,
  kInsert,  // a put of a key that was not there
  kModify,  // a get, and a put of the same key
  kDelete,
};
inline constexpr size_t kOperationKinds = 8;

// In which order keys are put that are not drawn: each once.
enum class KeyOrder : uint8_t { kDrawn, kAscending, kPermuted };

struct Workload {
  std::string_view name;
  std::string_view help;
  bool begins_empty = false;  // else with all keys, in tables
  KeyOrder order = KeyOrder::kDrawn;
  Distribution distribution = Distribution::kUniform;
  std::optional<Durability> durability = std::nullopt;  // its own
  bool scans_all = false;      // each worker a part of all keys, over and over; counted in keys
  bool varies_scans = false;   // from one key to as many as there may be
  bool goes_through = false;   // all keys, whatever duration and operations are asked for
  bool is_written_to = false;  // paced puts go on beside it

  // In percent, by OperationKind.
  std::array<uint8_t, kOperationKinds> mix{};

  uint8_t PercentOf(OperationKind kind) const { return mix[static_cast<size_t>(kind)]; }
  // Also beside it.
  bool writes() const;
  bool only_writes() const;
};

// In the order in which they run if all do.
std::span<const Workload> Workloads();
std::vector<std::string> WorkloadNames();
// REQUIRES: it is one of those.
const Workload& WorkloadNamed(std::string_view name);

// Puts all keys that are not there; what a workload begins with.
const Workload& LoadWorkload();
// Gets all keys.
const Workload& VerifyWorkload();

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_WORKLOAD_H_
