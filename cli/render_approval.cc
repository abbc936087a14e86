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

}  // namespace

std::string ApprovalTable(const google::protobuf::RepeatedPtrField<v1::Approval>& approvals) {
  std::vector<std::vector<std::string>> rows = {
      {"EXECUTION", "ACTION", "TARGET", "REQUESTER", "SAID YES", "WANTS", "EXPIRES", "REASON"}};
  for (const v1::Approval& approval : approvals) {
    const v1::ApprovalSummary& summary = approval.approval();
    const auto yes = std::count_if(summary.decisions().begin(), summary.decisions().end(),
                                   [](const auto& decision) { return decision.approve(); });
    rows.push_back({OneLine(approval.execution()), OneLine(approval.action()),
                    TargetText(approval.target()), OneLine(approval.requester()), Cat(yes),
                    ApproversText(summary.quorum(), summary.groups()), Time(summary.expire_time()),
                    OneLine(summary.reason())});
  }
  return Table(rows);
}

std::string ApprovalDetails(const v1::Execution& execution, const v1::ApprovalRequested& requested,
                            const Invocation& invocation) {
  const v1::ApprovalSummary& approval = execution.approval();
  std::vector<std::vector<std::string>> rows = {
      {"execution", OneLine(execution.name())},
      {"action", OneLine(execution.action())},
      {"parameters", ParametersText(execution.parameters())},
      {"target", TargetText(execution.target())},
      {"requester", OneLine(execution.caller())},
      {"approval", StateWord(approval)},
      {"wants", ApproversText(approval.quorum(), approval.groups())},
      {"because", OneLine(approval.reason())},
      {"expires", Time(approval.expire_time())},
  };
  for (const v1::ApprovalDecision& decision : approval.decisions())
    rows.push_back({"decision", Cat(DecisionText(decision), " at ", Time(decision.time()))});
  std::string text = Cat(Table(rows), "\n", PlanText(requested.plan()));
  if (approval.state() != v1::ApprovalSummary::STATE_PENDING) return text;
  const std::string digest = Cat(" --plan-digest=", ShellQuoted(approval.plan_digest()));
  Append(&text, "\nTo decide on this plan and no other:\n  ",
         ApproveCommand(execution.name(), invocation), digest, "\n  ", invocation.program,
         " approval reject ", ShellQuoted(execution.name()), " --reason=WHY", digest, "\n");
  return text;
}

}  // namespace capstan::cli
