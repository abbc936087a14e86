// Programs of steps, and the checks that are made with them.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/utf8.h"
#include "core/workflow/task_values.h"
#include "worker/process/warnings.h"
#include "worker/task/judgement.h"
#include "worker/task/model_turn.h"

namespace capstan::worker {

using v1::CheckResult;
using v1::Execution;
using v1::QualityCheck;

namespace {

constexpr std::size_t kCheckMessageBytes = 3000;
constexpr absl::Duration kCheckTimeout = absl::Minutes(2);

void Add(const process::Result& result, task::IterationEnded& ended) {
  for (std::string& warning : process::Warnings(result))
    ended.warnings.push_back(std::move(warning));
}

// The program of a check; empty: there is none.
std::vector<std::string> ProgramOf(const StepContext& context, const QualityCheck& check) {
  if (check.argv_size() > 0) return {check.argv().begin(), check.argv().end()};
  const auto& commands = context.request.task().commands();
  const auto found = commands.find(check.command());
  if (found == commands.end()) return {};
  return {found->second.argv().begin(), found->second.argv().end()};
}

CheckResult NotRun(const QualityCheck& check, std::string why) {
  CheckResult result;
  result.set_name(check.name());
  result.set_state(CheckResult::STATE_NOT_RUN);
  result.set_message(std::move(why));
  return result;
}

bool NotThere(const process::Result& result) {
  return result.end == process::Result::End::kNotStarted;
}

// What a check that did not pass means for its step.
CheckResult NotPassed(const QualityCheck& check, std::string message) {
  CheckResult result;
  result.set_name(check.name());
  result.set_state(check.on_failure() == QualityCheck::ON_FAILURE_WARN
                       ? CheckResult::STATE_WARNED
                       : CheckResult::STATE_BLOCKED);
  result.set_message(std::move(message));
  return result;
}

CheckResult Passed(const QualityCheck& check) {
  CheckResult result;
  result.set_name(check.name());
  result.set_state(CheckResult::STATE_PASSED);
  return result;
}

// Within the step's time.
absl::Duration TimeoutOf(const QualityCheck& check, const StepTools& tools,
                         const StepContext& context) {
  const absl::Duration own =
      check.timeout().seconds() > 0 ? absl::Seconds(check.timeout().seconds()) : kCheckTimeout;
  return std::clamp(context.until - tools.clock.BootTime(), absl::ZeroDuration(), own);
}

// A model judges the work that the iteration says is complete. It costs what the iteration leaves.
CheckResult JudgeWork(const StepTools& tools, const StepContext& context, const QualityCheck& check,
                      IterationTranscript& transcript, std::stop_token stop,
                      task::IterationEnded& ended) {
  const v1::ModelJudgement& judge = check.judge();
  workflow::Values values = context.values;
  workflow::TakeAnswer(*context.workflow, *context.definition, ended.answer, ended.text, values);
  const std::int64_t left = LeftOf(context.run, ended);
  const std::int64_t own = judge.max_cost_microusd();
  Verdict verdict;
  verdict.words = "nothing is left of what the iteration may cost";
  if (!IsSpent(context.run, ended)) {
    verdict = Judge(tools, context, judge, values,
                    left > 0 && own > 0 ? std::min(left, own) : std::max(left, own),
                    TimeoutOf(check, tools, context), transcript, stop);
  }
  AddUsage(verdict.usage, ended);
  ended.warnings.insert(ended.warnings.end(), verdict.warnings.begin(), verdict.warnings.end());
  const std::string words(Head(verdict.words, kCheckMessageBytes));
  switch (verdict.end) {
    case Verdict::End::kPassed:
      return Passed(check);
    case Verdict::End::kNotPassed:
      return NotPassed(check, words);
    case Verdict::End::kStopped:
      return NotRun(check, "the step was stopped");
    default: {
      std::string why = absl::StrCat("the model could not be asked: ", words);
      return judge.fail_on_api_error() ? NotPassed(check, std::move(why))
                                       : NotRun(check, std::move(why));
    }
  }
}

CheckResult RunCheck(const StepTools& tools, const StepContext& context, const QualityCheck& check,
                     IterationTranscript& transcript, std::stop_token stop,
                     task::IterationEnded& ended) {
  if (check.on_failure() == QualityCheck::ON_FAILURE_SKIP)
    return NotRun(check, "the workflow leaves it out");
  if (check.has_judge()) {
    transcript.Entry(storage::TranscriptRole::kNote, absl::StrCat("check ", check.name()));
    return JudgeWork(tools, context, check, transcript, stop, ended);
  }
  std::vector<std::string> argv = ProgramOf(context, check);
  if (argv.empty())
    return NotRun(check, absl::StrCat("the task brings no command ", check.command()));
  transcript.Entry(storage::TranscriptRole::kNote, absl::StrCat("check ", check.name()));
  const ProgramRun run = RunProgram(tools, context, std::move(argv), "",
                                    TimeoutOf(check, tools, context), transcript, stop);
  Add(run.result, ended);
  if (NotThere(run.result)) return NotRun(check, run.result.message);
  if (run.result.end == process::Result::End::kDiskLimit) {
    AddDiskLimit(run.result, ended);
    return NotRun(check, run.result.message);
  }
  if (run.result.end == process::Result::End::kExited && run.result.exit_code == 0)
    return Passed(check);
  const std::string end = absl::StrCat(EndText(run.result), "\n");
  return NotPassed(
      check, absl::StrCat(end, std::string(Tail(run.output, kCheckMessageBytes - end.size()))));
}

}  // namespace

task::IterationEnded EndOf(const StepContext& context) {
  task::IterationEnded ended;
  ended.step = context.run.step;
  ended.attempt = context.run.attempt;
  ended.iteration = context.run.iteration;
  return ended;
}

StepResult Failure(const StepContext& context, Execution::FailureReason reason, std::string error,
                   std::string message) {
  StepResult result;
  result.ended = EndOf(context);
  result.ended.status = v1::IterationFinished::STATUS_ERROR;
  result.ended.reason = reason;
  result.ended.error = std::move(error);
  result.ended.message = std::move(message);
  return result;
}

void AddDiskLimit(const process::Result& result, task::IterationEnded& ended) {
  ended.status = v1::IterationFinished::STATUS_ERROR;
  ended.reason = Execution::FAILURE_REASON_RESOURCE_EXHAUSTED;
  ended.fatal = true;
  ended.error = "DISK_LIMIT";
  ended.message = result.message;
}

std::string ArtifactName(const StepContext& context, std::string_view what) {
  return absl::StrCat(context.run.step, "/", context.run.attempt, ".", context.run.iteration, "/",
                      std::string(what));
}

std::string EndText(const process::Result& result) {
  using End = process::Result::End;
  switch (result.end) {
    case End::kExited:
      return absl::StrCat("exit code ", result.exit_code);
    case End::kSignalled:
      return absl::StrCat("ended by signal ", result.signal);
    case End::kTimedOut:
      return absl::StrCat("stopped after ",
                          absl::FormatDuration(absl::Trunc(result.took, absl::Milliseconds(100))));
    case End::kStopped:
      return "stopped";
    case End::kOutOfMemory:
      return "used more memory than it may, and was ended";
    case End::kOutputLimit:
      return "printed more than it may, and was ended";
    case End::kDiskLimit:
      return result.message;
    case End::kNotStarted:
      return absl::StrCat("could not be started: ", result.message);
  }
  return "";
}

process::Spec ProgramSpec(const StepTools& tools, const StepContext& context,
                          std::vector<std::string> argv, absl::Duration timeout) {
  process::Spec spec;
  spec.argv = std::move(argv);
  spec.directory = context.workspace.path();
  spec.environment = tools.options.environment;
  spec.environment.try_emplace("PATH",
                               "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  spec.environment.try_emplace("HOME", "/tmp");
  spec.environment.try_emplace("CI", "true");
  spec.limits.timeout = timeout;
  spec.limits.memory_bytes = tools.options.memory_bytes;
  spec.limits.max_processes = tools.options.max_processes;
  spec.limits.file_bytes = kProgramFileBytes;
  spec.limits.measured = {context.workspace.path()};
  spec.limits.disk_bytes = tools.options.workspace_bytes;
  spec.limits.disk_files = tools.options.workspace_files;
  spec.sandbox = {.enabled = tools.options.sandbox,
                  .writable = {context.workspace.path()},
                  .readable = tools.options.readable,
                  .network = tools.options.network};
  return spec;
}

ProgramRun RunProgram(const StepTools& tools, const StepContext& context,
                      std::vector<std::string> argv, const std::string& directory,
                      absl::Duration timeout, IterationTranscript& transcript,
                      std::stop_token stop) {
  process::Spec spec = ProgramSpec(tools, context, std::move(argv), timeout);
  if (!directory.empty()) absl::StrAppend(&spec.directory, "/", directory);
  ProgramRun run;
  std::string end;
  run.result = tools.processes.Run(
      spec,
      [&](process::Stream, std::string_view piece) {
        transcript.Text(piece);
        end.append(piece);
        if (end.size() > 4 * kProgramOutputBytes) end.erase(0, end.size() - kProgramOutputBytes);
      },
      stop);
  run.output = tools.redactor.Redact(MendUtf8(end));
  run.output = std::string(Tail(run.output, kProgramOutputBytes));
  return run;
}

void RunChecks(const StepTools& tools, const StepContext& context, IterationTranscript& transcript,
               std::stop_token stop, task::IterationEnded& ended) {
  std::string feedback;
  for (const QualityCheck& check : context.definition->checks()) {
    if (stop.stop_requested()) {
      ended.checks.push_back(NotRun(check, "the step was stopped"));
      continue;
    }
    if (!ended.error.empty()) {
      ended.checks.push_back(NotRun(check, ended.message));
      continue;
    }
    CheckResult result = RunCheck(tools, context, check, transcript, stop, ended);
    if (result.state() == CheckResult::STATE_BLOCKED) {
      ended.checks_block = true;
      absl::StrAppend(&feedback, feedback.empty() ? "" : "\n\n", "The check ", check.name(),
                      " did not pass: ", result.message());
    }
    ended.checks.push_back(std::move(result));
  }
  if (!feedback.empty()) ended.feedback = std::move(feedback);
}

}  // namespace capstan::worker
