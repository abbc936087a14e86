// Steps in which a model works: the prompt, the turn, what its answer means, and the checks.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/status_macros.h"
#include "core/utf8.h"
#include "core/workflow/outcome.h"
#include "core/workflow/render.h"
#include "worker/task/model_turn.h"

namespace capstan::worker {
namespace {

using phases::PhaseError;
using phases::PhaseRequest;
using phases::PhaseResult;
using v1::Execution;
using v1::IterationFinished;

constexpr int kMaxTurns = 50;
constexpr std::size_t kMessageBytes = 2000;
constexpr std::size_t kFeedbackBytes = 16 * 1024;
constexpr std::size_t kSessionBytes = 8 * 1024 * 1024;

std::vector<std::string> CriteriaOf(const v1::Accepted& request) {
  std::vector<std::string> ids;
  for (const v1::SuccessCriterion& one : request.task().description().criteria())
    ids.push_back(one.id());
  return ids;
}

class ModelStepKind final : public StepKind {
 public:
  explicit ModelStepKind(const StepTools& tools) : tools_(tools) {}

  StepResult Work(const StepContext& context, IterationTranscript& transcript,
                  std::stop_token stop) override {
    const std::string& name = context.definition->llm().engine();
    phases::PhaseEngine* const engine = EngineNamed(tools_, name);
    if (engine == nullptr) {
      return Failure(context, Execution::FAILURE_REASON_CONFIGURATION, "NO_ENGINE",
                     absl::StrCat("this worker has no model engine ",
                                  name.empty() ? tools_.options.default_engine : name));
    }
    absl::StatusOr<PhaseRequest> request = RequestOf(context);
    if (!request.ok()) {
      return Failure(context, Execution::FAILURE_REASON_CONFIGURATION, "UNRESOLVED",
                     std::string(request.status().message()));
    }
    return Work(*engine, context, *std::move(request), transcript, stop);
  }

 private:
  absl::StatusOr<PhaseRequest> RequestOf(const StepContext& context) {
    const v1::ModelStep& model = context.definition->llm();
    PhaseRequest request;
    request.execution = context.id.ToString();
    request.step = context.run.step;
    request.attempt = context.run.attempt;
    request.iteration = context.run.iteration;
    request.model = ModelNamed(tools_, context, model.model());
    CAPSTAN_ASSIGN_OR_RETURN(request.prompt, workflow::Render(model.prompt(), context.values));
    CAPSTAN_ASSIGN_OR_RETURN(request.system_prompt,
                             workflow::Render(model.system_prompt(), context.values));
    request.schema = model.schema();
    // A conversation whose state was not kept begins anew: the prompt says all that it needs.
    request.resume = !context.session.empty() && !context.session_state.empty();
    request.session = request.resume ? context.session : RandomUuid();
    request.session_state = context.session_state;
    request.workspace = context.workspace.path();
    request.tools = {model.tools().begin(), model.tools().end()};
    request.thinking_tokens = model.thinking_tokens();
    request.max_turns = model.max_turns() > 0 ? model.max_turns() : kMaxTurns;
    // What its judgements may cost is reserved with it.
    const std::int64_t most = context.run.max_cost_microusd;
    const std::int64_t own = model.max_cost_microusd();
    request.max_cost_microusd = most > 0 && own > 0 ? std::min(most, own) : most;
    request.timeout = context.run.timeout;
    request.stall = tools_.options.stall;
    request.traceparent = context.traceparent;
    return request;
  }

  StepResult Work(phases::PhaseEngine& engine, const StepContext& context, PhaseRequest request,
                  IterationTranscript& transcript, std::stop_token stop) {
    workflow::Answer answer;
    const auto read = [&](const std::string& text) {
      absl::StatusOr<workflow::Answer> found =
          workflow::ReadAnswer(text, *context.definition, CriteriaOf(context.request));
      if (found.ok()) answer = *std::move(found);
      return found.status();
    };
    const Exchange exchange = Converse(tools_, engine, std::move(request), read, transcript, stop);
    StepResult result = ResultOf(context, exchange, answer);
    AddUsage(exchange.usage, result.ended);
    result.ended.warnings = exchange.warnings;
    if (exchange.end == Exchange::End::kAnswered &&
        result.ended.status == IterationFinished::STATUS_COMPLETE) {
      RunChecks(tools_, context, transcript, stop, result.ended);
    }
    return result;
  }

