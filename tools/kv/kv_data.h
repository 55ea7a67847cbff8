// KvData: what a measured database holds, by whoever wrote it and checks it.
#ifndef IOENGINE_TOOLS_KV_KV_DATA_H_
#define IOENGINE_TOOLS_KV_KV_DATA_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "ioengine/tools/kv/key_space.h"
#include "ioengine/tools/kv/ledger.h"
#include "ioengine/tools/kv/value_source.h"

namespace ioengine::kv {

// Any thread.
class KvData {
 public:
  KvData(uint64_t keys, size_t key_bytes, size_t value_bytes, uint64_t seed)
      : keys_(keys, key_bytes), values_(seed, value_bytes), ledger_(keys_.capacity()) {}

  const KeySpace& keys() const { return keys_; }
  size_t pair_bytes() const { return keys_.key_bytes() + values_.value_bytes(); }

  // Of a database that is empty. No call may be under way.
  void Clear();

  // A read is a ticket that is taken before it, and a look at what it found.
  struct Read {
    uint64_t index = 0;
    Ledger::Expected expected;
  };
  Read BeginRead(uint64_t index) const { return {index, ledger_.Expect(index)}; }
  // Errors: DataLoss names the key: a value that was never written, or an older one than was
  // acknowledged before the read began; none, though there was one.
  absl::Status EndRead(const Read& read, std::optional<std::string_view> value) const;
  // The same of a key that is never there.
  absl::Status EndMissingRead(uint64_t index, std::optional<std::string_view> value) const;

  // The value to put. To be followed by EndWrite when it is acknowledged.
  void BeginPut(uint64_t index, std::string* value) {
    values_.Make(index, ledger_.BeginPut(index), value);
  }
  void BeginDelete(uint64_t index) { ledger_.BeginDelete(index); }
  void EndWrite(uint64_t index) { ledger_.EndWrite(index); }

  // An index for an insert; when all that there may be are inserted, that of the oldest one.
  uint64_t BeginInsert() {
    const uint64_t number = inserts_begun_.fetch_add(1, std::memory_order_relaxed);
    return keys_.keys() + number % keys_.keys();
  }
  void EndInsert() { inserts_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t inserts() const { return inserts_.load(std::memory_order_relaxed); }

  bool IsPresent(uint64_t index) const { return ledger_.IsPresent(index); }
  uint64_t live_bytes() const { return ledger_.CountPresent() * pair_bytes(); }
  // All keys of a load are there. No write may be under way.
  bool IsLoaded() const;

 private:
  friend class ScanCheck;

  absl::Status Wrong(std::string_view key, std::string_view what) const;
  // What is wrong with that value of the key; ok if nothing is.
  absl::Status CheckValue(const Read& read, std::string_view value) const;

  const KeySpace keys_;
  const ValueSource values_;
  Ledger ledger_;
  std::atomic<uint64_t> inserts_begun_{0};
  std::atomic<uint64_t> inserts_{0};
};

// Looks at what a scan gives, key by key. One thread at a time.
class ScanCheck {
 public:
  // The scan begins at the key of `first`, an index below keys().
  ScanCheck(const KvData& data, uint64_t first) : data_(data), next_place_(first) {}

  // Errors: DataLoss names the key: one that is none, or is out of order; a value as EndRead says;
  // a key between this and the last one that should be there, and was passed over.
  absl::Status Add(std::string_view key, std::string_view value);
  // The scan has ended by itself, before the key of `end_place`.
  absl::Status Finish(uint64_t end_place);

 private:
  absl::Status CheckPassed(uint64_t end_place) const;

  const KvData& data_;
  uint64_t next_place_;  // of loaded keys: that must come next
  std::string last_key_;
};

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_KV_DATA_H_
