#include "cli/render_approval.h"

#include <algorithm>
#include <vector>

#include "cli/render_plan.h"
#include "cli/text_format.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

std::string StateWord(const v1::ApprovalSummary& approval) {
  return EnumWord(*v1::ApprovalSummary::State_descriptor(), approval.state(), "STATE_");
}

// "gate of step review", "question of step implement".
std::string StepText(const v1::ApprovalSummary& approval) {
  return Cat(approval.question() ? "question of step " : "gate of step ", OneLine(approval.step()));
}

}  // namespace

std::string ApprovalTable(const google::protobuf::RepeatedPtrField<v1::Approval>& approvals) {
  std::vector<std::vector<std::string>> rows = {
      {"EXECUTION", "RUNS", "ON", "REQUESTER", "SAID YES", "WANTS", "EXPIRES", "REASON"}};
  for (const v1::Approval& approval : approvals) {
    const v1::ApprovalSummary& summary = approval.approval();
    const auto yes = std::count_if(summary.decisions().begin(), summary.decisions().end(),
                                   [](const auto& decision) { return decision.approve(); });
    const bool task = !approval.workflow().empty();
    rows.push_back(
        {OneLine(approval.execution()), OneLine(task ? approval.workflow() : approval.action()),
         task ? StepText(summary) : TargetText(approval.target()), OneLine(approval.requester()),
         Cat(yes), ApproversText(summary.quorum(), summary.groups()), Time(summary.expire_time()),
         OneLine(summary.reason())});
  }
  return Table(rows);
}

std::string ApprovalDetails(const v1::Execution& execution, const v1::ApprovalRequested& requested,
                            const Invocation& invocation) {
  const v1::ApprovalSummary& approval = execution.approval();
  std::vector<std::vector<std::string>> rows = {{"execution", OneLine(execution.name())}};
  if (IsTask(execution)) {
    rows.push_back({"workflow", OneLine(execution.workflow())});
    rows.push_back({"title", OneLine(execution.task().title())});
    rows.push_back({"for", StepText(approval)});
  } else {
    rows.push_back({"action", OneLine(execution.action())});
    rows.push_back({"parameters", ParametersText(execution.parameters())});
    rows.push_back({"target", TargetText(execution.target())});
  }
  rows.push_back({"requester", OneLine(execution.caller())});
  rows.push_back({"approval", StateWord(approval)});
  rows.push_back({"wants", ApproversText(approval.quorum(), approval.groups())});
  rows.push_back({approval.question() ? "question" : "because", OneLine(approval.reason())});
  rows.push_back({"expires", Time(approval.expire_time())});
  for (const v1::ApprovalDecision& decision : approval.decisions())
    rows.push_back({"decision", Cat(DecisionText(decision), " at ", Time(decision.time()))});
  std::string text = Table(rows);
  if (requested.has_plan()) Append(&text, "\n", PlanText(requested.plan()));
  if (approval.state() != v1::ApprovalSummary::STATE_PENDING) return text;
  const std::string digest = Cat(" --plan-digest=", ShellQuoted(approval.plan_digest()));
  Append(&text, "\nTo decide on this ", requested.has_plan() ? "plan" : "step",
         " and no other:\n  ", ApproveCommand(execution, invocation), digest, "\n  ",
         invocation.program, " approval reject ", ShellQuoted(execution.name()), " --reason=WHY",
         digest, "\n");
  return text;
}

}  // namespace capstan::cli
