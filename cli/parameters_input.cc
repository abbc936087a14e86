#include "cli/parameters_input.h"

#include <google/protobuf/util/json_util.h>

#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

std::string TypeOf(const v1::Action& action, std::string_view name) {
  for (const v1::ActionParameter& parameter : action.parameters()) {
    if (parameter.name() == name) return parameter.type();
  }
  return "string";
}

Value TypedValue(const std::string& type, const std::string& text) {
  Value value;
  int64_t number = 0;
  if (type == "integer" && absl::SimpleAtoi(text, &number)) {
    value.set_number_value(static_cast<double>(number));
  } else if (type == "boolean" && (text == "true" || text == "false")) {
    value.set_bool_value(text == "true");
  } else {
    value.set_string_value(text);
  }
  return value;
}

}  // namespace

absl::StatusOr<Struct> ParseParametersJson(std::string_view json) {
  Struct parameters;
  auto status = google::protobuf::util::JsonStringToMessage(std::string(json), &parameters);
  if (status.ok()) return parameters;
  return absl::InvalidArgumentError(Cat("want one JSON object: ", std::string(status.message())));
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> SplitPairs(
    std::string_view flag, const std::vector<std::string>& pairs) {
  std::vector<std::pair<std::string, std::string>> split;
  std::set<std::string> names;
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(Cat(flag, ": got \"", pair, "\", want key=value"));
    }
    std::string name = pair.substr(0, equals);
    if (!names.insert(name).second) {
      return absl::InvalidArgumentError(Cat(flag, ": \"", name, "\" is given twice"));
    }
    split.emplace_back(std::move(name), pair.substr(equals + 1));
  }
  return split;
}

absl::Status AddParameters(const std::vector<std::string>& pairs, const v1::Action& action,
                           Struct* parameters) {
  CAPSTAN_ASSIGN_OR_RETURN(auto split, SplitPairs("--parameter", pairs));
  for (const auto& [name, text] : split) {
    (*parameters->mutable_fields())[name] = TypedValue(TypeOf(action, name), text);
  }
  return absl::OkStatus();
}

void SetDuration(absl::Duration duration, google::protobuf::Duration* field) {
  absl::Duration rest;
  field->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  field->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

}  // namespace capstan::cli
