#include "cli/render_words.h"

#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "cli/text_format.h"
#include "core/machine/states.h"
#include "core/target_name.h"
#include "core/text.h"

namespace capstan::cli {

using v1::Execution;

std::string ReasonWord(Execution::FailureReason reason) {
  return EnumWord(*Execution::FailureReason_descriptor(), reason, "FAILURE_REASON_");
}

std::string StateText(Execution::State state, Execution::FailureReason failure,
                      Execution::BlockReason block) {
  const std::string word = EnumWord(*Execution::State_descriptor(), state, "STATE_");
  if (state == Execution::STATE_FAILED) return Cat(word, "(", ReasonWord(failure), ")");
  if (state != Execution::STATE_BLOCKED) return word;
  return Cat(word, "(", EnumWord(*Execution::BlockReason_descriptor(), block, "BLOCK_REASON_"),
             ")");
}

std::string StateText(const Execution& execution) {
  return StateText(execution.state(), execution.failure_reason(), execution.block_reason());
}

std::string SubjectText(const Execution& execution) {
  if (IsTask(execution))
    return Cat(OneLine(execution.workflow()), ": ", OneLine(execution.task().title()));
  return Cat(OneLine(execution.action()), " ", TargetText(execution.target()));
}

bool AwaitsApproval(const Execution& execution) {
  // Of a task other steps may go on meanwhile.
  if (IsTask(execution)) {
    return !machine::IsTerminal(execution.state()) &&
           execution.approval().state() == v1::ApprovalSummary::STATE_PENDING;
  }
  return execution.state() == Execution::STATE_BLOCKED &&
         execution.block_reason() == Execution::BLOCK_REASON_APPROVAL;
}

std::string TargetText(const v1::Target& target) { return OneLine(capstan::TargetText(target)); }

std::string JobText(const v1::Job& job) { return OneLine(Cat(job.namespace_(), "/", job.name())); }

std::string DecisionText(const v1::PolicyDecision& decision) {
  if (!decision.error().empty()) return Cat("could not be evaluated: ", OneLine(decision.error()));
  std::string text = decision.allow() ? "allowed" : "denied";
  if (decision.allow() && decision.requires_approval()) {
    Append(&text, " once approved by ",
           ApproversText(decision.approval().quorum(), decision.approval().groups()));
  }
  const char* separator = ": ";
  for (const v1::PolicyViolation& violation : decision.violations()) {
    Append(&text, separator, OneLine(violation.message()), " [", OneLine(violation.id()), "]");
    separator = "; ";
  }
  for (const std::string& warning : decision.warnings())
    Append(&text, "; warning: ", OneLine(warning));
  return text;
}

std::string ApproversText(int quorum,
                          const google::protobuf::RepeatedPtrField<std::string>& groups) {
  const std::string who =
      groups.empty() ? "anybody but the requester" : OneLine(absl::StrJoin(groups, " or "));
  return Cat(quorum, " of ", who);
}

std::string DecisionText(const v1::ApprovalDecision& decision) {
  std::string text = Cat(OneLine(decision.caller()), decision.approve() ? " said yes" : " said no");
  if (!decision.reason().empty()) Append(&text, ": ", OneLine(decision.reason()));
  return text;
}

std::string ConditionText(const v1::ConditionResult& result) {
  std::string text =
      Cat(result.phase() == v1::ConditionResult::PHASE_POST ? "postcondition " : "precondition ",
          OneLine(result.name()));
  if (result.passed()) return Cat(text, " holds");
  Append(&text, result.evaluated() ? " does not hold" : " could not be looked at",
         result.required() ? " (required)" : " (warning)");
  if (!result.message().empty()) Append(&text, ": ", OneLine(result.message()));
  return text;
}

namespace {

// " 1 -> 3", " still 3", " 1 -> unknown" when it could not be read back.
std::string FactChange(const google::protobuf::Value& before,
                       const google::protobuf::Struct& all_after, const std::string& name) {
  const std::string was = OneLine(ValueText(before));
  const auto after = all_after.fields().find(name);
  if (after == all_after.fields().end()) return Cat(" ", was, " -> unknown");
  const std::string is = OneLine(ValueText(after->second));
  return was == is ? Cat(" still ", is) : Cat(" ", was, " -> ", is);
}

}  // namespace

std::string ChangeText(const v1::ResourceChange& change) {
  std::map<std::string, std::string> facts;
  for (const auto& [name, before] : change.before().fields()) {
    facts[name] = Cat(OneLine(name), FactChange(before, change.after(), name));
  }
  std::string text = TargetText(change.target());
  const char* separator = ": ";
  for (const auto& [name, fact] : facts) {
    Append(&text, separator, fact);
    separator = ", ";
  }
  return text;
}

std::string RollbackText(const v1::RollbackPlan& rollback) {
  return OneLine(Cat(rollback.action(), " ", ParametersText(rollback.parameters())));
}

std::string UndoCommand(const Execution& execution, const Invocation& invocation) {
  const v1::Outcome& outcome = execution.outcome();
  if (execution.rollback().action().empty() || outcome.dry_run()) return "";
  if (outcome.effect() == Execution::EFFECT_APPLIED && outcome.resources_size() > 0 &&
      outcome.resources(0).has_after()) {
    return Cat(invocation.program, " execution rollback ", ShellQuoted(execution.name()));
  }
  if (outcome.effect() != Execution::EFFECT_APPLIED &&
      outcome.effect() != Execution::EFFECT_POSSIBLE) {
    return "";
  }
  return Cat(invocation.program, " action run ", ShellQuoted(execution.rollback().action()), " ",
             ParameterFlags(execution.rollback().parameters()));
}

std::string ApproveCommand(const Execution& execution, const Invocation& invocation) {
  const std::string name = ShellQuoted(execution.name());
  if (execution.approval().question())
    return Cat(invocation.program, " task answer ", name, " --answer=ANSWER");
  return Cat(invocation.program, " approval approve ", name, " --reason=WHY");
}

std::string KubectlGet(const v1::Target& target) {
  std::string text = Cat("kubectl get ", ShellQuoted(absl::AsciiStrToLower(target.kind())), " ",
                         ShellQuoted(target.name()));
  if (!target.namespace_().empty())
    Append(&text, " --namespace=", ShellQuoted(target.namespace_()));
  return text;
}

std::string Age(const google::protobuf::Timestamp& time, absl::Time now) {
  if (time.seconds() == 0 && time.nanos() == 0) return "-";
  return Elapsed(now - ToTime(time));
}

void AppendLine(std::string* text, const std::string& line) {
  if (!line.empty()) Append(text, line, "\n");
}

}  // namespace capstan::cli
