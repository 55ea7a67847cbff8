#include "ioengine/io/sim/sim_names.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace ioengine {
namespace {

constexpr size_t kMaxNameBytes = 255;
constexpr size_t kMaxPathBytes = 4096;

// Whether `node` is `directory` or somewhere above it.
bool IsAbove(const SimNode& node, const SimNode* directory) {
  while (directory != nullptr && directory != &node) directory = directory->parent;
  return directory != nullptr;
}

}  // namespace

SimNode::SimNode(std::shared_ptr<SimVolume> of, uint64_t number, FileKind what, uint32_t mode)
    : volume(std::move(of)),
      id(number),
      kind(what),
      permissions(mode & 07777),
      file(what == FileKind::kRegular ? std::make_unique<SimFile>(volume->space) : nullptr) {
  volume->nodes.emplace(id, this);
}

SimNode::~SimNode() { volume->nodes.erase(id); }

SimNames::SimNames(std::shared_ptr<SimVolume> volume, size_t max_nodes, size_t max_pending)
    : volume_(std::move(volume)),
      max_nodes_(max_nodes),
      max_pending_(max_pending),
      root_(std::make_shared<SimNode>(volume_, 0, FileKind::kDirectory, 0755)) {
  root_->links = 1;
}

SimNames::~SimNames() {
  // Directories may contain each other, one as seen and one as durable.
  std::vector<SimNode::Names> names;
  for (const auto& [id, node] : volume_->nodes) {
    names.push_back(std::move(node->names));
    names.push_back(std::move(node->durable_names));
    node->parent = nullptr;
  }
}

SimNames::Place SimNames::Find(const SimNodeRef& start, std::string_view path, bool beneath) const {
  if (path.empty()) return {.error = ENOENT};
  if (path.size() >= kMaxPathBytes) return {.error = ENAMETOOLONG};
  const bool absolute = path.front() == '/';
  if (absolute && beneath) return {.error = EXDEV};
  Place place;
  place.node = absolute ? root_ : start;
  place.must_be_directory = path.back() == '/';
  size_t depth = 0;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (name.empty()) continue;
    if (place.node == nullptr) return {.error = ENOENT};
    if (!place.node->is_directory()) return {.error = ENOTDIR};
    if (name.size() > kMaxNameBytes) return {.error = ENAMETOOLONG};
    if (name == "." || name == "..") {
      place.directory = nullptr;
      if (name == ".") continue;
      if (beneath && depth == 0) return {.error = EXDEV};
      depth -= beneath ? 1 : 0;
      if (place.node->parent != nullptr) place.node = place.node->parent->shared_from_this();
      continue;
    }
    ++depth;
    place.directory = place.node;
    place.name = name;
    const auto found = place.directory->names.find(name);
    place.node = found == place.directory->names.end() ? nullptr : found->second;
  }
  return place;
}

void SimNames::Attach(const SimNodeRef& directory, const std::string& name,
                      const SimNodeRef& node) {
  directory->names[name] = node;
  ++node->links;
  if (node->is_directory()) node->parent = directory.get();
}

void SimNames::Detach(const SimNodeRef& directory, const std::string& name) {
  const auto found = directory->names.find(name);
  --found->second->links;
  found->second->parent = nullptr;
  directory->names.erase(found);
}

int SimNames::Create(const Place& place, FileKind kind, uint32_t permissions, SimNodeRef* created) {
  if (place.node != nullptr) return EEXIST;
  if (place.must_be_directory && kind != FileKind::kDirectory) return EISDIR;
  if (place.directory->links == 0) return ENOENT;  // it was removed
  if (volume_->nodes.size() >= max_nodes_) return ENOSPC;
  const auto node = std::make_shared<SimNode>(volume_, ++volume_->last_id, kind, permissions);
  Attach(place.directory, place.name, node);
  AddStep({{place.directory, place.name, node}}, node);
  if (created != nullptr) *created = node;
  return 0;
}

int SimNames::Remove(const Place& place, bool directory) {
  if (place.node == nullptr) return ENOENT;
  if (directory && !place.node->is_directory()) return ENOTDIR;
  if (!directory && place.node->is_directory()) return EISDIR;
  if (place.must_be_directory && !directory) return ENOTDIR;
  if (place.directory == nullptr) return place.node == root_ ? EBUSY : EINVAL;
  if (!place.node->names.empty()) return ENOTEMPTY;
  const SimNodeRef node = place.node;
  Detach(place.directory, place.name);
  AddStep({{place.directory, place.name, nullptr}}, node);
  return 0;
}

int SimNames::Rename(const Place& from, const Place& to, bool no_replace) {
  if (from.node == nullptr) return ENOENT;
  if (from.directory == nullptr || to.directory == nullptr) return EBUSY;
  const bool directory = from.node->is_directory();
  if ((from.must_be_directory || to.must_be_directory) && !directory) return ENOTDIR;
  if (to.directory->links == 0) return ENOENT;
  if (directory && IsAbove(*from.node, to.directory.get())) return EINVAL;
  if (to.node != nullptr) {
    if (no_replace) return EEXIST;
    if (to.node == from.node) return 0;
    if (directory && !to.node->is_directory()) return ENOTDIR;
    if (!directory && to.node->is_directory()) return EISDIR;
    if (!to.node->names.empty()) return ENOTEMPTY;
    Detach(to.directory, to.name);
  }
  const SimNodeRef node = from.node;
  Detach(from.directory, from.name);
  Attach(to.directory, to.name, node);
  AddStep({{from.directory, from.name, nullptr}, {to.directory, to.name, node}}, node);
  return 0;
}

