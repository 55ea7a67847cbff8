#include "ioengine/sched/canary.h"

#include <string>

namespace ioengine {
namespace {

// The one piece of global state here, and only in tests.
std::string& Chosen() {
  static std::string chosen;
  return chosen;
}

}  // namespace

bool IsCanary(std::string_view name) { return Chosen() == name; }

void SetCanary(std::string_view name) { Chosen() = name; }

}  // namespace ioengine
