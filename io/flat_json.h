// A JSON object of strings, numbers and booleans, without any nesting: what the library reads from
// files that a tool or a person wrote.
#ifndef IOENGINE_IO_FLAT_JSON_H_
#define IOENGINE_IO_FLAT_JSON_H_

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

namespace ioengine {

struct FlatJsonField {
  std::string name;
  std::variant<std::string, double, bool> value;
  int line = 1;  // where the name stands, from 1
};

// The fields in their order. Errors: InvalidArgument "line 3, field 'x': …" for what is no such
// object, and for a name that is there twice. Strings have the escapes \" \\ \/ \n and \t only.
absl::StatusOr<std::vector<FlatJsonField>> ParseFlatJson(std::string_view text);

}  // namespace ioengine

#endif  // IOENGINE_IO_FLAT_JSON_H_
