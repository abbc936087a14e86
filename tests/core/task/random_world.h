// A random workflow, and a runner and a store in small for the walk through it: what was asked for
// is remembered and answered later, honestly or not.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <utility>

#include "core/task/task_budget.h"
#include "tests/core/task/situations.h"

namespace capstan::task {

class Dice {
 public:
  explicit Dice(unsigned seed) : random_(seed) {}
  int Pick(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  bool OneIn(int n) { return Pick(n) == 0; }

 private:
  std::mt19937 random_;
};

// ---- a random workflow

inline v1::StepCondition Flag(const std::string& step, const char* flag) {
  v1::StepCondition condition;
  condition.mutable_test()->set_field(absl::StrCat("steps.", step, ".output.", flag));
  condition.mutable_test()->set_op(v1::ConditionTest::OPERATOR_EQ);
  condition.mutable_test()->mutable_value()->set_bool_value(true);
  return condition;
}

inline void AddJudge(Dice& dice, v1::ModelJudgement& judge) {
  judge.set_prompt("Is it good?");
  judge.set_fail_on_api_error(dice.OneIn(2));
  if (dice.OneIn(2)) judge.set_max_cost_microusd(1 + dice.Pick(20));
}

inline void AddKind(Dice& dice, v1::WorkflowStep& step) {
  const int kind = dice.Pick(13);
  if (kind < 5) {
    step.mutable_llm()->set_prompt("Do it.");
    step.mutable_llm()->set_schema(*ReadPartOfTest("schemas", ""));
    if (dice.OneIn(2)) step.mutable_llm()->set_max_cost_microusd(1 + dice.Pick(50));
    step.set_max_iterations(1 + dice.Pick(4));
  } else if (kind < 7) {
    step.mutable_command()->add_argv("make");
    step.mutable_command()->set_repeatable(dice.OneIn(2));
  } else if (kind < 8) {
    step.mutable_http()->set_method(dice.OneIn(2) ? "GET" : "POST");
    step.mutable_http()->set_url("https://api.internal/");
  } else if (kind < 9) {
    step.mutable_check();
    step.add_checks()->set_name("c");
    if (dice.OneIn(2)) {
      step.mutable_checks(0)->add_argv("make");
    } else {
      AddJudge(dice, *step.mutable_checks(0)->mutable_judge());
    }
  } else if (kind < 10) {
    step.mutable_gate_only();
  } else {
    step.mutable_action()->set_action("ScaleDeployment");
  }
}

inline void AddGate(Dice& dice, const std::vector<std::string>& before, v1::WorkflowStep& step) {
  v1::StepGate& gate = *step.mutable_gate();
  gate.set_kind(static_cast<v1::StepGate::Kind>(1 + dice.Pick(4)));
  const bool skip = gate.kind() == v1::StepGate::KIND_SKIP;
  const bool beside = !skip && dice.OneIn(3);
  if (beside) gate.set_mode(v1::StepGate::MODE_REACTION);
  if (!skip) gate.set_on_reject(static_cast<v1::StepGate::OnReject>(1 + dice.Pick(5)));
  if (gate.on_reject() == v1::StepGate::ON_REJECT_RETRY && step.retry_from().empty())
    gate.set_on_reject(v1::StepGate::ON_REJECT_SKIP_STEP);
  const bool undoes = gate.on_reject() == v1::StepGate::ON_REJECT_SKIP_STEP ||
                      gate.on_reject() == v1::StepGate::ON_REJECT_CONTINUE;
  if (beside && undoes) gate.set_on_reject(v1::StepGate::ON_REJECT_FAIL);
  if (gate.on_reject() == v1::StepGate::ON_REJECT_RUN_SCRIPT) {
    gate.mutable_script()->add_argv("repair");
    gate.mutable_script()->set_repeatable(true);
  }
  if (gate.kind() == v1::StepGate::KIND_MODEL) AddJudge(dice, *gate.mutable_judge());
  if (gate.kind() == v1::StepGate::KIND_AUTO && !before.empty())
    *gate.mutable_criteria() =
        Flag(before[static_cast<std::size_t>(dice.Pick(static_cast<int>(before.size())))], "ok");
  if (gate.kind() == v1::StepGate::KIND_HUMAN) {
    gate.set_quorum(dice.Pick(3));
    gate.mutable_timeout()->set_seconds(3600);
  }
}

inline v1::Workflow RandomWorkflow(Dice& dice) {
  v1::Workflow workflow;
  workflow.set_name("w");
  workflow.set_description("d");
  workflow.set_max_retries(dice.Pick(4));
  std::map<std::string, std::set<std::string>> before;  // of each step, directly or not
  for (int i = 0, n = 1 + dice.Pick(8); i < n; ++i) {
    v1::WorkflowStep& step = *workflow.add_steps();
    step.set_name(absl::StrCat("s", i));
    std::set<std::string>& mine = before[step.name()];
    for (int j = 0; j < i; ++j) {
      if (!dice.OneIn(3)) continue;
      const std::string name = absl::StrCat("s", j);
      step.add_depends_on(name);
      mine.insert(name);
      mine.insert(before[name].begin(), before[name].end());
    }
    const std::vector<std::string> known(mine.begin(), mine.end());
    AddKind(dice, step);
    if (!known.empty() && dice.OneIn(5)) *step.mutable_condition() = Flag(known.front(), "ok");
    const auto way_back = [&] {
      const int n = dice.Pick(static_cast<int>(known.size()) + 1);
      return n == static_cast<int>(known.size()) ? step.name() : known[static_cast<std::size_t>(n)];
    };
    if (dice.OneIn(2)) step.set_retry_from(way_back());
    if (step.has_gate_only() || dice.OneIn(3)) AddGate(dice, known, step);
    if (dice.OneIn(5) && !step.has_gate_only()) {
      step.mutable_loop()->set_to_step(way_back());
      step.mutable_loop()->set_max_loops(1 + dice.Pick(3));
      *step.mutable_loop()->mutable_condition() = Flag(step.name(), "again");
    }
  }
  for (const auto when : {v1::WorkflowTrigger::WHEN_CREATED, v1::WorkflowTrigger::WHEN_COMPLETED}) {
    if (!dice.OneIn(3)) continue;
    v1::WorkflowTrigger& trigger = *workflow.add_triggers();
    trigger.set_name(absl::StrCat("t", workflow.triggers_size()));
    trigger.set_when(when);
    trigger.mutable_command()->add_argv("ask");
    trigger.mutable_command()->set_repeatable(true);
  }
  return workflow;
}

// ---- its runner and its store

class World {
 public:
  explicit World(unsigned seed)
      : dice(seed), run(RandomWorkflow(dice), static_cast<v1::Profile>(dice.Pick(5))) {
    if (dice.OneIn(2)) run.task.request.mutable_task()->set_max_cost_microusd(50 + dice.Pick(300));
    if (dice.OneIn(3)) {
      run.task.request.mutable_task()->set_project("shop");
      if (dice.OneIn(5)) run.task.request.mutable_task()->set_budget_override("urgent");
      if (!dice.OneIn(5)) project.limit = 20 + dice.Pick(200);
    }
    Claim();
  }

