// KvEngine: a database that the workloads of the suite `kv` run on.
//
//   ioengine          native clients on its shards, or threads with calls in flight
//   BlockingEngine    whatever is used by threads that wait for each call: KvSession
#ifndef IOENGINE_TOOLS_KV_KV_ENGINE_H_
#define IOENGINE_TOOLS_KV_KV_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/tools/kv/kv_job.h"

namespace ioengine::kv {

// One thread at a time, which may block.
class KvEngine {
 public:
  virtual ~KvEngine() = default;

  // What it is, and how it is set up: one line.
  virtual std::string Describe() const = 0;

  // Makes an empty database in `directory`, which is there and empty. REQUIRES: none is open.
  virtual absl::Status Open(const std::string& directory) = 0;
  // Does nothing when none is open.
  virtual absl::Status Close() = 0;

  // Has its clients do the job's operations, and waits for them. What is wrong with one of them is
  // the job's status, and not this one's.
  virtual absl::Status Run(KvJob& job) = 0;

  // Writes to tables what is in memory, and waits until there is nothing left to compact.
  virtual absl::Status Drain() = 0;
};

// What one thread uses of a database that makes it wait. Keys and values are borrowed for the call.
class KvSession {
 public:
  using Found = absl::FunctionRef<absl::Status(std::optional<std::string_view> value)>;
  using FoundOf = absl::FunctionRef<absl::Status(size_t i, std::optional<std::string_view> value)>;
  // False: enough.
  using Scanned =
      absl::FunctionRef<absl::StatusOr<bool>(std::string_view key, std::string_view value)>;

  virtual ~KvSession() = default;

  virtual absl::Status Put(std::string_view key, std::string_view value) = 0;
  virtual absl::Status Delete(std::string_view key) = 0;
  // Each also gives the error of `found`.
  virtual absl::Status Get(std::string_view key, Found found) = 0;
  virtual absl::Status MultiGet(std::span<const std::string> keys, FoundOf found) = 0;
  // From the first key that is not before that one, in order, to the end or until it is enough.
  virtual absl::Status Scan(std::string_view from, Scanned scanned) = 0;
};

class BlockingEngine : public KvEngine {
 public:
  // Runs so many threads, and one that does the paced puts where the workload has some.
  absl::Status Run(KvJob& job) override;

  void set_threads(size_t threads) { threads_ = threads; }
  size_t threads() const { return threads_; }

 protected:
  // For one thread of the job.
  virtual absl::StatusOr<std::unique_ptr<KvSession>> NewSession(const KvJob& job) = 0;

 private:
  size_t threads_ = 1;
};

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_KV_ENGINE_H_
