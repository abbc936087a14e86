// Steps in which a model works: the prompt, the turn, what its answer means, one repair of an
// answer that cannot be used, and the checks.
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/status_macros.h"
#include "core/utf8.h"
#include "core/workflow/outcome.h"
#include "core/workflow/render.h"
#include "worker/task/step_kind.h"

namespace capstan::worker {
namespace {

using phases::PhaseError;
using phases::PhaseRequest;
using phases::PhaseResult;
using storage::TranscriptRole;
using v1::Execution;
using v1::IterationFinished;

constexpr int kMaxTurns = 50;
constexpr std::size_t kMessageBytes = 2000;
constexpr std::size_t kFeedbackBytes = 16 * 1024;
constexpr std::size_t kSessionBytes = 8 * 1024 * 1024;

// TRANSIENT, RATE_LIMITED, …
std::string NameOf(PhaseError error) {
  return absl::AsciiStrToUpper(std::string(phases::PhaseErrorName(error)));
}

// What an error of an engine means for the task.
struct Meaning {
  bool transient;
  Execution::FailureReason reason;
};

Meaning MeaningOf(PhaseError error) {
  switch (error) {
    case PhaseError::kTransient:
    case PhaseError::kRateLimited:
    case PhaseError::kStalled:
    case PhaseError::kTruncated:
    case PhaseError::kProcess:
      return {true, Execution::FAILURE_REASON_PROVIDER};
    case PhaseError::kSpendLimit:
    case PhaseError::kBudget:
      return {false, Execution::FAILURE_REASON_BUDGET_EXCEEDED};
    case PhaseError::kDiskLimit:
      return {false, Execution::FAILURE_REASON_RESOURCE_EXHAUSTED};
    case PhaseError::kNoAnswer:
      return {false, Execution::FAILURE_REASON_INVALID_ANSWER};
    default:
      return {false, Execution::FAILURE_REASON_PROVIDER};
  }
}

// What the engine tells goes to the transcript.
class Listener final : public phases::PhaseObserver {
 public:
  explicit Listener(IterationTranscript& transcript) : transcript_(transcript) {}

  void OnText(std::string_view text) override { transcript_.Text(text); }
  void OnToolCall(std::string_view tool, std::string_view input) override {
    transcript_.Entry(TranscriptRole::kToolCall,
                      absl::StrCat(std::string(tool), " ", std::string(input)));
  }
  void OnToolResult(std::string_view tool, std::string_view text, bool is_error) override {
    transcript_.Entry(
        TranscriptRole::kToolResult,
        absl::StrCat(std::string(tool), is_error ? " (error) " : " ", std::string(text)));
  }
  void OnRetry(PhaseError error, int tries, absl::Duration wait) override {
    transcript_.Entry(TranscriptRole::kNote,
                      absl::StrCat(std::string(phases::PhaseErrorName(error)), ": try ", tries + 1,
                                   " after ", absl::FormatDuration(wait)));
  }

 private:
  IterationTranscript& transcript_;
};

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
    const v1::ModelStep& model = context.definition->llm();
    const std::string& name =
        model.engine().empty() ? tools_.options.default_engine : model.engine();
    const auto engine = tools_.engines.find(name);
    if (engine == tools_.engines.end()) {
      return Failure(context, Execution::FAILURE_REASON_CONFIGURATION, "NO_ENGINE",
                     absl::StrCat("this worker has no model engine ", name));
    }
    absl::StatusOr<PhaseRequest> request = RequestOf(context);
    if (!request.ok()) {
      return Failure(context, Execution::FAILURE_REASON_CONFIGURATION, "UNRESOLVED",
                     std::string(request.status().message()));
    }
    return Converse(*engine->second, context, *std::move(request), transcript, stop);
  }

 private:
  absl::StatusOr<PhaseRequest> RequestOf(const StepContext& context) {
    const v1::ModelStep& model = context.definition->llm();
    PhaseRequest request;
    request.execution = context.id.ToString();
    request.step = context.run.step;
    request.attempt = context.run.attempt;
    request.iteration = context.run.iteration;
    request.model = !model.model().empty()               ? model.model()
                    : !context.workflow->model().empty() ? context.workflow->model()
                                                         : tools_.options.default_model;
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
    request.max_cost_microusd = context.run.max_cost_microusd;
    request.timeout = context.run.timeout;
    request.stall = tools_.options.stall;
    request.traceparent = context.traceparent;
    return request;
  }

