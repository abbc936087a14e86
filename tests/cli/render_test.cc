#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/exit_code.h"
#include "cli/render_catalog.h"
#include "cli/render_event.h"
#include "cli/render_execution.h"
#include "cli/text_format.h"
#include "tests/cli/sample_messages.h"

namespace capstan::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(EventLineTest, ShowsNumberTimeAndWhatHappened) {
  EXPECT_EQ(EventLine(Accepted()),
            "  1  2027-01-15T08:00:00.000Z  accepted  ScaleDeployment deployment=web "
            "namespace=shop replicas=3");
  EXPECT_EQ(EventLine(Validating()), "  2  2027-01-15T08:00:01.000Z  state     VALIDATING");
  EXPECT_EQ(EventLine(DeniedEvents()[2]),
            "  3  2027-01-15T08:00:02.000Z  policy    denied: kube-system is off limits "
            "[namespace-restrictions/system]");
  EXPECT_EQ(EventLine(DeniedEvents()[3]),
            "  4  2027-01-15T08:00:03.000Z  state     FAILED(POLICY_DENIED): policy denied it");
}

TEST(EventLineTest, KnowsEveryKindOfEvent) {
  EXPECT_THAT(EventLine(GoodEvents()[4]),
              HasSubstr("job       created capstan-actions/capstan-1, suspended"));
  EXPECT_THAT(EventLine(Event(5, "job_created { adopted: true job { namespace: 'a' name: 'b' } }")),
              HasSubstr("found a/b"));
  EXPECT_THAT(EventLine(GoodEvents()[6]), HasSubstr("job       started"));
  EXPECT_THAT(EventLine(Event(7, "job_armed { found: true }")), HasSubstr("found running"));
  EXPECT_THAT(EventLine(GoodEvents()[7]), HasSubstr("job       succeeded, exit code 0"));
  EXPECT_THAT(
      EventLine(
          Event(8,
                "job_finished { failure_reason: FAILURE_REASON_OOM_KILLED exit_code: 137 message: "
                "'too big' }")),
      HasSubstr("failed, OOM_KILLED, exit code 137: too big"));
  EXPECT_THAT(EventLine(GoodEvents()[3]), HasSubstr("stored    rollback sha256:abc"));
  EXPECT_THAT(EventLine(Event(4, "cancel_requested { caller: 'anna' reason: 'wrong one' }")),
              HasSubstr("cancel    asked for by anna: wrong one"));
  EXPECT_THAT(EventLine(Event(4, "lease_lost { takeovers: 2 }")),
              HasSubstr("worker    lost, another one went on (2)"));
  EXPECT_THAT(
      EventLine(Event(4, "state_changed { to: STATE_PENDING retry_time { seconds: 1800000000 } }")),
      HasSubstr("PENDING, again at 2027-01-15T08:00:00.000Z"));
  EXPECT_THAT(EventLine(Event(4, "policy_evaluated { decision { error: 'time-out' } }")),
              HasSubstr("could not be evaluated: time-out"));
}

TEST(EventLineTest, AnEventOfANewerServerIsStillALine) {
  EXPECT_THAT(EventLine(Event(4, "")), HasSubstr("of a kind that this program does not know"));
}

TEST(EventLineTest, TextFromOutsideCannotSteerTheTerminal) {
  EXPECT_THAT(EventLine(Event(4, "state_changed { to: STATE_FAILED message: 'a\\033[2Jb\\nc' }")),
              HasSubstr(": a [2Jb c"));
}

TEST(LiveLineTest, ShowsElapsedTimeStateAndTarget) {
  EXPECT_EQ(LiveLine(Project({Accepted(), Validating()}), absl::Seconds(65), 80),
            "1:05  VALIDATING  ScaleDeployment Deployment shop/web");
}

TEST(LiveLineTest, IsCutToTheWidthBetweenCharacters) {
  v1::Execution execution = Project({Accepted()});
  execution.set_message("größer");

  EXPECT_EQ(LiveLine(execution, absl::ZeroDuration(), 12), "0:00  PENDI…");
  EXPECT_EQ(LiveLine(execution, absl::ZeroDuration(), 55),
            "0:00  PENDING  ScaleDeployment Deployment shop/web  gr…");
}

TEST(EndTextTest, SuccessShowsTheChangeAndHowToUndoIt) {
  EXPECT_EQ(EndText(Project(GoodEvents()), {}),
            "SUCCEEDED  ScaleDeployment Deployment shop/web  after 0:08  "
            "executions/01932b5c-7d1e-7f00-8a00-0123456789ab\n"
            "done\n"
            "Deployment shop/web: replicas 1 -> 3\n"
            "To undo it: capstan execution rollback "
            "executions/01932b5c-7d1e-7f00-8a00-0123456789ab\n");
}

TEST(EndTextTest, S2_55_ADenialNamesTheRules) {
  EXPECT_THAT(
      EndText(Project(DeniedEvents()), {}),
      HasSubstr(
          "  namespace-restrictions/system: kube-system is off limits\nNothing was changed.\n"));
}

