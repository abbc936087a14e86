// Tasks as text: events, details, listings and ends.
#include "cli/render_task.h"

#include <gmock/gmock.h>

#include "cli/render_event.h"
#include "cli/render_execution.h"
#include "cli/render_explain.h"
#include "cli/text_format.h"
#include "tests/cli/task_messages.h"

namespace capstan::cli {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// What an event with this payload says, without number and time.
std::string Said(const std::string& payload) {
  return EventLine(Event(4, payload)).substr(std::string("  4  2027-01-15T08:00:03.000Z  ").size());
}

TEST(TaskEventTest, EveryEventOfATaskIsALine) {
  const std::vector<v1::ExecutionEvent> events = GoodTaskEvents();

  EXPECT_EQ(Said(events[2].ShortDebugString()),
            "work      made /srv/room/1, branch capstan/cap-7 from aaaabbbbcccc");
  EXPECT_EQ(Said(events[3].ShortDebugString()),
            "step      spec 1/1 begins with strong (claude_cli)");
  EXPECT_EQ(Said(events[5].ShortDebugString()), "step      spec 1/1 complete after 2s");
  EXPECT_EQ(Said(events[6].ShortDebugString()), "step      spec SUCCEEDED");
  EXPECT_EQ(Said(events[8].ShortDebugString()),
            "step      implement 1/1 continue after 1m30s, build passed, tests did not pass, lint "
            "did not pass (warning), typecheck was not run, warning: a process was left behind: a "
            "check did not pass");
  EXPECT_EQ(Said(events[11].ShortDebugString()), "gate      review passed (profile), continue");
  EXPECT_EQ(Said(events[13].ShortDebugString()),
            "work      committed ffffeeeedddd, folder removed");
}

TEST(TaskEventTest, FailuresWaysBackAndPausesSayWhy) {
  EXPECT_EQ(Said("step_finished { step: 'a' state: STATE_FAILED failure_reason: "
                 "FAILURE_REASON_ITERATION_LIMIT message: 'no progress' }"),
            "step      a FAILED(ITERATION_LIMIT): no progress");
  EXPECT_EQ(Said("iteration_finished { step: 'a' attempt: 2 iteration: 3 status: STATUS_ERROR "
                 "error: 'RATE_LIMITED' message: 'later' }"),
            "step      a 2/3 error RATE_LIMITED: later");
  EXPECT_EQ(Said("steps_reset { to_step: 'a' from_step: 'c' steps: 'a' steps: 'c' reason: 'bad' "
                 "retry: 2 }"),
            "step      back from c to a, time 2, runs again: a, c: bad");
  EXPECT_EQ(Said("gate_decided { step: 'a' decider: 'human' action: 'retry' message: 'no' }"),
            "gate      a not passed (human), retry: no");
  EXPECT_EQ(Said("step_started { step: 'a' attempt: 2 model: 'fast' }"),
            "step      gate of a 2 begins with fast");
  EXPECT_EQ(Said("budget_warning { spent_microusd: 4000000 max_cost_microusd: 5000000 }"),
            "budget    $4.00 of $5.00 is spent");
  EXPECT_EQ(Said("budget_warning { spent_microusd: 4000000 max_cost_microusd: 5000000 project: "
                 "'shop' }"),
            "budget    $4.00 of $5.00 is spent by project shop this month");
  EXPECT_EQ(Said("budget_warning { spent_microusd: 5000000 max_cost_microusd: 5000000 project: "
                 "'shop' overridden: true }"),
            "budget    $5.00 of $5.00 is spent by project shop this month; the task goes on "
            "beyond it");
  EXPECT_EQ(Said("trigger_ran { trigger: 'ready' step: 'a' result: RESULT_REJECTED message: 'no' "
                 "duration { seconds: 2 } }"),
            "trigger   ready before a rejected after 2s: no");
  EXPECT_EQ(Said("trigger_ran { trigger: 'audit' result: RESULT_PASSED }"),
            "trigger   audit passed");
  EXPECT_EQ(Said("pause_requested { caller: 'anna' reason: 'lunch' }"),
            "pause     asked for by anna: lunch");
  EXPECT_EQ(Said("pause_requested { caller: 'anna' resume: true }"), "pause     ended by anna");
  EXPECT_EQ(Said("approval_requested { step: 'a' question: true rule { reason: 'Which?' } }"),
            "approval  step a asks: Which?");
  EXPECT_THAT(Said("approval_requested { step: 'a' rule { quorum: 1 reason: 'look' } }"),
              StartsWith("approval  step a wants 1 of anybody but the requester until"));
}

TEST(TaskEventTest, ATaskThatIsTriedAgainSaysFromWhichStep) {
  EXPECT_EQ(Said("accepted { retry_of: 'executions/1' task { workflow: 'w' workflow_digest: 'd' "
                 "from_step: 'b' description { title: 'T' } } }"),
            "accepted  w@d T (from step b) (tries executions/1 again)");
}

TEST(TaskEventTest, S1_28_UsageShowsAllInputTokensCachedOrNot) {
  EXPECT_EQ(Said(GoodTaskEvents()[4].ShortDebugString()),
            "usage     spec 1/1 big-model: in 321k, out 4.2k tokens, $0.21");
  EXPECT_THAT(Said("usage_recorded { step: 'a' effective_input_tokens: 10 cost_microusd: 500 "
                   "is_upper_bound: true }"),
              EndsWith("in 10, out 0 tokens, <=$0.0005"));
}

TEST(TaskDetailsTest, S4_2_WhatATaskWorksOnIsShown) {
  v1::Execution task = Project(RunningTaskEvents());
  EXPECT_THAT(Details(task, {}), Not(HasSubstr("context"))) << "of a server that did not say";

  task.set_context(v1::CONTEXT_KIND_BRANCH);

  EXPECT_THAT(Details(task, {}), HasSubstr("context      BRANCH\n"));
}

TEST(TaskDetailsTest, S1_28_StepsAndTotalsShowAllInputTokens) {
  const std::string text = Details(Project(RunningTaskEvents()), {});

  EXPECT_THAT(text, HasSubstr("workflow     medium@0123456789abcdef0123456789abcdef\n"));
  EXPECT_THAT(text, HasSubstr("title        Add a limit\n"));
  EXPECT_THAT(text, HasSubstr("criterion    C1: it stops at 1000 rows\n"));
  EXPECT_THAT(text, HasSubstr("used         in 321k, out 4.2k tokens, $0.21 of $5.00\n"));
  EXPECT_THAT(text, HasSubstr("branch       capstan/cap-7\n"));
  EXPECT_THAT(text, HasSubstr("workspace    /srv/room/1\n"));
  EXPECT_THAT(
      text, HasSubstr("\nSTEP       STATE      TRY/ITER  TIME  MODEL   IN    OUT   COST   CHECKS"));
  EXPECT_THAT(text, HasSubstr("\nspec       SUCCEEDED  1/1       0:03  strong  321k  4.2k  $0.21"));
  EXPECT_THAT(text, HasSubstr("\nimplement  RUNNING    1/2       0:02  fast  "));
  EXPECT_THAT(text, HasSubstr("build passed, tests did not pass, lint did not pass (warning)"));
  EXPECT_THAT(text, HasSubstr("\n  implement: tests did not pass: 2 of 7 failed\n"));
  EXPECT_THAT(text, Not(HasSubstr("action")));
}

TEST(TaskDetailsTest, AStepThatAsksIsShownWithItsQuestion) {
  const std::string text = Details(Project(WaitingTaskEvents(true)), {});

  EXPECT_THAT(text, AllOf(HasSubstr("state        BLOCKED(USER_INPUT)\n"),
                          HasSubstr("question of  review\n"), HasSubstr("Which table?"),
                          HasSubstr("to answer    capstan task answer executions/")));
}

TEST(TaskDetailsTest, AStepThatHasSubmittedAnExecutionNamesIt) {
  const v1::Execution execution = Project(ChildTaskEvents());
  EXPECT_THAT(Details(execution, {}), AllOf(HasSubstr("state        BLOCKED(CHILD)\n"),
                                            HasSubstr("waits for executions/c1")));
  EXPECT_EQ(Said(ChildTaskEvents()[11].ShortDebugString()),
            "child     implement submitted ScaleDeployment as executions/c1");
  EXPECT_EQ(Said(ChildTaskEvents()[12].ShortDebugString()),
            "child     asked to end: executions/c1: enough");
}

TEST(TaskListTest, TasksHaveStepsAndCostAndActionsHaveNone) {
  google::protobuf::RepeatedPtrField<v1::Execution> list;
  *list.Add() = Project(RunningTaskEvents());
  EXPECT_THAT(ExecutionTable(list),
              HasSubstr("RUNNING  medium  Add a limit  1/3    $0.21  2027-01-15T08:00:00.000Z\n"));
  *list.Add() = Project(GoodEvents());

  EXPECT_THAT(ExecutionTable(list), StartsWith("NAME "));
  EXPECT_THAT(ExecutionTable(list),
              HasSubstr("ScaleDeployment  Deployment shop/web               "));
}

TEST(TaskListTest, AListOfActionsIsAsItWas) {
  google::protobuf::RepeatedPtrField<v1::Execution> list;
  *list.Add() = Project(GoodEvents());

  EXPECT_THAT(ExecutionTable(list), Not(HasSubstr("COST")));
}

TEST(TaskExplainTest, ATaskIsNamedByItsWorkflowAndTitle) {
  v1::ExplainExecutionResponse response;
  *response.mutable_execution() = Project(RunningTaskEvents());

  EXPECT_THAT(ExplainText(response, absl::FromUnixSeconds(kCreated)),
              StartsWith("RUNNING  medium: Add a limit  executions/"));
}

TEST(TaskEndTest, ASuccessShowsStepsUsageAndWhereTheWorkIs) {
  const std::string text = EndText(Project(GoodTaskEvents()), {});

  EXPECT_THAT(text, StartsWith("SUCCEEDED  medium: Add a limit  after 0:14  executions/"));
  EXPECT_THAT(text, HasSubstr("\nreview     SKIPPED  "));
  EXPECT_THAT(text, HasSubstr("\nUsed: in 321k, out 4.2k tokens, $0.21 of $5.00\n"));
  EXPECT_THAT(text, EndsWith("\nWork: branch capstan/cap-7 at ffffeeeedddd, folder /srv/room/1\n"));
}

TEST(TaskEndTest, AFailureSaysWhatWasSaidAndHowToGoOn) {
  const std::string text =
      EndText(Project(FailedTaskEvents()), {.program = "capstan --address=a:1"});

  EXPECT_THAT(text, HasSubstr("FAILED(STEP_FAILED)"));
  EXPECT_THAT(text, HasSubstr("What was said: capstan --address=a:1 task transcript executions/"
                              "01932b5c-7d1e-7f00-8a00-0123456789ab --step=implement\n"));
  EXPECT_THAT(text, EndsWith("From the step that failed: capstan --address=a:1 task retry "
                             "executions/01932b5c-7d1e-7f00-8a00-0123456789ab "
                             "--from-step=implement\n"));
}

TEST(TaskEndTest, AnUnknownOutcomeIsNotSimplyTriedAgain) {
  const std::string text = EndText(Project(FailedTaskEvents("OUTCOME_UNKNOWN")), {});

  EXPECT_THAT(text, HasSubstr("--accept-repeated-effect\n"));
  EXPECT_THAT(text, Not(HasSubstr("To try it again")));
}

TEST(TaskEndTest, ADryRunSaysThatNothingWasRun) {
  EXPECT_THAT(EndText(Project(With({TaskAccepted()},
                                   {"state_changed { to: STATE_SUCCEEDED outcome { dry_run: true } "
                                    "}"})),
                      {}),
              EndsWith("\nDry run: nothing was run.\n"));
}

TEST(TextFormatTest, TokensAndMoneyAreShort) {
  EXPECT_EQ(Tokens(0), "0");
  EXPECT_EQ(Tokens(999), "999");
  EXPECT_EQ(Tokens(1000), "1.0k");
  EXPECT_EQ(Tokens(99'949), "99.9k");
  EXPECT_EQ(Tokens(99'950), "100k");
  EXPECT_EQ(Tokens(999'499), "999k");
  EXPECT_EQ(Tokens(999'500), "1.0M");
  EXPECT_EQ(Money(0), "$0.00");
  EXPECT_EQ(Money(1), "$0.0000");
  EXPECT_EQ(Money(9'999), "$0.0100");
  EXPECT_EQ(Money(1'234'567), "$1.23");
}

TEST(TextFormatTest, TextIsMeasuredAndCutAsATerminalShowsIt) {
  EXPECT_EQ(DisplayWidth("größer"), 6u);
  EXPECT_EQ(DisplayWidth("日本"), 4u);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1u);
  EXPECT_EQ(DisplayWidth("\xff\xc3"), 2u);  // no characters
  EXPECT_EQ(CutToWidth("日本語", 6), "日本語");
  EXPECT_EQ(CutToWidth("日本語", 5), "日本…");
  EXPECT_EQ(CutToWidth("日本語", 4), "日…");
  EXPECT_EQ(CutToWidth("ab", 0), "");
  EXPECT_EQ(Table({{"größer", "x"}, {"a", "y"}}), "größer  x\na       y\n");
}

TEST(TextFormatTest, NoControlCharacterOfEitherKindIsLeft) {
  EXPECT_EQ(OneLine("a\u009b2Jb\x7f"), "a  2Jb ");
  EXPECT_EQ(SafeText("a\n\tb\033[2J\r"), "a\n\tb [2J ");
}

}  // namespace
}  // namespace capstan::cli
