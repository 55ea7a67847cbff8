#include "ioengine/io/io_error.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace ioengine {
namespace {

constexpr char kNoSpacePayload[] = "ioengine/no_space";

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case EIO:
    case EREMOTEIO:
    case ENXIO:
    // What the block layer says of a medium that cannot be read, of a path to it that is broken,
    // and of a checksum that was wrong on the way.
    case ENODATA:
    case ENOLINK:
    case EILSEQ:
    // A device that has not answered, or not within the limit that it was given. Not
    // DeadlineExceeded, which would look like a deadline of the caller's.
    case ETIMEDOUT:
    case ETIME:
      return absl::StatusCode::kInternal;
    // What ext4 and XFS say of their own structures (EFSCORRUPTED, EFSBADCRC).
    case EUCLEAN:
    case EBADMSG:
      return absl::StatusCode::kDataLoss;
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
      return absl::StatusCode::kResourceExhausted;
    case ECANCELED:
      return absl::StatusCode::kCancelled;
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    default:
      return absl::ErrnoToStatusCode(error);
  }
}

// What the user can do about it; empty where the error's own text says it.
std::string_view Advice(int error) {
  switch (error) {
    case ENOSPC:
      return "; free space on the file system and try again";
    case EDQUOT:
      return "; raise the disk quota or free space";
    case EMFILE:
      return "; raise the limit on open files (ulimit -n)";
    case EROFS:
      return "; remount it read-write, or choose another place";
    case EIO:
    case ENODATA:
    case ENOLINK:
    case EILSEQ:
    case ETIMEDOUT:
    case ETIME:
      return "; look for the device's error in the kernel log";
    case EUCLEAN:
    case EBADMSG:
      return "; the file system is damaged: look into the kernel log, and check it (fsck)";
    default:
      return "";
  }
}

}  // namespace

absl::Status IoError(int error, std::string_view what, IoSite site) {
  // std::generic_category, not strerror: the latter is not safe in every thread.
  absl::Status status(CodeOf(error),
                      absl::StrCat(absl::string_view(what.data(), what.size()), ": ",
                                   std::generic_category().message(error),
                                   absl::string_view(Advice(error).data(), Advice(error).size())));
  if (error == ENOSPC || error == EDQUOT) status.SetPayload(kNoSpacePayload, absl::Cord("yes"));
  return WithIoSite(std::move(status), site);
}

bool IsNoSpace(const absl::Status& status) {
  return status.GetPayload(kNoSpacePayload).has_value();
}

absl::Status CommandError(const IoCommand& command, int32_t result) {
  const IoRequest& request = command.request;
  std::string what = IoOpcodeName(request.opcode);
  if (command.path != nullptr && !command.path->path.empty()) {
    absl::StrAppend(&what, " ", command.path->path);
  } else if (command.file) {
    absl::StrAppend(&what, " ", command.file->path);
  }
  switch (request.opcode) {
    case IoOpcode::kRead:
    case IoOpcode::kWrite:
      absl::StrAppend(&what, " (", request.size_bytes, " bytes at offset ", request.offset_bytes,
                      ")");
      break;
    case IoOpcode::kAllocate:
    case IoOpcode::kPunch:
      absl::StrAppend(&what, " (", request.range_bytes, " bytes at offset ", request.offset_bytes,
                      ")");
      break;
    case IoOpcode::kTruncate:
      absl::StrAppend(&what, " (to ", request.range_bytes, " bytes)");
      break;
    case IoOpcode::kRename:
    case IoOpcode::kLink:
      if (command.path != nullptr) absl::StrAppend(&what, " to ", command.path->new_path);
      break;
    default:
      break;
  }
  return IoError(-result, what, request.site);
}

}  // namespace ioengine
