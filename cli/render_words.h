// Parts of an execution as a few words, which every rendering shares. Pure.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <string>

#include "absl/time/time.h"
#include "capstan/v1/execution.pb.h"

namespace capstan::cli {

// How this program has to be called so that it reaches the same server: "capstan", or "capstan
// --address=…".
struct Invocation {
  std::string program = "capstan";
};

// FAILED(POLICY_DENIED), BLOCKED(APPROVAL), RUNNING.
std::string StateText(const v1::Execution& execution);
std::string StateText(v1::Execution::State state, v1::Execution::FailureReason failure,
                      v1::Execution::BlockReason block);

// JOB_FAILED of FAILURE_REASON_JOB_FAILED.
std::string ReasonWord(v1::Execution::FailureReason reason);

// "ScaleDeployment Deployment shop/web", "medium: Add a limit to the export".
std::string SubjectText(const v1::Execution& execution);

inline bool IsTask(const v1::Execution& execution) { return !execution.workflow().empty(); }

// It, or one of its steps, waits until somebody decides on its approval or answers.
bool AwaitsApproval(const v1::Execution& execution);

// "Deployment shop/web".
std::string TargetText(const v1::Target& target);
std::string JobText(const v1::Job& job);

// "allowed", "denied: message [bundle/rule]".
std::string DecisionText(const v1::PolicyDecision& decision);

// "1 of sre or oncall", "2 of anybody but the requester".
std::string ApproversText(int quorum,
                          const google::protobuf::RepeatedPtrField<std::string>& groups);

// "bob said yes: looked at it".
std::string DecisionText(const v1::ApprovalDecision& decision);

// "precondition node_free does not hold (required): 2 pods are on it".
std::string ConditionText(const v1::ConditionResult& result);

// "Deployment shop/web: autoscaled still false, replicas 1 -> 3": each fact that was captured.
std::string ChangeText(const v1::ResourceChange& change);

// "ScaleDeployment deployment=web replicas=1".
std::string RollbackText(const v1::RollbackPlan& rollback);

// The command that undoes it: `execution rollback`, or the inverse by hand where the server could
// not tell whether the target has moved since. Empty when there is nothing that is known to undo
// it.
std::string UndoCommand(const v1::Execution& execution, const Invocation& invocation);

// Says yes, or answers the question of a step.
std::string ApproveCommand(const v1::Execution& execution, const Invocation& invocation);

// A command to look at the target.
std::string KubectlGet(const v1::Target& target);

// How long ago `time` was, as 1:05, or "-" when it is not set.
std::string Age(const google::protobuf::Timestamp& time, absl::Time now);

void AppendLine(std::string* text, const std::string& line);  // nothing for an empty one

}  // namespace capstan::cli
