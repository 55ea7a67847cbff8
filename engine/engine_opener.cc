#include "ioengine/engine/engine_opener.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/tablet.h"
#include "ioengine/engine/key_router.h"
#include "ioengine/engine/opening.h"
#include "ioengine/io/file_system.h"

namespace ioengine {
namespace {

absl::Status ServeOn(Shard&, EnginePart* part) {
  EnginePart::Call call(*part);
  if (call.status().ok()) call.store().Serve();
  return call.status();
}

Task<absl::Status> BeginOn(Shard&, EnginePart* part, std::vector<BatchCoordinator::Peer> peers) {
  EnginePart::Call call(*part);
  if (!call.status().ok()) co_return call.status();
  co_return co_await part->coordinator().Begin(std::move(peers));
}

}  // namespace

EngineOpener::EngineOpener(Shard& shard, std::string directory, EngineOptions options)
    : shard_(shard), directory_(std::move(directory)), options_(std::move(options)) {}

Task<absl::StatusOr<std::unique_ptr<Engine>>> EngineOpener::Open(Shard& shard,
                                                                 std::string directory,
                                                                 EngineOptions options) {
  // Says that nobody waits any more.
  struct Leaving {
    std::shared_ptr<Outcome> outcome;
    ~Leaving() { outcome->awaited = false; }
  };
  auto outcome = std::make_shared<Outcome>();
  const Leaving leaving{outcome};
  shard.executor().Spawn(RunAlone(shard, std::move(directory), std::move(options), outcome));
  co_await outcome->done.Wait();
  if (!outcome->status.ok()) co_return outcome->status;
  co_return std::move(outcome->engine);
}

Task<> EngineOpener::RunAlone(Shard& shard, std::string directory, EngineOptions options,
                              std::shared_ptr<Outcome> outcome) {
  EngineOpener opener(shard, std::move(directory), std::move(options));
  outcome->status = co_await opener.Run();
  if (outcome->status.ok() && outcome->awaited) {
    outcome->engine = opener.Finish();
  } else {
    co_await opener.CloseParts();
  }
  outcome->done.Set();
}

Task<absl::Status> EngineOpener::Run() {
  if (absl::Status valid = options_.store.Validate(); !valid.ok()) co_return valid;
  if (directory_.empty()) {
    co_return absl::InvalidArgumentError("the name of the database's directory is empty");
  }
  const FileSystemOptions how = {.create = options_.create_if_missing};
  absl::StatusOr<FileSystem> files = co_await FileSystem::Open(shard_.io(), directory_, how);
  if (!files.ok()) co_return files.status();
  home_.files = *std::move(files);
  absl::Status status =
      co_await LockDirectory(shard_.io(), home_.files, options_.store.lock_wait_ns);
  if (status.ok()) status = co_await OpenRoot();
  if (status.ok()) status = CheckRoot();
  if (!status.ok()) co_return status;
  if (!root().complete) status = co_await MakeDirectories();
  if (status.ok()) status = co_await OpenParts();
  if (!status.ok()) co_return status;
  if (!root().complete) status = co_await Complete();
  if (status.ok()) status = co_await FinishBatches();
  co_return status;
}

Task<absl::Status> EngineOpener::OpenRoot() {
  auto root = co_await RootFile::Open(shard_.io(), home_.files);
  if (root.ok()) {
    home_.root = *std::move(root);
    co_return absl::OkStatus();
  }
  // ROOT is made whole before anything else is; until then nothing was ever written.
  const bool unfinished = absl::IsAborted(root.status());
  if (!absl::IsNotFound(root.status()) && !unfinished) co_return root.status();
  const auto entries = co_await home_.files.List();
  if (!entries.ok()) co_return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    if (entry.kind != FileKind::kDirectory || !entry.name.starts_with("T-")) continue;
    co_return absl::DataLossError(absl::StrCat(directory_, " has tablets (", entry.name,
                                               ") and no ROOT: it is not known what they are of"));
  }
  if (!options_.create_if_missing) {
    co_return absl::NotFoundError(
        absl::StrCat(directory_, " holds no database; EngineOptions::create_if_missing makes one"));
  }
  if (unfinished) {
    absl::Status removed = co_await home_.files.Remove(RootFile::kName);
    if (!removed.ok()) co_return removed;
  }
  co_return co_await CreateRoot();
}

