#include "cli/render_execution.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "cli/text_format.h"
#include "core/projection.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

using v1::Execution;
using v1::ExecutionEvent;

std::string StateWord(Execution::State state) {
  return EnumWord(*Execution::State_descriptor(), state, "STATE_");
}

std::string ReasonWord(Execution::FailureReason reason) {
  return EnumWord(*Execution::FailureReason_descriptor(), reason, "FAILURE_REASON_");
}

std::string StateWithReason(Execution::State state, Execution::FailureReason reason) {
  if (state != Execution::STATE_FAILED) return StateWord(state);
  return Cat(StateWord(state), "(", ReasonWord(reason), ")");
}

std::string TargetText(const v1::Target& target) {
  return OneLine(Cat(target.kind(), " ", target.namespace_(),
                     target.namespace_().empty() ? "" : "/", target.name()));
}

std::string JobText(const v1::Job& job) { return OneLine(Cat(job.namespace_(), "/", job.name())); }

std::string DecisionText(const v1::PolicyDecision& decision) {
  if (!decision.error().empty()) return Cat("could not be evaluated: ", OneLine(decision.error()));
  std::string text = decision.allow() ? "allowed" : "denied";
  const char* separator = ": ";
  for (const v1::PolicyViolation& violation : decision.violations()) {
    Append(&text, separator, OneLine(violation.message()), " [", OneLine(violation.id()), "]");
    separator = "; ";
  }
  for (const std::string& warning : decision.warnings())
    Append(&text, "; warning: ", OneLine(warning));
  return text;
}

std::string StateChangedText(const v1::StateChanged& change) {
  std::string text = StateWithReason(change.to(), change.failure_reason());
  if (change.attempt() > 1) Append(&text, ", attempt ", change.attempt());
  if (change.has_retry_time()) Append(&text, ", again at ", Time(change.retry_time()));
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

struct EventWords {
  std::string what;
  std::string text;
};

EventWords WordsOf(const ExecutionEvent& event) {
  switch (event.payload_case()) {
    case ExecutionEvent::kAccepted:
      return {"accepted", OneLine(Cat(event.accepted().action(), " ",
                                      ParametersText(event.accepted().parameters()),
                                      event.accepted().dry_run() ? " (dry run)" : ""))};
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
      return {"end", Cat("removing the Job, then ",
                         StateWithReason(event.end_decided().state(),
                                         event.end_decided().failure_reason()),
                         event.end_decided().message().empty() ? "" : ": ",
                         OneLine(event.end_decided().message()))};
    case ExecutionEvent::kLeaseLost:
      return {"worker", Cat("lost, another one went on (", event.lease_lost().takeovers(), ")")};
    default:
      return {"event", "of a kind that this program does not know"};
  }
}

// "replicas 1 -> 3" for each fact that was captured.
std::string ChangeText(const v1::ResourceChange& change) {
  std::map<std::string, std::string> facts;
  for (const auto& [name, before] : change.before().fields()) {
    auto after = change.after().fields().find(name);
    facts[name] =
        Cat(OneLine(name), " ", OneLine(ValueText(before)), " -> ",
            after == change.after().fields().end() ? "unknown" : OneLine(ValueText(after->second)));
  }
  std::string text = TargetText(change.target());
  const char* separator = ": ";
  for (const auto& [name, fact] : facts) {
    Append(&text, separator, fact);
    separator = ", ";
  }
  return text;
}

std::string KubectlGet(const v1::Target& target) {
  std::string text = Cat("kubectl get ", ShellQuoted(absl::AsciiStrToLower(target.kind())), " ",
                         ShellQuoted(target.name()));
  if (!target.namespace_().empty())
    Append(&text, " --namespace=", ShellQuoted(target.namespace_()));
  return text;
}

std::string EffectText(const Execution& execution) {
  switch (execution.outcome().effect()) {
    case Execution::EFFECT_NONE:
      return "Nothing was changed.";
    case Execution::EFFECT_POSSIBLE:
      return Cat("Something may have been changed. Look at it: ", KubectlGet(execution.target()));
    default:
      return "";
  }
}

void AppendLine(std::string* text, const std::string& line) {
  if (!line.empty()) Append(text, line, "\n");
}

// What makes one of the endings need more than its state and message.
void AppendAdvice(const Execution& execution, const v1::RollbackPlan& rollback,
                  const Invocation& invocation, std::string* text) {
  if (execution.failure_reason() == Execution::FAILURE_REASON_OUTCOME_UNKNOWN) {
    Append(text,
           "It is not known whether the action took effect, and it is never repeated by itself. "
           "Next:\n",
           "  look at the target:      ", KubectlGet(execution.target()), "\n",
           "  read what it wrote:      ", invocation.program, " execution logs ",
           ShellQuoted(execution.name()), "\n", "  if it is still wanted:   ", invocation.program,
           " action run ", ShellQuoted(execution.action()), " ",
           ParameterFlags(execution.parameters()), "\n");
    return;
  }
  if (execution.outcome().dry_run()) {
    const v1::Plan& plan = execution.outcome().plan();
    AppendLine(text, "Dry run: nothing was launched. -o json shows the Job that would be created.");
    if (plan.has_policy_decision())
      AppendLine(text, Cat("Policy: ", DecisionText(plan.policy_decision())));
    AppendLine(text, Cat("Plan: sha256:", OneLine(plan.digest())));
    return;
  }
  AppendLine(text, EffectText(execution));
  if (execution.outcome().effect() != Execution::EFFECT_NONE && !rollback.action().empty()) {
    AppendLine(text,
               Cat("To undo it: ", invocation.program, " action run ",
                   ShellQuoted(rollback.action()), " ", ParameterFlags(rollback.parameters())));
  }
  if (execution.state() == Execution::STATE_FAILED && execution.has_job()) {
    AppendLine(text, Cat("What it wrote: ", invocation.program, " execution logs ",
                         ShellQuoted(execution.name())));
  }
}

}  // namespace

