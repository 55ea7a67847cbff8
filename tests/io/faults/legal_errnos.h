// What each operation may give on Linux.

#ifndef IOENGINE_TESTS_IO_FAULTS_LEGAL_ERRNOS_H_
#define IOENGINE_TESTS_IO_FAULTS_LEGAL_ERRNOS_H_

#include <vector>

#include "ioengine/io/io_request.h"

namespace ioengine {

inline constexpr int kIoOpcodes = static_cast<int>(IoOpcode::kMakeDirectory) + 1;

// The errnos of the system call's manual page; those that the block layer hands up (a bad medium is
// ENODATA, a broken path to the device ENOLINK, a checksum of the device EILSEQ, a timeout
// ETIMEDOUT, a device that is gone ENXIO); what ext4 and XFS say of damaged metadata (EUCLEAN,
// EBADMSG); and what the ring adds (ENOMEM, EAGAIN). Without those of a wrong program: EBADF and
// EFAULT.
const std::vector<int>& LegalErrnos(IoOpcode opcode);

// Whether the backend starts the operation again, and nobody is told if it works then.
bool IsRetried(IoOpcode opcode, int error);

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_FAULTS_LEGAL_ERRNOS_H_
