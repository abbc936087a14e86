// What the tests of the action machine have in common: actions in every situation, and the answers
// they get.
#pragma once

#include <vector>

#include "core/machine/action_machine.h"

namespace capstan::machine {

inline const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

inline Action Accepted(bool dry_run = false) {
  Action action;
  action.request.set_action("ScaleDeployment");
  action.request.set_dry_run(dry_run);
  action.request.mutable_target()->set_kind("Deployment");
  action.request.mutable_target()->set_namespace_("default");
  action.request.mutable_target()->set_name("web");
  action.request.mutable_queue_deadline()->set_seconds(absl::ToUnixSeconds(kNow + absl::Hours(1)));
  action.request.set_max_retries(1000);
  action.correlation_id = "c0ffee";
  action.seq = 1;
  return action;
}

inline Validated Allowed() {
  Validated validated;
  validated.result = Validated::Result::kDecided;
  validated.decision.set_allow(true);
  validated.target_found = true;
  validated.target.set_kind("Deployment");
  validated.target.set_namespace_("default");
  validated.target.set_name("web");
  validated.target.set_uid("target-uid");
  (*validated.before.mutable_fields())["replicas"].set_number_value(1);
  validated.rollback.emplace().set_action("ScaleDeployment");
  validated.rendered_job = "{}";
  validated.job_namespace = "capstan-actions";
  validated.job_name = "capstan-1";
  validated.job_spec_hash = "hash";
  validated.plan.set_rendered_job("{}");
  validated.plan.set_digest("digest");
  return validated;
}

inline Validated Denied() {
  Validated validated = Allowed();
  validated.decision.set_allow(false);
  v1::PolicyViolation& violation = *validated.decision.add_violations();
  violation.set_id("namespace-restrictions/protected-namespace");
  violation.set_message("kube-system is protected");
  return validated;
}

// Stores what the machine answered, as the runner does.
inline Transition Apply(Action& action, const Input& input, absl::Time now = kNow) {
  Transition transition = Next(action, input, now);
  if (transition.ignored) return transition;
  action.state = transition.state;
  action.seq += static_cast<int>(transition.events.size());
  action.data = transition.data;
  return transition;
}

inline Action At(ActionState::Step step) {
  Action action = Accepted();
  Apply(action, Resumed{});
  if (step == ActionState::STEP_VALIDATE) return action;
  Apply(action, Allowed());
  if (step == ActionState::STEP_CREATE) return action;
  Apply(action, JobCreated{.uid = "uid-1"});
  if (step == ActionState::STEP_ARM) return action;
  Apply(action, ArmResult{.kind = ArmResult::Kind::kArmed});
  if (step == ActionState::STEP_WATCH) return action;
  if (step == ActionState::STEP_REMOVE) {
    Apply(action, JobDidNotStart{"ImagePullBackOff"});
    return action;
  }
  Apply(action, JobEnded{.succeeded = true, .exit_code = 0});
  return action;
}

inline std::vector<Execution::State> StatesOf(const Transition& transition) {
  std::vector<Execution::State> states;
  for (const ExecutionEvent& event : transition.events) {
    if (event.has_state_changed()) states.push_back(event.state_changed().to());
  }
  return states;
}

inline const v1::StateChanged& LastChange(const Transition& transition) {
  return transition.events.back().state_changed();
}

}  // namespace capstan::machine
