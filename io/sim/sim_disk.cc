// Descriptors, names and power cuts; what moves bytes is in sim_transfer.cc.
#include "ioengine/io/sim/sim_disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

bool MayWrite(const SimOpenFile& file) { return (file.flags & O_ACCMODE) != O_RDONLY; }

bool IsOfNames(const IoCommand& command) {
  switch (command.request.opcode) {
    case IoOpcode::kOpen:
    case IoOpcode::kRemove:
    case IoOpcode::kRename:
    case IoOpcode::kLink:
    case IoOpcode::kMakeDirectory:
      return true;
    case IoOpcode::kStat:
      return !command.path->path.empty();
    default:
      return false;
  }
}

// What a fault makes of any operation; 0: nothing.
int32_t ErrorOf(const SimFaultDraw& fault) {
  switch (fault.fault) {
    case SimFault::kError:
    case SimFault::kRefused:
      return -static_cast<int32_t>(fault.argument.value_or(EIO));
    case SimFault::kNoSpace:
      return -ENOSPC;
    case SimFault::kInterrupted:
      return -EINTR;
    case SimFault::kTryAgain:
      return -EAGAIN;
    default:
      return 0;
  }
}

}  // namespace

SimDisk::SimDisk(const SimDiskOptions& options)
    : options_(options), random_(options.seed), volume_(std::make_shared<SimVolume>()) {
  volume_->space.capacity_pages = options.capacity_bytes / kSimPageBytes;
  volume_->space.zeros = SimPageRef::Make();
  volume_->space.zeros->bytes.fill(std::byte{0});
  names_ = std::make_unique<SimNames>(volume_, options.max_files, options.max_pending_names);
}

SimOperation SimDisk::Begin(const IoCommand& command, std::shared_ptr<SimOpenFile> registered) {
  const IoRequest& request = command.request;
  SimOperation operation;
  operation.file = registered != nullptr ? std::move(registered) : FindDescriptor(request.fd);
  const bool of_names = IsOfNames(command);
  if (of_names) operation.new_directory = FindDescriptor(command.path->new_directory);
  if (operation.file != nullptr) {
    const SimNode& node = *operation.file->node;
    operation.position = node.file != nullptr ? node.file->position() : names_->position();
  }
  const std::string_view path = of_names                    ? command.path->path
                                : operation.file != nullptr ? operation.file->path
                                                            : std::string_view();
  operation.fault = faults_.Draw(request, path, random_);
  return operation;
}

int32_t SimDisk::Execute(IoCommand& command, SimOperation& operation) {
  const int32_t error = ErrorOf(operation.fault);
  if (command.request.opcode == IoOpcode::kClose) {
    const int32_t closed = Close(command.request.fd);
    return closed == 0 ? error : closed;
  }
  if (error != 0) return error;
  return IsOfNames(command) ? OnNames(command, operation) : OnFile(command, operation);
}

int32_t SimDisk::OnFile(IoCommand& command, SimOperation& operation) {
  const IoRequest& request = command.request;
  if (operation.file == nullptr) return -EBADF;
  SimOpenFile& file = *operation.file;
  switch (request.opcode) {
    case IoOpcode::kRead:
      return Read(request, operation);
    case IoOpcode::kWrite:
      return Write(request, operation);
    case IoOpcode::kFdatasync:
    case IoOpcode::kFsync:
      return Sync(operation);
    case IoOpcode::kAllocate:
    case IoOpcode::kPunch:
      if (!MayWrite(file)) return -EBADF;
      return ChangeExtents(request, file);
    case IoOpcode::kTruncate:
      if (!MayWrite(file) || request.range_bytes > INT64_MAX) return -EINVAL;
      return ChangeExtents(request, file);
    case IoOpcode::kAdvise:
      return request.argument <= static_cast<uint8_t>(IoAdvice::kDontNeed) ? 0 : -EINVAL;
    case IoOpcode::kExtentHint:
      // Where extents lie makes no difference here.
      return request.range_bytes <= UINT32_MAX ? 0 : -EINVAL;
    case IoOpcode::kLock:
      return Lock(static_cast<IoLock>(request.argument), file);
    case IoOpcode::kStat:
      Stat(*file.node, command.path->stat);
      return 0;
    case IoOpcode::kList:
      return List(*file.node, command.path->entries);
    default:
      return -EOPNOTSUPP;
  }
}

