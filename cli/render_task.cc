#include "cli/render_task.h"

#include <algorithm>

#include "cli/text_format.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

using v1::CheckResult;
using v1::Execution;
using v1::StepStatus;

constexpr size_t kMessageColumns = 100;  // of what a step says, in a table
constexpr size_t kOutputColumns = 200;   // of what a check wrote
constexpr size_t kTextColumns = 300;     // of a description
constexpr size_t kShortDigest = 12;

std::string Short(const std::string& digest) { return OneLine(digest).substr(0, kShortDigest); }

bool IsDone(const StepStatus& step) {
  return step.state() == StepStatus::STATE_SUCCEEDED || step.state() == StepStatus::STATE_SKIPPED;
}

std::string ChecksText(const StepStatus& step) {
  std::string text;
  for (const CheckResult& check : step.checks())
    Append(&text, text.empty() ? "" : ", ", CheckText(check));
  return text;
}

std::string TimeText(const StepStatus& step, absl::Time now) {
  return step.has_start_time() ? Elapsed(TimeOf(step, now)) : "";
}

std::vector<std::string> StepRow(const StepStatus& step, absl::Time now) {
  const v1::UsageTotals& usage = step.usage();
  return {OneLine(step.name()),
          StepWord(step.state()),
          TryText(step),
          TimeText(step, now),
          OneLine(step.model()),
          step.has_usage() ? Tokens(usage.input_tokens()) : "",
          step.has_usage() ? Tokens(usage.output_tokens()) : "",
          step.has_usage() ? CostText(usage) : "",
          ChecksText(step),
          CutToWidth(SaidText(step), kMessageColumns)};
}

// The end of a long text, which is where programs say what is wrong.
std::string EndOf(const std::string& text) {
  const std::string line = OneLine(text);
  if (line.size() <= kOutputColumns) return line;
  size_t begin = line.size() - kOutputColumns;  // not in the middle of a character
  while (begin < line.size() && (static_cast<unsigned char>(line[begin]) & 0xC0) == 0x80) ++begin;
  return Cat("…", line.substr(begin));
}

std::string CheckOutputs(const Execution& execution) {
  std::string text;
  for (const StepStatus& step : execution.steps()) {
    for (const CheckResult& check : step.checks()) {
      if (check.state() == CheckResult::STATE_PASSED || check.message().empty()) continue;
      AppendLine(&text, Cat("  ", OneLine(step.name()), ": ", CheckText(check), ": ",
                            EndOf(check.message())));
    }
  }
  return text;
}

std::string WorkText(const v1::Workspace& workspace) {
  const std::string& head =
      workspace.head_commit().empty() ? workspace.base_commit() : workspace.head_commit();
  std::string text = Cat("branch ", OneLine(workspace.branch()));
  if (!head.empty()) Append(&text, " at ", Short(head));
  if (!workspace.path().empty()) Append(&text, ", folder ", OneLine(workspace.path()));
  return text;
}

const StepStatus* FailedStep(const Execution& execution) {
  const auto failed =
      std::find_if(execution.steps().begin(), execution.steps().end(),
                   [](const StepStatus& step) { return step.state() == StepStatus::STATE_FAILED; });
  return failed == execution.steps().end() ? nullptr : &*failed;
}

// How to go on after a task that did not succeed.
std::string RetryAdvice(const Execution& execution, const Invocation& invocation) {
  const std::string retry = Cat(invocation.program, " task retry ", ShellQuoted(execution.name()));
  if (execution.failure_reason() == Execution::FAILURE_REASON_OUTCOME_UNKNOWN) {
    return Cat(
        "What a step ran may have had an effect, and it is not known which. It is never repeated "
        "by itself. Next:\n  look at what it changes\n  if it is still wanted:  ",
        retry, " --accept-repeated-effect\n");
  }
  if (execution.failure_reason() == Execution::FAILURE_REASON_POLICY_DENIED) return "";
  std::string text = Cat("To try it again: ", retry, "\n");
  if (const StepStatus* failed = FailedStep(execution)) {
    Append(&text, "From the step that failed: ", retry,
           " --from-step=", ShellQuoted(failed->name()), "\n");
  }
  return text;
}

}  // namespace

std::string StepWord(StepStatus::State state) {
  return EnumWord(*StepStatus::State_descriptor(), state, "STATE_");
}

std::string TryText(const StepStatus& step) {
  return step.attempt() > 0 ? Cat(step.attempt(), "/", step.iteration()) : "";
}

std::string SaidText(const StepStatus& step) {
  if (!step.gate().empty()) return OneLine(Cat("gate: ", step.gate(), " decides"));
  if (!step.message().empty() || step.child().empty()) return OneLine(step.message());
  return OneLine(Cat(step.state() == StepStatus::STATE_RUNNING ? "waits for " : "", step.child()));
}

absl::Duration TimeOf(const StepStatus& step, absl::Time now) {
  if (!step.has_start_time()) return absl::ZeroDuration();
  return (step.has_end_time() ? ToTime(step.end_time()) : now) - ToTime(step.start_time());
}

