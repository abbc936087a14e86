#include "cli/render_execution.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "cli/render_plan.h"
#include "cli/render_task.h"
#include "cli/text_format.h"
#include "core/projection.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

using v1::Execution;

constexpr size_t kTitleColumns = 40;  // of a task, in a listing

std::string EffectText(const Execution& execution) {
  switch (execution.outcome().effect()) {
    case Execution::EFFECT_NONE:
      return "Nothing was changed.";
    case Execution::EFFECT_POSSIBLE:
      return Cat("Something may have been changed. Look at it: ", KubectlGet(execution.target()));
    default:
      return "";
  }
}

// "Approval: bob said yes: looked at it".
void AppendApproval(const v1::ApprovalSummary& approval, std::string* text) {
  for (const v1::ApprovalDecision& decision : approval.decisions())
    AppendLine(text, Cat("Approval: ", DecisionText(decision)));
}

// Of the checks of an ended execution those that say no: why it failed, and warnings.
void AppendConditions(const Execution& execution, std::string* text) {
  for (const v1::ConditionResult& result : execution.condition_results()) {
    if (!result.passed()) AppendLine(text, Cat("  ", ConditionText(result)));
  }
}

// An end without a known outcome needs a look before anything else.
void AppendUnknownAdvice(const Execution& execution, const Invocation& invocation,
                         std::string* text) {
  const std::string name = ShellQuoted(execution.name());
  Append(text,
         "It is not known whether the action took effect, and it is never repeated by itself. "
         "Next:\n",
         "  look at the target:      ", KubectlGet(execution.target()), "\n",
         "  read what it wrote:      ", invocation.program, " execution logs ", name, "\n",
         "  if it is still wanted:   ", invocation.program, " execution retry ", name,
         " --accept-repeated-effect\n");
}

// The same request again may end otherwise, with nothing changed but the time.
bool IsWorthRetrying(const Execution& execution) {
  switch (execution.failure_reason()) {
    case Execution::FAILURE_REASON_POLICY_DENIED:
    case Execution::FAILURE_REASON_UNKNOWN_ACTION:
    case Execution::FAILURE_REASON_INVALID_PARAMETERS:
      return false;
    default:
      return execution.state() != Execution::STATE_SUCCEEDED;
  }
}

// What makes one of the endings need more than its state and message.
void AppendAdvice(const Execution& execution, const Invocation& invocation, std::string* text) {
  if (execution.failure_reason() == Execution::FAILURE_REASON_OUTCOME_UNKNOWN) {
    AppendUnknownAdvice(execution, invocation, text);
    return;
  }
  if (execution.outcome().dry_run()) {
    AppendLine(text, "Dry run: nothing was launched. -o json shows the Job that would be created.");
    Append(text, PlanText(execution.outcome().plan()));
    return;
  }
  AppendLine(text, EffectText(execution));
  const std::string undo = UndoCommand(execution, invocation);
  if (!undo.empty()) AppendLine(text, Cat("To undo it: ", undo));
  if (execution.state() == Execution::STATE_FAILED && execution.has_job()) {
    AppendLine(text, Cat("What it wrote: ", invocation.program, " execution logs ",
                         ShellQuoted(execution.name())));
  }
  if (IsWorthRetrying(execution)) {
    AppendLine(text, Cat("To try it again: ", invocation.program, " execution retry ",
                         ShellQuoted(execution.name())));
  }
}

// What a live line says beside the state: the message, or the check that does not hold yet.
std::string WhyText(const Execution& execution) {
  if (!execution.message().empty()) return OneLine(execution.message());
  if (execution.state() != Execution::STATE_VERIFYING) return "";
  for (const v1::ConditionResult& result : execution.condition_results()) {
    if (result.phase() == v1::ConditionResult::PHASE_POST && !result.passed())
      return ConditionText(result);
  }
  return "";
}

