#include "ioengine/tests/tidy/cpp_text.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ioengine::tidy {
namespace {

bool IsNameStart(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }

bool IsNameChar(char c) { return IsNameStart(c) || (c >= '0' && c <= '9'); }

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// The first position at or after `at` that holds no white space.
size_t SkipSpace(std::string_view text, size_t at) {
  while (at < text.size() && IsSpace(text[at])) ++at;
  return at;
}

void Blank(std::string* text, size_t begin, size_t end) {
  for (size_t i = begin; i < std::min(end, text->size()); ++i) {
    if ((*text)[i] != '\n') (*text)[i] = ' ';
  }
}

// Whether the quote at `at` is the separator of 1'000'000: then it stands in a word that begins
// with a digit, unlike the prefix of a character literal (L'x').
bool IsDigitSeparator(std::string_view text, size_t at) {
  size_t begin = at;
  while (begin > 0 && (IsNameChar(text[begin - 1]) || text[begin - 1] == '\'')) --begin;
  return begin < at && text[begin] >= '0' && text[begin] <= '9';
}

// Where the literal ends whose opening quote is at `at`; strings do not span lines.
size_t EndOfLiteral(std::string_view text, size_t at) {
  const char quote = text[at];
  size_t i = at + 1;
  while (i < text.size() && text[i] != quote && text[i] != '\n') i += text[i] == '\\' ? 2 : 1;
  return std::min(i + 1, text.size());
}

// Where the raw string ends whose opening quote is at `at`: R"delimiter( … )delimiter".
size_t EndOfRawString(std::string_view text, size_t at) {
  const size_t open = text.find('(', at);
  if (open == std::string_view::npos) return text.size();
  const std::string close = ")" + std::string(text.substr(at + 1, open - at - 1)) + "\"";
  const size_t end = text.find(close, open);
  return end == std::string_view::npos ? text.size() : end + close.size();
}

bool StartsWithWord(std::string_view text, std::string_view word) {
  return text.starts_with(word) && (text.size() == word.size() || !IsNameChar(text[word.size()]));
}

// Whether what stands before a name is a type, so that the name is declared: a word that is no
// keyword before expressions, or the end of template arguments (`a > b` has a space there).
bool EndsWithType(std::string_view left) {
  if (left.ends_with('>')) return !left.ends_with("->") && !left.ends_with(" >");
  size_t begin = left.size();
  while (begin > 0 && IsNameChar(left[begin - 1])) --begin;
  const std::string_view word = left.substr(begin);
  return !word.empty() && word != "return" && word != "co_return" && word != "co_await" &&
         word != "co_yield" && word != "else" && word != "do";
}

}  // namespace

std::vector<std::string_view> SplitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

int LineOf(std::string_view text, size_t offset) {
  const auto begin = text.begin();
  return 1 + static_cast<int>(std::count(begin, begin + static_cast<ptrdiff_t>(offset), '\n'));
}

std::string BlankNonCode(std::string_view text) {
  std::string code(text);
  for (size_t i = 0; i < text.size();) {
    const std::string_view rest = text.substr(i);
    if (rest.starts_with("//")) {
      const size_t end = std::min(text.find('\n', i), text.size());
      Blank(&code, i, end);
      i = end;
    } else if (rest.starts_with("/*")) {
      const size_t close = text.find("*/", i + 2);
      const size_t end = close == std::string_view::npos ? text.size() : close + 2;
      Blank(&code, i, end);
      i = end;
    } else if (text[i] == '"' && i > 0 && text[i - 1] == 'R') {
      const size_t end = EndOfRawString(text, i);
      Blank(&code, i + 1, end - 1);
      i = end;
    } else if (text[i] == '"' || (text[i] == '\'' && !IsDigitSeparator(text, i))) {
      const size_t end = EndOfLiteral(text, i);
      Blank(&code, i + 1, end - 1);
      i = end;
    } else {
      ++i;
    }
  }
  return code;
}

std::string BlankPreprocessor(std::string_view code) {
  std::string result(code);
  int depth = 0;           // of open #if
  int alternative_at = 0;  // the depth whose #else or #elif is being left out; 0: none
  bool continued = false;
  size_t offset = 0;
  for (const std::string_view line : SplitLines(code)) {
    const size_t hash = SkipSpace(line, 0);
    const bool directive = hash < line.size() && line[hash] == '#';
    if (directive && !continued) {
      const std::string_view word = line.substr(SkipSpace(line, hash + 1));
      if (word.starts_with("if")) ++depth;
      if (word.starts_with("el") && alternative_at == 0) alternative_at = depth;
      if (word.starts_with("endif")) {
        if (alternative_at == depth) alternative_at = 0;
        --depth;
      }
    }
    const bool in_directive = directive || continued;
    if (in_directive || alternative_at != 0) Blank(&result, offset, offset + line.size());
    continued = in_directive && line.ends_with('\\');
    offset += line.size() + 1;
  }
  return result;
}

std::vector<Name> FindNames(std::string_view code) {
  std::vector<Name> names;
  for (size_t i = 0; i < code.size();) {
    const bool global = code.substr(i).starts_with("::");
    const size_t first = global ? i + 2 : i;
    if (first >= code.size() || !IsNameStart(code[first])) {
      // A number goes as a whole, so that the "ull" of 1ull is not a name.
      if (!global && code[i] >= '0' && code[i] <= '9') {
        while (i < code.size() && IsNameChar(code[i])) ++i;
      } else {
        ++i;
      }
      continue;
    }
    size_t end = first;
    while (end < code.size() && IsNameChar(code[end])) {
      while (end < code.size() && IsNameChar(code[end])) ++end;
      const bool goes_on =
          code.substr(end).starts_with("::") && end + 2 < code.size() && IsNameStart(code[end + 2]);
      if (goes_on) end += 2;
    }
    Name name;
    name.text = code.substr(i, end - i);
    name.offset = i;
    size_t before = i;
    while (before > 0 && IsSpace(code[before - 1])) --before;
    const std::string_view left = code.substr(0, before);
    name.is_member = left.ends_with('.') || left.ends_with("->") || (global && left.ends_with('>'));
    const size_t after = SkipSpace(code, end);
    if (after < code.size() && code[after] == '(' && (global || !EndsWithType(left))) {
      const size_t inside = SkipSpace(code, after + 1);
      name.is_call = inside < code.size() && code[inside] != ')';
    }
    names.push_back(name);
    i = end;
  }
  return names;
}

