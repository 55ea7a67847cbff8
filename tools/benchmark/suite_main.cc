#include "ioengine/tools/benchmark/suite_main.h"

#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/tools/benchmark/cancel_on_signal.h"
#include "ioengine/tools/benchmark/exit_status.h"

namespace ioengine::bench {

int RunSuite(FlagSet& flags, const char* help, int argc, char** argv,
             const std::function<absl::Status()>& validate,
             const std::function<absl::Status(const std::atomic<bool>& cancelled)>& run) {
  const absl::StatusOr<std::vector<std::string>> words = flags.Parse(argc, argv);
  absl::Status status = words.status();
  if (status.ok() && flags.help_wanted()) {
    std::printf("%s%s", help, flags.Help().c_str());
    return 0;
  }
  if (status.ok() && !words->empty()) {
    status = absl::InvalidArgumentError(absl::StrCat("unexpected word: ", words->front()));
  }
  if (status.ok()) status = validate();
  if (!status.ok()) return ReportBadUsage(status);

  const CancelOnSignal cancel;
  status = run(cancel.flag());
  return ReportExitStatus(status, cancel);
}

}  // namespace ioengine::bench