class DetailRows {
 public:
  // Nothing for what is not known.
  void Add(const std::string& name, const std::string& value) {
    if (!value.empty() && value != "-") rows_.push_back({name, value});
  }
  std::string Text() const { return Table(rows_); }

 private:
  std::vector<std::vector<std::string>> rows_;
};

void AddRequest(const Execution& execution, DetailRows* rows) {
  if (IsTask(execution)) {
    for (const std::vector<std::string>& row : TaskRows(execution)) rows->Add(row[0], row[1]);
  } else {
    rows->Add("action", OneLine(execution.action()));
    rows->Add("parameters", ParametersText(execution.parameters()));
    rows->Add("target", TargetText(execution.target()));
  }
  rows->Add("dry run", execution.dry_run() ? "yes" : "");
  rows->Add("timeout", Length(execution.timeout()));
  if (execution.on_conflict() != Execution::ON_CONFLICT_UNSPECIFIED) {
    rows->Add("on conflict",
              absl::AsciiStrToLower(EnumWord(*Execution::OnConflict_descriptor(),
                                             execution.on_conflict(), "ON_CONFLICT_")));
  }
  rows->Add("caller", OneLine(execution.caller()));
  rows->Add("request id", OneLine(execution.request_id()));
  rows->Add("retry of", OneLine(execution.retry_of()));
  rows->Add("rollback of", OneLine(execution.rollback_of()));
  if (execution.has_parent()) {
    rows->Add("parent",
              OneLine(Cat(execution.parent().name(), " step ", execution.parent().step())));
  }
  std::map<std::string, std::string> labels(execution.labels().begin(), execution.labels().end());
  for (const auto& [key, value] : labels) rows->Add("label", OneLine(Cat(key, "=", value)));
}

void AddApproval(const Execution& execution, const Invocation& invocation, DetailRows* rows) {
  if (!execution.has_approval()) return;
  const v1::ApprovalSummary& approval = execution.approval();
  std::string text =
      Cat(EnumWord(*v1::ApprovalSummary::State_descriptor(), approval.state(), "STATE_"),
          ", wants ", ApproversText(approval.quorum(), approval.groups()));
  if (!approval.reason().empty()) Append(&text, ": ", OneLine(approval.reason()));
  if (!approval.step().empty())
    rows->Add(approval.question() ? "question of" : "gate of", OneLine(approval.step()));
  rows->Add("approval", text);
  for (const v1::ApprovalDecision& decision : approval.decisions())
    rows->Add("decision", Cat(DecisionText(decision), " at ", Time(decision.time())));
  if (!AwaitsApproval(execution)) return;
  rows->Add("expires", Time(approval.expire_time()));
  rows->Add(approval.question() ? "to answer" : "to approve",
            ApproveCommand(execution, invocation));
}

}  // namespace

std::string LiveLine(const Execution& execution, absl::Duration elapsed, size_t width) {
  std::string text =
      Cat(Elapsed(elapsed), "  ", StateText(execution), "  ", SubjectText(execution));
  if (execution.cancel_requested()) Append(&text, "  cancel requested");
  if (execution.has_blocked_until()) Append(&text, "  until ", Time(execution.blocked_until()));
  if (const std::string why = WhyText(execution); !why.empty()) Append(&text, "  ", why);
  return CutToWidth(text, width);
}

std::string EndText(const Execution& execution, const Invocation& invocation) {
  const absl::Duration took = ToTime(execution.finish_time()) - ToTime(execution.create_time());
  std::string text = Cat(StateText(execution), "  ", SubjectText(execution), "  after ",
                         Elapsed(took), "  ", OneLine(execution.name()), "\n");
  AppendLine(&text, OneLine(execution.message()));
  for (const v1::PolicyViolation& violation : execution.policy_decision().violations()) {
    AppendLine(&text, Cat("  ", OneLine(violation.id()), ": ", OneLine(violation.message())));
  }
  if (IsTask(execution)) return Cat(text, TaskEndText(execution, invocation));
  if (!execution.outcome().dry_run()) AppendConditions(execution, &text);
  AppendApproval(execution.approval(), &text);
  for (const v1::ResourceChange& change : execution.outcome().resources()) {
    AppendLine(&text, ChangeText(change));
  }
  AppendAdvice(execution, invocation, &text);
  return text;
}

