// Inside of the task machine: one transition while it is put together.
#pragma once

#include <set>
#include <string>
#include <utility>

#include "core/task/task_machine.h"

namespace capstan::task {

class Builder {
 public:
  Builder(const Task& task, absl::Time now);

  TaskState& data() { return out_.data; }
  const TaskState& data() const { return out_.data; }
  Execution::State state() const { return out_.state; }
  const Task& task() const { return task_; }
  const v1::Workflow& workflow() const { return *task_.workflow; }
  absl::Time now() const { return now_; }
  // What is known of steps, as of this transition: with the answers that came with it.
  nlohmann::json& steps() { return steps_; }
  // Whether a condition of a step holds, as of this transition.
  bool Holds(const v1::StepCondition& condition, const TaskState::Step& step) const;
  Transition& out() { return out_; }
  const Transition& out() const { return out_; }

  TaskState::Step& Step(const std::string& name);
  const v1::WorkflowStep& Definition(const std::string& name) const;

  v1::ExecutionEvent& Event();
  void CausedBySignal(int number);
  v1::StateChanged& To(Execution::State to);

  // An iteration of a step begins.
  void Started(const TaskState::Step& step);
  // A step's state, for conditions as well.
  void SetState(TaskState::Step& step, StepStatus::State state);
  void Finished(TaskState::Step& step, StepStatus::State state, Execution::FailureReason reason,
                std::string message);
  // The approval that a step waits for comes to this end.
  void EndApproval(TaskState::Step& step, v1::ApprovalSummary::State state, std::string message);

  // What an iteration of a step, or what decides its gate, came to, and what it has cost.
  void Ended(TaskState::Step& step, const IterationEnded& ended);
  // The work that it left.
  void TakeWork(const IterationEnded& ended);
  // Its worker is gone: all that was reserved for it may have been spent.
  void Lost(TaskState::Step& step, int attempt, int iteration, std::int64_t reserved_microusd);

  // BLOCKED until `until` at the latest; the lease is given back.
  Transition Block(Execution::BlockReason reason, std::string message, absl::Time until);
  Transition Done() { return std::move(out_); }
  // Writes the end.
  Transition End(Execution::State state, Execution::FailureReason reason, std::string message);

 private:
  // When most of the budget of the project is spent, that is said once a month.
  void WarnOfProject();
  // Something was billed for a step.
  void Bill(TaskState::Step& step, const v1::UsageRecorded& usage);

  const Task& task_;
  const absl::Time now_;
  std::string cause_;
  nlohmann::json steps_;
  Transition out_;
};

inline absl::Duration ToDuration(const google::protobuf::Duration& d) {
  return absl::Seconds(d.seconds()) + absl::Nanoseconds(d.nanos());
}

inline absl::Duration Or(absl::Duration value, absl::Duration otherwise) {
  return value > absl::ZeroDuration() ? value : otherwise;
}

// ---- of the steps

// All that depend on `step`, directly or not, with it, in the order of the workflow.
std::vector<std::string> WithDependents(const v1::Workflow& workflow, const std::string& step);

// An iteration of it is being worked on by a worker.
bool IsWorking(const TaskState::Step& step);
// That, or what decides its gate.
bool IsAtWork(const TaskState::Step& step);

// When its time is up.
absl::Time EndOf(const Builder& builder, const TaskState::Step& step);

// Its iteration, as it is to be worked on.
StepRun RunOf(const Builder& builder, const TaskState::Step& step);

// When the task has to be done.
absl::Time Deadline(const Task& task, const TaskState& data);

// Ends the task: a step cannot go on, what the task may cost is spent.
Transition OutOfBudget(Builder builder, const std::string& step);

// ---- what follows from where the steps stand

// Starts what can be started, asks whom has to be asked; when nothing is left to be done, begins to
// put the work away; when nothing can be done now, parks. Where policy has to decide first, that.
Transition Advance(Builder builder);

// Of a task that is PENDING: policy decides, each time a worker takes it up.
Transition Begin(Builder builder);

// Of a task that is BLOCKED: what it waited for has come.
Transition Reopen(Builder builder);

// Ends the approval that nobody decided in time. A transition: the task ends, or goes back.
std::optional<Transition> Expire(Builder& builder);

// A step has succeeded. A transition: its loop goes back, or was gone through too often.
std::optional<Transition> Completed(Builder& builder, const std::string& name,
                                    const std::string& message);

// A step is not done and will not be: goes back, or ends the task.
Transition StepFailed(Builder builder, const std::string& name, Execution::FailureReason reason,
                      std::string message, std::string feedback);

// `to` and all that depend on it run again, unless the task went back to it too often.
Transition GoBack(Builder builder, const std::string& from, const std::string& to,
                  std::string reason, std::string feedback);

// Nothing of this round of the step counts any more.
void Reset(Builder& builder, TaskState::Step& step);

// Ends the task: at once when it has no workspace and nothing runs, otherwise when that is stopped
// and put away. The first end that was decided counts.
Transition Finish(Builder builder, Execution::State state, Execution::FailureReason reason,
                  std::string message);

// Takes note of a vote; true when the approval of that step has come to an end.
bool CountVote(Builder& builder, const machine::Signalled::Vote& vote);

// What an approval that has come to an end means for its step; Advance() after it. A transition:
// the task ends, or goes back.
std::optional<Transition> Settle(Builder& builder, const std::string& name, bool passed,
                                 const std::string& words);

// What an approval that has come to an end would mean does not matter any more.
void Unsettle(Builder& builder);

// The step asks people, and goes on with their answer.
void AskQuestion(Builder& builder, const std::string& name, std::string question);
// Puts its question to them, as soon as nothing else is asked.
void PutQuestion(Builder& builder, const std::string& name);

// ---- triggers

// Those of the moment that the task was created have not been run.
bool MustRunTriggers(const Builder& builder);

// They are on record.
void AddTriggers(Builder& builder, const std::vector<v1::TriggerRan>& triggers);

// Those of the moment that the task was created were run.
Transition AfterTriggers(Builder builder, const Triggered& triggered);

// The step about which people are asked; there is at most one.
std::optional<std::string> Waiting(const TaskState& data);

// There has to be a workspace before it runs. A step that submits an action works in none, and gets
// one where others do: what it says may name the folder or the branch, and programs of triggers and
// variables, and what decides gates, run in it.
bool NeedsWorkspace(const v1::Workflow& workflow, const v1::WorkflowStep& step);

// ---- executions that steps have submitted (task_children.cc)

// It has submitted one, and nothing was heard of its end.
bool AwaitsChild(const TaskState::Step& step);
bool AnyAwaitsChild(const TaskState& data);
// The end of one was noted, and what follows from it has not happened.
bool AnyChildHasEnded(const TaskState& data);

// The step has its execution; stored with it.
Transition Submit(Builder builder, const IterationEnded& ended);

// Asks the step's execution to end, unless that was done; the step waits on.
void CancelChild(Builder& builder, TaskState::Step& step, std::string reason);

// Takes note of an end, and keeps it as the step's answer.
void NoteChildEnd(Builder& builder, const engine::v1::ChildEnd& end);

// What follows from the ends that were noted: of a task that goes on (a transition: it ends, or
// goes back), and of one whose end is decided.
std::optional<Transition> SettleChildren(Builder& builder);
void EndChildrenWithTask(Builder& builder);

// Those whose step has no time left are asked to end.
void TimeOutChildren(Builder& builder);

// When that is next to be looked at.
absl::Time NextChildLook(const Builder& builder);

// Nothing else is to be done.
Transition WaitForChildren(Builder builder);

}  // namespace capstan::task
