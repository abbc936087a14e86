// A random workflow, and a runner and a store in small for the walk through it: what was asked for
// is remembered and answered later, honestly or not.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <utility>

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

inline void AddKind(Dice& dice, v1::WorkflowStep& step) {
  const int kind = dice.Pick(10);
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
    step.mutable_checks(0)->add_argv("make");
  } else {
    step.mutable_gate_only();
  }
}

inline void AddGate(Dice& dice, const std::vector<std::string>& before, v1::WorkflowStep& step) {
  v1::StepGate& gate = *step.mutable_gate();
  gate.set_kind(static_cast<v1::StepGate::Kind>(1 + dice.Pick(3)));
  if (gate.kind() != v1::StepGate::KIND_SKIP)
    gate.set_on_reject(static_cast<v1::StepGate::OnReject>(1 + dice.Pick(4)));
  if (gate.on_reject() == v1::StepGate::ON_REJECT_RETRY && step.retry_from().empty())
    gate.set_on_reject(v1::StepGate::ON_REJECT_SKIP_STEP);
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
      if (dice.OneIn(3)) put.triggers.push_back(RandomTrigger(honest));
      Feed(put);
    } else if (!working.empty()) {
      Work(honest);
    } else if (look_again_.has_value()) {
      run.now = std::max(run.now, *std::exchange(look_again_, std::nullopt));
      Feed(Tick{});
    } else {
      return false;
    }
    return true;
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
    ended.checks_block = !honest && dice.OneIn(6);
    ended.transient = dice.OneIn(2);
    ended.retry_after = absl::Seconds(dice.Pick(300));
    if (!dice.OneIn(3)) ended.answer = {{"ok", !dice.OneIn(4)}, {"again", dice.OneIn(2)}};
    if (dice.OneIn(3)) ended.digest = absl::StrCat(dice.Pick(2));
    if (dice.OneIn(4)) ended.commit = "c";
    if (dice.OneIn(5)) ended.triggers.push_back(RandomTrigger(honest));
    if (ended.status == IterationFinished::STATUS_ERROR && !ended.transient && dice.OneIn(4))
      ended.reason = Execution::FAILURE_REASON_OUTCOME_UNKNOWN;
    if (dice.OneIn(4)) {
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

  bool stop_is_in_force = false;
  Dice dice;
  TaskUnderTest run;
  // What runs in the worker, by step: attempt and iteration, what it may cost, told to stop.
  struct Working {
    StepRun run;
    bool stop = false;
  };
  std::map<std::string, Working> working;
  std::vector<Input> fed;

 private:
  void Work(bool honest) {
    auto place = working.begin();
    std::advance(place, dice.Pick(static_cast<int>(working.size())));
    const Working one = place->second;
    working.erase(place);
    IterationEnded ended = RandomEnd(one.run.step, one.run.attempt, one.run.iteration, honest);
    if (one.stop && !dice.OneIn(4)) ended.status = IterationFinished::STATUS_STOPPED;
    if (!dice.OneIn(4) && run.Step(one.run.step).reserved_microusd() > 0) {
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
      const auto known = working.find(one.step);
      const bool same = known != working.end() && known->second.run.attempt == one.attempt &&
                        known->second.run.iteration == one.iteration;
      if (!same) working[one.step] = {one, false};
    }
    for (const std::string& step : transition.stop) {
      // Nothing of it runs here: it is answered for.
      if (!working.contains(step))
        working[step].run = {step, run.Step(step).attempt(), run.Step(step).iteration(), {}, 0};
      working[step].stop = true;
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
  absl::Time due_;
  bool decide_ = false, prepare_ = false, triggers_ = false, put_away_ = false;
  std::optional<absl::Time> look_again_;
};

// What must hold of every transition, whatever came before. In random_walk_test.cc.
void CheckTransition(const Task& before, const Transition& transition, const World& world);

inline void World::Feed(const Input& input) {
  fed.push_back(input);
  // The store refuses what begins while a stop is in force: it is decided again knowing of it.
  run.task.stopped.reset();
  const Transition first = Next(run.task, input, run.now);
  if (stop_is_in_force && !first.ignored && (!first.run.empty() || first.triggers))
    run.task.stopped = machine::StoppedBy{"stops/1", "fire"};
  const Task before = run.task;
  const Transition transition = run.Feed(input);
  if (!transition.ignored && transition.park.has_value()) {
    held_ = false;
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
