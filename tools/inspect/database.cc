// A whole database: what ROOT and the manifest say, and whether the files agree.

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/tablet.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/tools/inspect/blob_check.h"
#include "ioengine/tools/inspect/files.h"
#include "ioengine/tools/inspect/report.h"
#include "ioengine/tools/inspect/root.h"
#include "ioengine/tools/inspect/stream.h"
#include "ioengine/tools/inspect/table_check.h"

namespace ioengine::inspect {
namespace {

// What there is but ROOT.
struct Files {
  std::map<uint64_t, Segments> logs;  // by stream
  std::map<uint64_t, Segments> manifests;
  std::set<Uuid> tables;
  std::map<Uuid, uint64_t> blobs;  // their sizes
};

absl::StatusOr<Files> ListFiles(const std::string& directory) {
  Files files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    std::error_code ignored;
    if (entry.is_directory(ignored)) continue;
    const std::string name = entry.path().filename().string();
    const std::optional<Uuid> table = ParseTableFileName(name);
    if (table.has_value()) files.tables.insert(*table);
    const std::optional<Uuid> blobs = ParseBlobFileName(name);
    if (blobs.has_value()) files.blobs[*blobs] = entry.file_size(ignored);
    const std::optional<WalSegmentId> id = ParseWalSegmentName(name);
    // Streams are numbered from 1.
    if (!id.has_value() || id->stream == 0) continue;
    absl::StatusOr<SegmentReport> segment = InspectSegment(entry.path().string());
    if (!segment.ok()) return segment.status();
    auto& streams = id->kind == WalKind::kManifest ? files.manifests : files.logs;
    streams[id->stream][id->segment] = *std::move(segment);
  }
  if (error == std::errc::no_such_file_or_directory) {
    return absl::NotFoundError(absl::StrCat(directory, ": ", error.message()));
  }
  if (error) return absl::FailedPreconditionError(absl::StrCat(directory, ": ", error.message()));
  return files;
}

class DatabaseInspection {
 public:
  DatabaseInspection(const std::string& directory, Files files)
      : files_(std::move(files)), blobs_(directory, files_.blobs) {
    report_.directory = directory;
  }

  absl::StatusOr<DatabaseReport> Run() {
    if (absl::Status read = ReadRoot(); !read.ok()) return read;
    if (!report_.root.has_value()) return std::move(report_);
    if (absl::Status read = ReadManifest(); !read.ok()) return read;
    for (const RootStream& stream : report_.root->streams) ReadLog(stream);
    if (absl::Status read = ReadTables(); !read.ok()) return read;
    CheckRuns();
    absl::Status checked = blobs_.Finish(report_.root->database, report_);
    if (!checked.ok()) return checked;
    FindOrphans();
    return std::move(report_);
  }

 private:
  void AddProblem(std::string problem) { report_.problems.push_back(std::move(problem)); }

  // Why there is no database to look at, if that is so.
  absl::Status ReadRoot() {
    const bool has_segments = !files_.logs.empty() || !files_.manifests.empty();
    const bool has_files = has_segments || !files_.tables.empty() || !files_.blobs.empty();
    absl::StatusOr<std::vector<SlotReport>> slots = InspectRoot(report_.directory + "/ROOT");
    if (absl::IsNotFound(slots.status()) && has_files) {
      AddProblem(absl::StrCat("ROOT is missing, and there are ",
                              has_segments ? "log segments" : "tables"));
      return absl::OkStatus();
    }
    if (!slots.ok()) return slots.status();
    for (const SlotReport& slot : *slots) {
      if (absl::IsFailedPrecondition(slot.status)) return slot.status;
    }
    report_.slots = *std::move(slots);
    FindInForce(report_);
    if (!report_.root.has_value() && !has_files && IsUnfinished(report_.slots)) {
      return absl::NotFoundError(
          absl::StrCat(report_.directory, " holds no database: the creation of one was cut short"));
    }
    return absl::OkStatus();
  }

