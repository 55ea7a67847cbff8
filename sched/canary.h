// Canaries: bugs that are planted on purpose, to show that the tests find their kind.
#ifndef IOENGINE_SCHED_CANARY_H_
#define IOENGINE_SCHED_CANARY_H_

#include <string_view>

namespace ioengine {

// Whether the bug `name` is to happen here. Only the library that is built for the simulator
// (`ioengine_engine_library`, IOENGINE_CANARIES) can have one; in all others this is the constant
// false and leaves no code.
#ifdef IOENGINE_CANARIES
bool IsCanary(std::string_view name);
// Chooses one for the whole process; "" for none. Before shards run.
void SetCanary(std::string_view name);
#else
constexpr bool IsCanary(std::string_view) { return false; }
#endif

}  // namespace ioengine

#endif  // IOENGINE_SCHED_CANARY_H_
