#include "ioengine/sched/this_thread.h"

namespace ioengine::internal {

constinit thread_local ThisThread this_thread;

}  // namespace ioengine::internal
