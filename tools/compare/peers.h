// The engines that ours is compared with.
#ifndef IOENGINE_TOOLS_COMPARE_PEERS_H_
#define IOENGINE_TOOLS_COMPARE_PEERS_H_

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ioengine/tools/kv/kv_engine.h"
#include "ioengine/tools/kv/kv_settings.h"

namespace ioengine::compare {

// What is asked of peers alone.
struct PeerSettings {
  bool direct = false;
};

// One way to set an engine up.
struct PeerVariant {
  std::string name;
  std::function<std::unique_ptr<kv::BlockingEngine>(const kv::KvSettings&, const PeerSettings&)>
      make;
};

// Its best variant counts, for each workload.
struct Peer {
  std::string name;  // as in --engines and in results
  std::vector<PeerVariant> variants;
};

// All that this program is linked with. One more is one more entry, and its BlockingEngine.
std::span<const Peer> Peers();

// What --engines may name: ours first.
inline constexpr std::string_view kOurs = "ioengine";
std::vector<std::string> EngineNames();

}  // namespace ioengine::compare

#endif  // IOENGINE_TOOLS_COMPARE_PEERS_H_