  absl::Status ReadManifest() {
    const std::vector<RootManifest>& named = report_.root->manifests;
    if (named.empty()) return absl::OkStatus();
    if (named.size() > 1) {
      return absl::FailedPreconditionError(
          absl::StrCat("ROOT names ", named.size(), " manifests, and this version of ",
                       "ioengine-inspect reads databases with one"));
    }
    const uint64_t stream = named.front().stream;
    report_.manifest = InspectManifest(report_.directory, *report_.root, named.front(),
                                       files_.manifests[stream], report_.problems);
    CheckRootEpochs(files_.manifests, {stream});
    return absl::OkStatus();
  }

  // What tables contain of it is not needed; where the manifest is damaged, nobody knows what that
  // is, and nothing that is missing is a problem of its own.
  void ReadLog(const RootStream& root) {
    ContainedLog contained;
    if (report_.manifest.has_value()) {
      const ManifestState& state = report_.manifest->state;
      if (state.finished.count(root.stream) > 0) {
        StreamReport finished;
        finished.root = root;
        finished.finished = true;
        report_.streams.push_back(std::move(finished));
        return;
      }
      const auto named = state.logs.find(root.stream);
      if (named != state.logs.end()) contained = named->second;
    }
    const WalStream stream = {report_.root->database, root.incarnation, root.stream,
                              root.root_epoch};
    const bool is_known = !report_.manifest.has_value() || report_.manifest->is_whole;
    std::vector<std::string> ignored;
    // Neither are the values that it points to, of which some may have gone since.
    BlobCheck nobody(report_.directory, {});
    report_.streams.push_back(InspectLog(report_.directory, stream, root, contained,
                                         files_.logs[root.stream], is_known ? blobs_ : nobody,
                                         is_known ? report_.problems : ignored));
    needed_logs_.insert(root.stream);
  }

  absl::Status ReadTables() {
    if (!report_.manifest.has_value()) return absl::OkStatus();
    for (const auto& [uuid, record] : report_.manifest->state.tables) {
      blobs_.AddRecord(record);
      const std::string name = TableFileName(uuid);
      absl::StatusOr<TableScan> scan = InspectTable(report_.directory + "/" + name);
      if (absl::IsNotFound(scan.status())) {
        AddProblem(absl::StrCat(name, " is missing; lost with it: ", KeysOf(record)));
        report_.tables.emplace_back();
        report_.tables.back().record = record;
        report_.tables.back().is_missing = true;
        continue;
      }
      if (!scan.ok()) return scan.status();
      report_.tables.push_back(CheckTable(*scan, record));
      blobs_.CheckTable(*scan, report_.tables.back());
      for (const TableDamage& damage : report_.tables.back().damage) {
        AddProblem(absl::StrCat(name, ", offset ", damage.offset_bytes, ": ", damage.problem,
                                "; lost with it: ", damage.lost.empty() ? "no keys" : damage.lost));
      }
    }
    return absl::OkStatus();
  }

  // As Version does.
  void CheckRuns() {
    std::map<std::pair<uint32_t, uint64_t>, std::map<std::string, const TableRecord*>> runs;
    for (const TableReport& table : report_.tables) {
      const TableRecord& record = table.record;
      auto& run = runs[{record.tier, record.run}];
      const bool is_new = run.emplace(record.lower, &record).second;
      if (!is_new) AddOverlap(record, *run[record.lower]);
    }
    for (const auto& [number, run] : runs) {
      const TableRecord* below = nullptr;
      for (const auto& [lower, record] : run) {
        if (below != nullptr && (!below->upper.has_value() || *below->upper > lower)) {
          AddOverlap(*below, *record);
        }
        below = record;
      }
    }
  }

  void AddOverlap(const TableRecord& a, const TableRecord& b) {
    AddProblem(absl::StrCat("manifest ", report_.manifest->stream.root.stream, ": tables ",
                            TableFileName(a.identity.uuid), " and ", TableFileName(b.identity.uuid),
                            " of run ", a.run, " overlap"));
  }

