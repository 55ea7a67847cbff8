// A workload of the suite `kv` on our database and on those of peers, in alternating slices.
#ifndef IOENGINE_TOOLS_COMPARE_KV_COMPARE_H_
#define IOENGINE_TOOLS_COMPARE_KV_COMPARE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/tools/benchmark/comparison.h"
#include "ioengine/tools/benchmark/result.h"
#include "ioengine/tools/compare/peers.h"
#include "ioengine/tools/kv/ioengine_engine.h"
#include "ioengine/tools/kv/kv_bench.h"
#include "ioengine/tools/kv/kv_settings.h"
#include "ioengine/tools/kv/workload.h"

namespace ioengine::compare {

struct CompareSettings {
  kv::KvSettings kv;
  PeerSettings peers;
  std::vector<std::string> engines = EngineNames();
  int64_t triples = bench::RatioEstimator::kMaxTriples;  // at most
  int64_t rounds = 2;                                    // of each variant, to find the best one

  // Whether the data are larger than the cache.
  bool is_uncached() const { return kv.cache_bytes < kv.keys * (kv.key_bytes + kv.value_bytes); }
};

// All databases are open at the same time, each in a directory of its own, and rest while another
// one's slice is measured: each slice ends when its flushes and compactions have.
//
// One thread. Ownership: borrows the settings.
class KvComparison {
 public:
  // `directory` is there, and empty.
  KvComparison(const CompareSettings& settings, std::string directory);

  // Finds each peer's best variant: as many threads as we have shards, and where they wait for the
  // disk also twice and four times as many. Then takes triples until the ratio is decided.
  // Errors: those of KvBench::Measure, of any engine.
  absl::Status Run(const kv::Workload& workload);

  // Of all workloads so far: ours with their ratios, then those of each peer.
  const std::vector<bench::Result>& results() const { return results_; }
  const std::vector<bench::Comparison>& comparisons() const { return comparisons_; }

 private:
  struct Database {
    std::string name;
    std::unique_ptr<kv::BlockingEngine> engine;
    std::unique_ptr<kv::KvBench> bench;
  };
  struct PeerDatabases {
    std::string name;
    std::vector<Database> variants;
  };
  // A variant, with so many threads.
  struct Choice {
    Database* database;
    size_t threads;
  };
  struct Slices {
    std::vector<kv::KvMeasurement> ours;
    std::vector<kv::KvMeasurement> theirs;
  };

  std::vector<Choice> ChoicesOf(PeerDatabases& peer, const kv::Workload& workload) const;
  absl::StatusOr<Choice> Choose(PeerDatabases& peer, const kv::Workload& workload);
  absl::StatusOr<kv::KvMeasurement> Measure(const Choice& choice, const kv::Workload& workload);
  absl::Status Compare(PeerDatabases& peer, const kv::Workload& workload);
  void AddResults(const PeerDatabases& peer, const Choice& choice, const kv::Workload& workload,
                  const Slices& slices, const std::vector<bench::Comparison>& ratios);

  const CompareSettings& settings_;
  kv::IoengineEngine our_engine_;
  kv::KvBench ours_;
  std::vector<PeerDatabases> peers_;
  uint64_t slices_ = 0;
  std::vector<bench::Result> results_;
  std::vector<bench::Comparison> comparisons_;
};

}  // namespace ioengine::compare

#endif  // IOENGINE_TOOLS_COMPARE_KV_COMPARE_H_
