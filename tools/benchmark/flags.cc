#include "ioengine/tools/benchmark/flags.h"

#include <getopt.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace ioengine::bench {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

// Splits "12.5GiB" into the number and the rest.
absl::StatusOr<double> LeadingNumber(std::string_view text, std::string_view* rest) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number) || number < 0) {
    return absl::InvalidArgumentError("not a number");
  }
  *rest = text.substr(static_cast<size_t>(end - text.data()));
  return number;
}

template <typename T>
FlagSet::Setter IntegerSetter(T low, T high, T* target) {
  return [=](std::string_view text) {
    T value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
      return absl::InvalidArgumentError(
          absl::StrCat("give a whole number from ", low, " to ", high));
    }
    *target = value;
    return absl::OkStatus();
  };
}

struct Unit {
  std::string_view name;
  double factor;
};

}  // namespace

absl::StatusOr<size_t> FindName(std::string_view text, const std::vector<std::string>& known) {
  const auto found = std::find(known.begin(), known.end(), text);
  if (found != known.end()) return static_cast<size_t>(found - known.begin());
  return absl::InvalidArgumentError(
      absl::StrCat("'", View(text), "': known are ", absl::StrJoin(known, ",")));
}

absl::StatusOr<std::vector<std::string>> ParseChoices(std::string_view text,
                                                      const std::vector<std::string>& known) {
  std::vector<std::string> chosen = absl::StrSplit(View(text), ',');
  for (const std::string& one : chosen) {
    if (absl::Status status = FindName(one, known).status(); !status.ok()) return status;
  }
  return chosen;
}

absl::StatusOr<uint64_t> ParseBytes(std::string_view text) {
  static constexpr Unit kUnits[] = {{"", 1},
                                    {"B", 1},
                                    {"k", 1024},
                                    {"K", 1024},
                                    {"KiB", 1024},
                                    {"M", 1048576.0},
                                    {"m", 1048576.0},
                                    {"MiB", 1048576.0},
                                    {"G", 1073741824},
                                    {"g", 1073741824},
                                    {"GiB", 1073741824},
                                    {"T", 1099511627776.0},
                                    {"TiB", 1099511627776.0}};
  std::string_view rest;
  const absl::StatusOr<double> number = LeadingNumber(text, &rest);
  if (number.ok()) {
    for (const Unit& unit : kUnits) {
      const double bytes = *number * unit.factor;
      if (unit.name == rest && bytes == std::floor(bytes) && bytes < 0x1p62) {
        return static_cast<uint64_t>(bytes);
      }
    }
  }
  return absl::InvalidArgumentError("give a number of bytes, such as 4096, 4k, 1M or 2GiB");
}

absl::StatusOr<double> ParseSeconds(std::string_view text) {
  struct TimeUnit {
    std::string_view name;
    double parts_per_second;
  };
  static constexpr TimeUnit kUnits[] = {
      {"", 1}, {"s", 1}, {"ms", 1000}, {"m", 1.0 / 60}, {"h", 1.0 / 3600}};
  std::string_view rest;
  const absl::StatusOr<double> number = LeadingNumber(text, &rest);
  if (number.ok()) {
    for (const TimeUnit& unit : kUnits) {
      // Divided, not multiplied by a thousandth: 700ms is 0.7, not 0.7000000000000001.
      if (unit.name == rest && *number > 0) return *number / unit.parts_per_second;
    }
  }
  return absl::InvalidArgumentError("give a time above 0, such as 2, 0.5, 500ms or 1m");
}

void FlagSet::Add(std::string name, std::string value, std::string help, Setter set) {
  flags_.push_back({std::move(name), std::move(value), std::move(help), std::move(set)});
}

void FlagSet::AddString(std::string name, std::string value, std::string help,
                        std::string* target) {
  Add(std::move(name), std::move(value), std::move(help), [target](std::string_view text) {
    *target = std::string(text);
    return absl::OkStatus();
  });
}

void FlagSet::AddSwitch(std::string name, std::string help, bool* target) {
  Add(std::move(name), "", std::move(help), [target](std::string_view) {
    *target = true;
    return absl::OkStatus();
  });
}

void FlagSet::AddBytes(std::string name, std::string help, uint64_t* target) {
  Add(std::move(name), "BYTES", std::move(help), [target](std::string_view text) {
    const absl::StatusOr<uint64_t> bytes = ParseBytes(text);
    if (bytes.ok()) *target = *bytes;
    return bytes.status();
  });
}

void FlagSet::AddInteger(std::string name, std::string help, int64_t low, int64_t high,
                         int64_t* target) {
  Add(std::move(name), "N", std::move(help), IntegerSetter(low, high, target));
}

void FlagSet::AddInteger(std::string name, std::string help, uint64_t low, uint64_t high,
                         uint64_t* target) {
  Add(std::move(name), "N", std::move(help), IntegerSetter(low, high, target));
}

void FlagSet::AddSeconds(std::string name, std::string help, double* target) {
  Add(std::move(name), "SECONDS", std::move(help), [target](std::string_view text) {
    const absl::StatusOr<double> seconds = ParseSeconds(text);
    if (seconds.ok()) *target = *seconds;
    return seconds.status();
  });
}

absl::StatusOr<std::vector<std::string>> FlagSet::Parse(int argc, char** argv) {
  std::vector<option> options;
  for (const Flag& flag : flags_) {
    const int argument = flag.value.empty() ? no_argument : required_argument;
    options.push_back({flag.name.c_str(), argument, nullptr, 0});
  }
  options.push_back({"help", no_argument, nullptr, 'h'});
  options.push_back({nullptr, 0, nullptr, 0});

  optind = 0;  // getopt's own state: start afresh
  opterr = 0;  // we word the errors
  for (;;) {
    int index = -1;
    const int before = optind;
    const int found = getopt_long(argc, argv, ":h", options.data(), &index);
    if (found == -1) break;
    if (found == 'h') {
      help_wanted_ = true;
    } else if (found == '?' || found == ':') {
      const char* word = argv[std::clamp(optind > before ? optind - 1 : before, 1, argc - 1)];
      return absl::InvalidArgumentError(absl::StrCat(
          word, found == ':' ? ": needs a value" : ": no such flag, or not with this value",
          "; see --help"));
    } else {
      Flag& flag = flags_[static_cast<size_t>(index)];
      flag.given = true;
      const std::string_view text = optarg == nullptr ? "" : optarg;
      if (absl::Status status = flag.set(text); !status.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("--", flag.name, "=", View(text), ": ", status.message()));
      }
    }
  }
  return std::vector<std::string>(argv + optind, argv + argc);
}

bool FlagSet::given(std::string_view name) const {
  return std::any_of(flags_.begin(), flags_.end(),
                     [&](const Flag& flag) { return flag.name == name && flag.given; });
}

std::string FlagSet::Help() const {
  std::string text;
  for (const Flag& flag : flags_) {
    const std::string head =
        flag.value.empty() ? flag.name : absl::StrCat(flag.name, "=", flag.value);
    absl::StrAppendFormat(&text, "  --%-24s ", head);
    // Further lines of the help stand under the first.
    for (const char c : flag.help) {
      text += c;
      if (c == '\n') text += std::string(29, ' ');
    }
    text += '\n';
  }
  return text;
}

}  // namespace ioengine::bench
