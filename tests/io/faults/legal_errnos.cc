#include "ioengine/tests/io/faults/legal_errnos.h"

#include <array>
#include <cerrno>
#include <cstddef>

#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

using Errnos = std::vector<int>;

Errnos operator+(Errnos first, const Errnos& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Errnos Make(IoOpcode opcode) {
  const Errnos interrupted = {EINTR, EAGAIN};
  const Errnos device = {EIO, ENODATA, EILSEQ, ENOLINK, EREMOTEIO, ETIMEDOUT, ENXIO};
  const Errnos metadata = {EIO, EUCLEAN, EBADMSG, ENOMEM};
  const Errnos full = {ENOSPC, EDQUOT};
  const Errnos lookup = {EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, ESTALE};
  const Errnos change = {EPERM, EROFS, ENOSPC, EDQUOT};
  switch (opcode) {
    case IoOpcode::kRead:
      return interrupted + device + Errnos{EINVAL, ENOMEM, EUCLEAN, EBADMSG, ESTALE, EOPNOTSUPP};
    case IoOpcode::kWrite:
      return interrupted + device + full +
             Errnos{EINVAL, ENOMEM, EUCLEAN, EBADMSG, ESTALE, EOPNOTSUPP, EFBIG, EPERM, EROFS};
    case IoOpcode::kFdatasync:
    case IoOpcode::kFsync:
      return interrupted + device + full + Errnos{EROFS, EINVAL, EUCLEAN, ENOMEM, ESTALE};
    case IoOpcode::kAllocate:
      return interrupted + metadata + change + Errnos{EFBIG, EOPNOTSUPP, ENODEV, ETXTBSY, EINVAL};
    case IoOpcode::kPunch:
      return interrupted + metadata + change + Errnos{EOPNOTSUPP, ENODEV, ETXTBSY};
    case IoOpcode::kTruncate:
      return interrupted + metadata + change + Errnos{EFBIG, EINVAL, ETXTBSY};
    case IoOpcode::kAdvise:
      return interrupted + Errnos{EINVAL, ENOMEM};
    case IoOpcode::kExtentHint:
      return Errnos{EINTR, EOPNOTSUPP, EINVAL} + metadata + change;
    case IoOpcode::kLock:
      return {EINTR, EBUSY, ENOLCK, EINVAL};
    case IoOpcode::kStat:
      return Errnos{EINTR} + metadata + lookup;
    case IoOpcode::kList:
      return Errnos{EINTR, ENOENT} + metadata;
    case IoOpcode::kClose:
      return {EIO, EINTR, ENOSPC, EDQUOT};
    case IoOpcode::kOpen:
      return interrupted + metadata + lookup + change + Errnos{EEXIST, EINVAL, EISDIR,  EMFILE,
                                                               ENFILE, ENODEV, ENXIO,   EBUSY,
                                                               EXDEV,  EFBIG,  ETXTBSY, EOVERFLOW};
    case IoOpcode::kRemove:
      return Errnos{EINTR, EBUSY, EISDIR, ENOTEMPTY} + metadata + lookup + change;
    case IoOpcode::kRename:
      return Errnos{EINTR, EBUSY, EEXIST, EINVAL, EISDIR, EMLINK, ENOTEMPTY, EXDEV} + metadata +
             lookup + change;
    case IoOpcode::kLink:
      return Errnos{EINTR, EEXIST, EMLINK, EXDEV} + metadata + lookup + change;
    case IoOpcode::kMakeDirectory:
      return Errnos{EINTR, EEXIST, EMLINK} + metadata + lookup + change;
  }
  IOENGINE_CHECK(false, "an opcode without errnos");
  return {};
}

std::array<Errnos, kIoOpcodes> MakeAll() {
  std::array<Errnos, kIoOpcodes> all;
  for (size_t i = 0; i < all.size(); ++i) all[i] = Make(static_cast<IoOpcode>(i));
  return all;
}

}  // namespace

const std::vector<int>& LegalErrnos(IoOpcode opcode) {
  static const auto* const all = new std::array<Errnos, kIoOpcodes>(MakeAll());
  return (*all)[static_cast<size_t>(opcode)];
}

bool IsRetried(IoOpcode opcode, int error) {
  return opcode != IoOpcode::kClose && (error == EINTR || error == EAGAIN);
}

}  // namespace ioengine