  // One that nobody names was let go, or never begun; but not one of a later ROOT.
  void CheckRootEpochs(const std::map<uint64_t, Segments>& streams,
                       const std::set<uint64_t>& named) {
    for (const auto& [stream, segments] : streams) {
      if (named.count(stream) > 0) continue;
      for (const auto& [number, segment] : segments) {
        if (segment.frames.empty()) continue;
        const uint64_t epoch = segment.frames.front().header.root_epoch;
        if (epoch <= report_.root->epoch) continue;
        AddProblem(absl::StrCat(segment.name, " is of epoch ", epoch, " of ROOT, which is at ",
                                report_.root->epoch,
                                ": an older ROOT has taken the place of a newer one"));
      }
    }
  }

  void AddOrphan(std::string name) {
    report_.warnings.push_back(
        absl::StrCat(name, ": nobody needs it, and the next open removes it"));
    report_.orphans.push_back(std::move(name));
  }

  // Segments of a log that is needed are no orphans, also those that tables contain: the writer
  // keeps some to use them again.
  void FindOrphans() {
    std::set<uint64_t> named;
    for (const RootStream& stream : report_.root->streams) named.insert(stream.stream);
    CheckRootEpochs(files_.logs, named);
    for (const auto& [stream, segments] : files_.logs) {
      if (needed_logs_.count(stream) > 0) continue;
      for (const auto& [number, segment] : segments) AddOrphan(segment.name);
    }
    for (const auto& [stream, segments] : files_.manifests) {
      if (report_.manifest.has_value() && report_.manifest->stream.root.stream == stream) continue;
      for (const auto& [number, segment] : segments) AddOrphan(segment.name);
    }
    // Without all edits nobody knows which tables are needed.
    if (report_.manifest.has_value() && !report_.manifest->is_whole) return;
    for (const Uuid& uuid : files_.tables) {
      if (report_.manifest.has_value() && report_.manifest->state.tables.count(uuid) > 0) continue;
      AddOrphan(TableFileName(uuid));
    }
    for (const BlobFileReport& file : report_.blobs) {
      if (!file.is_needed) AddOrphan(BlobFileName(file.file));
    }
  }

  Files files_;
  BlobCheck blobs_;
  std::set<uint64_t> needed_logs_;
  DatabaseReport report_;
};

}  // namespace

namespace {

absl::Status InspectTablet(const RootTablet& tablet, DatabaseReport& report) {
  const std::string name = TabletName(tablet.number);
  absl::StatusOr<DatabaseReport> inspected = InspectDatabase(report.directory + "/" + name);
  if (absl::IsNotFound(inspected.status())) {
    // One that is being made may be.
    if (report.root->complete) {
      report.problems.push_back(
          absl::StrCat(report.directory, "/", name, ", a tablet that ROOT names, is missing"));
    }
    return absl::OkStatus();
  }
  if (!inspected.ok()) return inspected.status();
  const Uuid expected = TabletIdentity(report.root->database, tablet.number);
  if (inspected->root.has_value() && inspected->root->database != expected) {
    report.problems.push_back(
        absl::StrCat(report.directory, "/", name, " has another tablet, or that of another ",
                     "database: identity ", inspected->root->database.ToString(), ", expected ",
                     expected.ToString()));
  }
  for (const std::string& problem : inspected->problems) {
    report.problems.push_back(absl::StrCat(name, ": ", problem));
  }
  for (const std::string& warning : inspected->warnings) {
    report.warnings.push_back(absl::StrCat(name, ": ", warning));
  }
  report.tablets.push_back(*std::move(inspected));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DatabaseReport> InspectDatabase(const std::string& directory) {
  absl::StatusOr<Files> files = ListFiles(directory);
  if (!files.ok()) return files.status();
  absl::StatusOr<DatabaseReport> report = DatabaseInspection(directory, *std::move(files)).Run();
  if (!report.ok() || !report->root.has_value()) return report;
  for (const RootTablet& tablet : report->root->tablets) {
    if (absl::Status status = InspectTablet(tablet, *report); !status.ok()) return status;
  }
  return report;
}

}  // namespace ioengine::inspect
