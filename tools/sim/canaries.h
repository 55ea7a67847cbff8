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
    "wal-segment-size-unchecked",  // a segment that was cut short is taken for one with an early
                                   // end
    // ROOT and the opening of a store.
    "root-without-sync",     // its slots are written and not synced
    "store-no-seal",         // old streams are replayed to their end at each open
    "wal-no-recovery-sync",  // what was replayed is served before it is durable
    // The store.
    "store-publish-at-append",       // writes are seen before they reached their level
    "store-publish-failed-writes",   // writes are seen when the log has failed
    "store-snapshot-does-not-wait",  // for writes before it that are on their way
    // Tables and the manifest.
    "table-skip-fdatasync",            // a table is named that is in the device's cache only
    "flush-table-name-not-synced",     // or whose name may be gone
    "flush-release-before-edit",       // the log goes before the manifest names the table
    "flush-contains-what-came-later",  // the edit counts records that the table does not have
    "flush-forgets-streams",         // ROOT forgets old streams before the table has their records
    "store-frozen-not-read",         // what is on its way to a table is not looked at
    "manifest-snapshot-not-synced",  // ROOT names a manifest that may lack its beginning
    "catalog-reuses-names",          // of tables of an earlier life
    // Compaction.
    "compaction-forgets-snapshots",    // what only a snapshot sees is dropped
    "compaction-drops-any-delete",     // also one that hides something older
    "compaction-removes-before-edit",  // its inputs, before the manifest has let go of them
    // Values in files of their own.
    "blob-frame-before-durable",  // the log points to values that are being written
    "blob-not-synced",            // or are in the device's cache only
    "blob-name-not-synced",       // or whose file's name may be gone
    "blob-orphans-without-log",   // a file that only the log points to is removed at the opening
    "blob-move-before-durable",   // a table points to values that were moved and may be lost
    "blob-removed-before-edit"    // the manifest has tables yet that point to where they were
};

}  // namespace ioengine::sim

#endif  // IOENGINE_TOOLS_SIM_CANARIES_H_
