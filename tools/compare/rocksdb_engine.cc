#include "ioengine/tools/compare/rocksdb_engine.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/tools/benchmark/table.h"
#include "rocksdb/cache.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/iterator.h"
#include "rocksdb/slice.h"
#include "rocksdb/table.h"
#include "rocksdb/version.h"

namespace ioengine::compare {
namespace {

constexpr int kMemtables = 4;
constexpr int kBackgroundJobs = 2;
constexpr int kBloomBits = 10;

rocksdb::Slice SliceOf(std::string_view text) { return {text.data(), text.size()}; }

template <typename Text>
std::string_view ViewOf(const Text& text) {
  return {text.data(), text.size()};
}

class RocksdbSession final : public kv::KvSession {
 public:
  // `is_written_to`: what a scan sees may change from one to the next.
  RocksdbSession(rocksdb::DB& db, bool sync, bool is_written_to)
      : db_(db), is_written_to_(is_written_to) {
    write_.sync = sync;
  }

  absl::Status Put(std::string_view key, std::string_view value) override {
    return FromRocksdb(db_.Put(write_, SliceOf(key), SliceOf(value)));
  }

  absl::Status Delete(std::string_view key) override {
    return FromRocksdb(db_.Delete(write_, SliceOf(key)));
  }

  absl::Status Get(std::string_view key, Found found) override {
    value_.Reset();
    const rocksdb::Status status = db_.Get(read_, db_.DefaultColumnFamily(), SliceOf(key), &value_);
    if (status.IsNotFound()) return found(std::nullopt);
    return status.ok() ? found(ViewOf(value_)) : FromRocksdb(status);
  }

  absl::Status MultiGet(std::span<const std::string> keys, FoundOf found) override;
  absl::Status Scan(std::string_view from, Scanned scanned) override;

 private:
  rocksdb::DB& db_;
  const bool is_written_to_;
  const rocksdb::ReadOptions read_;
  rocksdb::WriteOptions write_;
  rocksdb::PinnableSlice value_;
  std::vector<rocksdb::Slice> slices_;
  std::vector<rocksdb::PinnableSlice> values_;
  std::vector<rocksdb::Status> statuses_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

absl::Status RocksdbSession::MultiGet(std::span<const std::string> keys, FoundOf found) {
  slices_.clear();
  for (const std::string& key : keys) slices_.push_back(SliceOf(key));
  if (values_.size() < keys.size()) values_.resize(keys.size());
  for (rocksdb::PinnableSlice& value : values_) value.Reset();
  statuses_.assign(keys.size(), rocksdb::Status());
  db_.MultiGet(read_, db_.DefaultColumnFamily(), keys.size(), slices_.data(), values_.data(),
               statuses_.data());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!statuses_[i].ok() && !statuses_[i].IsNotFound()) return FromRocksdb(statuses_[i]);
    absl::Status status = statuses_[i].ok() ? found(i, ViewOf(values_[i])) : found(i, std::nullopt);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status RocksdbSession::Scan(std::string_view from, Scanned scanned) {
  if (iterator_ == nullptr) {
    iterator_.reset(db_.NewIterator(read_));
  } else if (is_written_to_) {
    if (absl::Status status = FromRocksdb(iterator_->Refresh()); !status.ok()) return status;
  }
  for (iterator_->Seek(SliceOf(from)); iterator_->Valid(); iterator_->Next()) {
    const absl::StatusOr<bool> more = scanned(ViewOf(iterator_->key()), ViewOf(iterator_->value()));
    if (!more.ok()) return more.status();
    if (!*more) break;
  }
  return FromRocksdb(iterator_->status());
}

}  // namespace

absl::Status FromRocksdb(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("RocksDB: ", status.ToString()));
}

RocksdbEngine::~RocksdbEngine() { Close().IgnoreError(); }

rocksdb::Options RocksdbEngine::MakeOptions() const {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.use_direct_reads = options_.direct;
  options.use_direct_io_for_flush_and_compaction = options_.direct;
  if (!options_.tuned) return options;
  options.write_buffer_size = settings_.memtable_bytes / kMemtables;
  options.max_write_buffer_number = kMemtables;
  options.max_background_jobs = kBackgroundJobs;
  options.enable_pipelined_write = true;
  options.compression = rocksdb::kNoCompression;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache =
      rocksdb::HyperClockCacheOptions(settings_.cache_bytes, table.block_size).MakeSharedCache();
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBits));
  table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

std::string RocksdbEngine::Describe() const {
  std::string text =
      absl::StrCat("RocksDB ", ROCKSDB_MAJOR, ".", ROCKSDB_MINOR, ".", ROCKSDB_PATCH, ", ");
  if (options_.tuned) {
    absl::StrAppend(&text, "tuned: ", kMemtables, " memtables of ",
                    bench::FormatBytes(settings_.memtable_bytes / kMemtables),
                    ", HyperClockCache of ", bench::FormatBytes(settings_.cache_bytes), ", Bloom ",
                    kBloomBits, " bits, data-block hash index, pipelined write, ", kBackgroundJobs,
                    " background jobs, no compression");
  } else {
    absl::StrAppend(&text, "its defaults");
  }
  absl::StrAppend(&text, options_.direct ? ", O_DIRECT" : "", ", ", threads(), " threads");
  return text;
}

absl::Status RocksdbEngine::Open(const std::string& directory) {
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(MakeOptions(), directory, &opened);
  db_.reset(opened);
  return FromRocksdb(status);
}

absl::Status RocksdbEngine::Close() {
  if (db_ == nullptr) return absl::OkStatus();
  absl::Status status = FromRocksdb(db_->Close());
  db_.reset();
  return status;
}

absl::StatusOr<std::unique_ptr<kv::KvSession>> RocksdbEngine::NewSession(const kv::KvJob& job) {
  return std::make_unique<RocksdbSession>(*db_, job.durability() == Durability::kDurable,
                                          job.workload().writes());
}

bool RocksdbEngine::IsBusy() const {
  const std::array properties = {
      rocksdb::DB::Properties::kNumRunningCompactions, rocksdb::DB::Properties::kCompactionPending,
      rocksdb::DB::Properties::kNumRunningFlushes, rocksdb::DB::Properties::kMemTableFlushPending};
  return std::any_of(properties.begin(), properties.end(), [this](const std::string& property) {
    uint64_t value = 0;
    return db_->GetIntProperty(property, &value) && value > 0;
  });
}

// A compaction that has ended may be what another one waited for.
absl::Status RocksdbEngine::Drain() {
  constexpr int kLooks = 3;
  absl::Status status = FromRocksdb(db_->Flush(rocksdb::FlushOptions()));
  for (int idle = 0; status.ok() && idle < kLooks;) {
    idle = IsBusy() ? 0 : idle + 1;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return status;
}

}  // namespace ioengine::compare
