// Steps that submit an action: what they submit is made and checked here, as the server makes and
// checks what callers send, and stored with the transition that names it.
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/catalog/request_check.h"
#include "core/config/validate.h"
#include "core/machine/event_writer.h"
#include "core/target_name.h"
#include "core/workflow/render.h"
#include "nlohmann/json.hpp"
#include "worker/task/step_kind.h"

namespace capstan::worker {
namespace {

using catalog::ActionDefinition;
using catalog::ParameterDefinition;
using catalog::ParameterType;
using v1::Execution;

const ParameterDefinition* Find(const ActionDefinition& action, const std::string& name) {
  for (const ParameterDefinition& parameter : action.parameters) {
    if (parameter.name == name) return &parameter;
  }
  return nullptr;
}

// Nothing but {{…}}.
bool IsOneReference(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  return absl::ConsumePrefix(&text, "{{") && absl::ConsumeSuffix(&text, "}}") &&
         text.find('{') == absl::string_view::npos && text.find('#') == absl::string_view::npos;
}

// The value of a parameter with everything put in. An error says what is wrong with it.
absl::StatusOr<google::protobuf::Value> ValueOf(const google::protobuf::Value& value,
                                                const ParameterDefinition* parameter,
                                                const Redactor& redactor,
                                                const workflow::Values& values) {
  if (value.kind_case() != google::protobuf::Value::kStringValue) return value;
  absl::StatusOr<std::string> text = workflow::Render(value.string_value(), values);
  if (!text.ok()) return text.status();
  // Parameters are shown to everybody who may see the execution.
  if (redactor.Redact(*text) != *text)
    return absl::InvalidArgumentError("got something like a credential, want none in a parameter");
  google::protobuf::Value out;
  const bool converts = parameter != nullptr && parameter->type != ParameterType::kString &&
                        IsOneReference(value.string_value());
  if (!converts) {
    out.set_string_value(*std::move(text));
    return out;
  }
  const std::string stripped(absl::StripAsciiWhitespace(*text));
  absl::StatusOr<catalog::ParameterValue> parsed =
      catalog::ParseParameterText(*parameter, stripped);
  if (!parsed.ok()) return parsed.status();
  return catalog::ToStruct({{parameter->name, *std::move(parsed)}}).fields().at(parameter->name);
}

int NumberOf(const StepContext& context) {
  int number = 1;
  for (const v1::WorkflowStep& step : context.workflow->steps()) {
    if (step.name() == context.run.step) break;
    ++number;
  }
  return number;
}

storage::NewExecution ExecutionOf(const StepContext& context, const ActionDefinition& action,
                                  const google::protobuf::Struct& parameters,
                                  const catalog::RequestCheck& checked, absl::Time now) {
  const v1::ActionStep& step = context.definition->action();
  v1::ExecutionEvent event;
  event.set_causation_id("request");
  event.set_correlation_id(context.correlation_id);
  v1::Accepted& accepted = *event.mutable_accepted();
  accepted.set_action(action.name);
  *accepted.mutable_parameters() = parameters;
  accepted.mutable_timeout()->set_seconds(absl::ToInt64Seconds(checked.timeout));
  accepted.set_priority(context.request.priority());
  *accepted.mutable_labels() = context.request.labels();
  accepted.mutable_parent()->set_name(ExecutionName(context.id));
  accepted.mutable_parent()->set_step(NumberOf(context));
  accepted.set_child(true);
  *accepted.mutable_target() = checked.target;
  accepted.set_caller(context.request.caller());
  accepted.set_traceparent(context.traceparent);
  *accepted.mutable_queue_deadline() = machine::ToProto(now + context.run.timeout);
  accepted.set_on_conflict(step.on_conflict() == Execution::ON_CONFLICT_UNSPECIFIED
                               ? Execution::ON_CONFLICT_WAIT
                               : step.on_conflict());
  accepted.set_max_retries(catalog::kDefaultRetries);

  storage::NewExecution execution;
  execution.caller = accepted.caller();
  execution.priority = static_cast<std::int16_t>(accepted.priority());
  execution.action = action.name;
  execution.parent_name = accepted.parent().name();
  execution.parent_step = accepted.parent().step();
  execution.labels = {accepted.labels().begin(), accepted.labels().end()};
  execution.accepted = event.SerializeAsString();
  execution.request_hash = Sha256(execution.accepted);
  const nlohmann::json audit = {{"kind", "submit"},
                                {"caller", execution.caller},
                                {"action", execution.action},
                                {"target", TargetKey(checked.target)},
                                {"parent", execution.parent_name},
                                {"event_sha256", Sha256Hex(execution.accepted)}};
  execution.audit = audit.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return execution;
}

class ActionStepKind final : public StepKind {
 public:
  ActionStepKind(const catalog::Catalog& catalog, const Redactor& redactor,
                 std::function<absl::Time()> database_now)
      : catalog_(catalog), redactor_(redactor), database_now_(std::move(database_now)) {}

  StepResult Work(const StepContext& context, IterationTranscript&, std::stop_token) override {
    const v1::ActionStep& step = context.definition->action();
    const auto refuse = [&](const char* error, std::string message) {
      return Failure(context, Execution::FAILURE_REASON_CONFIGURATION, error, std::move(message));
    };
    const ActionDefinition* const action = catalog_.Find(step.action());
    if (action == nullptr) {
      return refuse("UNKNOWN_ACTION", absl::StrCat("action: got \"", step.action(),
                                                   "\", want one of: ", catalog_.KnownNames()));
    }
    google::protobuf::Struct parameters;
    for (const auto& [name, value] : step.parameters().fields()) {
      absl::StatusOr<google::protobuf::Value> filled =
          ValueOf(value, Find(*action, name), redactor_, context.values);
      if (!filled.ok()) {
        return refuse(absl::IsFailedPrecondition(filled.status()) ? "UNRESOLVED" : "PARAMETERS",
                      absl::StrCat("parameters.", name, ": ", filled.status().message()));
      }
      (*parameters.mutable_fields())[name] = *std::move(filled);
    }
    const catalog::RequestCheck checked =
        catalog::CheckRequest(*action, parameters, config::ToDuration(step.timeout()));
    if (!checked.violations.empty()) {
      return refuse("PARAMETERS",
                    absl::StrJoin(checked.violations, "; ", [](std::string* out, const auto& one) {
                      absl::StrAppend(out, one.field, ": ", one.description);
                    }));
    }
    const absl::Time now = database_now_();
    StepResult result;
    result.child = storage::NewChild{ExecutionId::Make(now),
                                     ExecutionOf(context, *action, parameters, checked, now)};
    result.ended = EndOf(context);
    result.ended.child = ExecutionName(result.child->id);
    return result;
  }

 private:
  const catalog::Catalog& catalog_;
  const Redactor& redactor_;
  const std::function<absl::Time()> database_now_;
};

}  // namespace

std::unique_ptr<StepKind> MakeActionStep(const catalog::Catalog& catalog, const Redactor& redactor,
                                         std::function<absl::Time()> database_now) {
  return std::make_unique<ActionStepKind>(catalog, redactor, std::move(database_now));
}

}  // namespace capstan::worker