std::string StateText(const Execution& execution) {
  return StateWithReason(execution.state(), execution.failure_reason());
}

std::string EventLine(const ExecutionEvent& event) {
  EventWords words = WordsOf(event);
  return absl::StrFormat("%3d  %s  %-8s  %s", event.seq(), Time(event.time()), words.what,
                         words.text);
}

std::string LiveLine(const Execution& execution, absl::Duration elapsed, size_t width) {
  std::string text = Cat(Elapsed(elapsed), "  ", StateText(execution), "  ",
                         OneLine(execution.action()), " ", TargetText(execution.target()));
  if (execution.cancel_requested()) Append(&text, "  cancel requested");
  if (!execution.message().empty()) Append(&text, "  ", OneLine(execution.message()));
  if (text.size() <= width) return text;
  size_t end = width;  // not in the middle of a character
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

std::string EndText(const Execution& execution, const v1::RollbackPlan& rollback,
                    const Invocation& invocation) {
  const absl::Duration took = ToTime(execution.finish_time()) - ToTime(execution.create_time());
  std::string text = Cat(StateText(execution), "  ", OneLine(execution.action()), " ",
                         TargetText(execution.target()), "  after ", Elapsed(took), "  ",
                         OneLine(execution.name()), "\n");
  AppendLine(&text, OneLine(execution.message()));
  for (const v1::PolicyViolation& violation : execution.policy_decision().violations()) {
    AppendLine(&text, Cat("  ", OneLine(violation.id()), ": ", OneLine(violation.message())));
  }
  for (const v1::ResourceChange& change : execution.outcome().resources()) {
    AppendLine(&text, ChangeText(change));
  }
  AppendAdvice(execution, rollback, invocation, &text);
  return text;
}

std::string DetachedText(const std::string& name, const Invocation& invocation) {
  if (name.empty()) return "Stopped before the server had answered.\n";
  return Cat("The execution goes on.\n", "  watch it:   ", invocation.program, " execution watch ",
             ShellQuoted(name), "\n", "  cancel it:  ", invocation.program, " execution cancel ",
             ShellQuoted(name), "\n");
}

std::string Details(const Execution& execution) {
  std::vector<std::vector<std::string>> rows = {
      {"name", OneLine(execution.name())},
      {"state", StateText(execution)},
  };
  auto add = [&](const char* name, const std::string& value) {
    if (!value.empty() && value != "-") rows.push_back({name, value});
  };
  add("message", OneLine(execution.message()));
  add("action", OneLine(execution.action()));
  add("parameters", ParametersText(execution.parameters()));
  add("target", TargetText(execution.target()));
  add("dry run", execution.dry_run() ? "yes" : "");
  add("timeout", Length(execution.timeout()));
  add("caller", OneLine(execution.caller()));
  add("request id", OneLine(execution.request_id()));
  if (execution.has_parent()) {
    add("parent", OneLine(Cat(execution.parent().name(), " step ", execution.parent().step())));
  }
  std::map<std::string, std::string> labels(execution.labels().begin(), execution.labels().end());
  for (const auto& [key, value] : labels) add("label", OneLine(Cat(key, "=", value)));
  add("created", Time(execution.create_time()));
  add("validated", Time(execution.validation_end_time()));
  add("started", Time(execution.execution_start_time()));
  add("finished", Time(execution.finish_time()));
  if (execution.has_policy_decision()) add("policy", DecisionText(execution.policy_decision()));
  if (execution.has_job()) add("job", JobText(execution.job()));
  add("cancel", execution.cancel_requested() ? "requested" : "");
  for (const v1::ResourceChange& change : execution.outcome().resources())
    add("changed", ChangeText(change));
  if (IsTerminal(execution.state())) add("effect", EffectText(execution));
  return Table(rows);
}

std::string ExecutionTable(const google::protobuf::RepeatedPtrField<Execution>& executions) {
  std::vector<std::vector<std::string>> rows = {{"NAME", "STATE", "ACTION", "TARGET", "CREATED"}};
  for (const Execution& execution : executions) {
    rows.push_back({OneLine(execution.name()), StateText(execution), OneLine(execution.action()),
                    TargetText(execution.target()), Time(execution.create_time())});
  }
  return Table(rows);
}

}  // namespace capstan::cli
