#include "worker/task/judgement.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/utf8.h"
#include "core/workflow/judgement.h"
#include "core/workflow/render.h"
#include "worker/task/model_turn.h"

namespace capstan::worker {
namespace {

using v1::Execution;

constexpr int kMaxTurns = 10;  // an answer, and mending it
constexpr std::size_t kWordsBytes = 16 * 1024;

Verdict NotAsked(Execution::FailureReason reason, std::string error, std::string words) {
  Verdict verdict;
  verdict.reason = reason;
  verdict.error = std::move(error);
  verdict.words = std::move(words);
  return verdict;
}

Verdict Erred(const phases::PhaseResult& turn) {
  const Meaning meaning = MeaningOf(turn.error);
  Verdict verdict =
      NotAsked(meaning.reason, NameOf(turn.error), std::string(Head(turn.message, kWordsBytes)));
  verdict.transient = meaning.transient;
  verdict.retry_after = turn.retry_after;
  return verdict;
}

Verdict VerdictOf(const Exchange& exchange, const workflow::Judgement& judgement) {
  Verdict verdict;
  switch (exchange.end) {
    case Exchange::End::kAnswered:
      verdict.end = judgement.passed ? Verdict::End::kPassed : Verdict::End::kNotPassed;
      verdict.words = std::string(Head(judgement.reason, kWordsBytes));
      return verdict;
    case Exchange::End::kStopped:
      verdict.end = Verdict::End::kStopped;
      return verdict;
    case Exchange::End::kUnusable:
      return NotAsked(Execution::FAILURE_REASON_INVALID_ANSWER, "INVALID_ANSWER", exchange.message);
    case Exchange::End::kNotStored:
      verdict = NotAsked(Execution::FAILURE_REASON_INTERNAL, "TRANSCRIPT",
                         absl::StrCat("the transcript could not be stored: ", exchange.message));
      verdict.transient = true;
      return verdict;
    default:
      return Erred(exchange.turn);
  }
}

}  // namespace

Verdict Judge(const StepTools& tools, const StepContext& context, const v1::ModelJudgement& judge,
              const workflow::Values& values, std::int64_t most, absl::Duration timeout,
              IterationTranscript& transcript, std::stop_token stop) {
  phases::PhaseEngine* const engine = EngineNamed(tools, judge.engine());
  if (engine == nullptr) {
    return NotAsked(
        Execution::FAILURE_REASON_CONFIGURATION, "NO_ENGINE",
        absl::StrCat("this worker has no model engine ",
                     judge.engine().empty() ? tools.options.default_engine : judge.engine()));
  }
  absl::StatusOr<std::string> prompt = workflow::Render(judge.prompt(), values);
  if (!prompt.ok()) {
    return NotAsked(Execution::FAILURE_REASON_CONFIGURATION, "UNRESOLVED",
                    std::string(prompt.status().message()));
  }
  phases::PhaseRequest request;
  request.execution = context.id.ToString();
  request.step = context.run.step;
  request.attempt = context.run.attempt;
  request.iteration = context.run.iteration;
  request.judgement = true;
  request.model = ModelNamed(tools, context, judge.model());
  request.prompt = *std::move(prompt);
  request.schema = workflow::kJudgementSchema;
  request.session = RandomUuid();
  request.workspace = context.workspace.path();
  request.max_turns = kMaxTurns;
  request.max_cost_microusd = most;
  request.timeout = timeout;
  request.stall = tools.options.stall;
  request.traceparent = context.traceparent;
  workflow::Judgement judgement;
  const auto read = [&](const std::string& text) {
    absl::StatusOr<workflow::Judgement> found = workflow::ReadJudgement(text);
    if (found.ok()) judgement = *std::move(found);
    return found.status();
  };
  Exchange exchange = Converse(tools, *engine, std::move(request), read, transcript, stop);
  Verdict verdict = VerdictOf(exchange, judgement);
  verdict.usage = std::move(exchange.usage);
  verdict.warnings = std::move(exchange.warnings);
  return verdict;
}

}  // namespace capstan::worker