  // One turn, and a second one when the answer of the first cannot be used.
  StepResult Converse(phases::PhaseEngine& engine, const StepContext& context, PhaseRequest request,
                      IterationTranscript& transcript, std::stop_token stop) {
    const absl::Duration until = tools_.clock.BootTime() + request.timeout;
    std::vector<phases::Usage> usage;
    std::vector<std::string> warnings;
    const auto done = [&](StepResult result) {
      std::vector<std::string>& all = result.ended.warnings;
      all.insert(all.begin(), warnings.begin(), warnings.end());
      return WithUsage(std::move(result), usage);
    };
    for (bool repaired = false;; repaired = true) {
      transcript.Entry(TranscriptRole::kPrompt, request.prompt);
      // What was asked is known before it costs anything.
      if (const absl::Status stored = transcript.Flush(); !stored.ok())
        return done(NotStored(context, stored));
      Listener listener(transcript);
      PhaseResult turn = engine.Run(request, listener, stop);
      turn.answer = tools_.redactor.Redact(turn.answer);
      turn.session_state = tools_.redactor.Redact(turn.session_state);
      usage.insert(usage.end(), turn.usage.begin(), turn.usage.end());
      for (const std::string& warning : turn.warnings)
        warnings.push_back(tools_.redactor.Redact(warning));
      if (stop.stop_requested() || turn.error == PhaseError::kStopped)
        return done(Stopped(context));
      if (turn.error != PhaseError::kNone) return done(Erred(context, turn));
      transcript.Entry(TranscriptRole::kResponse, turn.answer);
      const absl::StatusOr<workflow::Answer> answer =
          workflow::ReadAnswer(turn.answer, *context.definition, CriteriaOf(context.request));
      if (answer.ok()) {
        StepResult result = Answered(context, *answer, turn, request.session);
        if (result.ended.status == IterationFinished::STATUS_COMPLETE)
          RunChecks(tools_, context, transcript, stop, result.ended);
        return done(std::move(result));
      }
      const std::string complaint(answer.status().message());
      transcript.Entry(TranscriptRole::kNote,
                       absl::StrCat("the answer cannot be used: ", complaint));
      if (repaired || Spent(usage, context.run)) {
        return done(Failure(context, Execution::FAILURE_REASON_INVALID_ANSWER, "INVALID_ANSWER",
                            complaint));
      }
      request.resume = !turn.session_state.empty();
      if (!request.resume) request.session = RandomUuid();
      request.session_state = turn.session_state;
      request.timeout = until - tools_.clock.BootTime();
      request.max_cost_microusd = Left(usage, context.run);
      request.prompt = absl::StrCat(
          "Your last answer cannot be used: ", complaint,
          "\nDo no further work. Answer again, with the same content, as the schema asks.");
    }
  }

  static std::int64_t CostOf(const std::vector<phases::Usage>& usage) {
    std::int64_t cost = 0;
    for (const phases::Usage& one : usage) cost += one.cost_microusd;
    return cost;
  }
  static bool Spent(const std::vector<phases::Usage>& usage, const task::StepRun& run) {
    return run.max_cost_microusd > 0 && CostOf(usage) >= run.max_cost_microusd;
  }
  static std::int64_t Left(const std::vector<phases::Usage>& usage, const task::StepRun& run) {
    return run.max_cost_microusd > 0 ? run.max_cost_microusd - CostOf(usage) : 0;
  }

  static StepResult Stopped(const StepContext& context) {
    StepResult result = Failure(context, Execution::FAILURE_REASON_UNSPECIFIED, "", "stopped");
    result.ended.status = IterationFinished::STATUS_STOPPED;
    return result;
  }

  static StepResult NotStored(const StepContext& context, const absl::Status& status) {
    StepResult result = Failure(
        context, Execution::FAILURE_REASON_INTERNAL, "TRANSCRIPT",
        absl::StrCat("the transcript could not be stored: ", std::string(status.message())));
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
    ended.step = context.run.step;
    ended.attempt = context.run.attempt;
    ended.iteration = context.run.iteration;
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

  static StepResult WithUsage(StepResult result, const std::vector<phases::Usage>& usage) {
    // One row a model: the two turns of a repair are one iteration.
    std::map<std::string, v1::UsageRecorded> by_model;
    for (const phases::Usage& one : usage) {
      v1::UsageRecorded& row = by_model[one.model];
      row.set_step(result.ended.step);
      row.set_attempt(result.ended.attempt);
      row.set_iteration(result.ended.iteration);
      row.set_model(one.model);
      row.set_input_tokens(row.input_tokens() + one.input_tokens);
      row.set_output_tokens(row.output_tokens() + one.output_tokens);
      row.set_cache_creation_tokens(row.cache_creation_tokens() + one.cache_creation_tokens);
      row.set_cache_read_tokens(row.cache_read_tokens() + one.cache_read_tokens);
      row.set_effective_input_tokens(row.effective_input_tokens() + one.effective_input());
      row.set_cost_microusd(row.cost_microusd() + one.cost_microusd);
      row.set_is_upper_bound(row.is_upper_bound() || one.is_upper_bound);
    }
    for (auto& [model, row] : by_model) result.ended.usage.push_back(std::move(row));
    return result;
  }

  const StepTools tools_;
};

}  // namespace

std::unique_ptr<StepKind> MakeModelStep(const StepTools& tools) {
  return std::make_unique<ModelStepKind>(tools);
}

}  // namespace capstan::worker
