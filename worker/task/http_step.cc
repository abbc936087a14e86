// Steps that call an HTTP service.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/utf8.h"
#include "core/workflow/json_text.h"
#include "core/workflow/loader.h"
#include "worker/task/step_kind.h"

namespace capstan::worker {
namespace {

using v1::Execution;
using v1::IterationFinished;
using End = HttpOutcome::End;

constexpr std::size_t kMessageBytes = 1500;
constexpr workflow::JsonLimits kJsonLimits = {.bytes = kMaxHttpBody + 1024, .depth = 64};

// A gateway that does not know what became of the call.
bool IsUnknown(const HttpOutcome& outcome) {
  return outcome.end == End::kUnknown ||
         (outcome.end == End::kAnswered && (outcome.code == 502 || outcome.code == 504));
}

class HttpStepKind final : public StepKind {
 public:
  explicit HttpStepKind(const StepTools& tools) : tools_(tools) {}

  StepResult Work(const StepContext& context, IterationTranscript& transcript,
                  std::stop_token stop) override {
    const v1::HttpStep& http = context.definition->http();
    const HttpOutcome outcome = tools_.http.Call(http, context.values, context.run.timeout, stop);
    if (!outcome.request.empty())
      transcript.Entry(storage::TranscriptRole::kToolCall, outcome.request);
    transcript.Entry(storage::TranscriptRole::kToolResult,
                     absl::StrCat(outcome.message, outcome.body.empty() ? "" : "\n", outcome.body));
    if (outcome.end == End::kRefused) {
      return Failure(context, Execution::FAILURE_REASON_CONFIGURATION, outcome.error,
                     outcome.message);
    }
    StepResult result;
    result.ended = EndOf(context);
    result.ended.message = outcome.message;
    if (outcome.end == End::kStopped) {
      result.ended.status = IterationFinished::STATUS_STOPPED;
      return result;
    }
    const std::string complaint =
        outcome.end == End::kAnswered ? Complaint(http, outcome) : outcome.message;
    if (!complaint.empty()) {
      const bool repeatable = workflow::IsRepeatable(http);
      if (repeatable ? IsTransient(outcome) : outcome.end == End::kNotSent)
        return Again(context, outcome);
      if (!repeatable && IsUnknown(outcome)) {
        return Failure(context, Execution::FAILURE_REASON_OUTCOME_UNKNOWN, "OUTCOME_UNKNOWN",
                       absl::StrCat(outcome.message,
                                    "; it may have been carried out, and may not be repeated"));
      }
    }
    Keep(context, outcome, result);
    if (complaint.empty()) {
      result.ended.status = IterationFinished::STATUS_COMPLETE;
      RunChecks(tools_, context, transcript, stop, result.ended);
      return result;
    }
    result.ended.status = IterationFinished::STATUS_FAILED;
    result.ended.reason = Execution::FAILURE_REASON_STEP_FAILED;
    result.ended.message = complaint;
    result.ended.feedback =
        absl::StrCat(complaint, "\n", std::string(Head(outcome.body, kMessageBytes)));
    return result;
  }

 private:
  // Another try may go better.
  static StepResult Again(const StepContext& context, const HttpOutcome& outcome) {
    StepResult result =
        Failure(context, Execution::FAILURE_REASON_STEP_FAILED, "TRANSIENT", outcome.message);
    result.ended.transient = true;
    result.ended.retry_after = outcome.retry_after;
    return result;
  }

  static void Keep(const StepContext& context, const HttpOutcome& outcome, StepResult& result) {
    nlohmann::json& answer = result.ended.answer;
    answer = {{"status", outcome.code}, {"headers", outcome.headers}, {"body", outcome.body}};
    absl::StatusOr<nlohmann::json> json = workflow::ParseJson(outcome.body, kJsonLimits);
    if (json.ok()) answer["json"] = *std::move(json);
    result.ended.answer_artifact = ArtifactName(context, "answer");
    result.artifacts.push_back({result.ended.answer_artifact, "application/json", answer.dump()});
    const std::string& name = context.definition->artifact();
    if (name.empty()) return;
    result.ended.text = outcome.body;
    result.ended.text_artifact = ArtifactName(context, name);
    result.artifacts.push_back({result.ended.text_artifact, "text/plain", outcome.body});
  }

  const StepTools tools_;
};

}  // namespace

std::unique_ptr<StepKind> MakeHttpStep(const StepTools& tools) {
  return std::make_unique<HttpStepKind>(tools);
}

}  // namespace capstan::worker