std::vector<Include> FindIncludes(std::string_view text) {
  std::vector<Include> includes;
  const std::string code = BlankNonCode(text);
  const std::vector<std::string_view> code_lines = SplitLines(code);
  const std::vector<std::string_view> lines = SplitLines(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    const size_t hash = SkipSpace(code_lines[i], 0);
    if (hash == code_lines[i].size() || code_lines[i][hash] != '#') continue;
    const size_t word = SkipSpace(code_lines[i], hash + 1);
    if (!StartsWithWord(code_lines[i].substr(word), "include")) continue;
    const size_t open = lines[i].find_first_of("\"<", word);
    if (open == std::string_view::npos) continue;
    const bool angled = lines[i][open] == '<';
    const size_t close = std::min(lines[i].find(angled ? '>' : '"', open + 1), lines[i].size());
    includes.push_back(Include{.line = static_cast<int>(i) + 1,
                               .path = std::string(lines[i].substr(open + 1, close - open - 1)),
                               .angled = angled});
  }
  return includes;
}

namespace {

enum class BlockKind { kScope, kFunction, kOther };  // kScope: namespace, class, extern "C"

// Drops the <…> of a leading `template <…>`, whose defaults and `class` would mislead.
std::string_view WithoutTemplateHead(std::string_view header) {
  header.remove_prefix(SkipSpace(header, 0));
  while (StartsWithWord(header, "template")) {
    size_t i = std::min(header.find('<'), header.size());
    for (int depth = 0; i < header.size(); ++i) {
      depth += header[i] == '<' ? 1 : header[i] == '>' ? -1 : 0;
      if (depth == 0) break;
    }
    header.remove_prefix(std::min(i + 1, header.size()));
    header.remove_prefix(SkipSpace(header, 0));
  }
  return header;
}

// What a brace opens, told from the text between the last `;`, `{` or `}` and itself.
BlockKind KindOf(std::string_view header) {
  header = WithoutTemplateHead(header);
  for (const Name& name : FindNames(header)) {
    if (name.text == "namespace" || name.text == "extern") return BlockKind::kScope;
    if (name.text == "enum") return BlockKind::kOther;
    if (name.text == "class" || name.text == "struct" || name.text == "union") {
      return BlockKind::kScope;
    }
  }
  std::string outside_parentheses;
  int depth = 0;
  for (const char c : header) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (depth == 0) outside_parentheses += c;
  }
  const bool has_parentheses = header.find('(') != std::string_view::npos;
  const bool is_operator = outside_parentheses.find("operator") != std::string::npos;
  const bool assigns = outside_parentheses.find('=') != std::string::npos && !is_operator;
  return has_parentheses && !assigns ? BlockKind::kFunction : BlockKind::kOther;
}

struct Block {
  BlockKind kind = BlockKind::kOther;
  size_t header = 0;            // where its header begins
  bool in_parentheses = false;  // a default argument: the header goes on after it
};

// `closed` is the block before, if nothing but white space or a comma is between: in
// `Foo() : a_{1}, b_{2} {` only the last brace opens the function that the first header began.
Block Open(std::string_view code, size_t header, size_t brace, const Block& closed) {
  const size_t begin = SkipSpace(code, header);
  const bool goes_on =
      closed.kind == BlockKind::kFunction && (begin == brace || code[begin] == ',');
  if (goes_on) return closed;
  const std::string_view text = code.substr(header, brace - header);
  if (std::count(text.begin(), text.end(), '(') > std::count(text.begin(), text.end(), ')')) {
    return {BlockKind::kOther, begin, true};
  }
  return {KindOf(text), begin};
}

}  // namespace

Functions FindFunctions(std::string_view text) {
  const std::string code = BlankPreprocessor(BlankNonCode(text));
  std::vector<Block> open;
  Block closed;  // at the last `}`, until the next `;` or `{`
  Functions found;
  size_t header = 0;
  for (size_t i = 0; i < code.size(); ++i) {
    if (code[i] == '{') {
      const bool in_scope = open.empty() || open.back().kind == BlockKind::kScope;
      open.push_back(in_scope ? Open(code, header, i, closed) : Block());
      closed = Block();
    } else if (code[i] == '}') {
      if (open.empty()) {
        found.unbalanced_line = LineOf(code, i);
        return found;
      }
      closed = open.back();
      open.pop_back();
      if (closed.kind == BlockKind::kFunction) {
        const Function function = {LineOf(code, closed.header), LineOf(code, i)};
        const bool same =
            !found.functions.empty() && found.functions.back().first_line == function.first_line;
        if (same) found.functions.pop_back();
        found.functions.push_back(function);
      }
      if (closed.in_parentheses) {
        header = closed.header;
        continue;
      }
    } else if (code[i] == ';') {
      closed = Block();
    } else {
      continue;
    }
    header = i + 1;
  }
  if (!open.empty()) found.unbalanced_line = LineOf(code, open.back().header);
  return found;
}

}  // namespace ioengine::tidy
