// The task machine: decides what a task does next. Pure and total, as the action machine
// (core/machine/action_machine.h), and driven in the same way: Next() gives a transition, which is
// stored in one fenced commit, and the effects to start once it is stored; what comes of them comes
// back as the next input.
//
//   PENDING ──► VALIDATING ─ decide ─► RUNNING ─ steps ─► VERIFYING ─ put the work away ─►
//   SUCCEEDED
//
// Steps run as soon as those that they depend on are done, at the same time where they can. While
// nothing runs and the task waits (for people, for a later try, for ResumeExecution) it is parked:
// it holds no lease, and begins again with a decision of policy.
//
// What a worker was doing when it was lost is not known to have been done: a model's or a check's
// iteration, which changes nothing but the workspace, is done again from the last checkpoint as a
// new attempt; a program that is not said to be repeatable ends the task OUTCOME_UNKNOWN.
//
// A step that submits an action has an execution of its own as soon as the transition is stored
// that names it, and no sooner. Nothing of the step runs after that: it waits for the end of that
// execution, which comes as a signal. A task that ends or goes back asks it to end, and waits.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "capstan/engine/v1/task_state.pb.h"
#include "capstan/v1/event.pb.h"
#include "capstan/v1/execution.pb.h"
#include "capstan/v1/workflow.pb.h"
#include "core/machine/action_machine.h"
#include "core/workflow/values.h"

namespace capstan::task {

using engine::v1::TaskState;
using machine::Execution;
using v1::IterationFinished;
using v1::StepStatus;

// How the budget of a project stands in a month; amounts in millionths of a US dollar.
struct ProjectStanding {
  std::string month;          // 2026-11, in UTC
  std::int64_t limit = 0;     // 0: none
  std::int64_t spent = 0;     // billed
  std::int64_t reserved = 0;  // for what runs, of all its tasks
};

// A task as its holder knows it.
struct Task {
  v1::Accepted request;
  std::string correlation_id;
  Execution::State state = Execution::STATE_PENDING;
  int seq = 0;  // of the last stored event
  TaskState data;
  const v1::Workflow* workflow = nullptr;  // the definition it is pinned to
  // What is known of steps, as in workflow::Values.
  nlohmann::json steps = nlohmann::json::object();
  // An emergency stop that is in force: nothing begins. Not stored; whoever stores finds out.
  std::optional<machine::StoppedBy> stopped = std::nullopt;
  // The worker that holds it is about to go: nothing begins here. Not stored.
  bool leaving = false;
  // Of the budget of its project, as it was a moment ago. Not stored; whoever stores tests it.
  std::optional<ProjectStanding> project = std::nullopt;
  // Variables of the worker's environment that workflows may read.
  std::map<std::string, std::string> environment = {};
};

// ---- inputs

// A worker holds the task and asks where to go on.
struct Resumed {
  int takeovers = 0;   // of its lease
  bool alone = false;  // in its lease
  // It has only just been claimed: nothing of it runs.
  bool anew = true;
};

// It cannot be worked on by anybody: its definition is gone or damaged.
struct Unusable {
  std::string message;
};

// Result of Transition::decide.
struct Decided {
  v1::PolicyDecision decision;
  std::string transient_error = {};  // set: nothing was decided
};

// Result of Transition::prepare.
struct Prepared {
  v1::Workspace workspace;
  bool found = false;
  std::string error = {};  // set: there is no workspace
  bool transient = false;
};

// Result of Transition::triggers: those that came to an end.
struct Triggered {
  std::vector<v1::TriggerRan> triggers;
};

// "trigger audit said no: …", of the one that did; nullopt: none did.
std::optional<std::string> NoOf(const std::vector<v1::TriggerRan>& triggers);

// Result of one of Transition::run. For a gate (iteration 0) COMPLETE is a yes, FAILED a no, and
// `message` the words of who decided. Of a step that submits an execution: `child` is what is to be
// stored with this transition, and nothing else but step, attempt, iteration and triggers is looked
// at.
struct IterationEnded {
  std::string step;
  int attempt = 0;
  int iteration = 0;
  IterationFinished::Status status = IterationFinished::STATUS_ERROR;
  std::string message = {};  // for a person
  // STATUS_ERROR: what it was, and the end it leads to unless it is transient.
  std::string error = {};
  bool transient = false;
  bool fatal = false;  // no other step can mend it: the disk is full, somebody moved the branch
  absl::Duration retry_after = {};
  Execution::FailureReason reason = Execution::FAILURE_REASON_STEP_FAILED;
  // For the next iteration: what is left to do, what checks said.
  std::string feedback = {};
  bool checks_block = false;  // a check did not pass
  std::vector<v1::CheckResult> checks = {};
  std::vector<v1::UsageRecorded> usage = {};
  std::string session = {};  // to go on with; empty: none
  // Names of what is stored with it; empty: nothing.
  std::string session_artifact = {};
  std::string answer_artifact = {};
  std::string text_artifact = {};
  // SHA-256 of their bytes, in hex.
  std::string answer_digest = {};
  std::string text_digest = {};
  // For conditions: its answer, and what is kept under text_artifact.
  nlohmann::json answer = nullptr;
  std::string text = {};
  std::string commit = {};  // the work was committed
  // Or kept beside the branch, under this name; empty: there was nothing to keep.
  std::optional<std::string> kept = std::nullopt;
  // Of its answer and its work: the same again means no progress. Empty: not known.
  std::string digest = {};
  std::vector<std::string> warnings = {};
  std::vector<v1::TriggerRan> triggers = {};  // that were run before it
  absl::Duration took = {};
  std::string child = {};  // executions/{uuid}
};

// Result of Transition::put_away.
struct PutAway {
  std::string commit = {};
  bool removed = false;
  std::string error = {};  // set: not done
  // Of an error: the work is not where it has to be, so a task that was done fails with this.
  Execution::FailureReason reason = Execution::FAILURE_REASON_UNSPECIFIED;
  std::vector<v1::TriggerRan> triggers = {};  // of the end
};

// Time may have come for something.
struct Tick {};

// Signals above data.signals_seen, in order.
struct Signalled {
  struct Pause {
    int number = 0;
    std::string caller;
    std::string reason;
    bool resume = false;
  };
  std::vector<machine::Signalled::Cancel> cancels = {};
  std::vector<machine::Signalled::Vote> votes = {};
  // How executions ended that steps have submitted.
  struct ChildEnded {
    int number = 0;
    engine::v1::ChildEnd end;
  };
  std::vector<Pause> pauses = {};
  std::vector<ChildEnded> child_ends = {};
};

using Input = std::variant<Resumed, Unusable, Decided, Prepared, Triggered, IterationEnded, PutAway,
                           Tick, Signalled>;

// ---- output

// One iteration to be worked on; iteration 0: what decides the step's gate, a model or a script.
struct StepRun {
  std::string step;
  int attempt = 0;
  int iteration = 0;
  absl::Duration timeout;              // of the iteration
  std::int64_t max_cost_microusd = 0;  // what is reserved for it; 0: no limit
  // Of the step's time: its checks do not take longer.
  absl::Duration left = absl::InfiniteDuration();
  friend bool operator==(const StepRun&, const StepRun&) = default;
};

// What a step has found out without a worker: kept as an artifact.
struct StepAnswer {
  std::string step;
  nlohmann::json answer;
  std::string artifact = {};  // its name
  std::string body = {};
};

// An execution that is asked to end.
struct ChildCancel {
  std::string child;
  std::string reason;
};

struct Transition {
  // Nothing to store: the input means nothing here (any more), or only asks for effects again.
  bool ignored = true;
  Execution::State state = Execution::STATE_UNSPECIFIED;
  Execution::FailureReason failure_reason = Execution::FAILURE_REASON_UNSPECIFIED;
  TaskState data;
  std::vector<v1::ExecutionEvent> events;  // without execution, seq and time
  // The commit must also test that no signal has come since data.signals_seen.
  bool guard_signals = false;
  // Give the lease back for so long; in BLOCKED data.block_reason says for what.
  std::optional<absl::Duration> park;
  std::vector<machine::Transition::Approval> approvals;
  bool store_decision = false;  // that came with Decided, numbered data.decisions
  bool store_result = false;    // artifacts that came with IterationEnded
  bool store_child = false;     // the execution that IterationEnded names
  std::vector<ChildCancel> cancel_children;
  std::vector<StepAnswer> answers;