SimNames::Place SimDisk::Find(const std::shared_ptr<SimOpenFile>& directory, int fd,
                              const std::string& path, bool beneath) const {
  const bool relative = path.empty() || path.front() != '/';
  if (directory != nullptr) return names_->Find(directory->node, path, beneath);
  if (relative && fd != kCurrentDirectory) return {.error = EBADF};
  return names_->Find(names_->root(), path, beneath);
}

int32_t SimDisk::OnNames(IoCommand& command, SimOperation& operation) {
  const IoRequest& request = command.request;
  const PathArguments& path = *command.path;
  const bool opens = request.opcode == IoOpcode::kOpen;
  const SimNames::Place place = Find(operation.file, request.fd, path.path, opens && path.beneath);
  if (place.error != 0) return -place.error;
  if (opens) return Open(path, place);
  if (request.opcode == IoOpcode::kStat) {
    if (place.node == nullptr) return -ENOENT;
    Stat(*place.node, command.path->stat);
    return 0;
  }
  if (request.opcode == IoOpcode::kRemove) {
    return -names_->Remove(place, (request.flags & kIoDirectory) != 0);
  }
  if (request.opcode == IoOpcode::kMakeDirectory) {
    return -names_->Create(place, FileKind::kDirectory, path.mode, nullptr);
  }
  const SimNames::Place to =
      Find(operation.new_directory, path.new_directory, path.new_path, false);
  if (to.error != 0) return -to.error;
  return request.opcode == IoOpcode::kLink
             ? -names_->Link(place, to)
             : -names_->Rename(place, to, (request.flags & kIoNoReplace) != 0);
}

