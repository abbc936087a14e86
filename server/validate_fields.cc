#include "server/validate_fields.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "core/text.h"

namespace capstan::server {
namespace {

// Of a caller's text repeated in an error.
constexpr std::size_t kMaxQuotedBytes = 80;

bool IsLabelKey(std::string_view key) {
  if (key.empty() || key.size() > kMaxLabelKeyBytes || !absl::ascii_islower(key[0])) return false;
  return std::all_of(key.begin(), key.end(), [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '.' || c == '_' || c == '/' ||
           c == '-';
  });
}

}  // namespace

std::string Quote(std::string_view text) {
  if (text.empty()) return "nothing";
  if (text.size() <= kMaxQuotedBytes) return Cat("\"", std::string(text), "\"");
  return Cat("a text of ", text.size(), " bytes");
}

void CheckLabels(const google::protobuf::Map<std::string, std::string>& labels,
                 Violations& violations) {
  if (labels.size() > kMaxLabels) {
    violations.Add("labels", Cat("got ", labels.size(), ", want at most ", kMaxLabels));
    return;
  }
  for (const auto& [key, value] : labels) {
    if (!IsLabelKey(key)) {
      violations.Add("labels", Cat("got key ", Quote(key), ", want [a-z][a-z0-9._/-]{0,62}"));
    } else if (value.size() > kMaxLabelValueBytes) {
      violations.Add(Cat("labels.", key),
                     Cat("got ", value.size(), " bytes, want at most ", kMaxLabelValueBytes));
    }
  }
}

void CheckParent(const v1::Parent& parent, Violations& violations) {
  if (parent.name().empty() || parent.name().size() > kMaxParentNameBytes) {
    violations.Add("parent.name", Cat("got ", Quote(parent.name()), ", want 1 to ",
                                      kMaxParentNameBytes, " bytes"));
  }
  if (parent.step() < 1) {
    violations.Add("parent.step", Cat("got ", parent.step(), ", want a step number from 1"));
  }
}

bool IsValid(const google::protobuf::Duration& duration) {
  constexpr std::int64_t kMaxSeconds = 315'576'000'000;  // as duration.proto says
  return duration.seconds() >= -kMaxSeconds && duration.seconds() <= kMaxSeconds &&
         duration.nanos() > -1'000'000'000 && duration.nanos() < 1'000'000'000;
}

}  // namespace capstan::server
