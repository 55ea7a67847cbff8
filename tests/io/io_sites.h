// The places of the program that ask for I/O, whether they ever run or not.

#ifndef IOENGINE_TESTS_IO_IO_SITES_H_
#define IOENGINE_TESTS_IO_IO_SITES_H_

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ioengine/io/io_site.h"

namespace ioengine {

struct CallSite {
  std::string file;
  uint32_t line = 0;
  uint32_t column = 0;

  std::string ToString() const { return file + ":" + std::to_string(line); }
  auto operator<=>(const CallSite&) const = default;
};

inline CallSite CallSiteOf(const IoSite& site) { return {site.file(), site.line(), site.column()}; }

// The sites in files whose path (from the root of the repository) begins with `prefix`, sorted:
// those that this binary and its libraries were compiled with. Nothing registers them: the compiler
// keeps a std::source_location for each call, as a record of a known shape, and this looks for that
// shape in all that was loaded. A function that the compiler leaves out has none.
std::vector<CallSite> IoSitesIn(std::string_view prefix);

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_IO_SITES_H_
