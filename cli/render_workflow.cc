#include "cli/render_workflow.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "cli/text_format.h"
#include "core/text.h"
#include "core/workflow/loader.h"

namespace capstan::cli {
namespace {

using v1::StepGate;
using v1::Workflow;
using v1::WorkflowStep;

constexpr size_t kShortDigest = 12;
constexpr size_t kDescriptionColumns = 60;

std::string KindWord(const WorkflowStep& step) {
  switch (step.kind_case()) {
    case WorkflowStep::kLlm:
      return "model";
    case WorkflowStep::kCommand:
      return "command";
    case WorkflowStep::kHttp:
      return "http";
    case WorkflowStep::kGateOnly:
      return "gate";
    case WorkflowStep::kCheck:
      return "check";
    case WorkflowStep::kAction:
      return OneLine(Cat("action ", step.action().action()));
    default:
      return "?";
  }
}

std::string ModelText(const Workflow& workflow, const WorkflowStep& step) {
  if (!step.has_llm()) return "";
  return OneLine(step.llm().model().empty() ? workflow.model() : step.llm().model());
}

std::string GateText(const WorkflowStep& step) {
  if (!step.has_gate()) return "";
  const bool beside = step.gate().mode() == StepGate::MODE_REACTION;
  return Cat(
      absl::AsciiStrToLower(EnumWord(*StepGate::Kind_descriptor(), step.gate().kind(), "KIND_")),
      beside ? " (beside it)" : "");
}

// "to implement" when it fails, "loops to review".
std::string BackText(const WorkflowStep& step) {
  std::vector<std::string> ways;
  if (!step.retry_from().empty()) ways.push_back(OneLine(step.retry_from()));
  if (step.has_loop()) ways.push_back(Cat("loops to ", OneLine(step.loop().to_step())));
  return absl::StrJoin(ways, ", ");
}

std::string ChecksText(const WorkflowStep& step) {
  return OneLine(absl::StrJoin(
      step.checks(), ",", [](std::string* out, const auto& check) { out->append(check.name()); }));
}

std::string StepsTable(const Workflow& workflow) {
  std::vector<std::vector<std::string>> rows = {
      {"STEP", "KIND", "MODEL", "AFTER", "IF", "GATE", "CHECKS", "GOES BACK TO", "DESCRIPTION"}};
  for (const WorkflowStep& step : workflow.steps()) {
    rows.push_back({OneLine(step.name()), KindWord(step), ModelText(workflow, step),
                    OneLine(absl::StrJoin(step.depends_on(), ",")),
                    step.has_condition() ? "condition" : "", GateText(step), ChecksText(step),
                    BackText(step), CutToWidth(OneLine(step.description()), kDescriptionColumns)});
  }
  return Table(rows);
}

// "audit (created), ready (before_step: push)".
std::string TriggersText(const Workflow& workflow) {
  return OneLine(absl::StrJoin(
      workflow.triggers(), ", ", [](std::string* out, const v1::WorkflowTrigger& trigger) {
        Append(out, trigger.name(), " (",
               absl::AsciiStrToLower(
                   EnumWord(*v1::WorkflowTrigger::When_descriptor(), trigger.when(), "WHEN_")),
               trigger.steps().empty() ? "" : ": ", absl::StrJoin(trigger.steps(), ","), ")");
      }));
}

std::string StepNames(const Workflow& workflow) {
  return OneLine(absl::StrJoin(
      workflow.steps(), ",", [](std::string* out, const auto& step) { out->append(step.name()); }));
}

// A command line with what the workflow cannot do without.
std::string Example(const Workflow& workflow) {
  std::string text = Cat("capstan task run ", OneLine(workflow.name()), " --title=TITLE");
  if (workflow::TaskMustBringSpec(workflow)) Append(&text, " --spec-file=FILE");
  for (const v1::WorkflowVariable& variable : workflow.variables()) {
    if (variable.source_case() == v1::WorkflowVariable::kInput && !variable.has_default_value())
      Append(&text, " --input ", OneLine(variable.input()), "=VALUE");
  }
  return text;
}

}  // namespace

std::string WorkflowTable(
    const google::protobuf::RepeatedPtrField<v1::WorkflowVersion>& workflows) {
  std::vector<std::vector<std::string>> rows = {
      {"WORKFLOW", "VERSION", "DIGEST", "STORED BY", "STORED AT", "STEPS", "DESCRIPTION"}};
  for (const v1::WorkflowVersion& version : workflows) {
    const Workflow& workflow = version.workflow();
    rows.push_back({OneLine(workflow.name()), Cat(version.version()),
                    OneLine(version.digest()).substr(0, kShortDigest), OneLine(version.caller()),
                    Time(version.create_time()), StepNames(workflow),
                    OneLine(workflow.description())});
  }
  return Table(rows);
}

std::string WorkflowDetails(const v1::WorkflowVersion& version) {
  const Workflow& workflow = version.workflow();
  const auto word = [](const auto& type, int value, const char* prefix) {
    return absl::AsciiStrToLower(EnumWord(type, value, prefix));
  };
  std::string text = Table(
      {{"workflow", OneLine(workflow.name())},
       {"description", OneLine(workflow.description())},
       {"version", Cat(version.version(), ", sha256:", OneLine(version.digest()))},
       {"stored", Cat("by ", OneLine(version.caller()), " at ", Time(version.create_time()))},
       {"timeout", workflow.has_timeout() ? Length(workflow.timeout()) : "24h"},
       {"may cost", workflow.max_cost_microusd() > 0 ? Money(workflow.max_cost_microusd())
                                                     : "as much as it takes"},
       {"goes back", Cat("at most ", workflow::MaxRetries(workflow), " times to each step")},
       {"workspace",
        Cat("removed: ", word(*Workflow::Cleanup_descriptor(), workflow.cleanup(), "CLEANUP_"))},
       {"triggers", workflow.triggers().empty() ? "none" : TriggersText(workflow)},
       {"needs", workflow::TaskMustBringSpec(workflow) ? "a specification" : "a title"}});
  return Cat(text, "\n", StepsTable(workflow), "\n", Example(workflow), "\n");
}

std::string StoredText(const v1::PutWorkflowResponse& response, bool validate_only) {
  const v1::WorkflowVersion& version = response.workflow();
  const std::string name = Cat(OneLine(version.workflow().name()), "@", OneLine(version.digest()));
  if (validate_only) return Cat("Nothing is wrong with ", name, ". Nothing was stored.\n");
  if (response.unchanged()) return Cat("It was current already: ", name, "\n");
  return Cat("Stored as version ", version.version(), ": ", name, "\n");
}

}  // namespace capstan::cli
