#include "core/catalog/target.h"

#include <string>

#include "absl/strings/str_split.h"
#include "core/catalog/text_template.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

// The value at "deployment.replicas"; null when a part is missing.
const Value* FindPath(const Struct& facts, std::string_view path) {
  const Struct* object = &facts;
  const Value* value = nullptr;
  for (absl::string_view part : absl::StrSplit(AbslView(path), '.')) {
    if (object == nullptr) return nullptr;
    auto found = object->fields().find(std::string(part));
    if (found == object->fields().end()) return nullptr;
    value = &found->second;
    object = value->has_struct_value() ? &value->struct_value() : nullptr;
  }
  return value;
}

std::string TextOf(const Value& value) {
  switch (value.kind_case()) {
    case Value::kStringValue:
      return value.string_value();
    case Value::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case Value::kNumberValue:
      return Cat(value.number_value());
    default:
      return "";
  }
}

}  // namespace

v1::Target TargetOf(const ActionDefinition& action, const TypedParameters& parameters) {
  auto value = [&](const TextPiece& reference) { return ToText(parameters.at(reference.name)); };
  v1::Target target;
  target.set_api_version(action.target.api_version);
  target.set_kind(action.target.kind);
  target.set_namespace_(ExpandText(action.target.namespace_template, value));
  target.set_name(ExpandText(action.target.name_template, value));
  return target;
}

absl::StatusOr<Struct> Capture(const ActionDefinition& action, const Struct& facts) {
  Struct captured;
  for (const auto& [name, path] : action.capture) {
    const Value* value = FindPath(facts, path);
    if (value == nullptr) {
      return absl::FailedPreconditionError(Cat("the facts have no ", path));
    }
    (*captured.mutable_fields())[name] = *value;
  }
  return captured;
}

v1::RollbackPlan RollbackOf(const ActionDefinition& action, const TypedParameters& parameters,
                            const Struct& captured) {
  v1::RollbackPlan plan;
  if (!action.rollback) return plan;
  plan.set_action(action.rollback->action);
  const Struct given = ToStruct(parameters);
  auto value_of = [&](const TextPiece& reference) -> const Value& {
    return (reference.scope == "captured" ? captured : given).fields().at(reference.name);
  };
  for (const auto& [name, text] : action.rollback->parameters) {
    absl::StatusOr<std::vector<TextPiece>> pieces = SplitText(text);
    CAPSTAN_CHECK(pieces.ok());  // checked when the catalog was loaded
    Value& value = (*plan.mutable_parameters()->mutable_fields())[name];
    if (pieces->size() == 1 && pieces->front().IsReference()) {
      value = value_of(pieces->front());
    } else {
      value.set_string_value(ExpandText(
          text, [&](const TextPiece& reference) { return TextOf(value_of(reference)); }));
    }
  }
  return plan;
}

}  // namespace capstan::catalog
