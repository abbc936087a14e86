// The variables that every task has, by name and meaning. BuildValues gives them; a definition may
// use any of them and redefine none. One that has nothing to say is not resolved: a template that
// can do without it asks with {{#if NAME}}.
#pragma once

#include <algorithm>
#include <string_view>

namespace capstan::workflow {

struct TaskVariable {
  std::string_view name;
  std::string_view meaning;
};

inline constexpr TaskVariable kTaskVariables[] = {
    {"TASK_ID", "The task's id, as its request gives it"},
    {"TASK_TITLE", "What is to be done, in one line"},
    {"TASK_DESCRIPTION", "What is to be done"},
    {"TASK_CATEGORY", "Its category, for example feature or bug"},
    {"SPEC_CONTENT", "The artifact spec: brought with the task, or written by a step"},
    {"DESIGN_CONTENT", "The artifact design"},
    {"RESEARCH_CONTENT", "The artifact research"},
    {"RETRY_CONTEXT", "RETRY_* in sentences; only where the task has gone back"},
    {"WORKTREE_PATH", "The folder to work in"},
    {"TASK_BRANCH", "The branch that the work goes to"},
    {"TARGET_BRANCH",
     "The branch that it is to be merged into; the commit where it began otherwise"},
    {"INITIATIVE_CONTEXT", "What the task is a part of"},
    {"REQUIRES_UI_TESTING", "\"true\" when what people see has to be tested, or \"false\""},
    {"SCREENSHOT_DIR", "The folder for screenshots"},
    {"REVIEW_ROUND", "1, and one more each time that a review has sent the task back"},
    {"REVIEW_FINDINGS", "What the last review that sent it back has found"},
    {"VERIFICATION_RESULTS", "What the last checks of the work gave"},
    {"RETRY_ATTEMPT", "How often the task has gone back to this step; only where it has"},
    {"RETRY_FROM_PHASE", "The step that sent it back"},
    {"RETRY_REASON", "Why, in one line"},
    {"RETRY_FEEDBACK", "What that step has found"},
    {"ITERATION", "The iteration of this step, from 1"},
    {"ITERATION_FEEDBACK", "What the iteration before left open: failed checks, a refused answer"},
    {"GATE_REASON", "Why the gate of this step was refused; only for its script"},
    {"SUCCESS_CRITERIA", "The task's criteria, one a line: \"- id: text\""},
};

// Beside those, for what is run when the task is at its end.
inline constexpr TaskVariable kEndVariables[] = {
    {"TASK_STATE", "\"succeeded\", \"failed\" or \"cancelled\""},
    {"TASK_REASON", "Of a task that failed: STEP_FAILED, TIMED_OUT, …; otherwise empty"},
    {"TASK_MESSAGE", "Why, for a person; empty for one that succeeded"},
};

// Artifacts with a variable of their own.
struct ArtifactVariable {
  std::string_view artifact;
  std::string_view variable;
};

inline constexpr ArtifactVariable kArtifactVariables[] = {
    {"spec", "SPEC_CONTENT"},
    {"design", "DESIGN_CONTENT"},
    {"research", "RESEARCH_CONTENT"},
};

constexpr bool IsTaskVariable(std::string_view name) {
  return std::any_of(std::begin(kTaskVariables), std::end(kTaskVariables),
                     [name](const TaskVariable& variable) { return variable.name == name; });
}

constexpr bool IsEndVariable(std::string_view name) {
  return std::any_of(std::begin(kEndVariables), std::end(kEndVariables),
                     [name](const TaskVariable& variable) { return variable.name == name; });
}

}  // namespace capstan::workflow
