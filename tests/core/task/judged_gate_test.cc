// Gates that a model decides, and scripts of gates that were refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kJudge[] = "kind: model, judge: {prompt: \"Is it good?\", model: fast}";

// build, then ship behind a gate, then tell.
std::string ShipGate(const std::string& gate, const std::string& more = "") {
  return absl::StrCat("  - {name: build, " kModel "}\n  - {name: ship, depends_on: [build], ", more,
                      "gate: {", gate,
                      "}, " kModel "}\n  - {name: tell, depends_on: [ship], " kModel "}\n");
}

std::string JudgedGate(const std::string& more = "") { return absl::StrCat(kJudge, more); }

// Up to where the gate of ship is judged.
Transition ToTheGate(TaskUnderTest& run) {
  run.Begin();
  return run.Complete("build");
}

TEST(JudgedGateTest, S4_29_AModelIsAskedWhenTheTurnOfTheStepComesAndItsYesLetsItRun) {
  TaskUnderTest run(ShipGate(kJudge));

  const Transition asked = ToTheGate(run);
  EXPECT_THAT(asked.run, ElementsAre(StepRun{"ship", 1, 0, absl::Minutes(10), 0}));
  EXPECT_EQ(run.StateOf("ship"), StepStatus::STATE_PENDING);
  EXPECT_EQ(run.snapshot.steps(1).gate(), "a model (fast)");
  run.NewStory();
  const Transition passed = run.Judge("ship", true, "it is");

  EXPECT_THAT(NamesOf(passed.run), ElementsAre("ship"));
  EXPECT_EQ(passed.run[0].iteration, 1);
  EXPECT_THAT(run.NewStory(), ElementsAre("ship ended COMPLETE", "gate of ship model:fast continue",
                                          "ship started 1.1"));
  EXPECT_EQ(run.snapshot.steps(1).gate(), "");
}

TEST(JudgedGateTest, S4_29_ItsNoFailsTheStepWithItsWords) {
  TaskUnderTest run(ShipGate(kJudge));
  ToTheGate(run);

  EXPECT_TRUE(run.Judge("ship", false, "no rule can be tested").put_away);
  run.PutAway();

  EXPECT_EQ(run.Count("gate of ship model:fast fail"), 1);
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED);
  EXPECT_EQ(run.End().message(), "step ship: no rule can be tested");
}

TEST(JudgedGateTest, S4_29_ItsNoGoesBackWithItsWordsAndIsJudgedAgain) {
  TaskUnderTest run(ShipGate(JudgedGate(", on_reject: retry"), "retry_from: build, "));
  ToTheGate(run);

  EXPECT_THAT(NamesOf(run.Judge("ship", false, "too vague").run), ElementsAre("build"));
  EXPECT_EQ(run.Step("build").retry_feedback(), "too vague");
  const Transition again = run.Complete("build");

  EXPECT_THAT(again.run, ElementsAre(StepRun{"ship", 2, 0, absl::Minutes(10), 0}));
}

TEST(JudgedGateTest, S4_29_ItsNoSkipsTheStepOrLetsItRunAllTheSame) {
  TaskUnderTest skips(ShipGate(JudgedGate(", on_reject: skip_step")));
  TaskUnderTest goes_on(ShipGate(JudgedGate(", on_reject: continue")));
  ToTheGate(skips);
  ToTheGate(goes_on);

  EXPECT_THAT(NamesOf(skips.Judge("ship", false).run), ElementsAre("tell"));
  EXPECT_THAT(NamesOf(goes_on.Judge("ship", false).run), ElementsAre("ship"));

  EXPECT_EQ(skips.StateOf("ship"), StepStatus::STATE_SKIPPED);
  EXPECT_EQ(goes_on.Count("gate of ship model:fast continue"), 1);
}

TEST(JudgedGateTest, TheModelOfTheWorkflowIsNamedWhereTheGateNamesNone) {
  TaskUnderTest run(WorkflowOf(ShipGate("kind: model, judge: {prompt: good}"), "model: strong\n"));
  ToTheGate(run);
  EXPECT_EQ(run.events.back().step_started().model(), "strong");

  run.Judge("ship", true);

  EXPECT_EQ(run.Count("gate of ship model:strong continue"), 1);
}

TEST(JudgedGateTest, AnErrorOfTheProviderIsTriedAgainLaterWithoutAWorker) {
  TaskUnderTest run(ShipGate(kJudge));
  ToTheGate(run);

  const Transition erred = run.JudgeErr("ship", Execution::FAILURE_REASON_PROVIDER, true);
  EXPECT_EQ(erred.state, Execution::STATE_PENDING);
  EXPECT_EQ(erred.park, absl::Seconds(2));
  run.now += absl::Seconds(2);
  run.Feed(Resumed{});
  const Transition again = run.Allow();

  EXPECT_THAT(again.run, ElementsAre(StepRun{"ship", 2, 0, absl::Minutes(10), 0}));
}

