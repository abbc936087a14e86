// For tests of the history checker: tells a History one execution at a time.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <string>

#include "core/ids.h"
#include "core/kubernetes_names.h"
#include "core/text.h"
#include "tests/proof/history.h"

namespace capstan::proof {

inline constexpr char kUid[] = "uid-1";

inline absl::Time At(int second) { return absl::FromUnixSeconds(1'000'000 + second); }

// One execution of RestartDeployment, an event a second from `start` on.
struct Story {
  History& history;
  int start = 0;
  std::string name = ExecutionName(ExecutionId::Make(At(0)));
  int seq = 0;
  int decisions = 0;
  v1::Execution::State state = v1::Execution::STATE_PENDING;

  int now() const { return start + seq; }
  v1::ExecutionEvent& Event() {
    v1::ExecutionEvent& event = history.events.emplace_back();
    event.set_execution(name);
    event.set_seq(++seq);
    event.mutable_time()->set_seconds(absl::ToUnixSeconds(At(now())));
    return event;
  }
  v1::StateChanged& To(v1::Execution::State to) {
    v1::StateChanged& changed = *Event().mutable_state_changed();
    changed.set_from(state);
    changed.set_to(to);
    state = to;
    return changed;
  }
  void Accept(const std::string& action = "RestartDeployment") {
    v1::Accepted& accepted = *Event().mutable_accepted();
    accepted.set_action(action);
    accepted.set_request_id(name);
    accepted.set_caller("alice");
    accepted.mutable_target()->set_kind("Deployment");
    accepted.mutable_target()->set_namespace_("default");
    accepted.mutable_target()->set_name("web");
    history.submits.push_back({name, Submitted::Reply::kAccepted, name});
    To(v1::Execution::STATE_VALIDATING);
  }
  void Decide(bool requires_approval) {
    v1::PolicyDecision& decision = *Event().mutable_policy_evaluated()->mutable_decision();
    decision.set_allow(true);
    decision.set_requires_approval(requires_approval);
    history.decisions.push_back({name, ++decisions, true});
  }
  void Block(v1::Execution::BlockReason reason) {
    To(v1::Execution::STATE_BLOCKED).set_block_reason(reason);
  }
  void Unblock() {
    To(v1::Execution::STATE_PENDING);
    To(v1::Execution::STATE_VALIDATING);
  }
  void Ask(int number, int quorum, const std::string& job = "job") {
    v1::ApprovalRequested& requested = *Event().mutable_approval_requested();
    requested.set_number(number);
    requested.mutable_rule()->set_quorum(quorum);
    requested.mutable_plan()->set_rendered_job(job);
  }
  void Vote(const std::string& caller, bool approve = true) {
    v1::ApprovalDecision& decision = *Event().mutable_approval_decided()->mutable_decision();
    decision.set_caller(caller);
    decision.set_approve(approve);
  }
  void EndApproval(int number, v1::ApprovalSummary::State end) {
    v1::ApprovalEnded& ended = *Event().mutable_approval_ended();
    ended.set_number(number);
    ended.set_state(end);
  }
  void Call(const std::string& verb, int second) {
    kubesim::AuditEntry& entry = history.audit.emplace_back();
    entry.time = At(second);
    entry.verb = verb;
    entry.resource = "jobs";
    entry.name = Cat(kJobNamePrefix, ParseExecutionName(name)->ToHex());
    entry.uid = kUid;
    entry.code = 200;
    entry.applied = true;
  }
  void Launch(const std::string& job = "job") {
    v1::ArtifactStored& artifact = *Event().mutable_artifact_stored();
    artifact.set_artifact("job");
    artifact.set_digest(Sha256Hex(job));
    Call("create", now());
    Event().mutable_job_created()->mutable_job()->set_uid(kUid);
    To(v1::Execution::STATE_RUNNING);
    Call("patch", now());
    Event().mutable_job_armed();
    history.pod_runs.push_back(
        {"capstan-actions", "pod", Cat(kJobNamePrefix, ParseExecutionName(name)->ToHex()), kUid});
  }
  void Succeed() {
    Event().mutable_job_finished()->set_succeeded(true);
    To(v1::Execution::STATE_VERIFYING);
    End(v1::Execution::STATE_SUCCEEDED, v1::Execution::EFFECT_APPLIED);
  }
  void End(v1::Execution::State end, v1::Execution::Effect effect) {
    To(end).mutable_outcome()->set_effect(effect);
    history.outcomes.push_back({name, end, v1::Execution::FAILURE_REASON_UNSPECIFIED});
  }
};

MATCHER_P2(Breaks, property, text, "") {
  return std::any_of(arg.begin(), arg.end(), [&](const Violation& violation) {
    return violation.property == property && violation.text.find(text) != std::string::npos;
  });
}

}  // namespace capstan::proof
