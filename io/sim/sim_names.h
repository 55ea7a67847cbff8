// SimNames: the directory tree of a simulated disk, as seen and as durable.
//
// Each change of names (create, remove, rename, link, make a directory) is one step, all of which
// survives a power cut or nothing. A step is durable when each directory that it changes was
// synced after it; a sync of the file itself makes none of its names durable. Before that it
// survives or not; but never without the earlier steps on the same name or of the same file, so
// that what is left is a tree that the steps could have led to.
#ifndef IOENGINE_IO_SIM_SIM_NAMES_H_
#define IOENGINE_IO_SIM_SIM_NAMES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ioengine/io/io_request.h"
#include "ioengine/io/sim/crash_choices.h"
#include "ioengine/io/sim/sim_file.h"

namespace ioengine {

struct SimNode;
using SimNodeRef = std::shared_ptr<SimNode>;

// What all nodes of a disk share; outlives the last of them.
struct SimVolume {
  SimSpace space;
  std::map<uint64_t, SimNode*> nodes;  // that exist, by id
  uint64_t last_id = 0;
};

// A file or a directory, whatever its names.
struct SimNode : std::enable_shared_from_this<SimNode> {
  SimNode(std::shared_ptr<SimVolume> of, uint64_t number, FileKind what, uint32_t mode);
  SimNode(const SimNode&) = delete;
  SimNode& operator=(const SimNode&) = delete;
  ~SimNode();

  bool is_directory() const { return kind == FileKind::kDirectory; }

  using Names = std::map<std::string, SimNodeRef, std::less<>>;

  const std::shared_ptr<SimVolume> volume;
  const uint64_t id;
  const FileKind kind;
  const uint32_t permissions;
  uint32_t links = 0;  // names, as seen
  const std::unique_ptr<SimFile> file;
  // Of a directory.
  Names names;
  Names durable_names;
  SimNode* parent = nullptr;  // as seen; null: the root, or removed
  // Who holds its lock.
  uint32_t shared_locks = 0;
  bool exclusive_lock = false;
};

// Shard: all of a simulation, on one thread.
class SimNames {
 public:
  // `max_nodes`: files and directories. `max_pending`: steps that are not durable; when there are
  // more, all become so.
  SimNames(std::shared_ptr<SimVolume> volume, size_t max_nodes, size_t max_pending);
  SimNames(const SimNames&) = delete;
  SimNames& operator=(const SimNames&) = delete;
  ~SimNames();

  const SimNodeRef& root() const { return root_; }

  // Where a path leads.
  struct Place {
    int error = 0;              // an errno; all else is unset then
    SimNodeRef directory = {};  // null: the path names no entry, as "." and ".."
    std::string name = {};
    SimNodeRef node = {};  // null: there is none of this name
    bool must_be_directory = false;
  };
  Place Find(const SimNodeRef& start, std::string_view path, bool beneath = false) const;

  // All give an errno, 0 for success; `place` as Find gave it.
  int Create(const Place& place, FileKind kind, uint32_t permissions, SimNodeRef* created);
  int Remove(const Place& place, bool directory);
  int Rename(const Place& from, const Place& to, bool no_replace);
  int Link(const Place& from, const Place& to);

  // Steps have positions: those that have completed are before this one.
  uint64_t position() const { return next_position_; }
  // A sync of `directory` that began at position `end`.
  void MakeDurable(const SimNode& directory, uint64_t end);
  void MakeAllDurable();

  // What a power cut leaves, in `to`, which is new. `in_order`: the steps that survive are the
  // first ones, as on a file system with one journal; otherwise any may.
  void CrashInto(SimNames& to, CrashChoices& choices, bool in_order) const;

 private:
  struct Edit {
    SimNodeRef directory;
    std::string name;
    SimNodeRef node;  // null: removed
  };
  struct Step {
    uint64_t position = 0;
    std::vector<Edit> edits;
    SimNodeRef subject;
    std::vector<uint64_t> unsynced = {};  // directories

    bool DependsOn(const Step& earlier) const;
  };

  static void Attach(const SimNodeRef& directory, const std::string& name, const SimNodeRef& node);
  static void Detach(const SimNodeRef& directory, const std::string& name);
  void AddStep(std::vector<Edit> edits, SimNodeRef subject);
  void AddEarlier(std::vector<bool>& chosen) const;
  SimNodeRef CopyNode(const SimNode& node, SimNames& to, CrashChoices& choices,
                      const std::map<uint64_t, SimNode::Names>& changed,
                      std::map<uint64_t, SimNodeRef>& copies) const;

  const std::shared_ptr<SimVolume> volume_;
  const size_t max_nodes_;
  const size_t max_pending_;
  SimNodeRef root_;
  std::vector<Step> pending_;
  uint64_t next_position_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_SIM_SIM_NAMES_H_