std::string DetachedText(const std::string& name, const Invocation& invocation) {
  if (name.empty()) return "Stopped before the server had answered.\n";
  return Cat("The execution goes on.\n", "  watch it:   ", invocation.program, " execution watch ",
             ShellQuoted(name), "\n", "  ask why:    ", invocation.program, " execution explain ",
             ShellQuoted(name), "\n", "  cancel it:  ", invocation.program, " execution cancel ",
             ShellQuoted(name), "\n");
}

std::string AwaitsApprovalText(const Execution& execution, const Invocation& invocation) {
  if (IsTask(execution)) return TaskAwaitsText(execution, invocation);
  const std::string& name = execution.name();
  return Cat("It waits for an approval.\n", "  see the plan:  ", invocation.program,
             " approval show ", ShellQuoted(name), "\n",
             "  approve it:    ", ApproveCommand(execution, invocation), "\n");
}

std::string Details(const Execution& execution, const Invocation& invocation) {
  DetailRows rows;
  rows.Add("name", OneLine(execution.name()));
  rows.Add("state", StateText(execution));
  rows.Add("message", OneLine(execution.message()));
  rows.Add("until", Time(execution.blocked_until()));
  AddRequest(execution, &rows);
  rows.Add("created", Time(execution.create_time()));
  rows.Add("validated", Time(execution.validation_end_time()));
  rows.Add("started", Time(execution.execution_start_time()));
  rows.Add("finished", Time(execution.finish_time()));
  if (!IsTerminal(execution.state())) rows.Add("deadline", Time(execution.queue_deadline()));
  if (execution.has_policy_decision())
    rows.Add("policy", DecisionText(execution.policy_decision()));
  for (const v1::ConditionResult& result : execution.condition_results())
    rows.Add("check", ConditionText(result));
  AddApproval(execution, invocation, &rows);
  if (execution.has_job()) rows.Add("job", JobText(execution.job()));
  rows.Add("cancel", execution.cancel_requested() ? "requested" : "");
  for (const v1::ResourceChange& change : execution.outcome().resources())
    rows.Add("changed", ChangeText(change));
  if (IsTerminal(execution.state())) rows.Add("effect", EffectText(execution));
  rows.Add("to undo", UndoCommand(execution, invocation));
  if (IsTask(execution)) return Cat(rows.Text(), "\n", StepsText(execution));
  if (!execution.outcome().has_plan()) return rows.Text();
  return Cat(rows.Text(), "\n", PlanText(execution.outcome().plan()));
}

std::string ExecutionTable(const google::protobuf::RepeatedPtrField<Execution>& executions) {
  // Only tasks have steps and cost anything.
  const bool tasks = std::any_of(executions.begin(), executions.end(), IsTask);
  std::vector<std::vector<std::string>> rows = {{"NAME", "STATE", "ACTION", "TARGET"}};
  if (tasks) rows = {{"NAME", "STATE", "RUNS", "ON", "STEPS", "COST"}};
  rows[0].push_back("CREATED");
  for (const Execution& execution : executions) {
    std::vector<std::string> row = {OneLine(execution.name()), StateText(execution)};
    if (IsTask(execution)) {
      row.insert(row.end(), {OneLine(execution.workflow()),
                             CutToWidth(OneLine(execution.task().title()), kTitleColumns),
                             ProgressText(execution), CostText(execution.usage())});
    } else {
      row.insert(row.end(), {OneLine(execution.action()), TargetText(execution.target())});
      if (tasks) row.insert(row.end(), {"", ""});
    }
    row.push_back(Time(execution.create_time()));
    rows.push_back(std::move(row));
  }
  return Table(rows);
}

}  // namespace capstan::cli
