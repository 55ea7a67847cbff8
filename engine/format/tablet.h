// The tablets of a database of several shards: names and identities.
#ifndef IOENGINE_ENGINE_FORMAT_TABLET_H_
#define IOENGINE_ENGINE_FORMAT_TABLET_H_

#include <cstdint>
#include <string>

#include "ioengine/engine/format/uuid.h"

namespace ioengine {

// "T-<number>": of its directory.
std::string TabletName(uint64_t number);

// Of the database that it is in itself. Derived from that of the whole one, so that a tablet whose
// directory is in another one's place is found out.
Uuid TabletIdentity(const Uuid& database, uint64_t number);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_TABLET_H_