TEST(EndTextTest, AnUnknownOutcomeSaysWhatToDoNext) {
  std::string text =
      EndText(Project(EndedEvents("to: STATE_FAILED failure_reason: FAILURE_REASON_OUTCOME_UNKNOWN "
                                  "message: 'the Job is gone'")),
              {.program = "capstan --address=example:1"});

  EXPECT_THAT(text, HasSubstr("FAILED(OUTCOME_UNKNOWN)"));
  EXPECT_THAT(text, HasSubstr("kubectl get deployment web --namespace=shop"));
  EXPECT_THAT(text, HasSubstr("capstan --address=example:1 execution logs executions/01932b5c"));
  EXPECT_THAT(
      text,
      HasSubstr("capstan --address=example:1 execution retry "
                "executions/01932b5c-7d1e-7f00-8a00-0123456789ab --accept-repeated-effect\n"));
}

TEST(EndTextTest, S2_36_ADryRunSaysThatNothingWasLaunched) {
  std::string text =
      EndText(Project(EndedEvents("to: STATE_SUCCEEDED outcome { dry_run: true plan { digest: "
                                  "'abc' policy_decision { allow: true } } }")),
              {});

  EXPECT_THAT(text, HasSubstr("Dry run: nothing was launched."));
  EXPECT_THAT(text, AllOf(HasSubstr("Policy: allowed\n"), HasSubstr("Plan: sha256:abc\n")));
  EXPECT_THAT(text, Not(HasSubstr("undo")));
}

TEST(EndTextTest, ACancelSaysWhetherSomethingMayHaveHappened) {
  EXPECT_THAT(
      EndText(Project(EndedEvents("to: STATE_CANCELLED outcome { effect: EFFECT_NONE }")), {}),
      HasSubstr("Nothing was changed."));
  EXPECT_THAT(
      EndText(Project(EndedEvents("to: STATE_CANCELLED outcome { effect: EFFECT_POSSIBLE }")), {}),
      HasSubstr("Something may have been changed. Look at it: kubectl get deployment web "
                "--namespace=shop"));
}

TEST(DetachedTextTest, SaysHowToGoOn) {
  EXPECT_EQ(
      DetachedText(kName, {}),
      "The execution goes on.\n"
      "  watch it:   capstan execution watch executions/01932b5c-7d1e-7f00-8a00-0123456789ab\n"
      "  ask why:    capstan execution explain executions/01932b5c-7d1e-7f00-8a00-0123456789ab\n"
      "  cancel it:  capstan execution cancel executions/01932b5c-7d1e-7f00-8a00-0123456789ab\n");
  EXPECT_EQ(DetachedText("", {}), "Stopped before the server had answered.\n");
}

TEST(DetailsTest, ShowsWhatIsKnown) {
  std::string text = Details(Project(GoodEvents()), {});

  EXPECT_THAT(text, HasSubstr("state       SUCCEEDED\n"));
  EXPECT_THAT(text, HasSubstr("parameters  deployment=web namespace=shop replicas=3\n"));
  EXPECT_THAT(text, HasSubstr("job         capstan-actions/capstan-1\n"));
  EXPECT_THAT(text, HasSubstr("changed     Deployment shop/web: replicas 1 -> 3\n"));
  EXPECT_THAT(text, Not(HasSubstr("parent")));
}

TEST(ActionTextTest, ShowsParametersAndACommandToCopy) {
  std::string text = ActionDetails(ScaleDeploymentAction());

  EXPECT_THAT(text, HasSubstr("replicas    integer 0..1000         required       How many.\n"));
  EXPECT_THAT(text, HasSubstr("force       boolean                 default false  Really.\n"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "\ncapstan action run ScaleDeployment -p deployment=DEPLOYMENT -p namespace=NAMESPACE "
          "-p replicas=REPLICAS\n"));
}

TEST(ExitCodeTest, FollowsTheEndOfTheExecution) {
  auto code = [](const std::string& change) { return ExitCodeOf(Project(EndedEvents(change))); };

  EXPECT_EQ(code("to: STATE_SUCCEEDED"), 0);
  EXPECT_EQ(code("to: STATE_FAILED failure_reason: FAILURE_REASON_JOB_FAILED"), 1);
  EXPECT_EQ(code("to: STATE_FAILED failure_reason: FAILURE_REASON_POLICY_DENIED"), 3);
  EXPECT_EQ(code("to: STATE_FAILED failure_reason: FAILURE_REASON_POLICY_ERROR"), 3);
  EXPECT_EQ(code("to: STATE_CANCELLED"), 5);
  EXPECT_EQ(code("to: STATE_FAILED failure_reason: FAILURE_REASON_OUTCOME_UNKNOWN"), 6);
  EXPECT_EQ(ExitCodeOf(grpc::StatusCode::UNAVAILABLE), 78);
}

TEST(TextFormatTest, QuotesForAShell) {
  EXPECT_EQ(ShellQuoted("a=b.c/d"), "a=b.c/d");
  EXPECT_EQ(ShellQuoted("it's; rm"), "'it'\\''s; rm'");
  EXPECT_EQ(ShellQuoted(""), "''");
}

TEST(TextFormatTest, ShowsTimesAndLengths) {
  EXPECT_EQ(Elapsed(absl::Seconds(3723)), "1:02:03");
  EXPECT_EQ(Elapsed(-absl::Seconds(5)), "0:00");
  EXPECT_EQ(Time({}), "-");
}

}  // namespace
}  // namespace capstan::cli