  bool ended() const { return machine::IsTerminal(run.task.state); }
  bool held() const { return held_; }
  bool nothing_is_going_on() const {
    return !taken_up_ && working.empty() && !decide_ && !prepare_ && !triggers_ && !put_away_ &&
           !look_again_.has_value();
  }

  // Takes it up from where it waits.
  void Claim() {
    held_ = true;
    takeovers_ = 0;
    Feed(Resumed{});
  }
  void WakeWhenDue() {
    run.now = std::max(run.now, due_);
    Claim();
  }
  // The worker is lost, and with it all that it was doing.
  void TakeOver() {
    Forget();
    run.task.leaving = false;
    Feed(Resumed{.takeovers = ++takeovers_, .alone = true, .anew = true});
  }
  // The reply of a commit was lost: what is stored is read again.
  void ReadAgain() { Feed(Resumed{.takeovers = takeovers_, .alone = true, .anew = false}); }

  void Signal(const Signalled& signalled) {
    const bool woken = !held_;
    held_ = true;
    taken_up_ = woken;
    if (woken) takeovers_ = 0;
    Feed(signalled);
    taken_up_ = false;
    if (woken && held_ && !ended()) Feed(Resumed{.takeovers = 0, .alone = true, .anew = false});
  }

  // What was asked for first is answered; false: nothing was asked for.
  bool Answer(bool honest) {
    if (std::exchange(decide_, false)) {
      Decided decided;
      decided.decision.set_allow(honest || !dice.OneIn(20));
      if (!honest && dice.OneIn(10)) decided.transient_error = "no facts";
      Feed(decided);
    } else if (std::exchange(prepare_, false)) {
      Prepared prepared;
      prepared.workspace.set_path("/w/1");
      if (!honest && dice.OneIn(5)) {
        prepared.error = "disk is full";
        prepared.transient = !dice.OneIn(5);
      }
      Feed(prepared);
    } else if (std::exchange(triggers_, false)) {
      Feed(Triggered{{RandomTrigger(honest)}});
    } else if (std::exchange(put_away_, false)) {
      PutAway put{.commit = "c", .removed = true, .error = dice.OneIn(3) ? "denied" : ""};
      if (!honest && !put.error.empty() && dice.OneIn(2))
        put.reason = Execution::FAILURE_REASON_RESOURCE_EXHAUSTED;
      if (dice.OneIn(3)) put.triggers.push_back(RandomTrigger(honest));
      Feed(put);
    } else if (!working.empty()) {
      Work(honest);
    } else if (look_again_.has_value()) {
      run.now = std::max(run.now, *std::exchange(look_again_, std::nullopt));
      Feed(Tick{});
    } else if (!children.empty()) {
      EndChild(honest);
    } else {
      return false;
    }
    return true;
  }

