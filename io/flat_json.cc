#include "ioengine/io/flat_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ioengine {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  absl::StatusOr<std::vector<FlatJsonField>> Read();

 private:
  void SkipSpace();
  bool Take(char wanted);
  bool TakeWord(std::string_view word);
  absl::StatusOr<std::string> ReadString();
  absl::StatusOr<double> ReadNumber();
  absl::Status ReadValue(FlatJsonField* field);
  absl::Status Error(const char* what) const;

  std::string_view rest_;
  int line_ = 1;
  std::string field_;  // that is being read
};

absl::Status Reader::Error(const char* what) const {
  return absl::InvalidArgumentError(absl::StrCat(
      "line ", line_, field_.empty() ? std::string() : absl::StrCat(", field '", field_, "'"), ": ",
      what));
}

void Reader::SkipSpace() {
  while (!rest_.empty()) {
    const char c = rest_.front();
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return;
    if (c == '\n') ++line_;
    rest_.remove_prefix(1);
  }
}

bool Reader::Take(char wanted) {
  SkipSpace();
  if (rest_.empty() || rest_.front() != wanted) return false;
  rest_.remove_prefix(1);
  return true;
}

bool Reader::TakeWord(std::string_view word) {
  if (!rest_.starts_with(word)) return false;
  rest_.remove_prefix(word.size());
  return true;
}

absl::StatusOr<std::string> Reader::ReadString() {
  if (!Take('"')) return Error("a name or a string in quotes is expected");
  std::string read;
  for (;;) {
    if (rest_.empty()) return Error("the string does not end");
    char c = rest_.front();
    rest_.remove_prefix(1);
    if (c == '"') return read;
    if (static_cast<unsigned char>(c) < ' ') return Error("a string has a control character");
    if (c == '\\') {
      if (rest_.empty()) return Error("the string does not end");
      c = rest_.front();
      rest_.remove_prefix(1);
      if (c == 'n') {
        c = '\n';
      } else if (c == 't') {
        c = '\t';
      } else if (c != '"' && c != '\\' && c != '/') {
        return Error("a string has an escape that is not known");
      }
    }
    read.push_back(c);
  }
}

absl::StatusOr<double> Reader::ReadNumber() {
  double number = 0;
  const char* const begin = rest_.data();
  const auto [end, error] = std::from_chars(begin, begin + rest_.size(), number);
  // from_chars takes "inf" and "nan" too, which are no JSON.
  if (error != std::errc() || !std::isfinite(number)) {
    return Error("a string, a number, true or false is expected");
  }
  rest_.remove_prefix(static_cast<size_t>(end - begin));
  return number;
}

absl::Status Reader::ReadValue(FlatJsonField* field) {
  SkipSpace();
  if (rest_.empty()) return Error("the value is missing");
  if (rest_.front() == '{' || rest_.front() == '[') return Error("objects within it are not known");
  if (rest_.front() == '"') {
    absl::StatusOr<std::string> read = ReadString();
    if (!read.ok()) return read.status();
    field->value = *std::move(read);
  } else if (TakeWord("true")) {
    field->value = true;
  } else if (TakeWord("false")) {
    field->value = false;
  } else {
    const absl::StatusOr<double> read = ReadNumber();
    if (!read.ok()) return read.status();
    field->value = *read;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<FlatJsonField>> Reader::Read() {
  std::vector<FlatJsonField> fields;
  if (!Take('{')) return Error("a JSON object is expected");
  bool more = !Take('}');
  while (more) {
    field_.clear();
    SkipSpace();
    FlatJsonField field;
    field.line = line_;
    absl::StatusOr<std::string> name = ReadString();
    if (!name.ok()) return name.status();
    field.name = field_ = *std::move(name);
    const bool twice = std::any_of(fields.begin(), fields.end(), [&](const FlatJsonField& other) {
      return other.name == field.name;
    });
    if (twice) return Error("it is there twice");
    if (!Take(':')) return Error("':' is expected");
    if (absl::Status status = ReadValue(&field); !status.ok()) return status;
    fields.push_back(std::move(field));
    more = Take(',');
    if (!more && !Take('}')) return Error("',' or '}' is expected");
  }
  field_.clear();
  SkipSpace();
  if (!rest_.empty()) return Error("something follows the object");
  return fields;
}

}  // namespace

absl::StatusOr<std::vector<FlatJsonField>> ParseFlatJson(std::string_view text) {
  return Reader(text).Read();
}

}  // namespace ioengine
