#include "cli/render_event.h"

#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "cli/render_task_event.h"
#include "cli/render_words.h"
#include "cli/text_format.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

using v1::ExecutionEvent;

std::string AcceptedText(const v1::Accepted& accepted) {
  std::string text = accepted.has_task()
                         ? TaskRequestText(accepted.task())
                         : Cat(accepted.action(), " ", ParametersText(accepted.parameters()));
  if (accepted.dry_run()) Append(&text, " (dry run)");
  if (!accepted.retry_of().empty()) Append(&text, " (tries ", accepted.retry_of(), " again)");
  if (!accepted.rollback_of().empty()) Append(&text, " (undoes ", accepted.rollback_of(), ")");
  const std::map<std::string, bool> overrides(accepted.condition_overrides().begin(),
                                              accepted.condition_overrides().end());
  for (const auto& [name, required] : overrides) {
    Append(&text, required ? " (requires " : " (does not require ", name, ")");
  }
  return OneLine(text);
}

std::string StateChangedText(const v1::StateChanged& change) {
  std::string text = StateText(change.to(), change.failure_reason(), change.block_reason());
  if (change.attempt() > 1) Append(&text, ", attempt ", change.attempt());
  if (change.has_retry_time()) Append(&text, ", again at ", Time(change.retry_time()));
  if (change.has_blocked_until()) Append(&text, ", until ", Time(change.blocked_until()));
  if (!change.message().empty()) Append(&text, ": ", OneLine(change.message()));
  return text;
}

std::string JobFinishedText(const v1::JobFinished& finished) {
  std::string text =
      finished.succeeded() ? "succeeded" : Cat("failed, ", ReasonWord(finished.failure_reason()));
  if (finished.exit_code() >= 0) Append(&text, ", exit code ", finished.exit_code());
  if (!finished.message().empty()) Append(&text, ": ", OneLine(finished.message()));
  return text;
}

std::string EndDecidedText(const v1::EndDecided& end) {
  return Cat("removing the Job, then ",
             StateText(end.state(), end.failure_reason(), v1::Execution::BLOCK_REASON_UNSPECIFIED),
             end.message().empty() ? "" : ": ", OneLine(end.message()));
}

std::string ApprovalRequestedText(const v1::ApprovalRequested& requested) {
  const std::string step =
      requested.step().empty() ? "" : Cat("step ", OneLine(requested.step()), " ");
  if (requested.question()) return Cat(step, "asks: ", OneLine(requested.rule().reason()));
  std::string text =
      Cat(step, "wants ", ApproversText(requested.rule().quorum(), requested.rule().groups()),
          " until ", Time(requested.expire_time()));
  if (!requested.rule().reason().empty()) Append(&text, ": ", OneLine(requested.rule().reason()));
  return Cat(text, "; plan sha256:", OneLine(requested.plan_digest()));
}

std::string ApprovalDecidedText(const v1::ApprovalDecided& decided) {
  std::string text = DecisionText(decided.decision());
  if (!decided.ignored().empty())
    Append(&text, "; it does not count: ", OneLine(decided.ignored()));
  return text;
}

std::string ApprovalEndedText(const v1::ApprovalEnded& ended) {
  return Cat(EnumWord(*v1::ApprovalSummary::State_descriptor(), ended.state(), "STATE_"),
             ended.message().empty() ? "" : ": ", OneLine(ended.message()));
}

EventWords WordsOf(const ExecutionEvent& event) {
  if (std::optional<EventWords> words = TaskEventWords(event)) return *std::move(words);
  switch (event.payload_case()) {
    case ExecutionEvent::kAccepted:
      return {"accepted", AcceptedText(event.accepted())};
    case ExecutionEvent::kStateChanged:
      return {"state", StateChangedText(event.state_changed())};
    case ExecutionEvent::kPolicyEvaluated:
      return {"policy", DecisionText(event.policy_evaluated().decision())};
    case ExecutionEvent::kArtifactStored:
      return {"stored", OneLine(Cat(event.artifact_stored().artifact(),
                                    " sha256:", event.artifact_stored().digest()))};
    case ExecutionEvent::kJobCreated:
      return {"job", Cat(event.job_created().adopted() ? "found " : "created ",
                         JobText(event.job_created().job()), ", suspended")};
    case ExecutionEvent::kJobArmed:
      return {"job", event.job_armed().found() ? "found running" : "started"};
    case ExecutionEvent::kJobFinished:
      return {"job", JobFinishedText(event.job_finished())};
    case ExecutionEvent::kCancelRequested:
      return {"cancel", OneLine(Cat("asked for by ", event.cancel_requested().caller(),
                                    event.cancel_requested().reason().empty() ? "" : ": ",
                                    event.cancel_requested().reason()))};
    case ExecutionEvent::kEndDecided:
      return {"end", EndDecidedText(event.end_decided())};
    case ExecutionEvent::kLeaseLost:
      return {"worker", Cat("lost, another one went on (", event.lease_lost().takeovers(), ")")};
    case ExecutionEvent::kConditionEvaluated:
      return {"check", ConditionText(event.condition_evaluated().result())};
    case ExecutionEvent::kApprovalRequested:
      return {"approval", ApprovalRequestedText(event.approval_requested())};
    case ExecutionEvent::kApprovalDecided:
      return {"approval", ApprovalDecidedText(event.approval_decided())};
    case ExecutionEvent::kApprovalEnded:
      return {"approval", ApprovalEndedText(event.approval_ended())};
    default:
      return {"event", "of a kind that this program does not know"};
  }
}

}  // namespace

std::string EventLine(const ExecutionEvent& event) {
  EventWords words = WordsOf(event);
  return absl::StrFormat("%3d  %s  %-8s  %s", event.seq(), Time(event.time()), words.what,
                         words.text);
}

}  // namespace capstan::cli
