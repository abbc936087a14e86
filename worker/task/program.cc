// Programs of steps, and the checks that are made with them.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/utf8.h"
#include "worker/process/warnings.h"
#include "worker/task/step_kind.h"

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

CheckResult RunCheck(const StepTools& tools, const StepContext& context, const QualityCheck& check,
                     IterationTranscript& transcript, std::stop_token stop,
                     task::IterationEnded& ended) {
  if (check.on_failure() == QualityCheck::ON_FAILURE_SKIP)
    return NotRun(check, "the workflow leaves it out");
  std::vector<std::string> argv = ProgramOf(context, check);
  if (argv.empty())
    return NotRun(check, absl::StrCat("the task brings no command ", check.command()));
  const absl::Duration timeout =
      check.timeout().seconds() > 0 ? absl::Seconds(check.timeout().seconds()) : kCheckTimeout;
  transcript.Entry(storage::TranscriptRole::kNote, absl::StrCat("check ", check.name()));
  const ProgramRun run = RunProgram(tools, context, std::move(argv), "", timeout, transcript, stop);
  Add(run.result, ended);
  if (NotThere(run.result)) return NotRun(check, run.result.message);
  CheckResult result;
  result.set_name(check.name());
  if (run.result.end == process::Result::End::kExited && run.result.exit_code == 0) {
    result.set_state(CheckResult::STATE_PASSED);
    return result;
  }
  result.set_state(check.on_failure() == QualityCheck::ON_FAILURE_WARN
                       ? CheckResult::STATE_WARNED
                       : CheckResult::STATE_BLOCKED);
  const std::string end = absl::StrCat(EndText(run.result), "\n");
  result.set_message(
      absl::StrCat(end, std::string(Tail(run.output, kCheckMessageBytes - end.size()))));
  return result;
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