  // An execution that a step has submitted comes to its end, and the task is told.
  void EndChild(bool honest) {
    auto place = children.begin();
    std::advance(place, dice.Pick(static_cast<int>(children.size())));
    const auto [name, cancelled] = *place;
    children.erase(place);
    Execution::State state =
        cancelled && !dice.OneIn(4) ? Execution::STATE_CANCELLED : Execution::STATE_SUCCEEDED;
    Execution::FailureReason reason = Execution::FAILURE_REASON_UNSPECIFIED;
    if (!honest && dice.OneIn(3)) {
      state = Execution::STATE_FAILED;
      reason = dice.OneIn(4) ? Execution::FAILURE_REASON_OUTCOME_UNKNOWN
                             : Execution::FAILURE_REASON_POLICY_DENIED;
    }
    unknown_child = unknown_child || reason == Execution::FAILURE_REASON_OUTCOME_UNKNOWN;
    Signalled signalled;
    signalled.child_ends.push_back(run.EndOf(name, state, reason, "m"));
    Signal(signalled);
  }

  v1::TriggerRan RandomTrigger(bool honest) {
    v1::TriggerRan ran;
    ran.set_trigger("t");
    ran.set_result(honest || !dice.OneIn(10)
                       ? v1::TriggerRan::RESULT_PASSED
                       : static_cast<v1::TriggerRan::Result>(2 + dice.Pick(2)));
    return ran;
  }

  IterationEnded RandomEnd(const std::string& step, int attempt, int iteration, bool honest) {
    IterationEnded ended{.step = step, .attempt = attempt, .iteration = iteration};
    ended.status = honest ? IterationFinished::STATUS_COMPLETE
                          : static_cast<IterationFinished::Status>(1 + dice.Pick(5));
    if (dice.OneIn(2)) ended.status = IterationFinished::STATUS_COMPLETE;
    ended.message = "m";
    if (dice.OneIn(2)) ended.reason = Execution::FAILURE_REASON_PROVIDER;
    ended.checks_block = !honest && dice.OneIn(6);
    ended.transient = dice.OneIn(2);
    ended.retry_after = absl::Seconds(dice.Pick(300));
    ended.fatal = !honest && dice.OneIn(8);
    if (!dice.OneIn(3) && iteration != 0)
      ended.answer = {{"ok", !dice.OneIn(4)}, {"again", dice.OneIn(2)}};
    if (dice.OneIn(4)) ended.reason = Execution::FAILURE_REASON_BUDGET_EXCEEDED;
    const v1::WorkflowStep* const definition = Definition(step);
    if (iteration != 0 && definition != nullptr && definition->has_action() &&
        ended.status == IterationFinished::STATUS_COMPLETE) {
      ended.child = absl::StrCat("executions/", ++made_);
      ended.answer = nullptr;
    }
    if (dice.OneIn(3)) ended.digest = absl::StrCat(dice.Pick(2));
    if (dice.OneIn(4)) ended.commit = "c";
    if (iteration != 0 && dice.OneIn(5)) ended.triggers.push_back(RandomTrigger(honest));
    if (ended.status == IterationFinished::STATUS_ERROR && !ended.transient && dice.OneIn(4))
      ended.reason = Execution::FAILURE_REASON_OUTCOME_UNKNOWN;
    if (dice.OneIn(4) && iteration != 0) {
      ended.answer_artifact = absl::StrCat(step, "/", attempt, ".", iteration, "/answer");
    }
    return ended;
  }

