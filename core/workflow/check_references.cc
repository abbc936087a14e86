#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "core/workflow/loader.h"
#include "core/workflow/path.h"
#include "core/workflow/problems.h"
#include "core/workflow/render.h"
#include "core/workflow/step_graph.h"
#include "core/workflow/task_variables.h"
#include "core/workflow/templates.h"

namespace capstan::workflow {
namespace {

using Names = std::set<std::string, std::less<>>;

constexpr char kSpec[] = "SPEC_CONTENT";

// Goes through one definition; knows what each reference needs.
class ReferenceCheck {
 public:
  ReferenceCheck(const v1::Workflow& workflow, Problems& problems)
      : workflow_(workflow), problems_(problems), graph_(GraphOf(workflow)) {
    for (const v1::WorkflowStep& step : workflow.steps()) steps_.emplace(step.name(), &step);
  }

  void Check() {
    for (int i = 0; i < workflow_.variables_size(); ++i) CheckVariableName(i);
    for (int i = 0; i < workflow_.steps_size(); ++i) CheckOutputVariable(i);
    if (const std::optional<std::string> cycle = FindCycle(VariableGraph())) {
      const std::string first = cycle->substr(0, cycle->find(' '));
      int index = 0;
      while (workflow_.variables(index).name() != first) ++index;
      problems_.Add(ItemPath("variables", index), Cat("got the cycle ", *cycle, ", want none"));
    }
    for (int i = 0; i < workflow_.variables_size(); ++i) CheckVariableUses(i);
    for (int i = 0; i < workflow_.steps_size(); ++i) CheckStep(i);
    for (int i = 0; i < workflow_.triggers_size(); ++i) CheckTrigger(i);
  }

 private:
  void CheckVariableName(int index) {
    const v1::WorkflowVariable& variable = workflow_.variables(index);
    const std::string path = ItemPath("variables", index) + ".name";
    problems_.Expect(!IsTaskVariable(variable.name()) && !IsEndVariable(variable.name()), path,
                     variable.name(), "a name that no variable of the task has");
    problems_.Expect(variables_.emplace(variable.name(), &variable).second, path, variable.name(),
                     "a name that no other variable has");
  }

  void CheckOutputVariable(int index) {
    const v1::WorkflowStep& step = workflow_.steps(index);
    const std::string& name = OutputVariable(step);
    if (name.empty()) return;
    const std::string path =
        ItemPath("steps", index) + (step.has_http() ? ".http" : ".command") + ".output_variable";
    problems_.Expect(IsVariableName(name), path, name, "[A-Z][A-Z0-9_]{0,62}");
    const bool is_new = !IsTaskVariable(name) && !IsEndVariable(name) &&
                        variables_.count(name) == 0 && outputs_.emplace(name, step.name()).second;
    problems_.Expect(is_new, path, name, "a name that no other variable has");
  }

  Graph VariableGraph() const {
    Graph graph;
    for (const auto& [name, variable] : variables_) graph[name] = UsesOf(*variable);
    return graph;
  }

  // References in a variable's source.
  static std::vector<std::string> UsesOf(const v1::WorkflowVariable& variable) {
    if (variable.has_step_output()) return {"steps." + variable.step_output()};
    std::vector<std::string> all;
    EachTemplate(variable, "", [&](const std::string&, const std::string& text) {
      const absl::StatusOr<std::vector<std::string>> uses = References(text);
      if (uses.ok()) all.insert(all.end(), uses->begin(), uses->end());
    });
    return all;
  }

  void CheckVariableUses(int index) {
    const v1::WorkflowVariable& variable = workflow_.variables(index);
    const std::string path = ItemPath("variables", index);
    EachTemplate(variable, path, [&](const std::string& at, const std::string& text) {
      CheckTemplate(text, nullptr, at);
    });
    if (!variable.has_step_output()) return;
    const std::string reference = "steps." + variable.step_output();
    const bool is_path = CheckReference(reference).ok();
    problems_.Expect(is_path, path + ".step_output", variable.step_output(),
                     "<step>.artifact, <step>.state or <step>.output.<path>");
    if (is_path) CheckReferenceOf(nullptr, false, reference, path + ".step_output");
  }

