#include "core/catalog/quantity.h"

#include <cmath>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

struct Suffix {
  std::string_view text;
  double factor;
};

constexpr Suffix kSuffixes[] = {
    {"Ki", 0x1p10}, {"Mi", 0x1p20}, {"Gi", 0x1p30}, {"Ti", 0x1p40}, {"Pi", 0x1p50},
    {"Ei", 0x1p60}, {"m", 1e-3},    {"k", 1e3},     {"M", 1e6},     {"G", 1e9},
    {"T", 1e12},    {"P", 1e15},    {"E", 1e18},    {"", 1},
};

// The length of the leading decimal number (digits with at most one dot).
size_t NumberLength(std::string_view text) {
  size_t length = 0;
  int dots = 0;
  while (length < text.size() &&
         (absl::ascii_isdigit(text[length]) || (text[length] == '.' && dots++ == 0))) {
    ++length;
  }
  return length;
}

}  // namespace

absl::StatusOr<double> ParseQuantity(std::string_view text) {
  absl::Status bad = absl::InvalidArgumentError(
      Cat("got \"", text, "\", want a Kubernetes quantity such as 500m or 128Mi"));
  std::string_view number = text.substr(0, NumberLength(text));
  std::string_view rest = text.substr(number.size());
  double value = 0;
  if (number.empty() || number == "." || !absl::SimpleAtod(AbslView(number), &value)) return bad;
  if (rest.size() > 1 && (rest[0] == 'e' || rest[0] == 'E')) {
    int exponent = 0;
    if (!absl::SimpleAtoi(AbslView(rest.substr(1)), &exponent) || std::abs(exponent) > 18)
      return bad;
    return value * std::pow(10, exponent);
  }
  for (const Suffix& suffix : kSuffixes) {
    if (rest == suffix.text) return value * suffix.factor;
  }
  return bad;
}

}  // namespace capstan::catalog
