// Builds what the templates and conditions of a step can refer to, from plain facts. Pure: whoever
// runs the task reads the facts and gives them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "capstan/v1/workflow.pb.h"
#include "core/workflow/values.h"

namespace capstan::workflow {

struct Criterion {
  std::string id;
  std::string text;
};

// What is the same for all steps of a task. An empty text has nothing to say: its variable is not
// resolved.
struct TaskFacts {
  std::string id = {};
  std::string title = {};
  std::string description = {};
  std::string category = {};
  std::string branch = {};
  std::string target_branch = {};
  std::string worktree = {};
  std::string initiative = {};
  bool requires_ui_testing = false;
  std::string screenshot_dir = {};
  std::vector<Criterion> criteria = {};
  // Artifacts that the task brings, by name: "spec". What a step of this task writes goes first.
  std::map<std::string, std::string> artifacts = {};
  // RunTaskRequest.inputs, as text.
  std::map<std::string, std::string> inputs = {};
  // Of the worker's environment, what its configuration allows.
  std::map<std::string, std::string> env = {};
};

// What belongs to one iteration of one step.
struct StepFacts {
  // How often the task has gone back to this step, and why it did last. 0: never, and the rest of
  // these is not used.
  int retry_attempt = 0;
  std::string retry_from = {};  // the step that sent it back
  std::string retry_reason = {};
  std::string retry_feedback = {};
  int iteration = 1;
  std::string iteration_feedback = {};
  std::string gate_reason = {};
  // 1, and one more each time that a step named review, or review_ and more, has sent the task
  // back. It counts for the whole task, not for the step that runs.
  int review_round = 1;
  // The answer of the last step that did; empty: none.
  std::string review_findings = {};
  std::string verification_results = {};
  // What command and HTTP steps that have succeeded left in their output_variable.
  std::map<std::string, std::string> outputs = {};
  // What scripts and services gave, by variable.
  std::map<std::string, std::string> fetched = {};
  // Of a task at its end (TASK_STATE, …); empty: it goes on.
  std::string end_state = {};
  std::string end_reason = {};
  std::string end_message = {};
};

struct Facts {
  TaskFacts task;
  StepFacts step;
};

// `steps` as in Values.steps. An artifact or an answer counts only while its step's state is
// "succeeded". A variable of the workflow that uses something not resolved, and has no default, is
// not resolved either. `workflow` has passed Check.
Values BuildValues(const v1::Workflow& workflow, const TaskFacts& task, const StepFacts& step,
                   const nlohmann::json& steps);

// As if `step` had just succeeded with this answer and this text (empty: none): for what looks at
// its work before it counts as done.
void TakeAnswer(const v1::Workflow& workflow, const v1::WorkflowStep& step,
                const nlohmann::json& answer, const std::string& text, Values& values);

}  // namespace capstan::workflow
