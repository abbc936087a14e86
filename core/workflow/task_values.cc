#include "core/workflow/task_values.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/text.h"
#include "core/workflow/render.h"
#include "core/workflow/step_graph.h"
#include "core/workflow/task_variables.h"

namespace capstan::workflow {
namespace {

using Variables = std::map<std::string, std::string>;

void SetIfAny(const std::string& name, const std::string& text, Variables& variables) {
  if (!text.empty()) variables[name] = text;
}

// The text of an artifact: what a step of the task wrote, or what the task brought.
std::string ArtifactText(const v1::Workflow& workflow, const TaskFacts& task,
                         const nlohmann::json& steps, const std::string& artifact) {
  for (const v1::WorkflowStep& step : workflow.steps()) {
    if (step.artifact() != artifact) continue;
    const nlohmann::json* state = Find(steps, step.name() + ".state");
    const nlohmann::json* text = Find(steps, step.name() + ".artifact");
    if (state == nullptr || *state != "succeeded" || text == nullptr) continue;
    if (text->is_string() && !text->get_ref<const std::string&>().empty()) return *text;
  }
  const auto brought = task.artifacts.find(artifact);
  return brought == task.artifacts.end() ? "" : brought->second;
}

std::string CriteriaText(const std::vector<Criterion>& criteria) {
  std::string text;
  for (const Criterion& criterion : criteria) {
    Append(&text, text.empty() ? "" : "\n", "- ", criterion.id, ": ", criterion.text);
  }
  return text;
}

void AddTask(const TaskFacts& task, Variables& variables) {
  SetIfAny("TASK_ID", task.id, variables);
  SetIfAny("TASK_TITLE", task.title, variables);
  SetIfAny("TASK_DESCRIPTION", task.description, variables);
  SetIfAny("TASK_CATEGORY", task.category, variables);
  SetIfAny("TASK_BRANCH", task.branch, variables);
  SetIfAny("TARGET_BRANCH", task.target_branch, variables);
  SetIfAny("WORKTREE_PATH", task.worktree, variables);
  SetIfAny("INITIATIVE_CONTEXT", task.initiative, variables);
  SetIfAny("SCREENSHOT_DIR", task.screenshot_dir, variables);
  SetIfAny("SUCCESS_CRITERIA", CriteriaText(task.criteria), variables);
  variables["REQUIRES_UI_TESTING"] = task.requires_ui_testing ? "true" : "false";
}

void AddRetry(const StepFacts& step, Variables& variables) {
  if (step.retry_attempt < 1) return;
  variables["RETRY_ATTEMPT"] = absl::StrCat(step.retry_attempt);
  SetIfAny("RETRY_FROM_PHASE", step.retry_from, variables);
  SetIfAny("RETRY_REASON", step.retry_reason, variables);
  SetIfAny("RETRY_FEEDBACK", step.retry_feedback, variables);
  std::string context = Cat("The step ", step.retry_from, " has sent the task back to this step (",
                            step.retry_attempt, step.retry_attempt == 1 ? " time)." : " times).");
  if (!step.retry_reason.empty()) Append(&context, "\nWhy: ", step.retry_reason);
  if (!step.retry_feedback.empty()) Append(&context, "\n\n", step.retry_feedback);
  variables["RETRY_CONTEXT"] = context;
}

void AddStep(const StepFacts& step, Variables& variables) {
  AddRetry(step, variables);
  variables["ITERATION"] = absl::StrCat(step.iteration);
  variables["REVIEW_ROUND"] = absl::StrCat(step.review_round);
  SetIfAny("ITERATION_FEEDBACK", step.iteration_feedback, variables);
  SetIfAny("GATE_REASON", step.gate_reason, variables);
  SetIfAny("REVIEW_FINDINGS", step.review_findings, variables);
  SetIfAny("VERIFICATION_RESULTS", step.verification_results, variables);
  if (!step.end_state.empty()) {
    variables["TASK_STATE"] = step.end_state;
    variables["TASK_REASON"] = step.end_reason;
    variables["TASK_MESSAGE"] = step.end_message;
  }
  variables.insert(step.outputs.begin(), step.outputs.end());
}

std::optional<std::string> TextOf(const std::map<std::string, std::string>& texts,
                                  const std::string& key) {
  const auto found = texts.find(key);
  if (found == texts.end()) return std::nullopt;
  return found->second;
}

// Of a step that has succeeded: a text as it is, anything else as JSON.
std::optional<std::string> StepOutput(const std::string& path, const Values& values) {
  const nlohmann::json* state = Find(values.steps, path.substr(0, path.find('.')) + ".state");
  if (state == nullptr || *state != "succeeded") return std::nullopt;
  absl::StatusOr<std::string> text = Render(Cat("{{steps.", path, "}}"), values);
  if (!text.ok()) return std::nullopt;
  return *std::move(text);
}

// Variables of the workflow, each after those that it uses.
std::vector<const v1::WorkflowVariable*> InOrder(const v1::Workflow& workflow) {
  Graph graph;
  for (const v1::WorkflowVariable& variable : workflow.variables()) {
    if (!variable.has_text()) continue;
    absl::StatusOr<std::vector<std::string>> uses = References(variable.text());
    if (uses.ok()) graph[variable.name()] = *std::move(uses);
  }
  std::vector<const v1::WorkflowVariable*> order;
  for (const v1::WorkflowVariable& variable : workflow.variables()) order.push_back(&variable);
  std::map<std::string, std::size_t> depth;  // how many variables it needs: more than any of those
  for (const auto* variable : order) {
    depth[variable->name()] = Reachable(graph, variable->name()).size();
  }
  std::stable_sort(order.begin(), order.end(), [&](const auto* a, const auto* b) {
    return depth[a->name()] < depth[b->name()];
  });
  return order;
}

std::optional<std::string> Resolve(const v1::WorkflowVariable& variable, const TaskFacts& task,
                                   const StepFacts& step, const Values& values) {
  switch (variable.source_case()) {
    case v1::WorkflowVariable::kText: {
      absl::StatusOr<std::string> text = Render(variable.text(), values);
      if (!text.ok()) return std::nullopt;
      return *std::move(text);
    }
    case v1::WorkflowVariable::kInput:
      return TextOf(task.inputs, variable.input());
    case v1::WorkflowVariable::kEnv:
      return TextOf(task.env, variable.env());
    case v1::WorkflowVariable::kStepOutput:
      return StepOutput(variable.step_output(), values);
    case v1::WorkflowVariable::kFragment:
      return variable.fragment();
    case v1::WorkflowVariable::kScript:
    case v1::WorkflowVariable::kHttp:
      return TextOf(step.fetched, variable.name());
    default:
      return std::nullopt;
  }
}

}  // namespace

Values BuildValues(const v1::Workflow& workflow, const TaskFacts& task, const StepFacts& step,
                   const nlohmann::json& steps) {
  Values values;
  values.steps = steps;
  AddTask(task, values.variables);
  AddStep(step, values.variables);
  for (const ArtifactVariable& entry : kArtifactVariables) {
    SetIfAny(std::string(entry.variable),
             ArtifactText(workflow, task, steps, std::string(entry.artifact)), values.variables);
  }
  for (const v1::WorkflowVariable* variable : InOrder(workflow)) {
    std::optional<std::string> text = Resolve(*variable, task, step, values);
    if (!text.has_value() && variable->has_default_value()) text = variable->default_value();
    if (text.has_value()) values.variables[variable->name()] = *std::move(text);
  }
  return values;
}

void TakeAnswer(const v1::Workflow& workflow, const v1::WorkflowStep& step,
                const nlohmann::json& answer, const std::string& text, Values& values) {
  nlohmann::json& known = values.steps[step.name()];
  known["state"] = "succeeded";
  if (!answer.is_null()) known["output"] = answer;
  if (!text.empty()) {
    known["artifact"] = text;
    for (const ArtifactVariable& entry : kArtifactVariables) {
      if (entry.artifact == step.artifact()) values.variables[std::string(entry.variable)] = text;
    }
  }
  for (const v1::WorkflowVariable* variable : InOrder(workflow)) {
    if (!variable->has_step_output() && !variable->has_text()) continue;
    std::optional<std::string> made = Resolve(*variable, TaskFacts(), StepFacts(), values);
    if (made.has_value()) values.variables[variable->name()] = *std::move(made);
  }
}

}  // namespace capstan::workflow
