#include "worker/task/triggers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/config/validate.h"
#include "core/utf8.h"
#include "core/workflow/templates.h"

namespace capstan::worker {
namespace {

using v1::TriggerRan;
using v1::WorkflowTrigger;
using ProgramEnd = process::Result::End;

constexpr absl::Duration kTriggerTimeout = absl::Seconds(30);
constexpr std::size_t kMessageBytes = 1500;

bool IsDue(const WorkflowTrigger& trigger, WorkflowTrigger::When when, const std::string& step) {
  if (trigger.when() != when) return false;
  return trigger.steps().empty() ||
         std::find(trigger.steps().begin(), trigger.steps().end(), step) != trigger.steps().end();
}

absl::Duration TimeoutOf(const WorkflowTrigger& trigger) {
  const absl::Duration timeout = config::ToDuration(trigger.timeout());
  return timeout > absl::ZeroDuration() ? timeout : kTriggerTimeout;
}

void Set(TriggerRan& ran, TriggerRan::Result result, std::string_view why, std::string output) {
  absl::StripTrailingAsciiWhitespace(&output);
  ran.set_result(result);
  std::string message(why);
  if (!output.empty()) absl::StrAppend(&message, message.empty() ? "" : ": ", output);
  ran.set_message(std::string(Tail(message, kMessageBytes)));
}

void RunCommand(const StepTools& tools, const WorkflowTrigger& trigger, const StepContext& context,
                IterationTranscript& transcript, std::stop_token stop, TriggerRan& ran) {
  if (context.workspace.path().empty())  // all steps were gates, or skipped
    return Set(ran, TriggerRan::RESULT_ERROR, "the task has no workspace to run it in", "");
  const v1::CommandStep& command = trigger.command();
  absl::StatusOr<std::vector<std::string>> argv = RenderArgv(command, context.values);
  if (!argv.ok())
    return Set(ran, TriggerRan::RESULT_ERROR, std::string(argv.status().message()), "");
  const ProgramRun run = RunProgram(tools, context, *std::move(argv), command.directory(),
                                    TimeoutOf(trigger), transcript, stop);
  const std::string complaint = Complaint(command, run);
  const bool says_no = run.result.end == ProgramEnd::kExited && run.result.exit_code == 1;
  if (complaint.empty()) return Set(ran, TriggerRan::RESULT_PASSED, "", run.output);
  Set(ran, says_no ? TriggerRan::RESULT_REJECTED : TriggerRan::RESULT_ERROR, complaint, run.output);
}

void RunCall(const StepTools& tools, const WorkflowTrigger& trigger, const StepContext& context,
             IterationTranscript& transcript, std::stop_token stop, TriggerRan& ran) {
  const HttpOutcome outcome =
      tools.http.Call(trigger.http(), context.values, TimeoutOf(trigger), stop);
  transcript.Entry(storage::TranscriptRole::kNote,
                   absl::StrCat(outcome.message, outcome.body.empty() ? "" : "\n", outcome.body));
  if (outcome.end != HttpOutcome::End::kAnswered)
    return Set(ran, TriggerRan::RESULT_ERROR, outcome.message, "");
  const std::string body(Head(outcome.body, kMessageBytes / 2));
  const std::string complaint = Complaint(trigger.http(), outcome);
  const bool says_no =
      outcome.code >= 400 && outcome.code < 500 && outcome.code != 408 && outcome.code != 429;
  Set(ran,
      complaint.empty() ? TriggerRan::RESULT_PASSED
      : says_no         ? TriggerRan::RESULT_REJECTED
                        : TriggerRan::RESULT_ERROR,
      complaint.empty() ? outcome.message : complaint, body);
}

TriggerRan RunOne(const StepTools& tools, VariableSources& variables,
                  const WorkflowTrigger& trigger, StepContext& context,
                  IterationTranscript& transcript, std::stop_token stop) {
  TriggerRan ran;
  ran.set_trigger(trigger.name());
  ran.set_step(context.run.step);
  const absl::Duration began = tools.clock.BootTime();
  transcript.Entry(storage::TranscriptRole::kNote, absl::StrCat("trigger ", trigger.name()));
  std::vector<std::string> warnings;  // in the transcript as well
  const std::optional<VariableProblem> problem = variables.Fetch(
      workflow::FetchedFor(*context.workflow, trigger), context, transcript, stop, warnings);
  if (stop.stop_requested()) {
    Set(ran, TriggerRan::RESULT_ERROR, "stopped", "");
  } else if (problem.has_value()) {
    Set(ran, TriggerRan::RESULT_ERROR, problem->message, "");
  } else if (trigger.has_http()) {
    RunCall(tools, trigger, context, transcript, stop, ran);
  } else {
    RunCommand(tools, trigger, context, transcript, stop, ran);
  }
  const std::int64_t micros = absl::ToInt64Microseconds(tools.clock.BootTime() - began);
  ran.mutable_duration()->set_seconds(micros / 1000000);
  ran.mutable_duration()->set_nanos(static_cast<std::int32_t>(micros % 1000000 * 1000));
  return ran;
}

}  // namespace

std::vector<TriggerRan> RunTriggers(const StepTools& tools, VariableSources& variables,
                                    StepContext& context, WorkflowTrigger::When when,
                                    IterationTranscript& transcript, std::stop_token stop) {
  const bool no_ends =
      when == WorkflowTrigger::WHEN_CREATED || when == WorkflowTrigger::WHEN_BEFORE_STEP;
  std::vector<TriggerRan> all;
  for (const WorkflowTrigger& trigger : context.workflow->triggers()) {
    if (!IsDue(trigger, when, context.run.step)) continue;
    all.push_back(RunOne(tools, variables, trigger, context, transcript, stop));
    if (stop.stop_requested()) break;
    if (no_ends && all.back().result() == TriggerRan::RESULT_REJECTED) break;
  }
  return all;
}

}  // namespace capstan::worker
