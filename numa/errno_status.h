// Turns an errno into a Status.
#ifndef IOENGINE_NUMA_ERRNO_STATUS_H_
#define IOENGINE_NUMA_ERRNO_STATUS_H_

#include <string_view>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ioengine {

// "`what`: the system's text for `error`", with absl's code for it. Not absl::ErrnoToStatus: its
// table of texts is set up by the first caller, in a library that a system may have built without
// the thread sanitizer, which then takes two shards that start at once for a race.
inline absl::Status ErrnoStatus(int error, std::string_view what) {
  return absl::Status(absl::ErrnoToStatusCode(error),
                      absl::StrCat(absl::string_view(what.data(), what.size()), ": ",
                                   std::generic_category().message(error)));
}

}  // namespace ioengine

#endif  // IOENGINE_NUMA_ERRNO_STATUS_H_