TEST(JudgedGateTest, AnErrorOfTheProviderIsTriedAgainBesideStepsThatRun) {
  TaskUnderTest run(absl::StrCat("  - {name: other, " kModel "}\n  - {name: ship, gate: {", kJudge,
                                 "}, " kModel "}\n"));
  run.Begin();

  const Transition erred = run.JudgeErr("ship", Execution::FAILURE_REASON_PROVIDER, true);
  EXPECT_EQ(erred.look_again, kNow + absl::Seconds(2));
  run.now += absl::Seconds(2);

  EXPECT_THAT(run.Feed(Tick{}).run, ElementsAre(StepRun{"ship", 2, 0, absl::Minutes(10), 0}));
}

TEST(JudgedGateTest, AModelThatCannotBeAskedPassesOrNotAsTheGateSays) {
  TaskUnderTest passes(ShipGate(kJudge));
  TaskUnderTest fails(
      ShipGate("kind: model, judge: {prompt: good, model: fast, fail_on_api_error: true}"));
  ToTheGate(passes);
  ToTheGate(fails);

  const Transition passed = passes.JudgeErr("ship", Execution::FAILURE_REASON_PROVIDER, false);
  EXPECT_THAT(NamesOf(passed.run), ElementsAre("ship"));
  EXPECT_EQ(passes.Count("gate of ship model continue"), 1);
  EXPECT_TRUE(fails.JudgeErr("ship", Execution::FAILURE_REASON_PROVIDER, false).put_away);
  fails.PutAway();

  EXPECT_EQ(fails.Count("gate of ship model fail"), 1);
  EXPECT_EQ(fails.End().failure_reason(), Execution::FAILURE_REASON_PROVIDER);
  EXPECT_THAT(fails.End().message(), HasSubstr("the model could not be asked: overloaded"));
}

TEST(JudgedGateTest, AnAnswerThatCannotBeUsedCountsAsAModelThatCannotBeAsked) {
  TaskUnderTest run(ShipGate(kJudge));
  ToTheGate(run);

  const Transition passed = run.JudgeErr("ship", Execution::FAILURE_REASON_INVALID_ANSWER, false);

  EXPECT_THAT(NamesOf(passed.run), ElementsAre("ship"));
}

TEST(JudgedGateTest, ErrorsThatDoNotEndAreAModelThatCannotBeAsked) {
  TaskUnderTest run(ShipGate(kJudge));
  ToTheGate(run);
  for (int i = 0; i < kMaxTransientErrors; ++i) {
    run.JudgeErr("ship", Execution::FAILURE_REASON_PROVIDER, true);
    run.now += absl::Minutes(3);
    run.Begin();
  }
  EXPECT_EQ(run.Count("gate of ship model continue"), 0);

  const Transition passed = run.JudgeErr("ship", Execution::FAILURE_REASON_PROVIDER, true);

  EXPECT_THAT(NamesOf(passed.run), ElementsAre("ship"));
  EXPECT_THAT(run.events[run.events.size() - 2].gate_decided().message(), HasSubstr("6 times"));
}

TEST(JudgedGateTest, AGateThatIsWronglySetUpFailsItsStep) {
  TaskUnderTest run(ShipGate(kJudge));
  ToTheGate(run);

  run.JudgeErr("ship", Execution::FAILURE_REASON_CONFIGURATION, false);
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_CONFIGURATION);
}

// ---- money

v1::UsageRecorded Cost(const IterationEnded& ended, std::int64_t microusd) {
  v1::UsageRecorded usage;
  usage.set_step(ended.step);
  usage.set_attempt(ended.attempt);
  usage.set_iteration(ended.iteration);
  usage.set_model("m");
  usage.set_cost_microusd(microusd);
  return usage;
}

TEST(JudgedGateTest, WhatAJudgementMayCostIsReservedAndWhatItCostIsBilledToTheStep) {
  TaskUnderTest run(
      ShipGate("kind: model, judge: {prompt: good, model: fast, max_cost_microusd: 300}"));
  run.task.request.mutable_task()->set_max_cost_microusd(1000);
  EXPECT_EQ(ToTheGate(run).run[0].max_cost_microusd, 300);
  IterationEnded ended = run.OfGate("ship", IterationFinished::STATUS_COMPLETE);
  ended.usage.push_back(Cost(ended, 120));

  const Transition passed = run.Feed(ended);

  EXPECT_EQ(passed.run[0].max_cost_microusd, 880);
  EXPECT_EQ(run.snapshot.steps(1).usage().cost_microusd(), 120);
}