  void CheckStep(int index) {
    const v1::WorkflowStep& step = workflow_.steps(index);
    const std::string path = ItemPath("steps", index);
    EachTemplate(step, path, [&](const std::string& at, const std::string& text) {
      // What has come of the step is judged.
      CheckTemplate(text, &step, at, /*after_it=*/absl::EndsWith(at, ".judge.prompt"));
    });
    EachTemplate(step.gate(), path + ".gate", [&](const std::string& at, const std::string& text) {
      CheckTemplate(text, &step, at);
    });
    CheckConditionOf(step.condition(), step, false, path + ".condition");
    // Criteria of a reaction are looked at when the step has ended.
    CheckConditionOf(step.gate().criteria(), step,
                     step.gate().mode() == v1::StepGate::MODE_REACTION, path + ".gate.criteria");
    CheckConditionOf(step.loop().condition(), step, true, path + ".loop.condition");
  }

  void CheckTrigger(int index) {
    const v1::WorkflowTrigger& trigger = workflow_.triggers(index);
    EachTemplate(trigger, ItemPath("triggers", index),
                 [&](const std::string& path, const std::string& text) {
                   CheckTriggerTemplate(trigger, path, text);
                 });
  }

  void CheckTriggerTemplate(const v1::WorkflowTrigger& trigger, const std::string& path,
                            const std::string& text) {
    const absl::StatusOr<std::vector<std::string>> references = References(text);
    if (!references.ok()) return problems_.Add(path, std::string(references.status().message()));
    for (const std::string& reference : *references) {
      if (!IsKnown(reference, path)) continue;
      const bool at_end = trigger.when() == v1::WorkflowTrigger::WHEN_COMPLETED ||
                          trigger.when() == v1::WorkflowTrigger::WHEN_FAILED;
      if (at_end) continue;  // what is not resolved by then is said when it is run
      CheckNoEnd(reference, path);
      if (trigger.when() == v1::WorkflowTrigger::WHEN_CREATED) {
        problems_.Expect(StepsNeeded(reference).empty(), path, reference,
                         "nothing that a step gives: none has run then");
        continue;
      }
      for (const v1::WorkflowStep& step : workflow_.steps()) {
        if (IsBefore(trigger, step)) CheckOrder(step, false, reference, path);
      }
    }
  }

  static bool IsBefore(const v1::WorkflowTrigger& trigger, const v1::WorkflowStep& step) {
    if (step.has_gate_only()) return false;
    return trigger.steps().empty() || std::find(trigger.steps().begin(), trigger.steps().end(),
                                                step.name()) != trigger.steps().end();
  }

  // `step` uses it; null: a variable does.
  void CheckTemplate(const std::string& text, const v1::WorkflowStep* step, const std::string& path,
                     bool after_it = false) {
    const absl::StatusOr<std::vector<std::string>> references = References(text);
    if (!references.ok()) {
      problems_.Add(path, std::string(references.status().message()));
      return;
    }
    for (const std::string& reference : *references) {
      CheckReferenceOf(step, after_it, reference, path);
    }
  }

  void CheckConditionOf(const v1::StepCondition& condition, const v1::WorkflowStep& step,
                        bool after_it, const std::string& path) {
    for (int i = 0; i < condition.all_size(); ++i) {
      CheckConditionOf(condition.all(i), step, after_it, ItemPath(path + ".all", i));
    }
    for (int i = 0; i < condition.any_size(); ++i) {
      CheckConditionOf(condition.any(i), step, after_it, ItemPath(path + ".any", i));
    }
    const std::string& field = condition.test().field();
    if (!condition.has_test() || !CheckReference(field).ok()) return;  // said already
    CheckReferenceOf(&step, after_it, field, path + ".test.field");
    for (const std::string& name : Reached(field)) {
      const auto variable = variables_.find(name);
      if (variable == variables_.end() || !IsFetched(*variable->second)) continue;
      problems_.Expect(false, path + ".test.field", field,
                       "nothing that a script or a service gives: conditions ask neither");
    }
  }

