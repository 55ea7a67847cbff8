// Translates IoRequest into submission queue entries.
#ifndef IOENGINE_IO_URING_PREPARE_SQE_H_
#define IOENGINE_IO_URING_PREPARE_SQE_H_

#include <liburing.h>

#include "ioengine/io/io_request.h"

namespace ioengine {

// Fills `sqe` for the command; the caller sets user_data. The kernel reads what the pointers show
// until the operation completes.
void PrepareSqe(IoCommand& command, io_uring_sqe& sqe);

}  // namespace ioengine

#endif  // IOENGINE_IO_URING_PREPARE_SQE_H_
