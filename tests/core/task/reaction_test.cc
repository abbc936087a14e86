// Gates that do not hold their step up: the decision comes beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kJudged[] =
    "kind: model, mode: reaction, judge: {prompt: \"Is it good?\", model: fast}";
constexpr char kPeople[] = "kind: human, mode: reaction";
constexpr char kCriteria[] =
    "kind: auto, mode: reaction, criteria: {test: {field: steps.build.output.ok, op: eq, value: "
    "true}}";

// build beside its gate, then ship.
std::string Beside(const std::string& gate, const std::string& more = "") {
  return absl::StrCat("  - {name: build, ", more, "gate: {", gate,
                      "}, " kModel "}\n  - {name: ship, depends_on: [build], " kModel "}\n");
}

// "build 1.0": what is worked on, gates with iteration 0.
std::vector<std::string> RunsOf(const Transition& transition) {
  std::vector<std::string> out;
  for (const StepRun& run : transition.run)
    out.push_back(absl::StrCat(run.step, " ", run.attempt, ".", run.iteration));
  return out;
}

// ---- a model

TEST(ReactionTest, S4_29_AModelJudgesWhileTheStepRunsAndTheNextBegins) {
  TaskUnderTest run(Beside(kJudged));

  EXPECT_THAT(RunsOf(run.Begin()), ElementsAre("build 1.1", "build 1.0"));
  EXPECT_THAT(RunsOf(run.Complete("build")), ElementsAre("ship 1.1"));
  run.Judge("build", true);

  EXPECT_EQ(run.Count("gate of build model:fast continue"), 1);
  EXPECT_TRUE(run.Complete("ship").put_away);
}

TEST(ReactionTest, S4_29_TheTaskDoesNotSucceedBeforeTheJudgementIsThere) {
  TaskUnderTest run(Beside(kJudged));
  run.Begin();
  run.Complete("build");

  EXPECT_FALSE(run.Complete("ship").put_away);
  EXPECT_EQ(run.task.state, Execution::STATE_RUNNING);
  EXPECT_TRUE(run.Judge("build", true).put_away);

  run.PutAway();
  EXPECT_EQ(run.task.state, Execution::STATE_SUCCEEDED);
}

TEST(ReactionTest, S4_29_ALaterNoStopsWhatRunsAndFailsTheTask) {
  TaskUnderTest run(Beside(kJudged));
  run.Begin();
  run.Complete("build");

  EXPECT_THAT(run.Judge("build", false, "unsafe").stop, ElementsAre("ship"));
  run.Stopped("ship");
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED);
  EXPECT_EQ(run.End().message(), "step build: unsafe");
}

TEST(ReactionTest, S4_29_ALaterNoGoesBackAlsoWhenTheStepHasEnded) {
  TaskUnderTest run(Beside(absl::StrCat(kJudged, ", on_reject: retry"), "retry_from: build, "));
  run.Begin();
  run.Complete("build");

  const Transition refused = run.Judge("build", false, "unsafe");
  EXPECT_THAT(refused.stop, ElementsAre("ship"));
  EXPECT_THAT(refused.run, IsEmpty()) << "not beside what is still being stopped";
  const Transition again = run.Stopped("ship");

  EXPECT_THAT(RunsOf(again), ElementsAre("build 2.1", "build 2.0")) << "and it is judged again";
  EXPECT_EQ(run.Step("build").retry_feedback(), "unsafe");
}

TEST(ReactionTest, S4_29_ANoWhileTheStepRunsStopsItAndItRunsAgain) {
  TaskUnderTest run(Beside(absl::StrCat(kJudged, ", on_reject: retry"), "retry_from: build, "));
  run.Begin();

  EXPECT_THAT(run.Judge("build", false).stop, ElementsAre("build"));

  EXPECT_THAT(RunsOf(run.Stopped("build")), ElementsAre("build 2.1", "build 2.0"));
}