Task<absl::Status> EngineOpener::CreateRoot() {
  absl::Status status = options_.Validate(shard_.shard_count());
  if (status.ok()) status = co_await SyncNameOf(shard_.io(), directory_);
  if (!status.ok()) co_return status;
  RootState state;
  state.epoch = 1;
  state.placement = options_.placement;
  state.complete = false;
  for (size_t i = 0; i < shard_.shard_count(); ++i) {
    const bool has_lower = i > 0 && !options_.split_keys.empty();
    state.tablets.push_back({i + 1, has_lower ? options_.split_keys[i - 1] : std::string()});
  }
  if (options_.store.database.has_value()) {
    state.database = *options_.store.database;
  } else {
    const absl::StatusOr<Uuid> identity = co_await RandomIdentity(shard_.io());
    if (!identity.ok()) co_return identity.status();
    state.database = *identity;
  }
  auto root = co_await RootFile::Create(shard_.io(), home_.files, std::move(state));
  if (root.ok()) home_.root = *std::move(root);
  co_return root.status();
}

absl::Status EngineOpener::CheckRoot() const {
  const size_t tablets = root().tablets.size();
  if (tablets == 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory_, " has a database of a single ShardStore: open it with ShardStore::Open"));
  }
  if (tablets == shard_.shard_count()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(directory_, " has a database of ", tablets, " shards, and the runtime has ",
                   shard_.shard_count(), ": set RuntimeOptions::shard_count to ", tablets));
}

// An opening that was cut short may have made some.
Task<absl::Status> EngineOpener::MakeDirectories() {
  for (const RootTablet& tablet : root().tablets) {
    absl::Status made = co_await home_.files.MakeDirectory(TabletName(tablet.number));
    if (!made.ok() && !absl::IsAlreadyExists(made)) co_return made;
  }
  co_return co_await home_.files.SyncDirectory();
}

std::string EngineOpener::TabletDirectory(size_t index) const {
  return absl::StrCat(directory_, "/", TabletName(root().tablets[index].number));
}

StoreOptions EngineOpener::OptionsOf(size_t index) const {
  StoreOptions options = options_.store;
  options.create_if_missing = !root().complete;
  options.database = TabletIdentity(root().database, root().tablets[index].number);
  return options;
}

absl::Status EngineOpener::ErrorOf(size_t index, const absl::Status& status) const {
  if (!absl::IsNotFound(status)) return status;
  return absl::DataLossError(
      absl::StrCat(TabletDirectory(index),
                   ", a tablet that ROOT names, is missing: ", std::string(status.message())));
}

Task<absl::Status> EngineOpener::OpenParts() {
  using Answer = decltype(shard_.SubmitTo(0, EnginePart::Open, std::string(), StoreOptions(),
                                          clock_, uint64_t{0}));
  const size_t count = root().tablets.size();
  parts_.resize(count);
  std::vector<Answer> answers;
  answers.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    answers.push_back(shard_.SubmitTo(static_cast<ShardId>(i), EnginePart::Open, TabletDirectory(i),
                                      OptionsOf(i), clock_, root().tablets[i].number));
  }
  absl::Status status;
  for (size_t i = 0; i < count; ++i) {
    const absl::StatusOr<std::shared_ptr<EnginePart>> part = co_await answers[i];
    if (part.ok()) parts_[i] = *part;
    status.Update(ErrorOf(i, part.status()));
  }
  co_return status;
}

Task<> EngineOpener::CloseParts() {
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (parts_[i] == nullptr) continue;
    const absl::Status closed =
        co_await shard_.SubmitTo(static_cast<ShardId>(i), EnginePart::Close, parts_[i].get());
    closed.IgnoreError();
  }
}

Task<absl::Status> EngineOpener::Complete() {
  RootState next = root();
  next.complete = true;
  co_return co_await home_.root->Commit(std::move(next));
}

Task<absl::Status> EngineOpener::FinishBatches() {
  std::vector<BatchCoordinator::Peer> peers;
  for (size_t i = 0; i < parts_.size(); ++i) {
    peers.push_back({root().tablets[i].number, parts_[i].get()});
  }
  absl::Status status;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const absl::Status begun =
        co_await shard_.SubmitTo(static_cast<ShardId>(i), BeginOn, parts_[i].get(), peers);
    status.Update(begun);
  }
  for (size_t i = 0; i < parts_.size() && status.ok(); ++i) {
    status = co_await shard_.SubmitTo(static_cast<ShardId>(i), ServeOn, parts_[i].get());
  }
  co_return status;
}

std::unique_ptr<Engine> EngineOpener::Finish() {
  KeyRouter router(root().placement, root().tablets);
  const Uuid database = root().database;
  parts_[shard_.id()]->Adopt(std::move(home_));
  return std::unique_ptr<Engine>(
      new Engine(directory_, database, std::move(router), clock_, std::move(parts_)));
}

}  // namespace ioengine
