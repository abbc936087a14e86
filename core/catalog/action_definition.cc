#include "core/catalog/action_definition.h"

#include "absl/strings/ascii.h"

#include "core/status_macros.h"

namespace capstan::catalog {

std::string_view Name(EffectClass effect) {
  constexpr std::string_view kNames[] = {"read", "idempotent", "reversible", "destructive"};
  return kNames[static_cast<int>(effect)];
}

std::string_view Name(ParameterType type) {
  constexpr std::string_view kNames[] = {"string", "integer", "boolean"};
  return kNames[static_cast<int>(type)];
}

std::string_view Name(ParameterFormat format) {
  constexpr std::string_view kNames[] = {"", "dns_label", "dns_subdomain", "image", "json_patch"};
  return kNames[static_cast<int>(format)];
}

std::string_view Name(Scope scope) {
  constexpr std::string_view kNames[] = {"namespaced", "cluster", "actions"};
  return kNames[static_cast<int>(scope)];
}

const ParameterDefinition* ActionDefinition::FindParameter(std::string_view parameter) const {
  for (const ParameterDefinition& candidate : parameters) {
    if (candidate.name == parameter) return &candidate;
  }
  return nullptr;
}

std::string ServiceAccountOf(std::string_view action_name) {
  std::string account = "kubernetes-executor";
  for (size_t i = 0; i < action_name.size(); ++i) {
    // A dash before each word; a run of capitals (HPAStatus) is one word but for its last letter.
    bool starts_word = absl::ascii_isupper(action_name[i]) &&
                       (i == 0 || !absl::ascii_isupper(action_name[i - 1]) ||
                        (i + 1 < action_name.size() && absl::ascii_islower(action_name[i + 1])));
    if (starts_word) account += '-';
    account += absl::ascii_tolower(action_name[i]);
  }
  return account;
}

}  // namespace capstan::catalog