  static StepResult ResultOf(const StepContext& context, const Exchange& exchange,
                             const workflow::Answer& answer) {
    switch (exchange.end) {
      case Exchange::End::kAnswered:
        return Answered(context, answer, exchange.turn, exchange.session);
      case Exchange::End::kUnusable:
        return Failure(context, Execution::FAILURE_REASON_INVALID_ANSWER, "INVALID_ANSWER",
                       exchange.message);
      case Exchange::End::kStopped:
        return Stopped(context);
      case Exchange::End::kNotStored:
        return NotStored(context, exchange.message);
      default:
        return Erred(context, exchange.turn);
    }
  }

  static StepResult Stopped(const StepContext& context) {
    StepResult result = Failure(context, Execution::FAILURE_REASON_UNSPECIFIED, "", "stopped");
    result.ended.status = IterationFinished::STATUS_STOPPED;
    return result;
  }

  static StepResult NotStored(const StepContext& context, const std::string& why) {
    StepResult result = Failure(context, Execution::FAILURE_REASON_INTERNAL, "TRANSCRIPT",
                                absl::StrCat("the transcript could not be stored: ", why));
    result.ended.transient = true;
    return result;
  }

  static StepResult Erred(const StepContext& context, const PhaseResult& turn) {
    if (turn.error == PhaseError::kTimedOut || turn.error == PhaseError::kMaxTurns) {
      // An iteration that is used up: the next one goes on, within their number.
      StepResult result =
          Failure(context, Execution::FAILURE_REASON_TIMED_OUT, NameOf(turn.error), turn.message);
      result.ended.status = IterationFinished::STATUS_CONTINUE;
      result.ended.feedback =
          "The last iteration ran out of time or turns. Go on from the work "
          "that is in the workspace, in smaller steps.";
      return result;
    }
    const Meaning meaning = MeaningOf(turn.error);
    StepResult result = Failure(context, meaning.reason, NameOf(turn.error),
                                std::string(Head(turn.message, kMessageBytes)));
    result.ended.transient = meaning.transient;
    result.ended.fatal = turn.error == PhaseError::kDiskLimit;
    result.ended.retry_after = turn.retry_after;
    return result;
  }

  static StepResult Answered(const StepContext& context, const workflow::Answer& answer,
                             const PhaseResult& turn, const std::string& session) {
    using Status = workflow::Answer::Status;
    StepResult result;
    task::IterationEnded& ended = result.ended;
    ended = EndOf(context);
    ended.answer = answer.document;
    ended.session = session;
    const std::string& words = answer.reason.empty() ? answer.summary : answer.reason;
    ended.message = std::string(Head(words, kMessageBytes));
    ended.feedback = std::string(Head(words, kFeedbackBytes));
    ended.digest = Sha256Hex(answer.document.dump());
    switch (answer.status) {
      case Status::kComplete:
        ended.status = IterationFinished::STATUS_COMPLETE;
        ended.message = std::string(Head(answer.summary, kMessageBytes));
        break;
      case Status::kContinue:
        ended.status = IterationFinished::STATUS_CONTINUE;
        break;
      case Status::kBlocked:
        ended.status = IterationFinished::STATUS_BLOCKED;
        break;
      case Status::kFailed:
        ended.status = IterationFinished::STATUS_FAILED;
        ended.reason = Execution::FAILURE_REASON_STEP_FAILED;
        break;
    }
    Keep(context, answer, turn, result);
    return result;
  }

  static void Keep(const StepContext& context, const workflow::Answer& answer,
                   const PhaseResult& turn, StepResult& result) {
    task::IterationEnded& ended = result.ended;
    ended.answer_artifact = ArtifactName(context, "answer");
    result.artifacts.push_back({ended.answer_artifact, "application/json", answer.document.dump()});
    if (!answer.artifact.empty() && !context.definition->artifact().empty()) {
      ended.text = answer.artifact;
      ended.text_artifact = ArtifactName(context, context.definition->artifact());
      result.artifacts.push_back({ended.text_artifact, "text/markdown", answer.artifact});
    }
    if (turn.session_state.empty() || turn.session_state.size() > kSessionBytes) return;
    ended.session_artifact = ArtifactName(context, "session");
    result.artifacts.push_back(
        {ended.session_artifact, "application/octet-stream", turn.session_state});
  }

  const StepTools tools_;
};

}  // namespace

std::unique_ptr<StepKind> MakeModelStep(const StepTools& tools) {
  return std::make_unique<ModelStepKind>(tools);
}

}  // namespace capstan::worker
