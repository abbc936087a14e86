// What the tests of the task machine have in common: a task whose transitions are stored as its
// runner stores them, the answers that it gets, and its story in words.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/machine/event_writer.h"
#include "core/projection.h"
#include "core/status_macros.h"
#include "core/task/step_values.h"
#include "core/task/task_machine.h"
#include "core/workflow/loader.h"

namespace capstan::task {

inline const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

// A model step, and programs, in flow style: "- {name: a, " kModel "}".
#define kModel "llm: {prompt_file: p.md, schema_file: s.json}"
#define kProgram "command: {argv: [make]}"
#define kAction "action: {action: ScaleDeployment, parameters: {name: web, replicas: 3}}"
#define kRepeatable "command: {argv: [make], repeatable: true}"

inline absl::StatusOr<std::string> ReadPartOfTest(std::string_view kind, std::string_view) {
  if (kind == "schemas") {
    return R"({"type": "object", "required": ["status"],
               "properties": {"status": {"enum": ["complete", "continue", "blocked"]},
                              "artifact": {"type": "string"}}})";
  }
  return "Do it.\n";
}

// A definition of these steps; `head` has further keys, a line each.
inline v1::Workflow WorkflowOf(const std::string& steps, const std::string& head = "") {
  const std::string yaml = absl::StrCat("name: w\ndescription: d\n", head, "steps:\n", steps);
  absl::StatusOr<v1::Workflow> loaded = workflow::Load(yaml, "w.yaml", ReadPartOfTest);
  if (!loaded.ok()) ADD_FAILURE() << loaded.status() << "\n" << yaml;
  return loaded.value_or(v1::Workflow());
}

inline std::string Without(std::string_view name, std::string_view prefix) {
  return std::string(name.substr(prefix.size()));
}

// "build started 1.1", "build SUCCEEDED", "RUNNING", "BLOCKED(APPROVAL)".
inline std::string Describe(const v1::ExecutionEvent& event) {
  switch (event.payload_case()) {
    case v1::ExecutionEvent::kStateChanged: {
      const v1::StateChanged& change = event.state_changed();
      const std::string state(machine::StateName(change.to()));
      if (change.to() == Execution::STATE_BLOCKED)
        return absl::StrCat(state, "(",
                            std::string(machine::BlockReasonName(change.block_reason())), ")");
      if (change.to() == Execution::STATE_FAILED)
        return absl::StrCat(state, "(",
                            std::string(machine::FailureReasonName(change.failure_reason())), ")");
      return state;
    }
    case v1::ExecutionEvent::kStepStarted:
      return absl::StrCat(event.step_started().step(), " started ", event.step_started().attempt(),
                          ".", event.step_started().iteration());
    case v1::ExecutionEvent::kIterationFinished:
      return absl::StrCat(
          event.iteration_finished().step(), " ended ",
          Without(IterationFinished::Status_Name(event.iteration_finished().status()), "STATUS_"));
    case v1::ExecutionEvent::kStepFinished:
      return absl::StrCat(event.step_finished().step(), " ",
                          Without(StepStatus::State_Name(event.step_finished().state()), "STATE_"));
    case v1::ExecutionEvent::kStepsReset:
      return absl::StrCat("back to ", event.steps_reset().to_step());
    case v1::ExecutionEvent::kGateDecided:
      return absl::StrCat("gate of ", event.gate_decided().step(), " ",
                          event.gate_decided().decider(), " ", event.gate_decided().action());
    case v1::ExecutionEvent::kApprovalRequested:
      return absl::StrCat("asked about ", event.approval_requested().step());
    case v1::ExecutionEvent::kApprovalEnded:
      return Without(v1::ApprovalSummary::State_Name(event.approval_ended().state()), "STATE_");
    default: {
      const auto* field = v1::ExecutionEvent::descriptor()->FindFieldByNumber(event.payload_case());
      return field == nullptr ? "nothing" : field->name();
    }
  }
}

inline std::vector<std::string> StoryOf(const std::vector<v1::ExecutionEvent>& events) {
  std::vector<std::string> story;
  for (const v1::ExecutionEvent& event : events) story.push_back(Describe(event));
  return story;
}

inline std::vector<std::string> NamesOf(const std::vector<StepRun>& runs) {
  std::vector<std::string> names;
  for (const StepRun& run : runs) names.push_back(run.step);
  return names;
}