TEST(JudgedGateTest, AJudgementWithoutMoneyEndsTheTask) {
  TaskUnderTest run(ShipGate(kJudge));
  run.task.request.mutable_task()->set_max_cost_microusd(1000);
  run.Begin();
  IterationEnded ended = run.Of("build", IterationFinished::STATUS_COMPLETE);
  ended.usage.push_back(Cost(ended, 1000));

  EXPECT_TRUE(run.Feed(ended).put_away);
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_BUDGET_EXCEEDED);
}

TEST(JudgedGateTest, AChecksJudgementIsReservedWithItsIteration) {
  const auto reserved = [](const std::string& step) {
    TaskUnderTest run(step);
    run.task.request.mutable_task()->set_max_cost_microusd(1000);
    return run.Begin().run.at(0).max_cost_microusd;
  };
  const std::string judge = "{name: good, judge: {prompt: good, max_cost_microusd: 50}}";

  EXPECT_EQ(reserved("  - {name: a, checks: [" + judge +
                     "], llm: {prompt: p, schema_file: s.json, max_cost_microusd: 200}}\n"),
            250);
  EXPECT_EQ(reserved("  - {name: a, checks: [" + judge + "], check: {}}\n"), 50);
  EXPECT_EQ(reserved("  - {name: a, checks: [" + judge + "], " kModel "}\n"), 1000);
  EXPECT_EQ(reserved("  - {name: a, " kProgram "}\n"), 0);
}

// ---- what is lost

TEST(JudgedGateTest,
     S4_29_AWorkerThatIsLostWhileItJudgesLeavesItsReservationSpentAndItIsJudgedAgain) {
  TaskUnderTest run(
      ShipGate("kind: model, judge: {prompt: good, model: fast, max_cost_microusd: 300}"));
  run.task.request.mutable_task()->set_max_cost_microusd(1000);
  ToTheGate(run);
  run.NewStory();

  const Transition again = run.Feed(Resumed{.takeovers = 1, .alone = true});

  EXPECT_THAT(again.run, ElementsAre(StepRun{"ship", 2, 0, absl::Minutes(10), 300}));
  EXPECT_THAT(run.NewStory(), ElementsAre("lease_lost", "usage_recorded", "ship ended STOPPED",
                                          "ship started 2.0"));
  EXPECT_EQ(run.task.data.usage().cost_microusd(), 300);
  EXPECT_TRUE(run.task.data.usage().is_upper_bound());
}

TEST(JudgedGateTest, AReplyThatWasLostStartsTheSameJudgementAgain) {
  TaskUnderTest run(ShipGate(kJudge));
  ToTheGate(run);

  const Transition again = run.Feed(Resumed{.anew = false});

  EXPECT_TRUE(again.ignored);
  EXPECT_THAT(again.run, ElementsAre(StepRun{"ship", 1, 0, absl::Minutes(10), 0}));
}

TEST(JudgedGateTest, ALateAnswerOfAnEarlierJudgementMeansNothing) {
  TaskUnderTest run(ShipGate(kJudge));
  ToTheGate(run);
  const IterationEnded late = run.OfGate("ship", IterationFinished::STATUS_COMPLETE);
  run.Feed(Resumed{.takeovers = 1, .alone = true});

  EXPECT_TRUE(run.Feed(late).ignored);
}

TEST(JudgedGateTest, CancellingStopsAJudgementAndBillsWhatItHasCost) {
  TaskUnderTest run(ShipGate(kJudge));
  ToTheGate(run);

  const Transition cancelled = run.Cancel();
  EXPECT_THAT(cancelled.stop_gates, ElementsAre("ship"));
  EXPECT_FALSE(cancelled.put_away);
  IterationEnded ended = run.OfGate("ship", IterationFinished::STATUS_STOPPED);
  ended.usage.push_back(Cost(ended, 7));
  EXPECT_TRUE(run.Feed(ended).put_away);
  run.PutAway();

  EXPECT_EQ(run.task.state, Execution::STATE_CANCELLED);
  EXPECT_EQ(run.task.data.usage().cost_microusd(), 7);
}

TEST(JudgedGateTest, AJudgementOfAStepThatIsGoneBackBehindIsStoppedAndDoesNotCount) {
  TaskUnderTest run(absl::StrCat(
      "  - {name: a, " kModel "}\n  - {name: judged, depends_on: [a], gate: {", kJudge,
      "}, " kModel "}\n  - {name: fails, depends_on: [a], retry_from: a, " kModel "}\n"));
  run.Begin();
  run.Complete("a");

  const Transition back = run.Fail("fails");
  EXPECT_THAT(back.stop_gates, ElementsAre("judged"));
  EXPECT_THAT(back.run, IsEmpty()) << "not beside what is still being stopped";
  const Transition stopped = run.Judge("judged", false);

  EXPECT_THAT(NamesOf(stopped.run), ElementsAre("a"));
  EXPECT_EQ(run.Count("gate of judged model:fast fail"), 0);
}