int32_t SimDisk::Open(const PathArguments& path, const SimNames::Place& place) {
  const int flags = path.open_flags;
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  SimNodeRef node = place.node;
  if (node == nullptr && (flags & O_CREAT) == 0) return -ENOENT;
  if (node != nullptr && (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) return -EEXIST;
  if (descriptors_.size() >= options_.max_open_files) return -EMFILE;
  if (node == nullptr) {
    const int error = names_->Create(place, FileKind::kRegular, path.mode, &node);
    if (error != 0) return -error;
  }
  if (node->is_directory()) {
    if (writes || (flags & O_CREAT) != 0) return -EISDIR;
    if ((flags & O_DIRECT) != 0) return -EINVAL;
  } else {
    if (place.must_be_directory || (flags & O_DIRECTORY) != 0) return -ENOTDIR;
    if ((flags & O_TRUNC) != 0 && writes) node->file->Truncate(0);
  }
  const int fd = next_descriptor_++;
  descriptors_[fd] = std::make_shared<SimOpenFile>(
      SimOpenFile{.node = std::move(node), .path = path.path, .flags = flags});
  return fd;
}

std::shared_ptr<SimOpenFile> SimDisk::FindDescriptor(int fd) const {
  const auto found = descriptors_.find(fd);
  return found == descriptors_.end() ? nullptr : found->second;
}

int32_t SimDisk::Close(int fd) {
  const auto found = descriptors_.find(fd);
  if (found == descriptors_.end()) return -EBADF;
  ReleaseLock(*found->second);
  descriptors_.erase(found);
  return 0;
}

void SimDisk::ReleaseLock(SimOpenFile& file) {
  if (file.lock == IoLock::kShared) --file.node->shared_locks;
  if (file.lock == IoLock::kExclusive) file.node->exclusive_lock = false;
  file.lock = IoLock::kNone;
}

int32_t SimDisk::Lock(IoLock lock, SimOpenFile& file) {
  SimNode& node = *file.node;
  const bool others_exclude = node.exclusive_lock && file.lock != IoLock::kExclusive;
  const uint32_t others_share = node.shared_locks - (file.lock == IoLock::kShared ? 1 : 0);
  switch (lock) {
    case IoLock::kNone:
      ReleaseLock(file);
      return 0;
    case IoLock::kShared:
      if (others_exclude) return -EBUSY;
      ReleaseLock(file);
      ++node.shared_locks;
      break;
    case IoLock::kExclusive:
      if (others_exclude || others_share > 0) return -EBUSY;
      ReleaseLock(file);
      node.exclusive_lock = true;
      break;
    default:
      return -EINVAL;
  }
  file.lock = lock;
  return 0;
}

void SimDisk::Stat(const SimNode& node, FileStat& stat) const {
  stat = FileStat();
  stat.kind = node.kind;
  stat.permissions = node.permissions;
  stat.owner = options_.owner == UINT32_MAX ? geteuid() : options_.owner;
  stat.links = node.links;
  stat.block_size_bytes = kSimPageBytes;
  if (node.file == nullptr) return;
  stat.size_bytes = node.file->size_bytes();
  stat.allocated_bytes = node.file->allocated_bytes();
  stat.memory_alignment_bytes = options_.direct_alignment_bytes;
  stat.offset_alignment_bytes = options_.direct_alignment_bytes;
}

int32_t SimDisk::List(const SimNode& node, std::vector<DirectoryEntry>& entries) {
  if (!node.is_directory()) return -ENOTDIR;
  entries.clear();
  for (const auto& [name, child] : node.names) entries.push_back({name, child->kind});
  // In no order, so that nobody relies on one.
  for (size_t left = entries.size(); left > 1; --left) {
    std::swap(entries[left - 1], entries[random_.Below(left)]);
  }
  return 0;
}

std::unique_ptr<SimDisk> SimDisk::CrashedCopy(CrashChoices& choices) const {
  auto copy = std::make_unique<SimDisk>(options_);
  copy->random_ = random_;
  names_->CrashInto(*copy->names_, choices, options_.names_in_order);
  return copy;
}

void SimDisk::PowerCut(CrashChoices& choices) {
  const std::unique_ptr<SimDisk> crashed = CrashedCopy(choices);
  descriptors_.clear();
  names_ = std::move(crashed->names_);
  volume_ = std::move(crashed->volume_);
}

void SimDisk::PowerCut(Random& random) {
  RandomCrash choices(random);
  PowerCut(choices);
}

void SimDisk::CloseAll() {
  for (const auto& [fd, file] : descriptors_) ReleaseLock(*file);
  descriptors_.clear();
}

void SimDisk::MakeDirectories(std::string_view path) {
  for (size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', end + 1), path.size());
    const SimNames::Place place = names_->Find(names_->root(), path.substr(0, end));
    IOENGINE_CHECK(place.error == 0, "the path leads through a file");
    if (place.node == nullptr) names_->Create(place, FileKind::kDirectory, 0755, nullptr);
  }
  names_->MakeAllDurable();
}

void SimDisk::PutFile(std::string_view path, std::string_view content) {
  const SimNames::Place place = names_->Find(names_->root(), path);
  SimNodeRef node = place.node;
  if (place.error == 0 && node == nullptr) {
    names_->Create(place, FileKind::kRegular, 0644, &node);
  }
  IOENGINE_CHECK(node != nullptr && node->file != nullptr, "no file can be made there");
  node->file->Truncate(0);
  const size_t written = node->file->Write(0, std::as_bytes(std::span(content)));
  IOENGINE_CHECK(written == content.size(), "the simulated disk is full");
  node->file->MakeDurable(node->file->position());
  names_->MakeAllDurable();
}

SimFile* SimDisk::FileAt(std::string_view path) const {
  const SimNames::Place place = names_->Find(names_->root(), path);
  return place.error != 0 || place.node == nullptr ? nullptr : place.node->file.get();
}

std::optional<std::string> SimDisk::Contents(std::string_view path) const {
  const SimFile* const file = FileAt(path);
  if (file == nullptr) return std::nullopt;
  std::string content(file->size_bytes(), '\0');
  file->Read(0, std::as_writable_bytes(std::span(content)));
  return content;
}

void SimDisk::SetCapacity(uint64_t capacity_bytes) {
  volume_->space.capacity_pages = capacity_bytes / kSimPageBytes;
}

uint64_t SimDisk::free_bytes() const {
  const uint64_t capacity_bytes = volume_->space.capacity_pages * kSimPageBytes;
  return capacity_bytes - std::min(capacity_bytes, used_bytes());
}

std::vector<std::string> SimDisk::Names(std::string_view directory) const {
  std::vector<std::string> all;
  const SimNames::Place place = names_->Find(names_->root(), directory);
  if (place.error != 0 || place.node == nullptr) return all;
  for (const auto& [name, child] : place.node->names) all.push_back(name);
  std::sort(all.begin(), all.end());
  return all;
}

bool SimDisk::FlipBit(std::string_view path, uint64_t offset_bytes, unsigned bit) {
  SimFile* const file = FileAt(path);
  if (file != nullptr) file->FlipBit(offset_bytes, bit);
  return file != nullptr;
}

}  // namespace ioengine
