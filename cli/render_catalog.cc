#include "cli/render_catalog.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "cli/text_format.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

std::string EffectWord(v1::Action::EffectClass effect) {
  return absl::AsciiStrToLower(
      EnumWord(*v1::Action::EffectClass_descriptor(), effect, "EFFECT_CLASS_"));
}

// "integer 0..1000", "string (dns_label)".
std::string TypeText(const v1::ActionParameter& parameter) {
  std::string text = OneLine(parameter.type());
  if (!parameter.format().empty()) Append(&text, " (", OneLine(parameter.format()), ")");
  if (parameter.has_minimum() || parameter.has_maximum()) {
    Append(&text, " ", parameter.has_minimum() ? Cat(parameter.minimum()) : "", "..",
           parameter.has_maximum() ? Cat(parameter.maximum()) : "");
  }
  return text;
}

std::string NeedText(const v1::ActionParameter& parameter) {
  if (parameter.required()) return "required";
  if (parameter.has_default_value())
    return Cat("default ", OneLine(ValueText(parameter.default_value())));
  return "optional";
}

void AddConditions(const char* phase,
                   const google::protobuf::RepeatedPtrField<v1::ActionCondition>& conditions,
                   std::vector<std::vector<std::string>>* rows) {
  for (const v1::ActionCondition& condition : conditions) {
    rows->push_back({OneLine(condition.name()), phase,
                     condition.required() ? "required" : "warning", Length(condition.timeout()),
                     OneLine(condition.description())});
  }
}

// A table of both kinds, with an empty line before it; nothing when the action has none.
std::string ConditionTable(const v1::Action& action) {
  std::vector<std::vector<std::string>> rows = {{"CONDITION", "", "", "TIMEOUT", "DESCRIPTION"}};
  AddConditions("before", action.preconditions(), &rows);
  AddConditions("after", action.postconditions(), &rows);
  return rows.size() == 1 ? "" : Cat("\n", Table(rows));
}

std::string CooldownText(const v1::Action& action) {
  const bool none = action.cooldown().seconds() == 0 && action.cooldown().nanos() == 0;
  return none ? "none" : Cat(Length(action.cooldown()), " after a success, on the same target");
}

}  // namespace

std::string ActionTable(const google::protobuf::RepeatedPtrField<v1::Action>& actions) {
  std::vector<std::vector<std::string>> rows = {{"ACTION", "EFFECT", "TARGET", "DESCRIPTION"}};
  for (const v1::Action& action : actions) {
    rows.push_back({OneLine(action.action()), EffectWord(action.effect_class()),
                    OneLine(action.target_kind()), OneLine(action.description())});
  }
  return Table(rows);
}

std::string ActionDetails(const v1::Action& action) {
  std::string text = Table(
      {{"action", OneLine(action.action())},
       {"description", OneLine(action.description())},
       {"effect", EffectWord(action.effect_class())},
       {"target", OneLine(action.target_kind())},
       {"timeout",
        Cat(Length(action.default_timeout()), ", at most ", Length(action.max_timeout()))},
       {"cooldown", CooldownText(action)},
       {"on failure", action.blocks_after_failure() ? "blocks the target until somebody clears it"
                                                    : "the target stays free"},
       {"account", OneLine(action.service_account())},
       {"version", OneLine(action.digest())}});
  std::vector<std::vector<std::string>> rows = {{"PARAMETER", "TYPE", "", "DESCRIPTION"}};
  std::string example = Cat("capstan action run ", OneLine(action.action()));
  for (const v1::ActionParameter& parameter : action.parameters()) {
    rows.push_back({OneLine(parameter.name()), TypeText(parameter), NeedText(parameter),
                    OneLine(parameter.description())});
    if (parameter.required()) {
      Append(&example, " -p ", OneLine(parameter.name()), "=",
             absl::AsciiStrToUpper(OneLine(parameter.name())));
    }
  }
  return Cat(text, "\n", Table(rows), ConditionTable(action), "\n", example, "\n");
}

std::string WorkerTable(const google::protobuf::RepeatedPtrField<v1::Worker>& workers) {
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "STATE", "HOST", "VERSION", "EXECUTIONS", "STARTED", "HEARTBEAT"}};
  for (const v1::Worker& worker : workers) {
    rows.push_back({OneLine(worker.name()),
                    EnumWord(*v1::Worker::State_descriptor(), worker.state(), "STATE_"),
                    OneLine(worker.host()), OneLine(worker.version()),
                    Cat(worker.executions_held()), Time(worker.start_time()),
                    Time(worker.heartbeat_time())});
  }
  return Table(rows);
}

}  // namespace capstan::cli
