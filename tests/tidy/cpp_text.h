// Enough of a C++ lexer for the tidy rules: what is code, which names it uses, where its functions
// are. It knows our clang-formatted style, not the language; what it cannot make sense of it
// reports instead of passing over.

#ifndef IOENGINE_TESTS_TIDY_CPP_TEXT_H_
#define IOENGINE_TESTS_TIDY_CPP_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ioengine::tidy {

// The lines of `text` without their ends. Ownership: they point into `text`.
std::vector<std::string_view> SplitLines(std::string_view text);

// The line of `offset`, from 1.
int LineOf(std::string_view text, size_t offset);

// `text` with the insides of comments, strings and character literals replaced by spaces. Offsets
// and line ends stay what they were.
std::string BlankNonCode(std::string_view text);

// `code` (from BlankNonCode) without preprocessor lines, and without what an #else or #elif gives
// as an alternative, so that the braces of the rest match.
std::string BlankPreprocessor(std::string_view code);

// A name as written, with its qualification: "open", "::open", "std::filesystem::remove".
struct Name {
  std::string text;
  size_t offset = 0;
  bool is_member = false;  // of an object, after a dot or an arrow, or of a template
  bool is_call = false;    // an opening parenthesis follows, and not at once a closing one; and
                           // it is not the name in a declaration such as `File read(path);`
};

// All names in `code` (from BlankNonCode), keywords among them.
std::vector<Name> FindNames(std::string_view code);

struct Include {
  int line = 0;
  std::string path;
  bool angled = false;
};

std::vector<Include> FindIncludes(std::string_view text);

struct Function {
  int first_line = 0;  // where its declaration begins
  int last_line = 0;   // of its closing brace
};

struct Functions {
  std::vector<Function> functions;  // those not within another
  int unbalanced_line = 0;          // where braces stop to match; 0: they match
};

Functions FindFunctions(std::string_view text);

}  // namespace ioengine::tidy

#endif  // IOENGINE_TESTS_TIDY_CPP_TEXT_H_