int SimNames::Link(const Place& from, const Place& to) {
  if (from.node == nullptr) return ENOENT;
  if (to.node != nullptr) return EEXIST;
  if (from.node->is_directory()) return EPERM;
  if (from.must_be_directory || to.must_be_directory) return ENOTDIR;
  if (to.directory->links == 0) return ENOENT;
  Attach(to.directory, to.name, from.node);
  AddStep({{to.directory, to.name, from.node}}, from.node);
  return 0;
}

void SimNames::AddStep(std::vector<Edit> edits, SimNodeRef subject) {
  if (pending_.size() >= max_pending_) MakeAllDurable();
  Step step{.position = next_position_++, .edits = std::move(edits), .subject = std::move(subject)};
  for (const Edit& edit : step.edits) {
    const uint64_t id = edit.directory->id;
    if (std::count(step.unsynced.begin(), step.unsynced.end(), id) == 0) {
      step.unsynced.push_back(id);
    }
  }
  pending_.push_back(std::move(step));
}

bool SimNames::Step::DependsOn(const Step& earlier) const {
  if (subject == earlier.subject) return true;
  for (const Edit& mine : edits) {
    for (const Edit& other : earlier.edits) {
      if (mine.directory == other.directory && mine.name == other.name) return true;
    }
  }
  return false;
}

// Adds to the chosen steps those that they build upon.
void SimNames::AddEarlier(std::vector<bool>& chosen) const {
  for (size_t i = pending_.size(); i-- > 0;) {
    if (!chosen[i]) continue;
    for (size_t j = 0; j < i; ++j) {
      if (!chosen[j] && pending_[i].DependsOn(pending_[j])) chosen[j] = true;
    }
  }
}

void SimNames::MakeDurable(const SimNode& directory, uint64_t end) {
  std::vector<bool> durable(pending_.size());
  bool any = false;
  for (size_t i = 0; i < pending_.size() && pending_[i].position < end; ++i) {
    std::erase(pending_[i].unsynced, directory.id);
    durable[i] = pending_[i].unsynced.empty();
    any |= durable[i];
  }
  if (!any) return;
  AddEarlier(durable);
  std::vector<Step> left;
  for (size_t i = 0; i < pending_.size(); ++i) {
    if (!durable[i]) {
      left.push_back(std::move(pending_[i]));
      continue;
    }
    for (const Edit& edit : pending_[i].edits) {
      if (edit.node != nullptr) {
        edit.directory->durable_names[edit.name] = edit.node;
      } else {
        edit.directory->durable_names.erase(edit.name);
      }
    }
  }
  pending_ = std::move(left);
}

void SimNames::MakeAllDurable() {
  for (Step& step : pending_) step.unsynced.clear();
  MakeDurable(*root_, next_position_);
}

void SimNames::CrashInto(SimNames& to, CrashChoices& choices, bool in_order) const {
  std::vector<bool> kept(pending_.size());
  if (!pending_.empty()) choices.BeginPart();
  if (in_order) {
    const size_t count = pending_.empty() ? 0 : choices.KeepPrefix(pending_.size());
    std::fill_n(kept.begin(), count, true);
  } else {
    for (size_t i = 0; i < kept.size(); ++i) kept[i] = choices.Keep();
    AddEarlier(kept);
  }
  std::map<uint64_t, SimNode::Names> changed;
  for (size_t i = 0; i < kept.size(); ++i) {
    if (!kept[i]) continue;
    for (const Edit& edit : pending_[i].edits) {
      const SimNode& directory = *edit.directory;
      SimNode::Names& names =
          changed.try_emplace(directory.id, directory.durable_names).first->second;
      if (edit.node != nullptr) {
        names[edit.name] = edit.node;
      } else {
        names.erase(edit.name);
      }
    }
  }
  to.volume_->last_id = volume_->last_id;
  std::map<uint64_t, SimNodeRef> copies;
  CopyNode(*root_, to, choices, changed, copies);
}

// The copy of `node`, and of all below it; null for a directory that was reached before.
SimNodeRef SimNames::CopyNode(const SimNode& node, SimNames& to, CrashChoices& choices,
                              const std::map<uint64_t, SimNode::Names>& changed,
                              std::map<uint64_t, SimNodeRef>& copies) const {
  const auto [at, is_new] = copies.try_emplace(node.id);
  if (!is_new) return node.is_directory() ? nullptr : at->second;
  const SimNodeRef copy =
      &node == root_.get()
          ? to.root_
          : std::make_shared<SimNode>(to.volume_, node.id, node.kind, node.permissions);
  at->second = copy;
  if (!node.is_directory()) {
    node.file->CrashInto(*copy->file, choices);
    return copy;
  }
  const auto found = changed.find(node.id);
  for (const auto& [name, child] : found == changed.end() ? node.durable_names : found->second) {
    const SimNodeRef child_copy = CopyNode(*child, to, choices, changed, copies);
    if (child_copy == nullptr) continue;
    Attach(copy, name, child_copy);
    copy->durable_names[name] = child_copy;
  }
  return copy;
}

}  // namespace ioengine