  // That a reference is known, and can be resolved when `step` uses it: before it runs, or after.
  void CheckReferenceOf(const v1::WorkflowStep* step, bool after_it, const std::string& reference,
                        const std::string& path) {
    if (!IsKnown(reference, path)) return;
    if (step == nullptr) return;  // whether it can be resolved depends on who uses the variable
    CheckNoEnd(reference, path);
    CheckOrder(*step, after_it, reference, path);
  }

  // What only the end of a task has.
  void CheckNoEnd(const std::string& reference, const std::string& path) {
    for (const std::string& name : Reached(reference)) {
      problems_.Expect(!IsEndVariable(name), path, name,
                       "it only in triggers of completed and failed");
    }
  }

  void CheckOrder(const v1::WorkflowStep& step, bool after_it, const std::string& reference,
                  const std::string& path) {
    Names needed = StepsNeeded(reference);
    if (reference == kSpec && workflow_.requires_spec()) AddWriterOfSpec(step, needed);
    if (needed.empty()) return;
    const Names before = Reachable(graph_, step.name());
    for (const std::string& name : needed) {
      if (before.count(name) != 0 || (name == step.name() && after_it)) continue;
      problems_.Add(path, Cat("got \"", reference, "\", want it only in steps that depend on \"",
                              name, "\""));
    }
  }

  bool IsKnown(const std::string& reference, const std::string& path) {
    const std::string name = StepOf(reference);
    if (name.empty()) {
      const bool known = IsTaskVariable(reference) || IsEndVariable(reference) ||
                         variables_.count(reference) != 0 || outputs_.count(reference) != 0;
      problems_.Expect(known, path, reference, "a variable that something defines");
      return known;
    }
    const auto step = steps_.find(name);
    if (step == steps_.end()) {
      problems_.Expect(false, path, reference, "a step of this workflow");
      return false;
    }
    const bool has_it =
        reference != Cat("steps.", name, ".artifact") || !step->second->artifact().empty();
    problems_.Expect(has_it, path, reference, "a step that keeps an artifact");
    return has_it;
  }

  // It and all that it is made of.
  Names Reached(const std::string& reference) const {
    Names seen = {reference};
    std::vector<std::string> open = {reference};
    while (!open.empty()) {
      const auto variable = variables_.find(open.back());
      open.pop_back();
      if (variable == variables_.end()) continue;
      for (std::string& used : UsesOf(*variable->second)) {
        if (seen.insert(used).second) open.push_back(std::move(used));
      }
    }
    return seen;
  }

  // The steps that must have succeeded for it to have a value.
  Names StepsNeeded(const std::string& reference) const {
    Names needed;
    Names seen = {reference};
    std::vector<std::string> open = {reference};
    while (!open.empty()) {
      const std::string next = std::move(open.back());
      open.pop_back();
      if (const std::string step = StepOf(next); !step.empty()) needed.insert(step);
      if (const auto output = outputs_.find(next); output != outputs_.end()) {
        needed.insert(output->second);
      }
      const auto variable = variables_.find(next);
      if (variable == variables_.end() || variable->second->has_default_value()) continue;
      for (std::string& used : UsesOf(*variable->second)) {
        if (seen.insert(used).second) open.push_back(std::move(used));
      }
    }
    return needed;
  }

  // A required specification that a step writes is there only after that step.
  void AddWriterOfSpec(const v1::WorkflowStep& user, Names& needed) const {
    for (const v1::WorkflowStep& step : workflow_.steps()) {
      if (step.artifact() == "spec" && &step != &user) needed.insert(step.name());
    }
  }

  const v1::Workflow& workflow_;
  Problems& problems_;
  const Graph graph_;
  std::map<std::string, const v1::WorkflowStep*, std::less<>> steps_;
  std::map<std::string, const v1::WorkflowVariable*, std::less<>> variables_;
  std::map<std::string, std::string, std::less<>> outputs_;  // variable to the step it comes from
};

}  // namespace

void CheckReferences(const v1::Workflow& workflow, Problems& problems) {
  ReferenceCheck(workflow, problems).Check();
}

}  // namespace capstan::workflow