// A task that is held; not copied.
class TaskUnderTest {
 public:
  explicit TaskUnderTest(v1::Workflow definition, v1::Profile profile = v1::PROFILE_SAFE)
      : workflow(std::move(definition)) {
    task.request.set_caller("ann");
    v1::TaskRequest& request = *task.request.mutable_task();
    request.set_workflow(workflow.name());
    request.set_workflow_digest("digest");
    request.set_profile(profile);
    for (const v1::WorkflowStep& step : workflow.steps()) request.add_steps(step.name());
    task.workflow = &workflow;
    task.correlation_id = "c0ffee";
    task.seq = 1;
  }
  explicit TaskUnderTest(const std::string& steps, v1::Profile profile = v1::PROFILE_SAFE)
      : TaskUnderTest(WorkflowOf(steps), profile) {}
  TaskUnderTest(const TaskUnderTest&) = delete;

  // Asks the machine and stores what it answers, as the runner does.
  Transition Feed(const Input& input) {
    if (events.empty()) Accept();
    Transition transition = Next(task, input, now);
    if (transition.ignored) return transition;
    for (v1::ExecutionEvent event : transition.events) {
      event.set_seq(++task.seq);
      *event.mutable_time() = machine::ToProto(now);
      Apply(event, snapshot);
      events.push_back(std::move(event));
    }
    task.state = transition.state;
    task.data = transition.data;
    if (const auto* ended = std::get_if<IterationEnded>(&input);
        ended != nullptr && transition.store_result && !ended->answer.is_null()) {
      task.steps[ended->step]["output"] = ended->answer;
    }
    for (const StepAnswer& answer : transition.answers)
      task.steps[answer.step]["output"] = answer.answer;
    for (const auto& step : task.data.steps())
      task.steps[step.name()]["state"] = StepStateName(step.state());
    return transition;
  }

  // ---- what the runner feeds in

  Transition Allow() {
    Decided decided;
    decided.decision.set_allow(true);
    return Feed(decided);
  }
  Transition Prepare() {
    Prepared prepared;
    prepared.workspace.set_path("/w/1");
    prepared.workspace.set_branch("capstan/1");
    return Feed(prepared);
  }
  // From wherever it waits to where steps run.
  Transition Begin() {
    Transition transition = Feed(Resumed{});
    if (transition.decide) transition = Allow();
    if (transition.prepare) transition = Prepare();
    return transition;
  }
  IterationEnded Of(const std::string& step, IterationFinished::Status status) const {
    IterationEnded ended{.step = step};
    ended.attempt = Step(step).attempt();
    ended.iteration = Step(step).iteration();
    ended.status = status;
    return ended;
  }
  Transition Complete(const std::string& step, const nlohmann::json& answer = nullptr) {
    IterationEnded ended = Of(step, IterationFinished::STATUS_COMPLETE);
    ended.answer = answer;
    return Feed(ended);
  }
  Transition Continue(const std::string& step, const std::string& feedback = "") {
    IterationEnded ended = Of(step, IterationFinished::STATUS_CONTINUE);
    ended.feedback = feedback;
    return Feed(ended);
  }
  Transition Fail(const std::string& step, const std::string& message = "not good") {
    IterationEnded ended = Of(step, IterationFinished::STATUS_FAILED);
    ended.message = message;
    return Feed(ended);
  }
  Transition Block(const std::string& step, const std::string& question) {
    IterationEnded ended = Of(step, IterationFinished::STATUS_BLOCKED);
    ended.message = question;
    return Feed(ended);
  }
  Transition Err(const std::string& step, absl::Duration retry_after = {}) {
    IterationEnded ended = Of(step, IterationFinished::STATUS_ERROR);
    ended.error = "RATE_LIMITED";
    ended.message = "too many requests";
    ended.transient = true;
    ended.retry_after = retry_after;
    ended.reason = Execution::FAILURE_REASON_PROVIDER;
    return Feed(ended);
  }
  Transition Stopped(const std::string& step) {
    return Feed(Of(step, IterationFinished::STATUS_STOPPED));
  }
  // What decides its gate: a model, or the script of a gate that was refused.
  IterationEnded OfGate(const std::string& step, IterationFinished::Status status,
                        const std::string& words = "") const {
    IterationEnded ended{.step = step};
    ended.attempt = Step(step).gate().number();
    ended.iteration = 0;
    ended.status = status;
    ended.message = words;
    return ended;
  }
  Transition Judge(const std::string& step, bool passes, const std::string& words = "words") {
    return Feed(
        OfGate(step, passes ? IterationFinished::STATUS_COMPLETE : IterationFinished::STATUS_FAILED,
               words));
  }
  Transition JudgeErr(const std::string& step, Execution::FailureReason reason, bool transient) {
    IterationEnded ended = OfGate(step, IterationFinished::STATUS_ERROR, "overloaded");
    ended.reason = reason;
    ended.transient = transient;
    return Feed(ended);
  }
  Transition PutAway() { return Feed(task::PutAway{.commit = "c1", .removed = true, .error = ""}); }

