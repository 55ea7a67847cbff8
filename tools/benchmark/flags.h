// Command line flags: `--name=value`, `--name value`, `--switch`.
#ifndef IOENGINE_TOOLS_BENCHMARK_FLAGS_H_
#define IOENGINE_TOOLS_BENCHMARK_FLAGS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ioengine::bench {

// A table of flags over getopt_long(3), which knows all the ways in which people write them.
// Names are as on the command line, without the dashes.
class FlagSet {
 public:
  // Reads the text after the `=`. An error becomes "--name=text: why".
  using Setter = std::function<absl::Status(std::string_view)>;

  // `value` is what --help shows for the value ("SIZE"). `help` says what it does and its default.
  void Add(std::string name, std::string value, std::string help, Setter set);

  // The common kinds. Each borrows its target, which holds the default.
  void AddString(std::string name, std::string value, std::string help, std::string* target);
  void AddSwitch(std::string name, std::string help, bool* target);
  // Bytes, with an optional unit: 4096, 4k, 4KiB, 1M, 1GiB (powers of 1024).
  void AddBytes(std::string name, std::string help, uint64_t* target);
  void AddInteger(std::string name, std::string help, int64_t low, int64_t high, int64_t* target);
  void AddInteger(std::string name, std::string help, uint64_t low, uint64_t high,
                  uint64_t* target);
  // Seconds, with an optional unit: 2, 0.5, 500ms, 2s, 1m.
  void AddSeconds(std::string name, std::string help, double* target);

  // Sets the targets; gives the words that are not flags. Errors: InvalidArgument names the flag.
  absl::StatusOr<std::vector<std::string>> Parse(int argc, char** argv);

  // Whether --help was among them. It is always known.
  bool help_wanted() const { return help_wanted_; }

  // Whether the command line had the flag.
  bool given(std::string_view name) const;

  // One flag a line, for --help.
  std::string Help() const;

 private:
  struct Flag {
    std::string name;
    std::string value;  // empty: a switch
    std::string help;
    Setter set;
    bool given = false;
  };

  std::vector<Flag> flags_;
  bool help_wanted_ = false;
};

// The number of bytes that `text` says, as AddBytes reads it. Errors: InvalidArgument.
absl::StatusOr<uint64_t> ParseBytes(std::string_view text);

// The seconds that `text` says, as AddSeconds reads it; above 0. Errors: InvalidArgument.
absl::StatusOr<double> ParseSeconds(std::string_view text);

// The place of `text` in `known`. Errors: InvalidArgument names it, and those that are known.
absl::StatusOr<size_t> FindName(std::string_view text, const std::vector<std::string>& known);

// Words with commas between them, each one of `known`. Errors: those of FindName.
absl::StatusOr<std::vector<std::string>> ParseChoices(std::string_view text,
                                                      const std::vector<std::string>& known);

// The one of `known` whose name, by `name_of`, that is. Errors: as of ParseChoices.
template <typename T, typename NameOf>
absl::StatusOr<T> ParseNamed(std::string_view text, std::initializer_list<T> known,
                             const NameOf& name_of) {
  std::vector<std::string> names;
  for (const T& one : known) names.emplace_back(name_of(one));
  absl::StatusOr<size_t> place = FindName(text, names);
  if (!place.ok()) return place.status();
  return *(known.begin() + *place);
}

// What a setter gives for text that was parsed to that.
template <typename T>
absl::Status Assign(absl::StatusOr<T> parsed, T* target) {
  if (parsed.ok()) *target = *std::move(parsed);
  return parsed.status();
}

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_FLAGS_H_
