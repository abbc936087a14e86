#include "tests/support/kubesim/selector.h"

#include <algorithm>
#include <array>

#include "core/status_macros.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

constexpr std::array<std::string_view, 9> kFields = {"metadata.name",
                                                     "metadata.namespace",
                                                     "status.phase",
                                                     "spec.nodeName",
                                                     "involvedObject.kind",
                                                     "involvedObject.name",
                                                     "involvedObject.uid",
                                                     "reason",
                                                     "type"};

// Splits at commas that are not inside parentheses.
std::vector<std::string> SplitRequirements(std::string_view text) {
  std::vector<std::string> parts;
  std::string part;
  int depth = 0;
  for (char c : text) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == ',' && depth == 0) {
      parts.push_back(std::move(part));
      part.clear();
    } else {
      part.push_back(c);
    }
  }
  if (!part.empty()) parts.push_back(std::move(part));
  return parts;
}

std::vector<std::string> SetValues(std::string_view text) {
  text = Trim(text);
  std::vector<std::string> values;
  if (text.size() < 2 || text.front() != '(' || text.back() != ')') return values;
  for (const std::string& value : Split(text.substr(1, text.size() - 2), ',')) {
    values.emplace_back(Trim(value));
  }
  return values;
}

const Json* Field(const Json& object, std::string_view path) {
  const Json* at = &object;
  for (const std::string& step : Split(path, '.')) {
    auto next = at->is_object() ? at->find(step) : at->end();
    if (!at->is_object() || next == at->end()) return nullptr;
    at = &*next;
  }
  return at;
}

}  // namespace

absl::StatusOr<Selector::Requirement> Selector::ParseRequirement(std::string_view text) {
  text = Trim(text);
  Requirement requirement;
  for (auto [word, op] : {std::pair<std::string_view, Operator>{" notin ", Operator::kNotIn},
                          {" in ", Operator::kIn}}) {
    size_t at = text.find(word);
    if (at == std::string_view::npos) continue;
    requirement.key = std::string(Trim(text.substr(0, at)));
    requirement.op = op;
    requirement.values = SetValues(text.substr(at + word.size()));
    if (requirement.values.empty()) {
      return absl::InvalidArgumentError(
          Cat("unable to parse requirement: found '", text, "', expected: '('"));
    }
    return requirement;
  }
  for (auto [word, op] : {std::pair<std::string_view, Operator>{"!=", Operator::kNotIn},
                          {"==", Operator::kIn},
                          {"=", Operator::kIn}}) {
    size_t at = text.find(word);
    if (at == std::string_view::npos || at == 0) continue;
    requirement.key = std::string(Trim(text.substr(0, at)));
    requirement.op = op;
    requirement.values = {std::string(Trim(text.substr(at + word.size())))};
    return requirement;
  }
  requirement.op = std::string_view(text).starts_with("!") ? Operator::kAbsent : Operator::kExists;
  requirement.key = std::string(Trim(text.starts_with("!") ? text.substr(1) : text));
  if (requirement.key.empty() || requirement.key.find_first_of(" ()=!") != std::string::npos) {
    return absl::InvalidArgumentError(Cat("unable to parse requirement: ", text));
  }
  return requirement;
}

absl::StatusOr<Selector> Selector::Parse(std::string_view labels, std::string_view fields) {
  Selector selector;
  for (const std::string& text : SplitRequirements(labels)) {
    CAPSTAN_ASSIGN_OR_RETURN(Requirement requirement, ParseRequirement(text));
    selector.labels_.push_back(std::move(requirement));
  }
  for (const std::string& text : SplitRequirements(fields)) {
    CAPSTAN_ASSIGN_OR_RETURN(Requirement requirement, ParseRequirement(text));
    if (std::find(kFields.begin(), kFields.end(), requirement.key) == kFields.end()) {
      return absl::InvalidArgumentError(Cat("field label not supported: ", requirement.key));
    }
    selector.fields_.push_back(std::move(requirement));
  }
  return selector;
}

bool Selector::Holds(const Requirement& requirement, const Json& value) {
  bool present = value.is_string();
  bool listed = present && std::find(requirement.values.begin(), requirement.values.end(),
                                     value.get<std::string>()) != requirement.values.end();
  switch (requirement.op) {
    case Operator::kIn:
      return listed;
    case Operator::kNotIn:
      return !listed;
    case Operator::kExists:
      return present;
    case Operator::kAbsent:
      return !present;
  }
  return false;
}

bool Selector::Matches(const Json& object) const {
  const Json* labels = Field(object, "metadata.labels");
  for (const Requirement& requirement : labels_) {
    Json value;
    if (labels != nullptr && labels->contains(requirement.key)) {
      value = (*labels)[requirement.key];
    }
    if (!Holds(requirement, value)) return false;
  }
  for (const Requirement& requirement : fields_) {
    const Json* value = Field(object, requirement.key);
    if (!Holds(requirement, value == nullptr ? Json("") : *value)) return false;
  }
  return true;
}

}  // namespace capstan::kubesim
