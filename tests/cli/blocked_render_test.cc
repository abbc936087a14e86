// How executions are shown that wait, are checked, are tried again or are undone; and the options
// of `action run` that say so.
#include <gmock/gmock.h>

#include "cli/options.h"
#include "cli/render_catalog.h"
#include "cli/render_event.h"
#include "cli/render_execution.h"
#include "cli/render_plan.h"
#include "tests/cli/commands_fixture.h"

namespace capstan::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

v1::ExecutionEvent BlockedBy(const std::string& reason) {
  return Event(3, "state_changed { to: STATE_BLOCKED block_reason: BLOCK_REASON_" + reason +
                      " message: 'why' blocked_until { seconds: 1800000060 } }");
}

v1::ExecutionEvent Checked(int64_t seq, const std::string& result) {
  return Event(seq, "condition_evaluated { result { " + result + " } }");
}

TEST(BlockedRenderTest, ABlockedExecutionSaysWhyAndUntilWhen) {
  const v1::Execution execution = Project({Accepted(), Validating(), BlockedBy("COOLDOWN")});

  EXPECT_EQ(LiveLine(execution, absl::Seconds(5), 200),
            "0:05  BLOCKED(COOLDOWN)  ScaleDeployment Deployment shop/web  until "
            "2027-01-15T08:01:00.000Z  why");
  EXPECT_THAT(EventLine(BlockedBy("TARGET_LOCK")),
              HasSubstr("BLOCKED(TARGET_LOCK), until 2027-01-15T08:01:00.000Z: why"));
  EXPECT_THAT(Details(execution, {}), AllOf(HasSubstr("state       BLOCKED(COOLDOWN)\n"),
                                            HasSubstr("until       2027-01-15T08:01:00.000Z\n")));
}

TEST(BlockedRenderTest, ABlockReasonOfANewerServerIsShownAsItsNumber) {
  v1::Execution execution = Project({Accepted(), Validating(), BlockedBy("COOLDOWN")});
  execution.set_block_reason(static_cast<v1::Execution::BlockReason>(77));

  EXPECT_EQ(StateText(execution), "BLOCKED(77)");
}

TEST(ConditionRenderTest, ACheckSaysWhetherItHoldsAndWhatThatMeans) {
  EXPECT_THAT(EventLine(Checked(4, "phase: PHASE_PRE name: 'exists' evaluated: true passed: true")),
              HasSubstr("check     precondition exists holds"));
  EXPECT_THAT(EventLine(Checked(4,
                                "phase: PHASE_POST name: 'ready' required: true evaluated: true "
                                "message: '1 of 3'")),
              HasSubstr("postcondition ready does not hold (required): 1 of 3"));
  EXPECT_THAT(EventLine(Checked(4, "phase: PHASE_PRE name: 'quota' message: 'no facts'")),
              HasSubstr("precondition quota could not be looked at (warning): no facts"));
}

TEST(ConditionRenderTest, ALiveLineShowsTheCheckThatDoesNotHoldYet) {
  const v1::Execution execution = Project(
      {Accepted(), Event(2, "state_changed { to: STATE_VERIFYING }"),
       Checked(3, "phase: PHASE_PRE name: 'quota' evaluated: true message: 'a warning'"),
       Checked(4, "phase: PHASE_POST name: 'seen' evaluated: true passed: true"),
       Checked(5, "phase: PHASE_POST name: 'ready' required: true evaluated: true message: '1'")});

  EXPECT_THAT(LiveLine(execution, absl::ZeroDuration(), 200),
              HasSubstr("shop/web  postcondition ready does not hold (required): 1"));
}

TEST(ConditionRenderTest, TheEndShowsTheChecksThatSayNo) {
  const std::string text = EndText(
      Project(
          {Accepted(), Validating(),
           Checked(3, "phase: PHASE_PRE name: 'exists' evaluated: true passed: true"),
           Checked(4, "phase: PHASE_PRE name: 'quota' evaluated: true message: 'full'"),
           Event(5, "state_changed { to: STATE_SUCCEEDED outcome { effect: EFFECT_APPLIED } }")}),
      {});

  EXPECT_THAT(text, AllOf(HasSubstr("  precondition quota does not hold (warning): full\n"),
                          Not(HasSubstr("exists"))));
}

