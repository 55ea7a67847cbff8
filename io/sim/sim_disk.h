// SimDisk: a file system in memory that forgets at a power cut what was not synced, and fails as
// disks do.
//
// Durability is exact, and as weak as any disk's:
//
//   a write that completed          is in the device's cache: a power cut keeps any of its sectors
//   f(data)sync of a file           makes durable what had completed on that file before it began
//   a DSYNC write                   with FUA makes itself durable, and the metadata to find it,
//                                   and no other data; without FUA it is a write and then a flush
//                                   of the file's earlier writes too
//   a new, moved or removed name    is durable after an fsync of its directory, and only that
//   a size, mapped pages            need an f(data)sync of the file
//
// The details, and what may be left of the rest, stand in sim_file.h and sim_names.h; what can go
// wrong, in sim_faults.h. Errors are those of Linux.
//
// Left out: owners and access rights (modes are kept and not looked at), times, symbolic links.
#ifndef IOENGINE_IO_SIM_SIM_DISK_H_
#define IOENGINE_IO_SIM_SIM_DISK_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ioengine/io/io_request.h"
#include "ioengine/io/sim/crash_choices.h"
#include "ioengine/io/sim/sim_faults.h"
#include "ioengine/io/sim/sim_names.h"
#include "ioengine/sched/random.h"

namespace ioengine {

struct SimDiskOptions {
  uint64_t seed = 1;
  // Space for data; more gives ENOSPC. The memory that the disk takes is up to twice as much (what
  // is seen and what is durable), and its cache.
  uint64_t capacity_bytes = uint64_t{256} << 20;
  // Changes, mostly pages, that are written but not durable; when there are more, those of one file
  // after the other become durable.
  size_t max_cached_changes = 65536;
  size_t max_pending_names = 4096;
  // Files and directories; more give ENOSPC.
  size_t max_files = 65536;
  // EMFILE.
  size_t max_open_files = 4096;
  // Whether the device can make one write durable by itself (see above).
  bool fua = true;
  // Whether a flush, that of an f(data)sync or a DSYNC write, also makes the data of other files
  // durable where that can be found, as a device does. No program may rely on it.
  bool flush_covers_device = false;
  // Whether the changes of names that survive a power cut are the first ones, as with one journal;
  // otherwise any that make sense.
  bool names_in_order = false;
  // What O_DIRECT asks of offsets, sizes and memory; EINVAL otherwise.
  uint32_t direct_alignment_bytes = 512;
  // What statx says of all files: their user id; by default that of this process.
  uint32_t owner = UINT32_MAX;
};

// An open file description. Kept by its descriptor, and by operations in flight.
struct SimOpenFile {
  SimNodeRef node;
  std::string path;
  int flags = 0;
  IoLock lock = IoLock::kNone;
};

// One operation between its start and its effect.
struct SimOperation {
  std::shared_ptr<SimOpenFile> file;           // null: a bad descriptor, or none is needed
  std::shared_ptr<SimOpenFile> new_directory;  // likewise
  uint64_t position = 0;                       // of a sync: what it covers
  SimFaultDraw fault;
};

// Shared by the shards of a simulation.
//
// Shard: all of a simulation, on one thread.
class SimDisk {
 public:
  explicit SimDisk(const SimDiskOptions& options);
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  // An operation has two halves. Begin looks up descriptors, notes what a sync will cover, and
  // draws the fault. Execute has the effect, all at once, and gives the result: bytes, a descriptor
  // or 0, or minus an errno.
  // `registered`: the file instead of the request's descriptor, or null.
  SimOperation Begin(const IoCommand& command, std::shared_ptr<SimOpenFile> registered = nullptr);
  int32_t Execute(IoCommand& command, SimOperation& operation);
  int32_t Run(IoCommand& command) {
    SimOperation operation = Begin(command);
    return Execute(command, operation);
  }

  std::shared_ptr<SimOpenFile> FindDescriptor(int fd) const;

  // The power goes: what is left of what was not durable is chosen, and all descriptors are gone.
  // Ownership: operations that have begun before must not be executed any more.
  void PowerCut(CrashChoices& choices);
  void PowerCut(Random& random);
  // A disk as it would be after a power cut now; this one goes on. Cost: a pointer for each 256 KiB
  // of the files, and what was not durable: for trying many outcomes. Faults are not copied.
  std::unique_ptr<SimDisk> CrashedCopy(CrashChoices& choices) const;
  // The process dies (kill -9, or a normal end): its descriptors and locks are gone, what was
  // written stays.
  void CloseAll();

  SimFaults& faults() { return faults_; }
  const SimDiskOptions& options() const { return options_; }

  // For tests and tools, past all faults, and durable at once (as are all names then): directories,
  // with those above; a file as a whole.
  void MakeDirectories(std::string_view path);
  void PutFile(std::string_view path, std::string_view content);
  // What is seen now; null: no such file.
  std::optional<std::string> Contents(std::string_view path) const;
  // What is in a directory, sorted; empty: no such directory.
  std::vector<std::string> Names(std::string_view directory) const;
  // Damage. False: there is no such file.
  bool FlipBit(std::string_view path, uint64_t offset_bytes, unsigned bit);

  // From now on; what is there stays, also if it is more.
  void SetCapacity(uint64_t capacity_bytes);

  uint64_t used_bytes() const { return volume_->space.used_pages * kSimPageBytes; }
  uint64_t free_bytes() const;
  size_t open_files() const { return descriptors_.size(); }

 private:
  int32_t Open(const PathArguments& path, const SimNames::Place& place);
  int32_t Close(int fd);
  int32_t OnFile(IoCommand& command, SimOperation& operation);
  int32_t OnNames(IoCommand& command, SimOperation& operation);
  int32_t Read(const IoRequest& request, const SimOperation& operation);
  int32_t Write(const IoRequest& request, const SimOperation& operation);
  int32_t Sync(const SimOperation& operation);
  int32_t ChangeExtents(const IoRequest& request, const SimOpenFile& file);
  int32_t Lock(IoLock lock, SimOpenFile& file);
  void Stat(const SimNode& node, FileStat& stat) const;
  int32_t List(const SimNode& node, std::vector<DirectoryEntry>& entries);

  int32_t CheckTransfer(const IoRequest& request, const SimOpenFile& file) const;
  uint32_t TransferBytes(const IoRequest& request, const SimFaultDraw& fault) const;
  SimFile* Misdirect(const SimOperation& operation, uint64_t* offset_bytes);
  SimNames::Place Find(const std::shared_ptr<SimOpenFile>& directory, int fd,
                       const std::string& path, bool beneath) const;
  static void ReleaseLock(SimOpenFile& file);
  void LimitCache();
  void FlushDevice();
  SimFile* FileAt(std::string_view path) const;

  const SimDiskOptions options_;
  Random random_;
  SimFaults faults_;
  std::shared_ptr<SimVolume> volume_;
  std::unique_ptr<SimNames> names_;
  std::unordered_map<int, std::shared_ptr<SimOpenFile>> descriptors_;
  // Never used twice, so that one that is used after its close is found out.
  int next_descriptor_ = 3;
  uint64_t cache_hand_ = 0;  // id of the node whose changes left the cache last
};

}  // namespace ioengine

#endif  // IOENGINE_IO_SIM_SIM_DISK_H_
