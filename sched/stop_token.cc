#include "ioengine/sched/stop_token.h"

namespace ioengine {

void StopToken::Release(internal::StopState& state) {
  if (--state.references == 0) delete &state;
}

}  // namespace ioengine
