// Registers the memory of a shard's buffers with its ring.
#ifndef IOENGINE_IO_URING_REGISTER_ARENA_H_
#define IOENGINE_IO_URING_REGISTER_ARENA_H_

#include <liburing.h>

#include <cstddef>
#include <span>

#include "ioengine/io/dma_buffer.h"

namespace ioengine {

// All of `arena`, in regions of 1 GiB, the most that the kernel takes in one; or where it grants
// less memory (RLIMIT_MEMLOCK), as many as it does of small ones, so that little of what it would
// grant is left over. Gives 0, or minus the errno of what is missing; `registration` says what
// there is.
int RegisterArena(io_uring& ring, std::span<std::byte> arena, BufferRegistration* registration);

}  // namespace ioengine

#endif  // IOENGINE_IO_URING_REGISTER_ARENA_H_