  void Feed(const Input& input);

  // An emergency stop is made or lifted; lifting wakes what waits for it.
  void MakeStop() { stop_is_in_force = true; }
  void LiftStop() {
    stop_is_in_force = false;
    if (!held_ && run.task.data.block_reason() == Execution::BLOCK_REASON_STOPPED) Claim();
  }

  // Other tasks of the project reserve and spend, within its limit; those that wait for what they
  // leave are woken.
  void OthersSpend() {
    const std::int64_t left = project.limit - project.spent - OwnReserved() - project.others;
    if (project.limit == 0) return;
    if (dice.OneIn(2)) {
      project.others += dice.Pick(static_cast<int>(std::max<std::int64_t>(left, 0)) + 1);
    } else {
      project.spent += dice.Pick(static_cast<int>(project.others) + 1);
      project.others = 0;
    }
    WakeForProject();
  }
  void SetBudget(std::int64_t limit) {
    project.limit = limit;
    WakeForProject();
  }

  std::int64_t OwnReserved() const {
    std::int64_t reserved = 0;
    for (const auto& step : run.task.data.steps())
      reserved += step.reserved_microusd() + step.gate().reserved_microusd();
    return reserved;
  }

  bool stop_is_in_force = false;
  // The budget of its project; what is `billed` is of this task. The walk stays in one month.
  struct Project {
    std::int64_t limit = 0, spent = 0, others = 0, billed = 0;
  } project;
  Dice dice;
  TaskUnderTest run;
  // What runs in the worker, by step and whether it is its gate: attempt and iteration, what it may
  // cost, told to stop.
  struct Working {
    StepRun run;
    bool stop = false;
  };
  std::map<std::pair<std::string, bool>, Working> working;
  std::vector<Input> fed;
  std::map<std::string, bool> children;  // that have not ended; whether they were asked to
  std::set<std::string> submitted;       // all of them
  bool unknown_child = false;            // nobody knows what one of them did

 private:
  ProjectStanding Standing() const {
    return {"2027-01", project.limit, project.spent, project.others + OwnReserved()};
  }
  bool WaitsForProject() const {
    return !held_ && run.task.data.block_reason() == Execution::BLOCK_REASON_BUDGET;
  }
  void WakeForProject() {
    const ProjectStanding now = Standing();
    if (WaitsForProject() && (now.limit == 0 || now.limit - now.spent - now.reserved >
                                                    run.task.data.project().needs_microusd())) {
      Claim();
    }
  }
  // As the store tests it.
  bool ProjectAllows(const Transition& transition) const {
    if (transition.ignored) return true;
    ProjectStanding then = Standing();
    for (const ProjectMonth& one : ProjectMonths(run.task, transition.data, transition.events,
                                                 machine::IsTerminal(transition.state))) {
      then.spent += one.billed;
      then.reserved += one.reserved - one.reserved_before;
      const bool tested =
          one.begins && then.limit > 0 && run.task.request.task().budget_override().empty();
      if (tested && (one.unbounded || then.spent + then.reserved > then.limit)) return false;
    }
    return !transition.waits_for_project.has_value() ||
           (then.limit > 0 &&
            then.limit - then.spent - then.reserved <= transition.data.project().needs_microusd());
  }
  void Charge(const Task& before, const Transition& transition) {
    if (transition.ignored) return;
    for (const ProjectMonth& one : ProjectMonths(before, transition.data, transition.events,
                                                 machine::IsTerminal(transition.state))) {
      project.spent += one.billed;
      project.billed += one.billed;
    }
  }

  const v1::WorkflowStep* Definition(const std::string& name) const {
    for (const v1::WorkflowStep& step : run.workflow.steps()) {
      if (step.name() == name) return &step;
    }
    return nullptr;
  }

