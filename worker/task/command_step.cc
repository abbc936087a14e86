// Steps that run a program, and steps that only check.
#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/status_macros.h"
#include "core/utf8.h"
#include "core/workflow/render.h"
#include "worker/process/warnings.h"
#include "worker/task/step_kind.h"

namespace capstan::worker {
namespace {

using v1::CommandStep;
using v1::Execution;
using v1::IterationFinished;
using End = process::Result::End;

constexpr std::size_t kMessageBytes = 1500;

class CommandStepKind final : public StepKind {
 public:
  explicit CommandStepKind(const StepTools& tools) : tools_(tools) {}

  StepResult Work(const StepContext& context, IterationTranscript& transcript,
                  std::stop_token stop) override {
    StepResult result;
    result.ended = EndOf(context);
    const std::optional<ProgramRun> run =
        RunCommand(tools_, context, context.definition->command(), transcript, stop, result.ended);
    const bool ended =
        run.has_value() && run->result.end != End::kStopped && run->result.end != End::kDiskLimit;
    if (!ended) return result;
    Keep(context, *run, result);
    if (result.ended.status == IterationFinished::STATUS_COMPLETE)
      RunChecks(tools_, context, transcript, stop, result.ended);
    return result;
  }

 private:
  static void Keep(const StepContext& context, const ProgramRun& run, StepResult& result) {
    std::string output = run.output;
    absl::StripTrailingAsciiWhitespace(&output);
    result.ended.answer = {{"exit_code", run.result.exit_code}, {"output", output}};
    result.ended.answer_artifact = ArtifactName(context, "answer");
    result.artifacts.push_back(
        {result.ended.answer_artifact, "application/json", result.ended.answer.dump()});
    const std::string& name = context.definition->artifact();
    if (name.empty()) return;
    result.ended.text = output;
    result.ended.text_artifact = ArtifactName(context, name);
    result.artifacts.push_back({result.ended.text_artifact, "text/plain", std::move(output)});
  }

  const StepTools tools_;
};

class CheckStepKind final : public StepKind {
 public:
  explicit CheckStepKind(const StepTools& tools) : tools_(tools) {}

  StepResult Work(const StepContext& context, IterationTranscript& transcript,
                  std::stop_token stop) override {
    StepResult result;
    result.ended = EndOf(context);
    RunChecks(tools_, context, transcript, stop, result.ended);
    if (stop.stop_requested()) {
      result.ended.status = IterationFinished::STATUS_STOPPED;
    } else if (!result.ended.error.empty()) {
      result.ended.checks_block = false;
    } else if (!result.ended.checks_block) {
      result.ended.status = IterationFinished::STATUS_COMPLETE;
    } else {  // nothing else happens between two looks: what is not good enough is sent back
      const bool late = tools_.clock.BootTime() >= context.until;
      result.ended.status = IterationFinished::STATUS_FAILED;
      result.ended.reason =
          late ? Execution::FAILURE_REASON_TIMED_OUT : Execution::FAILURE_REASON_QUALITY_CHECK;
      result.ended.message =
          late ? "its time is up before its checks have passed" : "its checks did not pass";
    }
    return result;
  }

 private:
  const StepTools tools_;
};

}  // namespace

std::optional<ProgramRun> RunCommand(const StepTools& tools, const StepContext& context,
                                     const CommandStep& command, IterationTranscript& transcript,
                                     std::stop_token stop, task::IterationEnded& ended) {
  absl::StatusOr<std::vector<std::string>> argv = RenderArgv(command, context.values);
  if (!argv.ok()) {
    ended.reason = Execution::FAILURE_REASON_CONFIGURATION;
    ended.error = "UNRESOLVED";
    ended.message = std::string(argv.status().message());
    return std::nullopt;
  }
  ProgramRun run = RunProgram(tools, context, *std::move(argv), command.directory(),
                              context.run.timeout, transcript, stop);
  ended.warnings = process::Warnings(run.result);
  if (run.result.end == End::kStopped) {
    ended.status = IterationFinished::STATUS_STOPPED;
    ended.message = "stopped";
    return run;
  }
  if (run.result.end == End::kDiskLimit) {
    AddDiskLimit(run.result, ended);
    return run;
  }
  const std::string complaint = Complaint(command, run);
  if (complaint.empty()) {
    ended.status = IterationFinished::STATUS_COMPLETE;
    return run;
  }
  ended.status = IterationFinished::STATUS_FAILED;
  ended.reason = run.result.end == End::kTimedOut ? Execution::FAILURE_REASON_TIMED_OUT
                                                  : Execution::FAILURE_REASON_STEP_FAILED;
  ended.message = complaint;
  ended.feedback = absl::StrCat(complaint, "\n", std::string(Tail(run.output, kMessageBytes)));
  return run;
}

absl::StatusOr<std::vector<std::string>> RenderArgv(const CommandStep& command,
                                                    const workflow::Values& values) {
  std::vector<std::string> argv;
  for (const std::string& argument : command.argv()) {
    CAPSTAN_ASSIGN_OR_RETURN(argv.emplace_back(), workflow::Render(argument, values));
  }
  return argv;
}

std::string Complaint(const CommandStep& command, const ProgramRun& run) {
  if (run.result.end != End::kExited) return EndText(run.result);
  const bool code_fits =
      command.success_codes().empty()
          ? run.result.exit_code == 0
          : std::find(command.success_codes().begin(), command.success_codes().end(),
                      run.result.exit_code) != command.success_codes().end();
  if (!code_fits) return EndText(run.result);
  if (command.success_pattern().empty()) return "";
  const RE2 pattern(command.success_pattern());
  if (RE2::PartialMatch(run.output, pattern)) return "";
  return absl::StrCat("its output does not match ", command.success_pattern());
}

std::unique_ptr<StepKind> MakeCommandStep(const StepTools& tools) {
  return std::make_unique<CommandStepKind>(tools);
}

std::unique_ptr<StepKind> MakeCheckStep(const StepTools& tools) {
  return std::make_unique<CheckStepKind>(tools);
}

}  // namespace capstan::worker
