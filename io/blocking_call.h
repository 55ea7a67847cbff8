// Runs one command with plain system calls, on the thread that calls it.
#ifndef IOENGINE_IO_BLOCKING_CALL_H_
#define IOENGINE_IO_BLOCKING_CALL_H_

#include <atomic>
#include <cstdint>
#include <limits>

#include "ioengine/io/io_request.h"

namespace ioengine {

// Stands for a result: the transfer would wait for somebody at the other end of a pipe or socket,
// and has done nothing yet. No errno, and no number of bytes.
inline constexpr int32_t kWouldWait = std::numeric_limits<int32_t>::min();

// Gives the raw result of `command`, as a completion of io_uring would: bytes, a descriptor or 0;
// minus an errno; or kWouldWait. Every opcode means what it means there, except for the open of a
// pipe, which does not wait for its other end: one for reading succeeds, one for writing gives
// ENXIO where nobody reads. What it finds besides a number is fetched by TakeResults.
//
// `cancelled`: looked at where a call takes steps (ECANCELED); what is within one system call is
// not interrupted.
//
// Shard: none. It waits for the device. On a thread that blocks SIGPIPE.
// Ownership: borrows both for the call; uses the descriptor, and no registered file or buffer.
// Cost: one system call; three for an open, more for pipes, sockets and directories.
int32_t RunBlockingCall(IoCommand& command, const std::atomic<bool>& cancelled);

// What poll(2) is to wait for before a call that gave kWouldWait is made again.
short WaitEvents(const IoRequest& request);

}  // namespace ioengine

#endif  // IOENGINE_IO_BLOCKING_CALL_H_
