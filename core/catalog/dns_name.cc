#include "core/catalog/dns_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

bool IsLowerOrDigit(char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c); }

// Without the limit of 63: a subdomain only bounds the whole.
bool IsLabelShaped(std::string_view text) {
  return !text.empty() && IsLowerOrDigit(text.front()) && IsLowerOrDigit(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsLowerOrDigit(c) || c == '-'; });
}

}  // namespace

bool IsDnsLabel(std::string_view text) {
  return text.size() <= kMaxDnsLabel && IsLabelShaped(text);
}

bool IsDnsSubdomain(std::string_view text) {
  if (text.size() > kMaxDnsSubdomain) return false;
  for (absl::string_view label : absl::StrSplit(AbslView(text), '.')) {
    if (!IsLabelShaped({label.data(), label.size()})) return false;
  }
  return true;
}

}  // namespace capstan::catalog
