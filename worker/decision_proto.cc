#include "worker/decision_proto.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/telemetry/span_names.h"

namespace capstan::worker {
namespace {

// One approval that meets all that the rules ask for: the largest quorum, the shortest time, and
// the groups of those that name some (policy::ReadDecision() sees to it that they agree).
v1::ApprovalRule RuleOf(const policy::Decision& decision) {
  v1::ApprovalRule rule;
  rule.set_quorum(1);
  absl::Duration timeout = absl::InfiniteDuration();
  for (const policy::ApprovalObligation& one : decision.approvals) {
    rule.set_quorum(std::max(rule.quorum(), one.quorum));
    timeout = std::min(timeout, one.timeout);
    if (!one.reason.empty()) {
      rule.set_reason(rule.reason().empty() ? one.reason
                                            : absl::StrCat(rule.reason(), "; ", one.reason));
    }
    if (!one.groups.empty()) *rule.mutable_groups() = {one.groups.begin(), one.groups.end()};
  }
  if (timeout < absl::InfiniteDuration())
    rule.mutable_timeout()->set_seconds(absl::ToInt64Seconds(timeout));
  return rule;
}

}  // namespace

v1::PolicyDecision ToProto(const policy::Decision& decision) {
  v1::PolicyDecision out;
  out.set_allow(decision.allow);
  for (const policy::Violation& violation : decision.violations) {
    v1::PolicyViolation& added = *out.add_violations();
    added.set_id(violation.id);
    added.set_message(violation.message);
  }
  for (const std::string& warning : decision.warnings) out.add_warnings(warning);
  if (policy::IsPolicyError(decision)) out.set_error(decision.error_message);
  out.set_bundle_digest(decision.bundle_digest);
  out.set_input_digest(decision.input_sha256);
  if (decision.allow && decision.requires_approval) {
    out.set_requires_approval(true);
    *out.mutable_approval() = RuleOf(decision);
  }
  return out;
}

policy::Decision EvaluatePolicy(policy::PolicyEngine& engine, const policy::PolicyInput& input,
                                const telemetry::Tracer& tracer, telemetry::WorkerMetrics& metrics,
                                const telemetry::TraceContext& trace) {
  telemetry::Span span = tracer.StartSpan(telemetry::kSpanPolicy, {.parent = trace});
  const policy::Decision decision = engine.Evaluate(input);
  span.SetAttribute(telemetry::kAttributeDecision, decision.allow ? "allow" : "deny");
  span.SetAttribute(telemetry::kAttributePolicyDigest, decision.bundle_digest);
  span.End();
  metrics.policy_duration.Observe(decision.took);
  (decision.allow                    ? metrics.policy_allowed
   : policy::IsPolicyError(decision) ? metrics.policy_errors
                                     : metrics.policy_denied)
      .Increment();
  return decision;
}

}  // namespace capstan::worker