TEST(ReactionTest, S4_29_AScriptAfterANoRunsBesideTheStep) {
  TaskUnderTest run(Beside(absl::StrCat(
      kJudged, ", on_reject: run_script, script: {argv: [repair], repeatable: true}")));
  run.Begin();
  run.Complete("build");

  EXPECT_THAT(RunsOf(run.Judge("build", false, "unsafe")), ElementsAre("build 2.0"));
  EXPECT_FALSE(run.Complete("ship").put_away);
  EXPECT_TRUE(run.Judge("build", true).put_away);

  EXPECT_EQ(run.Count("gate of build script continue"), 1);
}

TEST(ReactionTest, AScriptThatFailsBesideTheStepFailsTheTask) {
  TaskUnderTest run(Beside(absl::StrCat(
      kJudged, ", on_reject: run_script, script: {argv: [repair], repeatable: true}")));
  run.Begin();
  run.Judge("build", false, "unsafe");

  EXPECT_THAT(run.Judge("build", false, "exit code 1").stop, ElementsAre("build"));
  run.Stopped("build");
  run.PutAway();

  EXPECT_THAT(run.End().message(), HasSubstr("unsafe"));
}

TEST(ReactionTest, AStepThatFailsTakesItsJudgementBackWithIt) {
  TaskUnderTest run(Beside(kJudged, "retry_from: build, "));
  run.Begin();

  EXPECT_THAT(run.Fail("build").stop_gates, ElementsAre("build"));

  EXPECT_THAT(RunsOf(run.Judge("build", false)), ElementsAre("build 2.1", "build 2.0"));
}

TEST(ReactionTest, AWorkerThatIsLostLosesBothTheStepAndItsJudgement) {
  TaskUnderTest run(Beside(kJudged));
  run.Begin();

  const Transition again = run.Feed(Resumed{.takeovers = 1, .alone = true});

  EXPECT_THAT(RunsOf(again), UnorderedElementsAre("build 2.1", "build 2.0"));
}

TEST(ReactionTest, AJudgementWaitsForMoneyThatTheStepHasReserved) {
  TaskUnderTest run(Beside(kJudged));
  run.task.request.mutable_task()->set_max_cost_microusd(1000);

  EXPECT_THAT(RunsOf(run.Begin()), ElementsAre("build 1.1"));

  EXPECT_THAT(RunsOf(run.Complete("build")), ElementsAre("build 1.0"));
}

// ---- criteria

TEST(ReactionTest, S4_29_CriteriaAreLookedAtWhenTheStepHasEnded) {
  TaskUnderTest passes(Beside(kCriteria)), fails(Beside(kCriteria));
  EXPECT_THAT(RunsOf(passes.Begin()), ElementsAre("build 1.1"));
  fails.Begin();

  EXPECT_THAT(RunsOf(passes.Complete("build", {{"ok", true}})), ElementsAre("ship 1.1"));
  const Transition refused = fails.Complete("build", {{"ok", false}});

  EXPECT_EQ(passes.Count("gate of build auto continue"), 1);
  EXPECT_TRUE(refused.put_away);
  EXPECT_THAT(refused.run, IsEmpty());
}

TEST(ReactionTest, S4_29_CriteriaThatDoNotHoldGoBack) {
  TaskUnderTest run(Beside(absl::StrCat(kCriteria, ", on_reject: retry"), "retry_from: build, "));
  run.Begin();

  EXPECT_THAT(RunsOf(run.Complete("build", {{"ok", false}})), ElementsAre("build 2.1"));

  EXPECT_EQ(run.Count("gate of build auto retry"), 1);
}

// ---- people

TEST(ReactionTest, S4_29_PeopleAreAskedWhileTheStepRuns) {
  TaskUnderTest run(Beside(kPeople));

  EXPECT_THAT(RunsOf(run.Begin()), ElementsAre("build 1.1"));
  EXPECT_EQ(run.StateOf("build"), StepStatus::STATE_RUNNING);
  EXPECT_EQ(run.snapshot.steps(0).state(), StepStatus::STATE_RUNNING);
  EXPECT_EQ(run.snapshot.steps(0).gate(), "people");
  EXPECT_FALSE(run.snapshot.approval().question());
  run.Vote("bob", true);
  EXPECT_THAT(RunsOf(run.Complete("build")), ElementsAre("ship 1.1"));

  EXPECT_TRUE(run.Complete("ship").put_away);
}

