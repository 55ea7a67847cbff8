// ROOT, as RootFile reads it.
#ifndef IOENGINE_TOOLS_INSPECT_ROOT_H_
#define IOENGINE_TOOLS_INSPECT_ROOT_H_

#include <vector>

#include "ioengine/tools/inspect/report.h"

namespace ioengine::inspect {

// Which of the report's slots is in force. Of a pair with one good slot opening makes the other one
// good: a warning.
void FindInForce(DatabaseReport& report);

// Whether its creation was cut short, so that nothing was ever in force.
bool IsUnfinished(const std::vector<SlotReport>& slots);

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_ROOT_H_
