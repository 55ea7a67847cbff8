// A program that knows nothing of the tree it comes from: it is built against an installed library.

#include <cstdio>

#include "ioengine/version.h"

int main() {
  std::printf("ioengine %s\n", ioengine::kVersion);
  return 0;
}
