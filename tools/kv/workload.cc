#include "ioengine/tools/kv/workload.h"

#include <algorithm>
#include <utility>

#include "ioengine/sched/check.h"

namespace ioengine::kv {
namespace {

using Kind = OperationKind;
using Part = std::pair<Kind, uint8_t>;

constexpr std::array<uint8_t, kOperationKinds> MixOf(std::initializer_list<Part> parts) {
  std::array<uint8_t, kOperationKinds> mix{};
  for (const auto& [kind, percent] : parts) mix[static_cast<size_t>(kind)] = percent;
  return mix;
}

constexpr std::array kWorkloads = {
    Workload{.name = "fillseq",
             .help = "puts of ascending keys into an empty database",
             .begins_empty = true,
             .order = KeyOrder::kAscending,
             .mix = MixOf({{Kind::kPut, 100}})},
    Workload{.name = "fillrandom",
             .help = "puts of random keys, with repetition, into an empty database",
             .begins_empty = true,
             .mix = MixOf({{Kind::kPut, 100}})},
    Workload{.name = "fillsync",
             .help = "the same, each durable before it is acknowledged",
             .begins_empty = true,
             .durability = Durability::kDurable,
             .mix = MixOf({{Kind::kPut, 100}})},
    Workload{.name = "overwrite",
             .help = "puts of random keys that are there",
             .mix = MixOf({{Kind::kPut, 100}})},
    Workload{
        .name = "readrandom", .help = "gets of random keys", .mix = MixOf({{Kind::kGet, 100}})},
    Workload{.name = "readmissing",
             .help = "gets of keys that are not there and lie between those that are",
             .mix = MixOf({{Kind::kGetMissing, 100}})},
    Workload{.name = "multiget",
             .help = "gets of several random keys together; counted in keys",
             .mix = MixOf({{Kind::kMultiGet, 100}})},
    Workload{.name = "seekrandom",
             .help = "seeks of random keys, each with a scan of the keys from there",
             .mix = MixOf({{Kind::kScan, 100}})},
    Workload{.name = "readseq",
             .help = "scans of all keys, a part for each shard; counted in keys",
             .scans_all = true,
             .mix = MixOf({{Kind::kScan, 100}})},
    Workload{.name = "readwhilewriting",
             .help = "gets of random keys beside puts of a fixed rate, which are not counted",
             .is_written_to = true,
             .mix = MixOf({{Kind::kGet, 100}})},
    Workload{.name = "ycsba",
             .help = "YCSB A: half gets, half puts",
             .distribution = Distribution::kZipfian,
             .mix = MixOf({{Kind::kGet, 50}, {Kind::kPut, 50}})},
    Workload{.name = "ycsbb",
             .help = "YCSB B: 95 % gets, 5 % puts",
             .distribution = Distribution::kZipfian,
             .mix = MixOf({{Kind::kGet, 95}, {Kind::kPut, 5}})},
    Workload{.name = "ycsbc",
             .help = "YCSB C: gets",
             .distribution = Distribution::kZipfian,
             .mix = MixOf({{Kind::kGet, 100}})},
    Workload{.name = "ycsbd",
             .help = "YCSB D: 95 % gets of what is newest, 5 % inserts",
             .distribution = Distribution::kLatest,
             .mix = MixOf({{Kind::kGet, 95}, {Kind::kInsert, 5}})},
    Workload{.name = "ycsbe",
             .help = "YCSB E: 95 % seeks with a scan of 1 to 100 keys, 5 % inserts",
             .distribution = Distribution::kZipfian,
             .varies_scans = true,
             .mix = MixOf({{Kind::kScan, 95}, {Kind::kInsert, 5}})},
    Workload{.name = "ycsbf",
             .help = "YCSB F: half gets, half gets with a put of the same key",
             .distribution = Distribution::kZipfian,
             .mix = MixOf({{Kind::kGet, 50}, {Kind::kModify, 50}})},
    Workload{.name = "deleterandom",
             .help = "deletes of random keys, with repetition",
             .mix = MixOf({{Kind::kDelete, 100}})},
};

constexpr Workload kLoad = {.name = "load",
                            .help = "puts of all keys that are not there, in no order",
                            .order = KeyOrder::kPermuted,
                            .goes_through = true,
                            .mix = MixOf({{Kind::kPut, 100}})};
constexpr Workload kVerify = {.name = "verify",
                              .help = "gets of all keys",
                              .order = KeyOrder::kAscending,
                              .goes_through = true,
                              .mix = MixOf({{Kind::kGet, 100}})};

}  // namespace

bool Workload::writes() const {
  return is_written_to || PercentOf(Kind::kInsert) + PercentOf(Kind::kModify) > 0 ||
         PercentOf(Kind::kPut) + PercentOf(Kind::kDelete) > 0;
}

bool Workload::only_writes() const {
  return PercentOf(Kind::kPut) + PercentOf(Kind::kInsert) + PercentOf(Kind::kDelete) == 100;
}

std::span<const Workload> Workloads() { return kWorkloads; }

std::vector<std::string> WorkloadNames() {
  std::vector<std::string> names;
  for (const Workload& workload : kWorkloads) names.emplace_back(workload.name);
  return names;
}

const Workload& WorkloadNamed(std::string_view name) {
  const auto found = std::find_if(kWorkloads.begin(), kWorkloads.end(),
                                  [name](const Workload& one) { return one.name == name; });
  IOENGINE_CHECK(found != kWorkloads.end(), "there is no such workload");
  return *found;
}

const Workload& LoadWorkload() { return kLoad; }
const Workload& VerifyWorkload() { return kVerify; }

}  // namespace ioengine::kv