TEST(SuccessorRenderTest, LinksToTheExecutionBeforeAreShown) {
  v1::ExecutionEvent accepted = Accepted();
  accepted.mutable_accepted()->set_retry_of("executions/1");
  accepted.mutable_accepted()->set_rollback_of("executions/2");
  (*accepted.mutable_accepted()->mutable_condition_overrides())["quota"] = false;
  (*accepted.mutable_accepted()->mutable_condition_overrides())["ready"] = true;

  EXPECT_THAT(EventLine(accepted),
              HasSubstr("replicas=3 (tries executions/1 again) (undoes executions/2) (does not "
                        "require quota) (requires ready)"));
  EXPECT_THAT(Details(Project({accepted}), {}), AllOf(HasSubstr("retry of     executions/1\n"),
                                                      HasSubstr("rollback of  executions/2\n")));
}

TEST(SuccessorRenderTest, AFailureSaysHowToTryAgainUnlessTheSameRequestCannotWork) {
  EXPECT_THAT(EndText(Project(EndedEvents("to: STATE_FAILED failure_reason: "
                                          "FAILURE_REASON_TARGET_BUSY")),
                      {}),
              HasSubstr("To try it again: capstan execution retry executions/01932b5c"));
  EXPECT_THAT(EndText(Project(DeniedEvents()), {}), Not(HasSubstr("try it again")));
  EXPECT_THAT(EndText(Project(GoodEvents()), {}), Not(HasSubstr("try it again")));
}

TEST(SuccessorRenderTest, WhatWasLeftBehindIsNotKnownIsUndoneByHand) {
  std::vector<v1::ExecutionEvent> events = GoodEvents();
  events.back().mutable_state_changed()->mutable_outcome()->mutable_resources(0)->clear_after();

  EXPECT_THAT(EndText(Project(events), {}),
              HasSubstr("To undo it: capstan action run ScaleDeployment -p deployment=web -p "
                        "namespace=shop -p replicas=1\n"));
  EXPECT_THAT(Details(Project(GoodEvents()), {}),
              HasSubstr("to undo     capstan execution rollback executions/01932b5c"));
}

