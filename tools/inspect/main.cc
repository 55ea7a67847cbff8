// ioengine-inspect: looks into the files of a database, without opening it.

#include <cstdio>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/tools/benchmark/flags.h"
#include "ioengine/tools/inspect/blob_scan.h"
#include "ioengine/tools/inspect/print.h"
#include "ioengine/tools/inspect/report.h"
#include "ioengine/tools/inspect/salvage.h"
#include "ioengine/tools/inspect/table_scan.h"

namespace ioengine::inspect {
namespace {

constexpr char kHelp[] =
    "usage: ioengine-inspect dump FILE       what ROOT, a segment of a log or a manifest, a\n"
    "                                         table or a blob file holds; of a table with\n"
    "                                         --records those too\n"
    "       ioengine-inspect stats DIRECTORY  what a database consists of, in numbers\n"
    "       ioengine-inspect verify DIRECTORY whether its files hold together; status 1 if not\n"
    "       ioengine-inspect salvage DIRECTORY NEW_DIRECTORY\n"
    "                                         what is left of a damaged database, in a new one\n"
    "Reads and changes nothing there, and prints no values, and of keys the begins of those that\n"
    "bound something. Look at a database that is not open: of one that is, half a change may be\n"
    "seen.\n"
    "Exit status: 0; 1, verify has found damage, with which it does not open or not all can be\n"
    "read; 2, it could not be done: there is no such file or database, it cannot be read, or the "
    "command is wrong.\n\n";

constexpr int kDamaged = 1;
constexpr int kCouldNot = 2;

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "ioengine-inspect: %s\n", std::string(status.message()).c_str());
  return kCouldNot;
}

absl::StatusOr<std::string> Dump(const std::string& path, bool json, bool with_records) {
  const auto file = InspectFile(path);
  if (!file.ok()) return file.status();
  if (const auto* const table = std::get_if<TableScan>(&*file)) {
    return json ? DumpJson(*table, with_records) : DumpText(*table, with_records);
  }
  if (const auto* const blobs = std::get_if<BlobScan>(&*file)) {
    return json ? DumpJson(*blobs) : DumpText(*blobs);
  }
  if (const auto* const segment = std::get_if<SegmentReport>(&*file)) {
    return json ? DumpJson(*segment) : DumpText(*segment);
  }
  const auto& slots = std::get<std::vector<SlotReport>>(*file);
  return json ? DumpJson(slots) : DumpText(slots);
}

int RunSalvage(const std::string& directory, const std::string& target) {
  const absl::StatusOr<SalvageReport> report = Salvage(directory, target);
  if (!report.ok()) return Fail(report.status());
  std::string text =
      absl::StrCat(target, ": ", report->keys, " keys, of ", report->table_records, " records in ",
                   report->tables, " tables and ", report->records, " in ", report->frames,
                   " frames of logs; ", report->missing_frames,
                   " frames are missing, and parts of ", report->cut_records, " records\n");
  if (report->blob_values > 0 || report->lost_blob_values > 0) {
    absl::StrAppend(&text, report->blob_values, " values are from blob files, and ",
                    report->lost_blob_values, " are lost there\n");
  }
  for (const std::string& lost : report->lost) absl::StrAppend(&text, "lost: ", lost, "\n");
  std::fputs(text.c_str(), stdout);
  return 0;
}

int Main(int argc, char** argv) {
  bool json = false;
  bool with_records = false;
  bench::FlagSet flags;
  flags.AddSwitch("json", "print JSON", &json);
  flags.AddSwitch("records", "dump: of a table, all records", &with_records);
  const absl::StatusOr<std::vector<std::string>> words = flags.Parse(argc, argv);
  if (!words.ok()) return Fail(words.status());
  if (flags.help_wanted()) {
    std::printf("%s%s", kHelp, flags.Help().c_str());
    return 0;
  }
  if (words->size() == 3 && words->front() == "salvage") {
    return RunSalvage((*words)[1], (*words)[2]);
  }
  if (words->size() != 2) {
    return Fail(absl::InvalidArgumentError("give a command and a path (--help)"));
  }
  const std::string& command = words->front();
  const std::string& path = words->back();
  if (command == "dump") {
    const absl::StatusOr<std::string> text = Dump(path, json, with_records);
    if (!text.ok()) return Fail(text.status());
    std::fputs(text->c_str(), stdout);
    return 0;
  }
  if (command != "stats" && command != "verify") {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat("unknown command ", command, ": dump, stats, verify or salvage")));
  }
  const absl::StatusOr<DatabaseReport> report = InspectDatabase(path);
  if (!report.ok()) return Fail(report.status());
  std::string text = command == "stats" ? StatsText(*report) : VerifyText(*report);
  if (json) text = Json(*report);
  std::fputs(text.c_str(), stdout);
  return command == "verify" && !report->problems.empty() ? kDamaged : 0;
}

}  // namespace
}  // namespace ioengine::inspect

int main(int argc, char** argv) { return ioengine::inspect::Main(argc, argv); }
