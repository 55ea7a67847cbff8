// IoSite: the place in a program that asked for an operation.
#ifndef IOENGINE_IO_IO_SITE_H_
#define IOENGINE_IO_IO_SITE_H_

#include <cstdint>
#include <cstring>
#include <source_location>
#include <string>

#include "absl/status/status.h"

namespace ioengine {

// The last parameter of each public operation, and nothing that a caller has to write: the call's
// own place is the default. A function that only hands an operation on takes one of its own in the
// same way and gives it to what it calls.
//
// It goes with the operation to the backend. Errors carry it (IoSiteOf), reports of slow I/O and
// traces show it, and faults of a simulation are addressed by it. What one site issues is told
// apart by opcode: the removal of a name in a directory opens and closes that, too.
//
// Not a macro that registers each place: the compiler keeps a record of each call's place in the
// binary, which is a register already (tests/io/io_sites.h reads it, also of calls that never run),
// and callers need not take part.
//
// Cost: a pointer to that record.
class IoSite {
 public:
  // None is known.
  constexpr IoSite() = default;
  // Implicit, so that `IoSite site = std::source_location::current()` is a parameter.
  constexpr IoSite(std::source_location location) : location_(location) {}  // NOLINT

  bool known() const { return location_.line() != 0; }
  const char* file() const { return location_.file_name(); }
  uint32_t line() const { return location_.line(); }
  uint32_t column() const { return location_.column(); }

  // "engine/wal/writer.cc:120"; empty where none is known.
  std::string ToString() const;

  // A place in a header has a record in each translation unit.
  friend bool operator==(const IoSite& first, const IoSite& second) {
    return first.line() == second.line() && first.column() == second.column() &&
           std::strcmp(first.file(), second.file()) == 0;
  }

 private:
  std::source_location location_;
};

// Where the failed operation was asked for that `status` tells of, as IoSite::ToString gives it;
// empty where none is known. A payload of the status: it is no part of the message, and is gone
// where somebody makes another Status of that.
std::string IoSiteOf(const absl::Status& status);

// Adds it to an error.
absl::Status WithIoSite(absl::Status status, IoSite site);

}  // namespace ioengine

#endif  // IOENGINE_IO_IO_SITE_H_
