// Commands on names, as DmaFile and FileSystem make them.
#ifndef IOENGINE_IO_PATH_COMMAND_H_
#define IOENGINE_IO_PATH_COMMAND_H_

#include <fcntl.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ioengine/io/io_request.h"

namespace ioengine {

static_assert(kCurrentDirectory == AT_FDCWD);

// Relative to the working directory; change `request.fd` for another one.
inline IoCommand PathCommand(IoOpcode opcode, std::string path, IoSite site) {
  IoCommand command;
  command.request.opcode = opcode;
  command.request.fd = kCurrentDirectory;
  command.request.site = site;
  command.path = std::make_unique<PathArguments>();
  command.path->path = std::move(path);
  return command;
}

// The kernel takes a path to end at its first NUL: it would open, or remove, another file.
inline absl::Status CheckPath(const char* operation, const std::string& path) {
  if (path.find('\0') == std::string::npos) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(operation, " ", path.c_str(),
                                                 ": the path goes on after a NUL character, which "
                                                 "no file name can hold"));
}

}  // namespace ioengine

#endif  // IOENGINE_IO_PATH_COMMAND_H_