  void Work(bool honest) {
    auto place = working.begin();
    std::advance(place, dice.Pick(static_cast<int>(working.size())));
    const Working one = place->second;
    working.erase(place);
    IterationEnded ended = RandomEnd(one.run.step, one.run.attempt, one.run.iteration, honest);
    if (one.stop && !dice.OneIn(4)) ended.status = IterationFinished::STATUS_STOPPED;
    const TaskState::Step& step = run.Step(one.run.step);
    const std::int64_t reserved =
        one.run.iteration == 0 ? step.gate().reserved_microusd() : step.reserved_microusd();
    if (!dice.OneIn(4) && reserved > 0) {
      v1::UsageRecorded& usage = ended.usage.emplace_back();
      usage.set_step(one.run.step);
      usage.set_attempt(one.run.attempt);
      usage.set_iteration(one.run.iteration);
      usage.set_model("m");
      usage.set_effective_input_tokens(7);
      usage.set_cost_microusd(dice.Pick(static_cast<int>(one.run.max_cost_microusd) + 1));
    }
    run.now += absl::Seconds(dice.Pick(120));
    Feed(ended);
  }

  void Forget() {
    working.clear();
    decide_ = prepare_ = triggers_ = put_away_ = false;
    look_again_.reset();
  }

  void Perform(const Transition& transition) {
    for (const StepRun& one : transition.run) {
      const auto known = working.find({one.step, one.iteration == 0});
      const bool same = known != working.end() && known->second.run.attempt == one.attempt &&
                        known->second.run.iteration == one.iteration;
      if (!same) working[{one.step, one.iteration == 0}] = {one, false};
    }
    for (const std::string& step : transition.stop) {
      // Nothing of it runs here: it is answered for.
      if (!working.contains({step, false}))
        working[{step, false}].run = {
            step, run.Step(step).attempt(), run.Step(step).iteration(), {}, 0};
      working[{step, false}].stop = true;
    }
    for (const std::string& step : transition.stop_gates) {
      if (!working.contains({step, true}))
        working[{step, true}].run = {step, run.Step(step).gate().number(), 0, {}, 0};
      working[{step, true}].stop = true;
    }
    decide_ = decide_ || transition.decide;
    prepare_ = prepare_ || transition.prepare;
    triggers_ = triggers_ || (transition.triggers && !transition.put_away);
    put_away_ = put_away_ || transition.put_away;
    if (transition.look_again.has_value()) look_again_ = transition.look_again;
  }

  bool held_ = false;
  bool taken_up_ = false;  // Resumed follows
  int takeovers_ = 0;
  int made_ = 0;
  absl::Time due_;
  bool decide_ = false, prepare_ = false, triggers_ = false, put_away_ = false;
  std::optional<absl::Time> look_again_;
};

// What must hold of every transition, whatever came before. In random_walk_test.cc.
void CheckTransition(const Task& before, const Transition& transition, const World& world);

inline void World::Feed(const Input& input) {
  fed.push_back(input);
  // What it knows of its project may be old, or nothing. The store refuses what begins while a stop
  // is in force, and what goes too far: it is decided again knowing of it.
  run.task.stopped.reset();
  run.task.project.reset();
  if (!run.task.request.task().project().empty() && !dice.OneIn(4)) run.task.project = Standing();
  for (int refused = 0;; ++refused) {
    ASSERT_LT(refused, 3) << "refused for ever";
    const Transition next = Next(run.task, input, run.now);
    if (stop_is_in_force && !next.ignored && (!next.run.empty() || next.triggers) &&
        !run.task.stopped.has_value()) {
      run.task.stopped = machine::StoppedBy{"stops/1", "fire"};
    } else if (!ProjectAllows(next)) {
      run.task.project = Standing();
    } else {
      break;
    }
  }
  const Task before = run.task;
  const Transition transition = run.Feed(input);
  for (const StepRun& one : transition.run)
    EXPECT_TRUE(!before.leaving || working.contains({one.step, one.iteration == 0}))
        << "begins where it cannot end";
  Charge(before, transition);
  if (transition.store_child) {
    const std::string& child = std::get<IterationEnded>(input).child;
    EXPECT_TRUE(submitted.insert(child).second) << child << " is submitted twice";
    children[child] = false;
  }
  for (const ChildCancel& cancel : transition.cancel_children) {
    EXPECT_TRUE(children.contains(cancel.child)) << cancel.child << " is asked to end, and has";
    children[cancel.child] = true;
  }
  if (!transition.ignored && transition.park.has_value()) {
    held_ = run.task.leaving = false;
    due_ = run.now + *transition.park;
    EXPECT_TRUE(working.empty() || ended()) << "parked while something runs";
    Forget();
  } else if (ended()) {
    Forget();
  } else {
    Perform(transition);
  }
  CheckTransition(before, transition, *this);
}

}  // namespace capstan::task
