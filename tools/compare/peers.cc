#include "ioengine/tools/compare/peers.h"

#include "ioengine/tools/compare/rocksdb_engine.h"

namespace ioengine::compare {
namespace {

PeerVariant Rocksdb(std::string name, bool tuned) {
  return {std::move(name), [tuned](const kv::KvSettings& settings, const PeerSettings& peers) {
            return std::make_unique<RocksdbEngine>(
                settings, RocksdbOptions{.tuned = tuned, .direct = peers.direct});
          }};
}

}  // namespace

std::span<const Peer> Peers() {
  static const std::vector<Peer> peers = {
      {"rocksdb", {Rocksdb("tuned", true), Rocksdb("defaults", false)}}};
  return peers;
}

std::vector<std::string> EngineNames() {
  std::vector<std::string> names = {std::string(kOurs)};
  for (const Peer& peer : Peers()) names.push_back(peer.name);
  return names;
}

}  // namespace ioengine::compare
