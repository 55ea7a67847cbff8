// Separators: where one block of a table ends and the next one begins.
#ifndef IOENGINE_ENGINE_TABLE_SEPARATOR_H_
#define IOENGINE_ENGINE_TABLE_SEPARATOR_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "ioengine/engine/format/key_head.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/sched/canary.h"

namespace ioengine {

struct Separator {
  std::string key;
  Sequence sequence;
};

// The shortest that stands behind (last, last_sequence), a block's last record, and not behind the
// first record of the next block, whose key is `next`.
inline Separator SeparatorBetween(std::string_view last, Sequence last_sequence,
                                  std::string_view next) {
  if (IsCanary("table-separator-before-last")) return {std::string(last), kMaxSequence};
  if (last != next) {
    // `next` is larger, so it goes on behind what they share.
    return {std::string(next.substr(0, SharedPrefixBytes(last, next) + 1)), kMaxSequence};
  }
  // A key whose versions go on in the next block: whatever is older than the last one is there.
  if (last_sequence.counter > 0) {
    return {std::string(last), {last_sequence.epoch, last_sequence.counter - 1}};
  }
  return {std::string(last), {last_sequence.epoch - 1, UINT64_MAX}};
}

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_SEPARATOR_H_