TEST(ReactionTest, S4_29_TheTaskWaitsForPeopleWhenAllElseIsDone) {
  TaskUnderTest run(Beside(kPeople));
  run.Begin();
  run.Complete("build");

  const Transition blocked = run.Complete("ship");
  EXPECT_EQ(run.task.data.block_reason(), Execution::BLOCK_REASON_APPROVAL);
  EXPECT_EQ(blocked.park, kGateTimeout);
  run.Vote("bob", true);

  EXPECT_TRUE(run.Allow().put_away);
}

TEST(ReactionTest, S4_29_ANoOfPeopleFailsTheTaskWhileTheStepRuns) {
  TaskUnderTest run(Beside(kPeople));
  run.Begin();

  EXPECT_THAT(run.Vote("bob", false, "on a Friday?").stop, ElementsAre("build"));
  run.Stopped("build");
  run.PutAway();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_APPROVAL_REJECTED);
}

TEST(ReactionTest, S4_29_ANoOfPeopleGoesBackAndTheyAreAskedAgain) {
  TaskUnderTest run(Beside(absl::StrCat(kPeople, ", on_reject: retry"), "retry_from: build, "));
  run.Begin();
  run.Complete("build");

  run.Vote("bob", false, "no tests");
  const Transition again = run.Stopped("ship");

  EXPECT_THAT(RunsOf(again), ElementsAre("build 2.1"));
  EXPECT_EQ(run.Count("asked about build"), 2);
}

TEST(ReactionTest, WhoSubmittedATaskDoesNotPassItsGatesBesideAStepThatAsks) {
  TaskUnderTest run(Beside(kPeople));
  run.Begin();
  run.Block("build", "which database?");
  EXPECT_EQ(run.task.data.block_reason(), Execution::BLOCK_REASON_APPROVAL)
      << "one at a time: first the gate";

  EXPECT_TRUE(run.Vote("ann", true).park.has_value());
  run.Vote("bob", true);
  run.Allow();
  EXPECT_EQ(run.task.data.block_reason(), Execution::BLOCK_REASON_USER_INPUT)
      << "then its question";
  run.Vote("ann", true, "Postgres");

  EXPECT_THAT(RunsOf(run.Allow()), ElementsAre("build 1.2"));
  EXPECT_EQ(run.Step("build").feedback(), "ann: Postgres");
}

TEST(ReactionTest, AGateThatNobodyDecidesInTimeIsNotPassed) {
  TaskUnderTest run(Beside(absl::StrCat(kPeople, ", timeout: 1h")));
  EXPECT_EQ(run.Begin().look_again, kNow + absl::Hours(1));
  run.now += absl::Hours(1);

  EXPECT_THAT(run.Feed(Tick{}).stop, ElementsAre("build"));
}

TEST(ReactionTest, AnApprovalThatIsOpenWhenTheTaskEndsIsVoid) {
  TaskUnderTest run(Beside(kPeople));
  run.Begin();
  run.Fail("build");

  run.PutAway();

  EXPECT_EQ(run.Count("VOID"), 1);
  EXPECT_EQ(run.snapshot.approval().state(), v1::ApprovalSummary::STATE_VOID);
}

TEST(ReactionTest, ProfilesThatAskNobodyAskNobodyBesideAStepEither) {
  TaskUnderTest run(Beside(kPeople), v1::PROFILE_AUTO);
  run.Begin();

  EXPECT_EQ(run.Count("gate of build profile continue"), 1);
  EXPECT_EQ(run.Count("asked about build"), 0);
}

}  // namespace
}  // namespace capstan::task