  // The task waits for emergency stops to be lifted: only to be stored while one covers it. And
  // what begins (`run` is not empty) is only to be stored while none does.
  bool stopped = false;
  // The task waits for the budget of its project in this month: only to be stored while no more of
  // it is left than data.project().needs_microusd().
  std::optional<std::string> waits_for_project;

  // To do once stored: first `run`, then `stop`, then the others. What is running already is not
  // started again.
  bool decide = false;
  bool prepare = false;
  // Of the moment that the task was created; with put_away, of its completion: they begin now.
  bool triggers = false;
  bool put_away = false;  // after the triggers of its end
  std::vector<StepRun> run;
  std::vector<std::string> stop;         // iterations of these steps; each is answered
  std::vector<std::string> stop_gates;   // what decides the gates of these; each is answered
  std::optional<absl::Time> look_again;  // by Tick
};

// How long work on something transient waits before it is tried again: 2 s doubling to 2 min.
absl::Duration Backoff(int errors);

// Transient errors of one iteration in a row that are tried again.
inline constexpr int kMaxTransientErrors = 5;
// Iterations in a row with the same answer and the same work that end a step.
inline constexpr int kMaxSameIterations = 3;
// How long a gate is open that does not say.
inline constexpr absl::Duration kGateTimeout = absl::Hours(24);
// Then it is looked at again, and goes on waiting.
inline constexpr absl::Duration kLongestPark = absl::Hours(24 * 365);
inline constexpr absl::Duration kStepTimeout = absl::Minutes(60);
inline constexpr absl::Duration kTurnTimeout = absl::Minutes(10);
inline constexpr absl::Duration kTaskTimeout = absl::Hours(24);
// While a model step waits for the budget of its project beside others that run.
inline constexpr absl::Duration kProjectLook = absl::Seconds(30);
// Of a budget: from here on people are warned.
inline constexpr double kBudgetWarning = 0.8;

// `now` is database time.
Transition Next(const Task& task, const Input& input, absl::Time now);

}  // namespace capstan::task
