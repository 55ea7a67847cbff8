// Translates IoRequest into submission queue entries.
#ifndef IOENGINE_IO_URING_PREPARE_SQE_H_
#define IOENGINE_IO_URING_PREPARE_SQE_H_

#include <liburing.h>

#include "ioengine/io/io_request.h"

namespace ioengine {

// IORING_OP_FTRUNCATE (Linux 6.9), which liburing 2.3 does not know.
inline constexpr int kOpFtruncate = 55;

// Fills `sqe` for the command; the caller sets user_data. The kernel reads what the pointers show
// until the operation completes.
void PrepareSqe(IoCommand& command, io_uring_sqe& sqe);

}  // namespace ioengine

#endif  // IOENGINE_IO_URING_PREPARE_SQE_H_
