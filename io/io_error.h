// Turns the errno of a failed operation into a Status that names the thing and what to do.
#ifndef IOENGINE_IO_IO_ERROR_H_
#define IOENGINE_IO_IO_ERROR_H_

#include <string_view>

#include "absl/status/status.h"
#include "ioengine/io/io_request.h"
#include "ioengine/io/io_site.h"

namespace ioengine {

// `error`: an errno (positive). `what`: the call and its object, as in "open /data/x". The code of
// the Status follows absl's table for errnos, except: EIO and its kind are Internal (the device
// failed), EMFILE and ENFILE are ResourceExhausted, and DataLoss is a file system that finds its
// own structures damaged. `site`: becomes its IoSiteOf.
absl::Status IoError(int error, std::string_view what, IoSite site = {});

// The same for a command that failed with `result` (minus an errno), naming the operation, the
// file, the offset and the size, with the command's site.
absl::Status CommandError(const IoCommand& command, int32_t result);

// Whether an operation failed for want of space on the disk, or of quota; and not, as other
// ResourceExhausted, for want of memory or files. A payload of the status says so: it is gone where
// a status is made anew from code and message.
bool IsNoSpace(const absl::Status& status);

}  // namespace ioengine

#endif  // IOENGINE_IO_IO_ERROR_H_
