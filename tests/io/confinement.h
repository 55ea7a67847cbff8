// Takes from this process what others do not have. There is no way back: for child processes, and
// for test binaries of their own.

#ifndef IOENGINE_TESTS_IO_CONFINEMENT_H_
#define IOENGINE_TESTS_IO_CONFINEMENT_H_

#include <sys/resource.h>

#include <string>

namespace ioengine {

// As a container's profile does: the system calls of io_uring give `error` from now on, in this
// thread and those that it starts.
void BlockIoUring(int error);

// Whether it is so.
bool IoUringIsBlocked();

// Becomes a user who may lock that much memory, and runs no other process: the kernel counts it per
// user. What it had open stays open. Somebody who is no root stays who they are, with the limit.
// False when that fails.
bool BecomeOrdinaryUser(rlim_t memlock_bytes);

// Opens a directory, which any user may then use through the descriptor, also where they could not
// reach it by its path.
int OpenForEverybody(const std::string& directory);

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_CONFINEMENT_H_
