#include "server/successors.h"

#include "core/machine/states.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "server/errors.h"

namespace capstan::server {
namespace {

using v1::Execution;

absl::Status Refuse(std::string_view reason, std::string_view message) {
  return Error(absl::StatusCode::kFailedPrecondition, reason, message);
}

// Running it twice is the same as running it once.
bool MayRepeat(const catalog::ActionDefinition& action) {
  return action.effect == catalog::EffectClass::kRead ||
         action.effect == catalog::EffectClass::kIdempotent;
}

}  // namespace

absl::Status CheckEnded(const Execution& execution) {
  if (machine::IsTerminal(execution.state())) return absl::OkStatus();
  return Refuse("NOT_ENDED", Cat(execution.name(), " has not ended: it is ",
                                 machine::StateName(execution.state())));
}

absl::StatusOr<Successor> MakeRetry(const v1::RetryExecutionRequest& request,
                                    const EventList& original, const catalog::Catalog& catalog) {
  const Execution execution = original.Snapshot();
  CAPSTAN_RETURN_IF_ERROR(CheckEnded(execution));
  if (!request.from_step().empty()) {
    return InvalidField("from_step", Cat("got \"", request.from_step().substr(0, 80),
                                         "\", want nothing: an action has no steps"));
  }
  if (execution.state() == Execution::STATE_SUCCEEDED) {
    return Refuse("ALREADY_SUCCEEDED",
                  Cat(execution.name(), " has succeeded: submit the action again if it is wanted"));
  }
  const catalog::ActionDefinition* const action = catalog.Find(execution.action());
  const bool may_have_happened = execution.outcome().effect() != Execution::EFFECT_NONE;
  if (may_have_happened && !request.accept_repeated_effect() &&
      (action == nullptr || !MayRepeat(*action))) {
    return Refuse("EFFECT_POSSIBLE",
                  Cat(execution.name(), " may have changed its target, and ", execution.action(),
                      " is not safe to repeat: look at the target, then set "
                      "accept_repeated_effect if it is still wanted"));
  }
  const v1::Accepted& accepted = original.at(1).accepted();
  Successor next;
  next.request.set_request_id(request.request_id());
  next.request.set_action(accepted.action());
  *next.request.mutable_parameters() = accepted.parameters();
  next.request.set_dry_run(accepted.dry_run());
  *next.request.mutable_timeout() = accepted.timeout();
  next.request.set_priority(accepted.priority());
  *next.request.mutable_labels() = accepted.labels();
  if (accepted.has_parent()) *next.request.mutable_parent() = accepted.parent();
  next.request.set_on_conflict(accepted.on_conflict());
  next.request.set_max_retries(accepted.max_retries());
  *next.request.mutable_condition_overrides() = accepted.condition_overrides();
  next.links.retry_of = execution.name();
  next.links.rollback_of = accepted.rollback_of();
  if (!request.accept_repeated_effect()) next.links.expected = accepted.expected();
  return next;
}

absl::StatusOr<Successor> MakeRollback(const v1::RollbackExecutionRequest& request,
                                       const EventList& original) {
  const Execution execution = original.Snapshot();
  CAPSTAN_RETURN_IF_ERROR(CheckEnded(execution));
  if (execution.outcome().effect() != Execution::EFFECT_APPLIED) {
    return Refuse("NOTHING_TO_UNDO", Cat(execution.name(), " did not run to its end (effect ",
                                         Execution::Effect_Name(execution.outcome().effect()),
                                         "): there is no known change to undo"));
  }
  if (!execution.has_rollback()) {
    return Refuse("NO_INVERSE",
                  Cat(execution.action(), " has no recorded inverse for ", execution.name()));
  }
  if (execution.outcome().resources_size() == 0 || !execution.outcome().resources(0).has_after()) {
    return Refuse("STATE_UNKNOWN", Cat("what ", execution.name(),
                                       " left behind could not be read, so it cannot be "
                                       "told whether the target has moved since"));
  }
  const v1::Accepted& accepted = original.at(1).accepted();
  Successor next;
  next.request.set_request_id(request.request_id());
  next.request.set_action(execution.rollback().action());
  *next.request.mutable_parameters() = execution.rollback().parameters();
  next.request.set_dry_run(request.dry_run());
  next.request.set_priority(accepted.priority());
  *next.request.mutable_labels() = accepted.labels();
  if (accepted.has_parent()) *next.request.mutable_parent() = accepted.parent();
  next.links.rollback_of = execution.name();
  next.links.expected = execution.outcome().resources(0).after();
  return next;
}

}  // namespace capstan::server