  // The step has submitted an execution.
  Transition Submit(const std::string& step, const std::string& child) {
    IterationEnded ended = Of(step, IterationFinished::STATUS_UNSPECIFIED);
    ended.child = child;
    return Feed(ended);
  }

  // ---- signals

  Signalled::ChildEnded EndOf(const std::string& child, Execution::State state,
                              Execution::FailureReason reason, const std::string& message) {
    Signalled::ChildEnded ended{.number = ++signals, .end = {}};
    ended.end.set_child(child);
    ended.end.set_state(state);
    ended.end.set_failure_reason(reason);
    ended.end.set_effect(state == Execution::STATE_SUCCEEDED ? Execution::EFFECT_APPLIED
                                                             : Execution::EFFECT_POSSIBLE);
    ended.end.set_message(message);
    return ended;
  }
  Transition ChildEnds(const std::string& child, Execution::State state,
                       Execution::FailureReason reason = Execution::FAILURE_REASON_UNSPECIFIED,
                       const std::string& message = "") {
    Signalled signalled;
    signalled.child_ends.push_back(EndOf(child, state, reason, message));
    return Feed(signalled);
  }
  machine::Signalled::Vote VoteOf(const std::string& caller, bool approve,
                                  const std::string& reason = "fine") {
    machine::Signalled::Vote vote;
    vote.number = ++signals;
    vote.caller = caller;
    vote.reason = reason;
    vote.approve = approve;
    vote.time = now;
    for (const auto& step : task.data.steps()) {
      if (step.state() == StepStatus::STATE_WAITING ||
          step.gate().stage() == TaskState::Gate::STAGE_ASKED)
        vote.plan_digest = step.approval().plan_digest();
    }
    return vote;
  }
  Transition Vote(const std::string& caller, bool approve, const std::string& reason = "fine") {
    Signalled signalled;
    signalled.votes.push_back(VoteOf(caller, approve, reason));
    return Feed(signalled);
  }
  Transition Cancel() {
    Signalled signalled;
    signalled.cancels.push_back({.number = ++signals, .caller = "bob", .reason = "not needed"});
    return Feed(signalled);
  }
  Transition Pause(bool resume = false) {
    Signalled signalled;
    signalled.pauses.push_back(
        {.number = ++signals, .caller = "bob", .reason = "wait", .resume = resume});
    return Feed(signalled);
  }
  Transition Unpause() { return Pause(/*resume=*/true); }

  // ---- where it stands

  const TaskState::Step& Step(const std::string& name) const {
    for (const auto& step : task.data.steps()) {
      if (step.name() == name) return step;
    }
    CAPSTAN_CHECK(false);
    return task.data.steps(0);
  }
  StepStatus::State StateOf(const std::string& name) const { return Step(name).state(); }
  const v1::StateChanged& End() const { return events.back().state_changed(); }
  std::vector<std::string> Story() const { return StoryOf(events); }
  // Only of the events since the last call.
  std::vector<std::string> NewStory() {
    const std::vector<std::string> all = Story();
    std::vector<std::string> out(all.begin() + static_cast<std::ptrdiff_t>(told_), all.end());
    told_ = all.size();
    return out;
  }
  int Count(const std::string& words) const {
    const std::vector<std::string> story = Story();
    return static_cast<int>(std::count(story.begin(), story.end(), words));
  }

  v1::Workflow workflow;
  Task task;
  absl::Time now = kNow;
  int signals = 0;
  std::vector<v1::ExecutionEvent> events;
  v1::Execution snapshot;

 private:
  // Event 1.
  void Accept() {
    v1::ExecutionEvent event;
    event.set_seq(1);
    *event.mutable_time() = machine::ToProto(now);
    *event.mutable_accepted() = task.request;
    Apply(event, snapshot);
    events.push_back(std::move(event));
  }

  std::size_t told_ = 0;
};

inline Decided DeniedBy(const std::string& rule) {
  Decided decided;
  v1::PolicyViolation& violation = *decided.decision.add_violations();
  violation.set_id(rule);
  violation.set_message("no");
  return decided;
}

}  // namespace capstan::task