// ---- scripts

constexpr char kScript[] = "on_reject: run_script, script: {argv: [repair], repeatable: true}";

std::string ScriptedGate(const std::string& more = "") {
  return ShipGate(absl::StrCat(kJudge, ", ", kScript), more);
}

TEST(JudgedGateTest, S4_29_AScriptThatSucceedsAfterANoLetsTheStepRun) {
  TaskUnderTest run(ScriptedGate());
  ToTheGate(run);

  const Transition refused = run.Judge("ship", false, "too vague");
  EXPECT_THAT(refused.run, ElementsAre(StepRun{"ship", 2, 0, absl::Minutes(10), 0}));
  EXPECT_EQ(run.snapshot.steps(1).gate(), "its script");
  EXPECT_EQ(ValuesFor(run.task, run.task.data, run.task.steps, run.Step("ship"))
                .variables.at("GATE_REASON"),
            "too vague");
  const Transition passed = run.Judge("ship", true);

  EXPECT_EQ(run.Count("gate of ship model:fast run_script"), 1);
  EXPECT_EQ(run.Count("gate of ship script continue"), 1);
  EXPECT_THAT(NamesOf(passed.run), ElementsAre("ship"));
  EXPECT_FALSE(ValuesFor(run.task, run.task.data, run.task.steps, run.Step("ship"))
                   .variables.contains("GATE_REASON"));
}

TEST(JudgedGateTest, S4_29_AScriptThatFailsFailsTheStep) {
  TaskUnderTest run(ScriptedGate());
  ToTheGate(run);
  run.Judge("ship", false, "too vague");
  IterationEnded ended = run.OfGate("ship", IterationFinished::STATUS_FAILED, "exit code 1");
  ended.reason = Execution::FAILURE_REASON_STEP_FAILED;

  EXPECT_TRUE(run.Feed(ended).put_away);
  run.PutAway();

  EXPECT_EQ(run.Count("gate of ship script fail"), 1);
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_STEP_FAILED);
  EXPECT_THAT(run.End().message(), HasSubstr("too vague"));
  EXPECT_THAT(run.End().message(), HasSubstr("exit code 1"));
}

TEST(JudgedGateTest, AScriptThatFailsGoesBackWhereTheStepDoes) {
  TaskUnderTest run(ScriptedGate("retry_from: build, "));
  ToTheGate(run);
  run.Judge("ship", false);

  EXPECT_THAT(NamesOf(run.Judge("ship", false, "exit code 1").run), ElementsAre("build"));
  EXPECT_EQ(run.Count("gate of ship script retry"), 1);
}

TEST(JudgedGateTest, AScriptWhoseWorkerIsLostIsRunAgain) {
  TaskUnderTest run(ScriptedGate());
  ToTheGate(run);
  run.Judge("ship", false);

  const Transition again = run.Feed(Resumed{.takeovers = 1, .alone = true});

  EXPECT_THAT(again.run, ElementsAre(StepRun{"ship", 3, 0, absl::Minutes(10), 0}));
  EXPECT_EQ(run.Step("ship").gate().reason(), "words");
}

TEST(JudgedGateTest, S4_29_PeopleAndCriteriaThatSayNoRunAScriptToo) {
  TaskUnderTest people(ShipGate(absl::StrCat("kind: human, ", kScript)));
  TaskUnderTest criteria(ShipGate(absl::StrCat(
      "kind: auto, criteria: {test: {field: steps.build.output.ok, op: exists}}, ", kScript)));
  ToTheGate(people);

  people.Vote("bob", false, "not yet");
  EXPECT_THAT(people.Allow().run, ElementsAre(StepRun{"ship", 1, 0, absl::Minutes(10), 0}));
  EXPECT_THAT(ToTheGate(criteria).run, ElementsAre(StepRun{"ship", 1, 0, absl::Minutes(10), 0}));

  EXPECT_EQ(people.Count("gate of ship human run_script"), 1);
  EXPECT_EQ(criteria.Count("gate of ship auto run_script"), 1);
}

TEST(JudgedGateTest, TheWorkOfAScriptIsKept) {
  TaskUnderTest run(ScriptedGate());
  ToTheGate(run);
  run.Judge("ship", false);
  IterationEnded ended = run.OfGate("ship", IterationFinished::STATUS_COMPLETE);
  ended.commit = "c7";

  run.Feed(ended);

  EXPECT_EQ(run.snapshot.workspace().head_commit(), "c7");
}

}  // namespace
}  // namespace capstan::task
