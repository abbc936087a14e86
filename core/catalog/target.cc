#include "core/catalog/target.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/catalog/text_template.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

const Value* FindField(const Struct& object, std::string_view name) {
  auto found = object.fields().find(std::string(name));
  return found == object.fields().end() ? nullptr : &found->second;
}

// The keys of "deployment.images.${parameters.container}": a reference is one key, whatever dots
// its value holds.
std::vector<std::string> KeysOf(std::string_view path, const Struct& parameters) {
  absl::StatusOr<std::vector<TextPiece>> pieces = SplitText(path);
  CAPSTAN_CHECK(pieces.ok());  // checked when the catalog was loaded
  std::vector<std::string> keys;
  for (const TextPiece& piece : *pieces) {
    if (piece.IsReference()) {
      const Value* value = FindField(parameters, piece.name);
      keys.push_back(value == nullptr ? "" : ToText(*value));
      continue;
    }
    for (absl::string_view key : absl::StrSplit(piece.literal, '.', absl::SkipEmpty())) {
      keys.emplace_back(key);
    }
  }
  return keys;
}

// Null when a key is missing.
const Value* Follow(const Struct& facts, const std::vector<std::string>& keys) {
  const Struct* object = &facts;
  const Value* value = nullptr;
  for (const std::string& key : keys) {
    value = object == nullptr ? nullptr : FindField(*object, key);
    if (value == nullptr) return nullptr;
    object = value->has_struct_value() ? &value->struct_value() : nullptr;
  }
  return value;
}

bool WasKept(const Value* value) {
  return value != nullptr && !value->has_null_value() &&
         !(value->has_string_value() && value->string_value().empty());
}

// Whether the inverse is for what was captured.
bool Applies(const RollbackDefinition& rollback, const Struct& captured) {
  for (const auto& [name, text] : rollback.when) {
    const Value* value = FindField(captured, name);
    if (value == nullptr || ToText(*value) != text) return false;
  }
  return true;
}

}  // namespace

std::string ToText(const Value& value) {
  switch (value.kind_case()) {
    case Value::kStringValue:
      return value.string_value();
    case Value::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case Value::kNumberValue:
      if (std::trunc(value.number_value()) == value.number_value() &&
          std::abs(value.number_value()) <= 0x1p53) {
        return Cat(static_cast<int64_t>(value.number_value()));
      }
      return Cat(value.number_value());
    default:
      return "";
  }
}

v1::Target TargetOf(const ActionDefinition& action, const TypedParameters& parameters) {
  auto value = [&](const TextPiece& reference) { return ToText(parameters.at(reference.name)); };
  v1::Target target;
  target.set_api_version(action.target.api_version);
  target.set_kind(action.target.kind);
  target.set_namespace_(ExpandText(action.target.namespace_template, value));
  target.set_name(ExpandText(action.target.name_template, value));
  return target;
}

absl::StatusOr<Struct> Capture(const ActionDefinition& action, const Struct& parameters,
                               const Struct& facts) {
  Struct captured;
  for (const auto& [name, path] : action.capture) {
    const std::vector<std::string> keys = KeysOf(path, parameters);
    const Value* value = Follow(facts, keys);
    if (value == nullptr) {
      return absl::FailedPreconditionError(Cat("the facts have no ", absl::StrJoin(keys, ".")));
    }
    (*captured.mutable_fields())[name] = *value;
  }
  return captured;
}

v1::RollbackPlan RollbackOf(const ActionDefinition& action, const TypedParameters& parameters,
                            const Struct& captured, const ExecutionId& execution) {
  if (!action.rollback || !Applies(*action.rollback, captured)) return {};
  v1::RollbackPlan plan;
  plan.set_action(action.rollback->action);
  const Struct given = ToStruct(parameters);
  Value id;
  id.set_string_value(execution.ToString());
  auto value_of = [&](const TextPiece& reference) -> const Value* {
    if (reference.scope == "execution") return &id;
    return FindField(reference.scope == "captured" ? captured : given, reference.name);
  };
  for (const auto& [name, text] : action.rollback->parameters) {
    absl::StatusOr<std::vector<TextPiece>> pieces = SplitText(text);
    CAPSTAN_CHECK(pieces.ok());  // checked when the catalog was loaded
    for (const TextPiece& piece : *pieces) {
      if (piece.scope == "captured" && !WasKept(value_of(piece))) return {};
    }
    Value& value = (*plan.mutable_parameters()->mutable_fields())[name];
    if (pieces->size() == 1 && pieces->front().IsReference()) {
      value = *value_of(pieces->front());
    } else {
      value.set_string_value(ExpandText(
          text, [&](const TextPiece& reference) { return ToText(*value_of(reference)); }));
    }
  }
  return plan;
}

}  // namespace capstan::catalog
