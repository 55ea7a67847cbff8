#include "ioengine/tests/io/io_sites.h"

#include <link.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <source_location>
#include <string>
#include <vector>

#include "ioengine/sched/check.h"

// The sanitizer keeps room between constants, which may not be looked at.
#define IOENGINE_LOOKS_EVERYWHERE __attribute__((no_sanitize("address")))

namespace ioengine {
namespace {

// What a std::source_location points to, in libstdc++ and libc++.
struct Record {
  const char* file;
  const char* function;
  uint32_t line;
  uint32_t column;
};
static_assert(sizeof(std::source_location) == sizeof(Record*));

struct Segment {
  uintptr_t begin;
  uintptr_t end;
};

// All that is mapped of this process's binaries. GCC keeps the records among the data, and not
// among the constants.
using Segments = std::vector<Segment>;

int AddSegments(dl_phdr_info* module, size_t /*size*/, void* segments) {
  for (size_t i = 0; i < module->dlpi_phnum; ++i) {
    const auto& header = module->dlpi_phdr[i];
    if (header.p_type != PT_LOAD || (header.p_flags & PF_R) == 0) continue;
    const uintptr_t begin = module->dlpi_addr + header.p_vaddr;
    static_cast<Segments*>(segments)->push_back({begin, begin + header.p_memsz});
  }
  return 0;
}

IOENGINE_LOOKS_EVERYWHERE
bool StartsWith(const Segments& segments, uintptr_t address, std::string_view prefix) {
  for (const Segment& segment : segments) {
    if (address < segment.begin || address >= segment.end) continue;
    if (segment.end - address <= prefix.size()) return false;
    const char* const text = reinterpret_cast<const char*>(address);
    for (size_t i = 0; i < prefix.size(); ++i) {
      if (text[i] != prefix[i]) return false;
    }
    return true;
  }
  return false;
}

IOENGINE_LOOKS_EVERYWHERE
void FindIn(const Segment& where, const Segments& segments, std::string_view prefix,
            std::vector<CallSite>& found) {
  constexpr uint32_t kMostLines = 100'000;
  constexpr uint32_t kMostColumns = 1'000;
  constexpr uintptr_t kStep = alignof(Record);
  uintptr_t at = (where.begin + kStep - 1) / kStep * kStep;
  for (; at + sizeof(Record) <= where.end; at += kStep) {
    const auto& record = *reinterpret_cast<const Record*>(at);
    if (record.line == 0 || record.line > kMostLines) continue;
    if (record.column == 0 || record.column > kMostColumns) continue;
    if (!StartsWith(segments, reinterpret_cast<uintptr_t>(record.file), prefix)) continue;
    if (!StartsWith(segments, reinterpret_cast<uintptr_t>(record.function), "")) continue;
    found.push_back({record.file, record.line, record.column});
  }
}

}  // namespace

std::vector<CallSite> IoSitesIn(std::string_view prefix) {
  IOENGINE_CHECK(!prefix.empty(), "every string begins with nothing");
  Segments segments;
  dl_iterate_phdr(AddSegments, &segments);
  std::vector<CallSite> found;
  for (const Segment& where : segments) FindIn(where, segments, prefix, found);
  // A header's are in each translation unit.
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace ioengine
