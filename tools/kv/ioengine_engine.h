// IoengineEngine: this library's own database as a KvEngine.
#ifndef IOENGINE_TOOLS_KV_IOENGINE_ENGINE_H_
#define IOENGINE_TOOLS_KV_IOENGINE_ENGINE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "ioengine/engine/engine.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/tools/kv/kv_engine.h"
#include "ioengine/tools/kv/kv_settings.h"

namespace ioengine::kv {

// Cache and memtables of the settings are divided among the shards. With KeyPlacement::Kind::kRange
// each shard has as many of the loaded keys.
class IoengineEngine final : public KvEngine {
 public:
  // Borrows the settings.
  explicit IoengineEngine(const KvSettings& settings) : settings_(settings) {}
  ~IoengineEngine() override;

  std::string Describe() const override;
  absl::Status Open(const std::string& directory) override;
  absl::Status Close() override;
  absl::Status Run(KvJob& job) override;
  absl::Status Drain() override;

 private:
  const KvSettings& settings_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_IOENGINE_ENGINE_H_
