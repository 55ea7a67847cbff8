// RocksdbEngine: RocksDB as a KvEngine.
#ifndef IOENGINE_TOOLS_COMPARE_ROCKSDB_ENGINE_H_
#define IOENGINE_TOOLS_COMPARE_ROCKSDB_ENGINE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/tools/kv/kv_engine.h"
#include "ioengine/tools/kv/kv_settings.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"

namespace ioengine::compare {

struct RocksdbOptions {
  // As an expert would: four memtables that are as large as ours together, HyperClockCache of the
  // same size as our cache, Bloom filters of 10 bits, a hash index in data blocks, pipelined
  // writes, 2 background jobs, no compression. False: RocksDB's own defaults, its cache too.
  bool tuned = true;
  // Past the page cache, for reads, flushes and compactions.
  bool direct = false;
};

// kDurable is `sync`; the other levels are not. Both keep the log.
class RocksdbEngine final : public kv::BlockingEngine {
 public:
  // Borrows the settings.
  RocksdbEngine(const kv::KvSettings& settings, const RocksdbOptions& options)
      : settings_(settings), options_(options) {}
  ~RocksdbEngine() override;

  std::string Describe() const override;
  absl::Status Open(const std::string& directory) override;
  absl::Status Close() override;
  absl::Status Drain() override;

 protected:
  absl::StatusOr<std::unique_ptr<kv::KvSession>> NewSession(const kv::KvJob& job) override;

 private:
  rocksdb::Options MakeOptions() const;
  bool IsBusy() const;

  const kv::KvSettings& settings_;
  const RocksdbOptions options_;
  std::unique_ptr<rocksdb::DB> db_;
};

// With RocksDB's text.
absl::Status FromRocksdb(const rocksdb::Status& status);

}  // namespace ioengine::compare

#endif  // IOENGINE_TOOLS_COMPARE_ROCKSDB_ENGINE_H_
