#include "core/workflow/templates.h"

#include <map>
#include <set>

#include "core/text.h"
#include "core/workflow/render.h"

namespace capstan::workflow {
namespace {

template <class Texts>
void EachOf(const Texts& texts, const std::string& path, const OnTemplate& on) {
  for (int i = 0; i < texts.size(); ++i) on(Cat(path, "[", i, "]"), texts[i]);
}

template <class Map>
void EachValue(const Map& map, const std::string& path, const OnTemplate& on) {
  const std::map<std::string, std::string> sorted(map.begin(), map.end());
  for (const auto& [name, text] : sorted) on(Cat(path, ".", name), text);
}

void EachOfCall(const v1::HttpStep& http, const std::string& path, const OnTemplate& on) {
  on(path + ".url", http.url());
  EachValue(http.headers(), path + ".headers", on);
  on(path + ".body", http.body());
}

// Goes through what templates use, and gathers what has to be fetched.
class Gatherer {
 public:
  explicit Gatherer(const v1::Workflow& workflow) {
    for (const v1::WorkflowVariable& one : workflow.variables()) variables_[one.name()] = &one;
  }

  void Read(const std::string& text) {
    const absl::StatusOr<std::vector<std::string>> references = References(text);
    if (!references.ok()) return;
    for (const std::string& reference : *references) {
      const auto used = variables_.find(reference);
      if (used == variables_.end() || !seen_.insert(reference).second) continue;
      EachTemplate(*used->second, "",
                   [this](const std::string&, const std::string& inner) { Read(inner); });
      if (IsFetched(*used->second)) fetched_.push_back(used->second);
    }
  }

  std::vector<const v1::WorkflowVariable*> Take() { return std::move(fetched_); }

 private:
  std::map<std::string, const v1::WorkflowVariable*> variables_;
  std::set<std::string> seen_;
  std::vector<const v1::WorkflowVariable*> fetched_;
};

template <class Owner>
std::vector<const v1::WorkflowVariable*> Gather(const v1::Workflow& workflow, const Owner& owner) {
  Gatherer gatherer(workflow);
  EachTemplate(owner, "",
               [&](const std::string&, const std::string& text) { gatherer.Read(text); });
  return gatherer.Take();
}

}  // namespace

void EachTemplate(const v1::WorkflowStep& step, const std::string& path, const OnTemplate& on) {
  if (step.has_llm()) {
    on(path + ".llm.prompt", step.llm().prompt());
    on(path + ".llm.system_prompt", step.llm().system_prompt());
  }
  EachOf(step.command().argv(), path + ".command.argv", on);
  if (step.has_http()) EachOfCall(step.http(), path + ".http", on);
  std::map<std::string, std::string> parameters;
  for (const auto& [name, value] : step.action().parameters().fields())
    parameters[name] = value.string_value();
  EachValue(parameters, path + ".action.parameters", on);
  for (int i = 0; i < step.checks_size(); ++i) {
    const std::string check = Cat(path, ".checks[", i, "]");
    EachOf(step.checks(i).argv(), check + ".argv", on);
    if (step.checks(i).has_judge()) on(check + ".judge.prompt", step.checks(i).judge().prompt());
  }
}

void EachTemplate(const v1::StepGate& gate, const std::string& path, const OnTemplate& on) {
  if (gate.has_judge()) on(path + ".judge.prompt", gate.judge().prompt());
  EachOf(gate.script().argv(), path + ".script.argv", on);
}

void EachTemplate(const v1::WorkflowTrigger& trigger, const std::string& path,
                  const OnTemplate& on) {
  EachOf(trigger.command().argv(), path + ".command.argv", on);
  if (trigger.has_http()) EachOfCall(trigger.http(), path + ".http", on);
}

void EachTemplate(const v1::WorkflowVariable& variable, const std::string& path,
                  const OnTemplate& on) {
  if (variable.has_text()) on(path + ".text", variable.text());
  EachOf(variable.script().arguments(), path + ".script.arguments", on);
  if (!variable.has_http()) return;
  on(path + ".http.url", variable.http().url());
  EachValue(variable.http().headers(), path + ".http.headers", on);
}

bool IsFetched(const v1::WorkflowVariable& variable) {
  return variable.has_script() || variable.has_http();
}

std::vector<const v1::WorkflowVariable*> FetchedFor(const v1::Workflow& workflow,
                                                    const v1::WorkflowStep& owner) {
  return Gather(workflow, owner);
}

std::vector<const v1::WorkflowVariable*> FetchedFor(const v1::Workflow& workflow,
                                                    const v1::StepGate& owner) {
  return Gather(workflow, owner);
}

std::vector<const v1::WorkflowVariable*> FetchedFor(const v1::Workflow& workflow,
                                                    const v1::WorkflowTrigger& owner) {
  return Gather(workflow, owner);
}

}  // namespace capstan::workflow
