// The bugs that ioengine-sim can plant (sched/canary.h), each of which it has to find.
#ifndef IOENGINE_TOOLS_SIM_CANARIES_H_
#define IOENGINE_TOOLS_SIM_CANARIES_H_

#include <string_view>

namespace ioengine::sim {

inline constexpr std::string_view kCanaries[] = {
    // The log.
    "wal-ack-before-sync",       // a durable write is acknowledged when it is written
    "wal-dsync-covers-earlier",  // a DSYNC write counts for the plain ones before it
    "wal-no-proof",              // whatever is missing is taken for torn
    "wal-ack-out-of-order",      // a frame that is done is acknowledged before an earlier one
    "wal-retry-after-failure",   // a failed sync is tried again, and succeeds
    "wal-tail-not-rewritten",    // what a failed sync dropped is taken for durable when it is read
    // ROOT and the opening of a store.
    "root-without-sync",     // its slots are written and not synced
    "store-no-seal",         // old streams are replayed to their end at each open
    "wal-no-recovery-sync",  // what was replayed is served before it is durable
    // The store.
    "store-publish-at-append",      // writes are seen before they reached their level
    "store-publish-failed-writes",  // writes are seen when the log has failed
    "store-snapshot-does-not-wait"  // for writes before it that are on their way
};

}  // namespace ioengine::sim

#endif  // IOENGINE_TOOLS_SIM_CANARIES_H_
