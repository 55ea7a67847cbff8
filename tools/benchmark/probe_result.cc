#include "ioengine/tools/benchmark/probe_result.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "ioengine/tools/benchmark/table.h"

namespace ioengine::bench {
namespace {

double Best(const std::vector<ProbeRate>& rates, double ProbeRate::*rate) {
  double best = 0;
  for (const ProbeRate& one : rates) best = std::max(best, one.*rate);
  return best;
}

std::string YesNo(const std::optional<bool>& fact) {
  return !fact.has_value() ? "unknown" : *fact ? "yes" : "no";
}

std::string AlignmentText(uint32_t bytes) {
  return bytes == 0 ? "unknown" : absl::StrCat(bytes, " B");
}

}  // namespace

uint64_t UsefulScale(const std::vector<ProbeRate>& rates, double ProbeRate::*rate) {
  const double wanted = kUsefulPart * Best(rates, rate);
  for (const ProbeRate& one : rates) {
    if (one.*rate >= wanted) return one.scale;
  }
  return rates.back().scale;
}

DeviceProfile ProfileOf(const ProbeResult& result) {
  DeviceProfile profile;
  profile.device = result.facts.name.value_or("unknown");
  profile.useful_read_depth = UsefulScale(result.random, &ProbeRate::read);
  profile.useful_write_depth = UsefulScale(result.random, &ProbeRate::write);
  profile.useful_sequential_bytes =
      result.sequential_depth * std::max(UsefulScale(result.sequential, &ProbeRate::read),
                                         UsefulScale(result.sequential, &ProbeRate::write));
  profile.read_iops = Best(result.random, &ProbeRate::read);
  profile.write_iops = Best(result.random, &ProbeRate::write);
  profile.read_bytes_per_s = Best(result.sequential, &ProbeRate::read);
  profile.write_bytes_per_s = Best(result.sequential, &ProbeRate::write);
  return profile;
}

nlohmann::ordered_json ToJson(const ProbeResult& result) {
  // The library's part as the library writes it.
  nlohmann::ordered_json json = nlohmann::ordered_json::parse(ProfileOf(result).Serialize());
  json["direct"] = result.direct;
  json["memory_alignment_bytes"] = result.memory_alignment_bytes;
  json["offset_alignment_bytes"] = result.offset_alignment_bytes;
  json["volatile_cache"] = YesNo(result.facts.volatile_cache);
  json["fua"] = YesNo(result.facts.fua);
  json["rotational"] = YesNo(result.facts.rotational);
  if (result.facts.max_sectors_kb) json["max_sectors_kb"] = *result.facts.max_sectors_kb;
  for (const ProbeRate& one : result.random) {
    json[absl::StrCat("random_read_iops_depth_", one.scale)] = one.read;
    json[absl::StrCat("random_write_iops_depth_", one.scale)] = one.write;
  }
  for (const ProbeRate& one : result.sequential) {
    const std::string block = absl::StrCat(one.scale / 1024, "_kib");
    json[absl::StrCat("sequential_read_bytes_per_s_", block)] = one.read;
    json[absl::StrCat("sequential_write_bytes_per_s_", block)] = one.write;
  }
  for (const auto& [name, microseconds] : result.sync_us) {
    json[absl::StrCat("sync_", name, "_p50_us")] = microseconds;
  }
  return json;
}

std::string FormatProbe(const ProbeResult& result) {
  using Align = Table::Align;
  Table random({{"4 KiB in flight"}, {"random reads/s"}, {"random writes/s"}});
  for (const ProbeRate& one : result.random) {
    random.AddRow({absl::StrCat(one.scale), FormatNumber(one.read), FormatNumber(one.write)});
  }
  Table sequential({{"block"}, {"sequential read MB/s"}, {"sequential write MB/s"}});
  for (const ProbeRate& one : result.sequential) {
    sequential.AddRow(
        {FormatBytes(one.scale), FormatNumber(one.read * 1e-6), FormatNumber(one.write * 1e-6)});
  }
  Table sync({{"4 KiB made durable", Align::kLeft}, {"p50 µs"}});
  for (const auto& [name, microseconds] : result.sync_us) {
    sync.AddRow({name, FormatNumber(microseconds)});
  }
  const DeviceFacts& facts = result.facts;
  const DeviceProfile profile = ProfileOf(result);
  return absl::StrCat(
      random.ToString(), "\n", sequential.ToString(), "\n", sync.ToString(),
      "\nO_DIRECT: ", result.direct ? "works" : "is refused", "; alignment of memory ",
      AlignmentText(result.memory_alignment_bytes), ", of offsets ",
      AlignmentText(result.offset_alignment_bytes),
      "\nvolatile cache: ", YesNo(facts.volatile_cache), "; FUA: ", YesNo(facts.fua),
      "; rotational: ", YesNo(facts.rotational), "; largest request: ",
      facts.max_sectors_kb ? absl::StrCat(*facts.max_sectors_kb, " KiB") : std::string("unknown"),
      "\nuseful depth: ", profile.useful_read_depth, " for reads, ", profile.useful_write_depth,
      " for writes; ", FormatBytes(profile.useful_sequential_bytes),
      " in flight for sequential\na shard's bounds with this profile: ", profile.QueueDepth(),
      " operations, ", FormatBytes(profile.MaxBytesInFlight()), ", of the background ",
      FormatBytes(profile.MaxBackgroundBytes()), "\n");
}

}  // namespace ioengine::bench
