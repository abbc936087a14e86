#include "core/task/step_values.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/utf8.h"
#include "core/workflow/loader.h"

namespace capstan::task {
namespace {

constexpr char kDefaultTarget[] = "main";
constexpr std::size_t kOutputVariableBytes = 64 * 1024;

// On a branch of the repository itself there is nothing to merge: what is new began at a commit.
std::string TargetOf(const v1::TaskRequest& request, const TaskState& data) {
  if (request.context() == v1::CONTEXT_KIND_BRANCH) return data.workspace().base_commit();
  return request.repository().base_ref().empty() ? kDefaultTarget : request.repository().base_ref();
}

workflow::TaskFacts FactsOf(const Task& task, const TaskState& data) {
  const v1::TaskRequest& request = task.request.task();
  const v1::TaskDescription& about = request.description();
  workflow::TaskFacts facts;
  facts.id = about.id();
  facts.title = about.title();
  facts.description = about.description();
  facts.category = about.category();
  facts.branch = data.workspace().branch();
  facts.target_branch = TargetOf(request, data);
  facts.worktree = data.workspace().path();
  facts.initiative = about.initiative();
  facts.requires_ui_testing = about.requires_ui_testing();
  if (!facts.worktree.empty()) facts.screenshot_dir = absl::StrCat(facts.worktree, "/.screenshots");
  for (const v1::SuccessCriterion& one : about.criteria())
    facts.criteria.push_back({one.id(), one.text()});
  if (!about.spec().empty()) facts.artifacts["spec"] = about.spec();
  facts.inputs = {request.inputs().begin(), request.inputs().end()};
  facts.env = task.environment;
  return facts;
}

// Null: it has none.
const nlohmann::json* AnswerOf(const nlohmann::json& steps, const std::string& step) {
  const auto known = steps.find(step);
  if (known == steps.end()) return nullptr;
  const auto output = known->find("output");
  return output == known->end() || !output->is_object() ? nullptr : &*output;
}

// Reviews count for the whole task: those that sent it back.
void AddReviews(const TaskState& data, const nlohmann::json& steps, workflow::StepFacts& facts) {
  for (const TaskState::Step& step : data.steps()) {
    const bool reviews = step.name() == "review" || step.name().rfind("review_", 0) == 0;
    if (!reviews || step.sent_back() == 0) continue;
    facts.review_round += step.sent_back();
    if (const nlohmann::json* answer = AnswerOf(steps, step.name()))
      facts.review_findings = answer->dump(2);
  }
}

// What a variable gets: the end of an output, the beginning of a body.
std::string OutputOf(const std::string& text, bool is_body) {
  std::string kept(is_body ? Head(text, kOutputVariableBytes) : Tail(text, kOutputVariableBytes));
  absl::StripTrailingAsciiWhitespace(&kept);
  return kept;
}

void AddOutputs(const Task& task, const nlohmann::json& steps, workflow::StepFacts& facts) {
  for (const v1::WorkflowStep& step : task.workflow->steps()) {
    const nlohmann::json* const answer = AnswerOf(steps, step.name());
    if (answer == nullptr) continue;
    const std::string& variable = workflow::OutputVariable(step);
    if (!variable.empty() && steps[step.name()].value("state", "") == "succeeded") {
      const auto output = answer->find(step.has_http() ? "body" : "output");
      if (output != answer->end() && output->is_string())
        facts.outputs[variable] = OutputOf(*output, step.has_http());
    }
    if (step.name() == "test" || step.name() == "validate")
      facts.verification_results = answer->dump(2);
  }
}

}  // namespace

std::string StepStateName(v1::StepStatus::State state) {
  return absl::AsciiStrToLower(v1::StepStatus::State_Name(state)).substr(sizeof("state_") - 1);
}

workflow::Facts FactsFor(const Task& task, const TaskState& data, const nlohmann::json& steps,
                         const TaskState::Step& step) {
  workflow::StepFacts facts;
  facts.retry_attempt = step.retries();
  facts.retry_from = step.retry_from();
  facts.retry_reason = step.retry_reason();
  facts.retry_feedback = step.retry_feedback();
  facts.iteration = std::max(1, step.iteration());
  facts.iteration_feedback = step.feedback();
  if (step.gate().stage() == TaskState::Gate::STAGE_SCRIPT)
    facts.gate_reason = step.gate().reason();
  AddReviews(data, steps, facts);
  AddOutputs(task, steps, facts);
  return {FactsOf(task, data), std::move(facts)};
}

workflow::Values ValuesFor(const Task& task, const TaskState& data, const nlohmann::json& steps,
                           const TaskState::Step& step) {
  const workflow::Facts facts = FactsFor(task, data, steps, step);
  return workflow::BuildValues(*task.workflow, facts.task, facts.step, steps);
}

}  // namespace capstan::task
