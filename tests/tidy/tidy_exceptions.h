// What is excused from a rule of tidy_rules.h, and why.

#ifndef IOENGINE_TESTS_TIDY_TIDY_EXCEPTIONS_H_
#define IOENGINE_TESTS_TIDY_TIDY_EXCEPTIONS_H_

#include <string_view>
#include <vector>

#include "ioengine/tests/tidy/tidy_rules.h"

namespace ioengine::tidy {

struct Exception {
  std::string_view rule;         // the name of its check: "CheckLocks"
  std::string_view path_prefix;  // a file, or a folder that ends in '/'
  std::string_view reason;
};

const std::vector<Exception>& Exceptions();

// Takes out of `violations` of `rule` what `exceptions` excuse. An exception of that rule that
// excuses nothing is a violation itself: it is out of date.
std::vector<Violation> Excuse(std::string_view rule, const std::vector<Exception>& exceptions,
                              std::vector<Violation> violations);

}  // namespace ioengine::tidy

#endif  // IOENGINE_TESTS_TIDY_TIDY_EXCEPTIONS_H_
