#include "ioengine/tests/numa/sysfs_tree.h"

#include <stdlib.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/numa/cpu_list.h"

namespace ioengine {
namespace {

constexpr char kSystem[] = "/devices/system/";

std::vector<int> Ids(const std::string& list) { return ParseCpuList(list).value(); }

std::string Siblings(int cpu, int smt_stride, const std::set<int>& all) {
  if (smt_stride == 0) return absl::StrCat(cpu);
  std::vector<int> siblings;
  for (int thread = cpu % smt_stride; all.count(thread) > 0; thread += smt_stride) {
    siblings.push_back(thread);
  }
  return FormatCpuList(siblings);
}

}  // namespace

MachineSpec OneNode() { return {.nodes = {{.cpus = "0-3", .distances = "10"}}}; }

MachineSpec TwoSocketsOf32CoresSmt() {
  return {.nodes = {{.cpus = "0-31,64-95", .distances = "10 21"},
                    {.cpus = "32-63,96-127", .distances = "21 10"}},
          .smt_stride = 64};
}

MachineSpec EightNodeEpyc() {
  MachineSpec machine{.nodes = {}, .smt_stride = 128, .nodes_per_package = 4};
  for (int node = 0; node < 8; ++node) {
    const int first = node * 16;
    std::string distances;
    for (int other = 0; other < 8; ++other) {
      const int distance = other == node ? 10 : other / 4 == node / 4 ? 12 : 32;
      absl::StrAppend(&distances, distances.empty() ? "" : " ", distance);
    }
    machine.nodes.push_back(
        {.cpus = absl::StrCat(first, "-", first + 15, ",", first + 128, "-", first + 143),
         .distances = distances});
  }
  return machine;
}

MachineSpec NodeWithoutMemory() {
  return {.nodes = {{.cpus = "0-3", .distances = "10 30 20", .memory_mib = 0},
                    {.cpus = "4-7", .distances = "30 10 40"},
                    {.cpus = "", .distances = "20 40 10", .memory_mib = 4096}}};
}

SysfsTree::SysfsTree() {
  std::string path = absl::StrCat(testing::TempDir(), "/sysfs.XXXXXX");
  EXPECT_NE(::mkdtemp(path.data()), nullptr) << path;
  root_ = path;
}

SysfsTree::SysfsTree(const MachineSpec& machine) : SysfsTree() {
  std::set<int> all;
  for (size_t i = 0; i < machine.nodes.size(); ++i) {
    const MachineSpec::Node& node = machine.nodes[i];
    const std::string folder = absl::StrCat("node/node", i, "/");
    Write(folder + "cpulist", node.cpus + "\n");
    Write(folder + "distance", node.distances + "\n");
    Write(folder + "meminfo",
          absl::StrCat("\nNode ", i, " MemTotal:       ", node.memory_mib * 1024, " kB\n", "Node ",
                       i, " MemFree:        ", node.memory_mib * 512, " kB\n"));
    for (const int cpu : Ids(node.cpus)) all.insert(cpu);
  }
  Write("node/online", absl::StrCat("0-", machine.nodes.size() - 1, "\n"));
  Write("cpu/online", FormatCpuList({all.begin(), all.end()}) + "\n");
  for (size_t i = 0; i < machine.nodes.size(); ++i) {
    for (const int cpu : Ids(machine.nodes[i].cpus)) {
      const std::string folder = absl::StrCat("cpu/cpu", cpu, "/topology/");
      const int core = machine.smt_stride == 0 ? cpu : cpu % machine.smt_stride;
      Write(folder + "core_id", absl::StrCat(core, "\n"));
      Write(folder + "physical_package_id",
            absl::StrCat(static_cast<int>(i) / machine.nodes_per_package, "\n"));
      Write(folder + "thread_siblings_list", Siblings(cpu, machine.smt_stride, all) + "\n");
    }
  }
}

SysfsTree::~SysfsTree() { std::filesystem::remove_all(root_); }

void SysfsTree::Write(const std::string& path, std::string_view content) {
  contents_[path] = content;
  WriteToDisk(path, content);
}

void SysfsTree::Remove(const std::string& path) {
  EXPECT_GT(std::filesystem::remove_all(root_ + kSystem + path), 0u) << path;
  std::erase_if(contents_, [&](const auto& file) {
    return file.first == path || file.first.starts_with(path + "/");
  });
  folders_.clear();
}

void SysfsTree::Damage(const std::string& path, std::string_view content) {
  EXPECT_EQ(contents_.count(path), 1u) << path;
  damaged_.insert(path);
  WriteToDisk(path, content);
}

void SysfsTree::Repair() {
  for (const std::string& path : damaged_) WriteToDisk(path, contents_.at(path));
  damaged_.clear();
}

std::vector<std::string> SysfsTree::Files() const {
  std::vector<std::string> files;
  for (const auto& [path, content] : contents_) files.push_back(path);
  return files;
}

void SysfsTree::WriteToDisk(const std::string& path, std::string_view content) {
  const std::string full = root_ + kSystem + path;
  const std::string folder = full.substr(0, full.rfind('/'));
  if (folders_.insert(folder).second) std::filesystem::create_directories(folder);
  std::ofstream file(full, std::ios::binary);
  file << content;
  EXPECT_TRUE(file.good()) << full;
}

}  // namespace ioengine