std::string CostText(const v1::UsageTotals& usage) {
  return Cat(usage.is_upper_bound() ? "<=" : "", Money(usage.cost_microusd()));
}

std::string UsageText(const v1::UsageTotals& usage, int64_t max_cost_microusd) {
  std::string text = Cat("in ", Tokens(usage.input_tokens()), ", out ",
                         Tokens(usage.output_tokens()), " tokens, ", CostText(usage));
  if (max_cost_microusd > 0) Append(&text, " of ", Money(max_cost_microusd));
  return text;
}

std::string CheckText(const CheckResult& check) {
  switch (check.state()) {
    case CheckResult::STATE_PASSED:
      return Cat(OneLine(check.name()), " passed");
    case CheckResult::STATE_BLOCKED:
      return Cat(OneLine(check.name()), " did not pass");
    case CheckResult::STATE_WARNED:
      return Cat(OneLine(check.name()), " did not pass (warning)");
    case CheckResult::STATE_NOT_RUN:
      return Cat(OneLine(check.name()), " was not run");
    default:
      return Cat(OneLine(check.name()), " ", static_cast<int>(check.state()));
  }
}

std::string StepsText(const Execution& execution) {
  const absl::Time now = ToTime(execution.update_time());
  std::vector<std::vector<std::string>> rows = {
      {"STEP", "STATE", "TRY/ITER", "TIME", "MODEL", "IN", "OUT", "COST", "CHECKS", "MESSAGE"}};
  for (const StepStatus& step : execution.steps()) rows.push_back(StepRow(step, now));
  return Cat(Table(rows), CheckOutputs(execution));
}

std::string ProgressText(const Execution& execution) {
  return Cat(std::count_if(execution.steps().begin(), execution.steps().end(), IsDone), "/",
             execution.steps_size());
}

std::vector<std::vector<std::string>> TaskRows(const Execution& execution) {
  const v1::TaskDescription& task = execution.task();
  const v1::Workspace& work = execution.workspace();
  std::vector<std::vector<std::string>> rows = {
      {"workflow", Cat(OneLine(execution.workflow()), "@", OneLine(execution.workflow_digest()))},
      {"title", OneLine(task.title())},
      {"task id", OneLine(task.id())},
      {"category", OneLine(task.category())},
      {"description", CutToWidth(OneLine(task.description()), kTextColumns)}};
  for (const v1::SuccessCriterion& criterion : task.criteria())
    rows.push_back({"criterion", OneLine(Cat(criterion.id(), ": ", criterion.text()))});
  rows.push_back({"used", UsageText(execution.usage(), execution.max_cost_microusd())});
  if (execution.context() != v1::CONTEXT_KIND_UNSPECIFIED)
    rows.push_back(
        {"context", EnumWord(*v1::ContextKind_descriptor(), execution.context(), "CONTEXT_KIND_")});
  rows.push_back({"project", OneLine(execution.project())});
  rows.push_back({"repository", OneLine(work.repository())});
  rows.push_back({"workspace", OneLine(work.path())});
  rows.push_back({"branch", OneLine(work.branch())});
  rows.push_back({"from commit", OneLine(work.base_commit())});
  rows.push_back({"at commit", OneLine(work.head_commit())});
  return rows;
}

std::string TaskEndText(const Execution& execution, const Invocation& invocation) {
  if (execution.outcome().dry_run()) return "Dry run: nothing was run.\n";
  std::string text = StepsText(execution);
  AppendLine(&text, Cat("Used: ", UsageText(execution.usage(), execution.max_cost_microusd())));
  if (!execution.workspace().branch().empty())
    AppendLine(&text, Cat("Work: ", WorkText(execution.workspace())));
  if (execution.state() == Execution::STATE_SUCCEEDED) return text;
  std::string said = Cat("What was said: ", invocation.program, " task transcript ",
                         ShellQuoted(execution.name()));
  if (const StepStatus* failed = FailedStep(execution))
    Append(&said, " --step=", ShellQuoted(failed->name()));
  AppendLine(&text, said);
  return Cat(text, RetryAdvice(execution, invocation));
}

std::string TaskAwaitsText(const Execution& execution, const Invocation& invocation) {
  const v1::ApprovalSummary& approval = execution.approval();
  const std::string name = ShellQuoted(execution.name());
  const std::string task = Cat("  ", invocation.program, " task ");
  if (approval.question()) {
    return Cat("Step ", OneLine(approval.step()), " asks: ", OneLine(approval.reason()), "\n", task,
               "answer ", name, " --answer=ANSWER\n", task, "reject ", name, " --reason=WHY\n");
  }
  std::string text = Cat("Step ", OneLine(approval.step()), " waits for ",
                         ApproversText(approval.quorum(), approval.groups()), " to say yes");
  if (!approval.reason().empty()) Append(&text, ": ", OneLine(approval.reason()));
  return Cat(text, "\n", task, "approve ", name, " --reason=WHY\n", task, "reject ", name,
             " --reason=WHY\n");
}

}  // namespace capstan::cli
