#include "ioengine/tools/benchmark/environment.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "ioengine/tests/tools/temporary_directory.h"
#include "ioengine/tools/benchmark/mount_info.h"
#include "ioengine/tools/benchmark/table.h"
#include "ioengine/version.h"

namespace ioengine::bench {
namespace {

namespace fs = std::filesystem;

TEST(FindMountTest, TheLongestMountPointHolds) {
  const std::string text =
      "26 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
      "27 26 8:1 / /srv rw,noatime shared:3 master:1 - xfs /dev/sda1 rw,attr2\n";
  EXPECT_EQ(FindMount(text, "/srv/data")->type, "xfs");
  EXPECT_EQ(FindMount(text, "/srv")->mount_point, "/srv");
  EXPECT_EQ(FindMount(text, "/srvother")->type, "ext4") << "a prefix, but not a parent";
  EXPECT_EQ(FindMount(text, "/")->source, "/dev/vda");
  const Mount mount = *FindMount(text, "/srv/data");
  EXPECT_EQ(mount.device_major, 8u);
  EXPECT_EQ(mount.device_minor, 1u);
  EXPECT_EQ(mount.options, "rw,noatime,attr2");
}

TEST(FindMountTest, TheLastOfEqualMountPointsHidesTheOthers) {
  const std::string text =
      "26 1 254:0 / /data rw - ext4 /dev/vda rw\n"
      "27 1 0:40 / /data rw - tmpfs none rw\n";
  EXPECT_EQ(FindMount(text, "/data/x")->type, "tmpfs");
}

TEST(FindMountTest, UnderstandsEscapesAndPassesOverNonsense) {
  const std::string text =
      "\nnot a mount\n26 1 x:0 / /a rw - ext4 /dev/vda rw\n26 1 1:0 / /a rw\n"
      "27 1 8:2 / /my\\040disk rw - ext4 /dev/sd\\134b rw\n";
  const std::optional<Mount> mount = FindMount(text, "/my disk/file");
  ASSERT_TRUE(mount.has_value());
  EXPECT_EQ(mount->source, "/dev/sd\\b");
  EXPECT_FALSE(FindMount(text, "/a/b").has_value());
  EXPECT_FALSE(FindMount("", "/a").has_value());
}

TEST(MountOptionTest, FindsTheValueOfAKey) {
  Mount mount;
  mount.options = "rw,lowerdir=/l,upperdir=/u\\040p,workdir=/w";
  EXPECT_EQ(MountOption(mount, "upperdir"), "/u p");
  EXPECT_EQ(MountOption(mount, "rw"), std::nullopt);
  EXPECT_EQ(MountOption(mount, "dir"), std::nullopt);
}

// A machine with a partitioned disk behind "/", as /proc and /sys show it.
class FakeMachine {
 public:
  FakeMachine() {
    root_.Write("proc/sys/kernel/osrelease", "6.1.0-13-amd64\n");
    root_.Write("proc/sys/kernel/io_uring_disabled", "0\n");
    root_.Write("proc/cpuinfo",
                "processor\t: 0\nmodel name\t: Example CPU @ 3 GHz\nflags\t: a b\n\n"
                "processor\t: 1\nmodel name\t: Example CPU @ 3 GHz\n");
    root_.Write("proc/meminfo", "MemTotal:       25165824 kB\nMemFree: 1 kB\n");
    root_.Write("proc/self/mountinfo", "26 1 8:2 / / rw,relatime - ext4 /dev/sda2 rw,discard\n");
    root_.Write("sys/devices/system/node/online", "0-1,3\n");
    root_.Write("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    const std::string disk = "sys/devices/pci0/block/sda";
    root_.Write(disk + "/size", "1048576\n");
    root_.Write(disk + "/device/model", "Example SSD   \n");
    root_.Write(disk + "/queue/rotational", "0\n");
    root_.Write(disk + "/queue/scheduler", "none [mq-deadline] kyber\n");
    root_.Write(disk + "/queue/logical_block_size", "512\n");
    root_.Write(disk + "/sda2/partition", "2\n");
    root_.Write(disk + "/sda2/size", "4096\n");
    fs::create_directories(root_.File("sys/dev/block"));
    fs::create_symlink("../../devices/pci0/block/sda/sda2", root_.File("sys/dev/block/8:2"));
    fs::create_symlink("../../devices/pci0/block/sda", root_.File("sys/dev/block/8:0"));
  }

  const TemporaryDirectory& root() const { return root_; }

 private:
  TemporaryDirectory root_;
};

TEST(ReadBlockDeviceTest, FollowsAPartitionToItsDisk) {
  const FakeMachine machine;
  const auto device = ReadBlockDevice(makedev(8, 2), machine.root().path());
  ASSERT_TRUE(device.has_value());
  EXPECT_EQ(device->name, "sda");
  EXPECT_EQ(device->model, "Example SSD");
  EXPECT_EQ(device->rotational, false);
  EXPECT_EQ(device->scheduler, "mq-deadline");
  EXPECT_EQ(device->logical_block_bytes, 512u);
  EXPECT_EQ(device->size_bytes, uint64_t{512} << 20);
  EXPECT_EQ(ReadBlockDevice(makedev(8, 0), machine.root().path())->name, "sda");
  EXPECT_FALSE(ReadBlockDevice(makedev(9, 9), machine.root().path()).has_value());
}

TEST(ReadBlockDeviceTest, ADiskWithoutAModelIsNamedByItsDriver) {
  const FakeMachine machine;
  fs::remove(machine.root().File("sys/devices/pci0/block/sda/device/model"));
  fs::create_symlink("../../../../bus/virtio/drivers/virtio_blk",
                     machine.root().File("sys/devices/pci0/block/sda/device/driver"));
  EXPECT_EQ(ReadBlockDevice(makedev(8, 0), machine.root().path())->model, "virtio_blk");
}

TEST(ReadEnvironmentTest, ReadsAFakeMachine) {
  const FakeMachine machine;
  const TemporaryDirectory directory;
  const Environment environment = ReadEnvironment(directory.path(), machine.root().path());
  EXPECT_TRUE(environment.kernel.starts_with("Linux 6.1.0-13-amd64 ")) << environment.kernel;
  EXPECT_EQ(environment.cpu_model, "Example CPU @ 3 GHz");
  EXPECT_EQ(environment.cpu_count, 2);
  EXPECT_EQ(environment.memory_bytes, uint64_t{24} << 30);
  EXPECT_EQ(environment.numa_node_count, 3);
  EXPECT_EQ(environment.path, directory.path());
  ASSERT_TRUE(environment.device.has_value());
  EXPECT_EQ(environment.device->name, "sda");
  EXPECT_EQ(environment.file_system, "ext4");
  EXPECT_EQ(environment.mount_point, "/");
  EXPECT_EQ(environment.mount_options, "rw,relatime,discard");
  EXPECT_EQ(environment.transparent_hugepages, "madvise");
  EXPECT_EQ(environment.io_uring_disabled, 0);
  EXPECT_TRUE(environment.memlock_bytes.has_value());
  EXPECT_EQ(environment.version, kVersion);
  EXPECT_FALSE(environment.compiler.empty());
}

TEST(ReadEnvironmentTest, NothingToReadIsNoError) {
  const TemporaryDirectory empty;
  const Environment environment = ReadEnvironment("/no/such/place", empty.path());
  EXPECT_EQ(environment.path, "/no/such/place");
  EXPECT_FALSE(environment.device.has_value());
  EXPECT_FALSE(environment.cpu_count.has_value());
  EXPECT_FALSE(environment.memory_bytes.has_value());
  EXPECT_FALSE(environment.numa_node_count.has_value());
  EXPECT_FALSE(environment.io_uring_disabled.has_value());
  EXPECT_FALSE(ToJson(environment).contains("cpu_model"));
  EXPECT_NE(FormatEnvironment(environment), "");
}

TEST(ReadEnvironmentTest, ReadsThisMachine) {
  const Environment environment = ReadEnvironment("/");
  EXPECT_NE(environment.kernel, "");
  EXPECT_GE(environment.cpu_count.value_or(0), 1);
  EXPECT_GT(environment.memory_bytes.value_or(0), uint64_t{64} << 20);
  EXPECT_NE(environment.file_system, "");
}

Environment KnownEnvironment() {
  Environment environment;
  environment.kernel = "Linux 6.1.0 x86_64";
  environment.cpu_model = "Example CPU";
  environment.cpu_count = 2;
  environment.memory_bytes = uint64_t{24} << 30;
  environment.numa_node_count = 1;
  environment.path = "/var/tmp";
  environment.device = BlockDevice{"sda", "Example SSD", false, "none", 512, uint64_t{1} << 40};
  environment.file_system = "ext4";
  environment.mount_point = "/";
  environment.mount_options = "rw,relatime,discard";
  environment.transparent_hugepages = "madvise";
  environment.io_uring_disabled = 0;
  environment.memlock_bytes = UINT64_MAX;
  environment.version = "1.2.3";
  environment.compiler = "g++ 12.2.0";
  environment.backend = "io_uring (SINGLE_ISSUER, DEFER_TASKRUN)";
  environment.degraded = {"buffers not registered: ENOMEM", "no huge pages"};
  return environment;
}

TEST(FormatEnvironmentTest, GoldenText) {
  EXPECT_EQ(
      FormatEnvironment(KnownEnvironment()),
      "ioengine     1.2.3, g++ 12.2.0\n"
      "kernel       Linux 6.1.0 x86_64, io_uring allowed\n"
      "cpu          Example CPU, 2 CPUs, 1 NUMA node\n"
      "memory       24 GiB, transparent huge pages madvise, memlock unlimited\n"
      "path         /var/tmp\n"
      "device       sda (Example SSD), 1 TiB, not rotational, scheduler none, blocks of 512 B\n"
      "file system  ext4 on /, rw,relatime,discard\n"
      "backend      io_uring (SINGLE_ISSUER, DEFER_TASKRUN)\n"
      "degraded     buffers not registered: ENOMEM\n"
      "             no huge pages\n");
}

TEST(FormatEnvironmentTest, WrapsLongLines) {
  Environment environment;
  environment.path = "/var/tmp";
  environment.file_system = "overlay";
  environment.mount_point = "/";
  environment.mount_options = "rw,lowerdir=/one:/two,upperdir=/three";
  EXPECT_EQ(FormatEnvironment(environment, 45),
            "path         /var/tmp\n"
            "file system  overlay on /, rw,\n"
            "             lowerdir=/one:/two,\n"
            "             upperdir=/three\n");
  environment.mount_options = std::string(500, 'x') + "," + std::string(500, 'y');
  const std::string text = FormatEnvironment(environment);
  for (size_t start = 0; start < text.size();) {
    const size_t end = text.find('\n', start);
    EXPECT_LE(DisplayWidth(text.substr(start, end - start)), 100);
    start = end + 1;
  }
}

TEST(EnvironmentToJsonTest, HoldsEverything) {
  const nlohmann::json expected = nlohmann::json::parse(R"json({
    "kernel": "Linux 6.1.0 x86_64", "cpu_model": "Example CPU", "cpu_count": 2,
    "memory_bytes": 25769803776, "numa_node_count": 1, "path": "/var/tmp",
    "device": {"name": "sda", "model": "Example SSD", "rotational": false, "scheduler": "none",
               "logical_block_bytes": 512, "size_bytes": 1099511627776},
    "file_system": "ext4", "mount_point": "/", "mount_options": "rw,relatime,discard",
    "transparent_hugepages": "madvise", "io_uring_disabled": 0,
    "memlock_bytes": 18446744073709551615, "version": "1.2.3", "compiler": "g++ 12.2.0",
    "backend": "io_uring (SINGLE_ISSUER, DEFER_TASKRUN)",
    "degraded": ["buffers not registered: ENOMEM", "no huge pages"]
  })json");
  EXPECT_EQ(ToJson(KnownEnvironment()), expected);
}

}  // namespace
}  // namespace ioengine::bench