TEST(ChangeRenderTest, AFactThatStayedOrIsNotKnownIsToldFromOneThatChanged) {
  EXPECT_EQ(ChangeText(Parse<v1::ResourceChange>(R"pb(
              target { kind: "Node" name: "n1" }
              before {
                fields {
                  key: "a"
                  value { bool_value: false }
                }
                fields {
                  key: "b"
                  value { number_value: 1 }
                }
                fields {
                  key: "c"
                  value { string_value: "x" }
                }
              }
              after {
                fields {
                  key: "a"
                  value { bool_value: false }
                }
                fields {
                  key: "b"
                  value { number_value: 3 }
                }
              })pb")),
            "Node n1: a still false, b 1 -> 3, c x -> unknown");
}

TEST(PlanRenderTest, APlanWithoutAWayBackSaysSo) {
  EXPECT_EQ(PlanText(Parse<v1::Plan>("digest: 'abc' blast_radius {}")),
            "Touches: no object\n"
            "Undone by: nothing that is known\n"
            "Server-side dry run of the Job: accepted\n"
            "Plan: sha256:abc\n");
}

TEST(PlanRenderTest, ManyObjectsAreCounted) {
  v1::Plan plan;
  for (int i = 0; i < 25; ++i)
    plan.mutable_blast_radius()->add_objects("Pod/a/" + std::to_string(i));
  plan.mutable_blast_radius()->set_pods(1);

  EXPECT_THAT(PlanText(plan),
              HasSubstr("Pod/a/19 and 5 more; 1 pod may start, be replaced or stop\n"));
}

TEST(PlanRenderTest, S2_36_ADryRunShowsTheWholePlan) {
  const std::string text = EndText(
      Project(EndedEvents("to: STATE_SUCCEEDED outcome { dry_run: true plan { digest: 'abc' "
                          "dry_run_error: 'quota' condition_results { name: 'exists' passed: true "
                          "} blast_radius { objects: 'Node/n1' } } }")),
      {});

  EXPECT_THAT(
      text, AllOf(HasSubstr("Check: precondition exists holds\n"), HasSubstr("Touches: Node/n1\n"),
                  HasSubstr("Server-side dry run of the Job: REFUSED: quota\n")));
  EXPECT_THAT(Details(Project(EndedEvents("to: STATE_SUCCEEDED outcome { dry_run: true plan { "
                                          "digest: 'abc' } }")),
                      {}),
              HasSubstr("\nPlan: sha256:abc\n"));
}

TEST(ActionRenderTest, AnActionShowsItsConditionsCooldownAndWhatAFailureDoes) {
  v1::Action action = ScaleDeploymentAction();
  EXPECT_THAT(ActionDetails(action),
              AllOf(HasSubstr("cooldown     none\n"),
                    HasSubstr("on failure   the target stays free"), Not(HasSubstr("CONDITION"))));

  action.MergeFrom(Parse<v1::Action>(R"pb(
    preconditions {
      name: "exists"
      required: true
      timeout { seconds: 30 }
      description: "Is there."
    }
    postconditions {
      name: "ready"
      timeout { seconds: 120 }
      description: "Runs."
    }
    cooldown { seconds: 300 }
    blocks_after_failure: true)pb"));
  EXPECT_THAT(ActionDetails(action),
              AllOf(HasSubstr("cooldown     5m after a success, on the same target\n"),
                    HasSubstr("on failure   blocks the target until somebody clears it\n"),
                    HasSubstr("exists     before  required  30s      Is there.\n"),
                    HasSubstr("ready      after   warning   2m       Runs.\n")));
}

TEST_F(CommandsTest, ARunSendsWhatHappensOnConflictRetriesAndOverrides) {
  Play(Stream(GoodEvents()));

  RunScale({"--on-conflict=coalesce", "--max-retries=0", "--require", "ready", "--no-require",
            "quota", "--require=exists"});

  const v1::ExecuteActionRequest& request = server_.executions.submitted.at(0);
  EXPECT_EQ(request.on_conflict(), v1::Execution::ON_CONFLICT_COALESCE);
  EXPECT_TRUE(request.has_max_retries());
  EXPECT_EQ(request.max_retries(), 0);
  EXPECT_THAT(
      request.condition_overrides(),
      UnorderedElementsAre(Pair("ready", true), Pair("exists", true), Pair("quota", false)));
}

TEST_F(CommandsTest, WithoutFlagsTheServerDecidesOnConflictAndRetries) {
  Play(Stream(GoodEvents()));

  RunScale();

  const v1::ExecuteActionRequest& request = server_.executions.submitted.at(0);
  EXPECT_EQ(request.on_conflict(), v1::Execution::ON_CONFLICT_UNSPECIFIED);
  EXPECT_FALSE(request.has_max_retries());
  EXPECT_THAT(request.condition_overrides(), IsEmpty());
}

TEST_F(CommandsTest, ARunRefusesOptionsThatMeanNothing) {
  EXPECT_EQ(RunScale({"--on-conflict=fight"}), 2);
  EXPECT_THAT(err(), HasSubstr("got \"fight\", want wait, reject or coalesce"));
  EXPECT_EQ(RunScale({"--max-retries=6"}), 2);
  EXPECT_EQ(RunScale({"--max-retries=-1"}), 2);
  EXPECT_EQ(RunScale({"--require=a", "--no-require=a"}), 2);
  EXPECT_THAT(err(), HasSubstr("--require and --no-require: \"a\" is given twice"));
  EXPECT_THAT(server_.executions.submitted, IsEmpty());
}

TEST(OnConflictOptionTest, EveryWordIsKnown) {
  const auto parsed = [](const std::string& word) {
    return ParseOptions({"action", "run", "A", "--on-conflict", word}, {}).options->on_conflict;
  };

  EXPECT_EQ(parsed("wait"), v1::Execution::ON_CONFLICT_WAIT);
  EXPECT_EQ(parsed("reject"), v1::Execution::ON_CONFLICT_REJECT);
  EXPECT_EQ(parsed("coalesce"), v1::Execution::ON_CONFLICT_COALESCE);
}

}  // namespace
}  // namespace capstan::cli
