#include "core/catalog/action_proto.h"

#include "core/catalog/parameters.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

v1::Action::EffectClass ToProto(EffectClass effect) {
  switch (effect) {
    case EffectClass::kRead:
      return v1::Action::EFFECT_CLASS_READ;
    case EffectClass::kIdempotent:
      return v1::Action::EFFECT_CLASS_IDEMPOTENT;
    case EffectClass::kReversible:
      return v1::Action::EFFECT_CLASS_REVERSIBLE;
    case EffectClass::kDestructive:
      return v1::Action::EFFECT_CLASS_DESTRUCTIVE;
  }
  return v1::Action::EFFECT_CLASS_UNSPECIFIED;
}

void FillParameter(const ParameterDefinition& parameter, v1::ActionParameter* proto) {
  proto->set_name(parameter.name);
  proto->set_type(std::string(Name(parameter.type)));
  proto->set_format(std::string(Name(parameter.format)));
  proto->set_required(parameter.required);
  if (parameter.min) proto->set_minimum(*parameter.min);
  if (parameter.max) proto->set_maximum(*parameter.max);
  if (parameter.default_value) {
    *proto->mutable_default_value() =
        ToStruct({{parameter.name, *parameter.default_value}}).fields().at(parameter.name);
  }
  proto->set_description(parameter.description);
}

void FillCondition(const ConditionUse& condition, v1::ActionCondition* proto) {
  proto->set_name(condition.name);
  proto->set_required(condition.required);
  proto->mutable_timeout()->set_seconds(absl::ToInt64Seconds(condition.timeout));
  proto->set_description(condition.description);
}

}  // namespace

v1::Action ToProto(const ActionDefinition& action) {
  v1::Action proto;
  proto.set_name(Cat("actions/", action.name));
  proto.set_action(action.name);
  proto.set_description(action.description);
  proto.set_effect_class(ToProto(action.effect));
  for (const ParameterDefinition& parameter : action.parameters) {
    FillParameter(parameter, proto.add_parameters());
  }
  proto.set_target_kind(action.target.kind);
  proto.set_service_account(ServiceAccountOf(action.name));
  proto.mutable_default_timeout()->set_seconds(absl::ToInt64Seconds(action.default_timeout));
  proto.mutable_max_timeout()->set_seconds(absl::ToInt64Seconds(action.max_timeout));
  proto.set_digest(action.digest);
  for (const ConditionUse& condition : action.preconditions) {
    FillCondition(condition, proto.add_preconditions());
  }
  for (const ConditionUse& condition : action.postconditions) {
    FillCondition(condition, proto.add_postconditions());
  }
  proto.mutable_cooldown()->set_seconds(absl::ToInt64Seconds(action.cooldown));
  proto.set_blocks_after_failure(action.blocks_after_failure);
  return proto;
}

}  // namespace capstan::catalog
