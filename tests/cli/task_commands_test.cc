// `capstan task …`.
#include "cli/task_commands.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "cli/task_input.h"
#include "tests/cli/commands_fixture.h"
#include "tests/cli/task_messages.h"
#include "tests/support/status_matchers.h"

namespace capstan::cli {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class TaskCommandsTest : public CommandsTest {
 protected:
  TaskCommandsTest() { server_.executions.execution = Project(RunningTaskEvents()); }

  int RunMedium(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"task", "run", "medium", "--title", "Add a limit"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Command(arguments);
  }
  // The execution waits for this.
  void Waits(bool question) {
    server_.executions.execution = Project(WaitingTaskEvents(question));
    server_.approvals.execution = server_.executions.execution;
  }
  v1::DecideApprovalRequest TheDecision() {
    EXPECT_THAT(server_.approvals.decided, SizeIs(1));
    return server_.approvals.decided.empty() ? v1::DecideApprovalRequest()
                                             : server_.approvals.decided[0];
  }
};

v1::TranscriptEntry Entry(int64_t number, const std::string& role, const std::string& text,
                          int iteration = 1) {
  auto entry = Parse<v1::TranscriptEntry>("step: 'spec' attempt: 1 role: ROLE_" + role);
  entry.set_number(number);
  entry.set_iteration(iteration);
  entry.set_text(text);
  entry.mutable_time()->set_seconds(kCreated + number);
  return entry;
}

TEST_F(TaskCommandsTest, S4_1_ARunSendsWhatTheFlagsSay) {
  Play(Stream(GoodTaskEvents()));

  EXPECT_EQ(RunMedium({"--id=CAP-7",
                       "--description=The export has none.",
                       "--category=feature",
                       "--criterion",
                       "C1=it stops at a=b",
                       "--input",
                       "area=export",
                       "--command",
                       "tests=npm test",
                       "--command",
                       R"(lint=["npm", "run", "lint: all"])",
                       "--repository=/srv/git/export",
                       "--base-ref=main",
                       "--profile=strict",
                       "--max-cost=2.50",
                       "--project=shop",
                       "--budget-override=the shop is down",
                       "--initiative=checkout",
                       "--requires-ui-testing",
                       "--context=branch",
                       "--timeout=1h",
                       "--priority=1",
                       "--label",
                       "team=a",
                       "--parent=wf",
                       "--parent-step=2",
                       "--dry-run",
                       "--request-id=7d444840-9dc0-11d1-b245-5ffdce74fad2"}),
            0)
      << err();

  ASSERT_THAT(server_.executions.tasks, SizeIs(1));
  const v1::RunTaskRequest& sent = server_.executions.tasks[0];
  v1::RunTaskRequest want = Parse<v1::RunTaskRequest>(R"pb(
    request_id: "7d444840-9dc0-11d1-b245-5ffdce74fad2"
    workflow: "medium"
    task {
      id: "CAP-7"
      title: "Add a limit"
      description: "The export has none."
      category: "feature"
      initiative: "checkout"
      requires_ui_testing: true
      criteria { id: "C1" text: "it stops at a=b" }
    }
    inputs { key: "area" value: "export" }
    commands {
      key: "tests"
      value { argv: "npm" argv: "test" }
    }
    commands {
      key: "lint"
      value { argv: "npm" argv: "run" argv: "lint: all" }
    }
    repository { path: "/srv/git/export" base_ref: "main" }
    dry_run: true
    timeout { seconds: 3600 }
    priority: 1
    labels { key: "team" value: "a" }
    parent { name: "wf" step: 2 }
    wait_until: WAIT_UNTIL_TERMINAL
    max_cost_microusd: 2500000
    profile: PROFILE_STRICT
    project: "shop"
    budget_override: "the shop is down"
    context: CONTEXT_KIND_BRANCH)pb");
  EXPECT_EQ(sent.ShortDebugString(), want.ShortDebugString());
}

TEST_F(TaskCommandsTest, AWeightStandsForAWorkflow) {
  Play(Stream(GoodTaskEvents()));

  EXPECT_EQ(Command({"task", "run", "--weight=trivial", "--title=T"}), 0);

  EXPECT_EQ(server_.executions.tasks[0].weight(), "trivial");
  EXPECT_THAT(server_.executions.tasks[0].workflow(), IsEmpty());
}

TEST_F(TaskCommandsTest, DescriptionAndSpecificationComeFromFiles) {
  const std::filesystem::path file = std::filesystem::path(::testing::TempDir()) / "cli_spec.md";
  std::ofstream(file) << "# Spec\n";
  in_.str("what is to be done\n");
  Play(Stream(GoodTaskEvents()));

  EXPECT_EQ(RunMedium({"--description-file=-", "--spec-file", file.string()}), 0) << err();

  EXPECT_EQ(server_.executions.tasks[0].task().description(), "what is to be done\n");
  EXPECT_EQ(server_.executions.tasks[0].task().spec(), "# Spec\n");
}

TEST_F(TaskCommandsTest, AMistakeInTheFlagsIsUsageAndSendsNothing) {
  EXPECT_EQ(Command({"task", "run", "--title=T"}), 2);
  EXPECT_THAT(err(), HasSubstr("WORKFLOW: got nothing, want a workflow's name, or --weight"));
  EXPECT_EQ(RunMedium({"--command", "tests=npm test && rm x"}), 2);
  EXPECT_THAT(err(), HasSubstr("--command tests: got npm test && rm x, want words without quotes"));
  EXPECT_EQ(RunMedium({"--spec-file=/none"}), 2);
  EXPECT_THAT(err(), HasSubstr("cannot read /none"));
  EXPECT_EQ(RunMedium({"--spec-file=-", "--description-file=-"}), 2);
  EXPECT_EQ(RunMedium({"--criterion", "C1"}), 2);
  EXPECT_EQ(RunMedium({"--max-cost=free"}), 2);
  EXPECT_EQ(RunMedium({"--max-cost=-1"}), 2);
  EXPECT_EQ(RunMedium({"--profile=lax"}), 2);
  EXPECT_THAT(err(), HasSubstr("got \"lax\", want auto, fast, safe or strict"));
  EXPECT_EQ(RunMedium({"--context=here"}), 2);
  EXPECT_THAT(err(), HasSubstr("got \"here\", want task, branch or standalone"));
  EXPECT_EQ(RunMedium({"--weight=small"}), 2);
  EXPECT_EQ(RunMedium({"--description=a", "--description-file=b"}), 2);
  EXPECT_EQ(Command({"task", "run", "medium"}), 2);
  EXPECT_THAT(server_.executions.tasks, IsEmpty());
}

TEST_F(TaskCommandsTest, ARunPrintsALineForEachEventAndItsEnd) {
  Play(Stream(GoodTaskEvents()));

  EXPECT_EQ(RunMedium(), 0);

  EXPECT_THAT(out(),
              StartsWith("  1  2027-01-15T08:00:00.000Z  accepted  medium@0123456789ab Add a "
                         "limit (at most $5.00)\n"));
  EXPECT_THAT(out(), HasSubstr("SUCCEEDED  medium: Add a limit  after 0:14  executions/01932b5c"));
  EXPECT_THAT(out(), Not(HasSubstr("\033")));
}

TEST_F(TaskCommandsTest, ABrokenRunIsResumedAfterItsLastEvent) {
  Play(Stream(GoodTaskEvents(), 0, 6), kDraining);
  Play(Stream(GoodTaskEvents(), 6));

  EXPECT_EQ(RunMedium(), 0);

  ASSERT_THAT(server_.executions.watched, SizeIs(1));
  EXPECT_EQ(server_.executions.watched[0].after_seq(), 6);
}

TEST_F(TaskCommandsTest, AnUnansweredRunIsSentAgainWithTheSameRequestId) {
  Play({}, kDraining);
  Play(Stream(GoodTaskEvents()));

  EXPECT_EQ(RunMedium(), 0);

  ASSERT_THAT(server_.executions.tasks, SizeIs(2));
  EXPECT_EQ(server_.executions.tasks[0].request_id(), server_.executions.tasks[1].request_id());
}

TEST_F(TaskCommandsTest, TheExitCodesAreThoseOfActions) {
  Play(Stream(FailedTaskEvents()));
  EXPECT_EQ(RunMedium(), 1);
  Play(Stream(FailedTaskEvents("OUTCOME_UNKNOWN")));
  EXPECT_EQ(RunMedium(), 6);
  Play(Stream(FailedTaskEvents("POLICY_DENIED")));
  EXPECT_EQ(RunMedium(), 3);
  Play(Stream(With(RunningTaskEvents(), {"state_changed { to: STATE_CANCELLED }"})));
  EXPECT_EQ(RunMedium(), 5);
  Play({}, {grpc::StatusCode::NOT_FOUND, "no such workflow"});
  EXPECT_EQ(RunMedium(), 64 + 5);
}

TEST_F(TaskCommandsTest, NoWaitPrintsTheNameOnly) {
  Play({Snapshot({TaskAccepted()})});

  EXPECT_EQ(RunMedium({"--no-wait"}), 0);

  EXPECT_EQ(out(), std::string(kName) + "\n");
  EXPECT_EQ(server_.executions.tasks[0].wait_until(),
            v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED);
}

TEST_F(TaskCommandsTest, JsonOfARunIsTheExecutionAtItsEnd) {
  Play(Stream(GoodTaskEvents()));

  EXPECT_EQ(RunMedium({"-o", "json"}), 0);

  EXPECT_THAT(out(), AllOf(StartsWith("{\n"), HasSubstr("\"workflow\": \"medium\"")));
}

TEST_F(TaskCommandsTest, ATerminalShowsTheStepsInPlaceAndThenTheEnd) {
  terminal_ = true;
  size_ = {.columns = 60, .rows = 24};
  clock_ = &system_;
  Play(Stream(GoodTaskEvents()));

  EXPECT_EQ(RunMedium(), 0);

  EXPECT_THAT(out(), StartsWith("\033[?25l\r"));
  EXPECT_THAT(out(), HasSubstr("\r\033[4A"));  // five lines, drawn again
  EXPECT_THAT(out(), HasSubstr("✓ spec"));
  EXPECT_THAT(out(), HasSubstr("\033[J\033[?25hSUCCEEDED  medium: Add a limit"));
  EXPECT_THAT(out(), Not(HasSubstr("accepted")));
}

TEST_F(TaskCommandsTest, PlainIsLinesAlsoOnATerminal) {
  terminal_ = true;
  Play(Stream(GoodTaskEvents()));

  EXPECT_EQ(RunMedium({"--plain"}), 0);

  EXPECT_THAT(out(), AllOf(HasSubstr("accepted"), Not(HasSubstr("\033"))));
}

TEST_F(TaskCommandsTest, ALostConnectionIsSaidAndTheViewIsDrawnAgain) {
  terminal_ = true;
  clock_ = &system_;
  Play(Stream(GoodTaskEvents(), 0, 6), kDraining);
  Play(Stream(GoodTaskEvents(), 6));

  EXPECT_EQ(Command({"task", "watch", kName}), 0);

  EXPECT_THAT(err(), HasSubstr("Connection lost (UNAVAILABLE: draining)"));
  EXPECT_THAT(out(), HasSubstr("\033[J\033[?25h\033[?25l\r"));
}

TEST_F(TaskCommandsTest, AStepThatWaitsIsSaidOnceWithWhatToDo) {
  Play(Stream(With(WaitingTaskEvents(true), {"state_changed { to: STATE_CANCELLED }"})));

  EXPECT_EQ(Command({"task", "watch", kName}), 5);

  EXPECT_EQ(err(),
            "Step review asks: Which table?\n"
            "  capstan task answer executions/01932b5c-7d1e-7f00-8a00-0123456789ab "
            "--answer=ANSWER\n"
            "  capstan task reject executions/01932b5c-7d1e-7f00-8a00-0123456789ab "
            "--reason=WHY\n");
}

TEST_F(TaskCommandsTest, ARetryBeginsWithTheStepThatIsNamed) {
  Play(Stream(GoodTaskEvents()));

  EXPECT_EQ(Command({"task", "retry", kName, "--from-step=review", "--accept-repeated-effect"}), 0);

  ASSERT_THAT(server_.executions.retried, SizeIs(1));
  EXPECT_EQ(server_.executions.retried[0].from_step(), "review");
  EXPECT_TRUE(server_.executions.retried[0].accept_repeated_effect());
}

TEST_F(TaskCommandsTest, ARetryOfAStepThatWasNotDoneSaysWhereToLook) {
  server_.executions.refusals.Push(Refusal(grpc::StatusCode::FAILED_PRECONDITION, "STEP_NOT_DONE",
                                           "from_step: the step spec was not done"));

  EXPECT_EQ(Command({"task", "retry", kName, "--from-step=review"}), 64 + 9);

  EXPECT_THAT(err(), HasSubstr("capstan execution get shows which steps were done."));
}

TEST_F(TaskCommandsTest, ATaskIsPausedResumedAndCancelled) {
  EXPECT_EQ(Command({"task", "pause", kName, "--reason=lunch"}), 0);
  EXPECT_THAT(out(), HasSubstr("Pause requested; it is RUNNING now. Watch it: capstan task watch "
                               "executions/01932b5c"));
  EXPECT_EQ(Command({"task", "resume", kName}), 0);
  EXPECT_EQ(Command({"task", "cancel", kName, "--reason=wrong one"}), 0);

  EXPECT_EQ(server_.executions.paused[0].reason(), "lunch");
  EXPECT_EQ(server_.executions.resumed[0].name(), kName);
  EXPECT_EQ(server_.executions.cancelled[0].reason(), "wrong one");
}

TEST_F(TaskCommandsTest, AGateIsApprovedAndTheStepIsNamed) {
  Waits(/*question=*/false);

  EXPECT_EQ(Command({"task", "approve", kName, "--reason=looked at it"}), 0);

  EXPECT_EQ(TheDecision().decision(), v1::DecideApprovalRequest::DECISION_APPROVE);
  EXPECT_EQ(TheDecision().plan_digest(), "d1");
  EXPECT_EQ(TheDecision().reason(), "looked at it");
  EXPECT_THAT(out(), StartsWith("Said yes to the gate of step review of executions/01932b5c-7d1e-"
                                "7f00-8a00-0123456789ab: Which table?\n"));
}

TEST_F(TaskCommandsTest, AnApprovalWithoutAReasonHasOneForTheRecord) {
  Waits(/*question=*/false);

  EXPECT_EQ(Command({"task", "approve", kName, "--plan-digest=d0"}), 0);

  EXPECT_EQ(TheDecision().plan_digest(), "d0");
  EXPECT_THAT(TheDecision().reason(), Not(IsEmpty()));
}

TEST_F(TaskCommandsTest, AQuestionIsAnsweredAndAYesAloneIsRefused) {
  Waits(/*question=*/true);

  EXPECT_EQ(Command({"task", "approve", kName}), 64 + 9);
  EXPECT_THAT(err(), HasSubstr("step review asks, and a yes alone is no answer: Which table?"));
  EXPECT_EQ(Command({"task", "answer", kName, "--answer="}), 2);
  EXPECT_EQ(Command({"task", "answer", kName, "--answer=the second"}), 0);

  EXPECT_EQ(TheDecision().decision(), v1::DecideApprovalRequest::DECISION_APPROVE);
  EXPECT_EQ(TheDecision().reason(), "the second");
  EXPECT_THAT(out(), StartsWith("Answered the question of step review"));
}

TEST_F(TaskCommandsTest, AGateTakesNoAnswer) {
  Waits(/*question=*/false);

  EXPECT_EQ(Command({"task", "answer", kName, "--reason=yes"}), 64 + 9);

  EXPECT_THAT(err(), HasSubstr("step review asks nothing: approve or reject it"));
  EXPECT_THAT(server_.approvals.decided, IsEmpty());
}

TEST_F(TaskCommandsTest, ARejectionNeedsAReason) {
  Waits(/*question=*/false);

  EXPECT_EQ(Command({"task", "reject", kName}), 2);
  EXPECT_EQ(Command({"task", "reject", kName, "--reason=not safe"}), 0);

  EXPECT_EQ(TheDecision().decision(), v1::DecideApprovalRequest::DECISION_REJECT);
}

TEST_F(TaskCommandsTest, ApprovalsOfTasksShowWorkflowStepAndQuestion) {
  Waits(/*question=*/true);
  server_.executions.events = WaitingTaskEvents(true);
  v1::ListApprovalsResponse page;
  *page.add_approvals() = Parse<v1::Approval>(
      "execution: 'executions/1' workflow: 'medium' requester: 'anna' approval { quorum: 1 step: "
      "'review' question: true reason: 'Which table?' }");
  server_.approvals.pages = {page};

  EXPECT_EQ(Command({"approval", "list"}), 0);
  EXPECT_THAT(out(), HasSubstr("executions/1  medium  question of step review  anna"));
  out_.str("");
  EXPECT_EQ(Command({"approval", "show", kName}), 0);

  EXPECT_THAT(out(), AllOf(HasSubstr("workflow   medium\n"), HasSubstr("title      Add a limit\n"),
                           HasSubstr("for        question of step review\n"),
                           HasSubstr("question   Which table?\n"), Not(HasSubstr("Undone by"))));
  EXPECT_THAT(out(), HasSubstr("To decide on this step and no other:\n  capstan task answer "
                               "executions/01932b5c-7d1e-7f00-8a00-0123456789ab --answer=ANSWER "
                               "--plan-digest=d1\n"));
}

TEST_F(TaskCommandsTest, ATranscriptIsPrintedTurnByTurn) {
  server_.executions.readings = {
      {.entries = {Entry(1, "PROMPT", "Write it."), Entry(2, "CHUNK", "First "),
                   Entry(3, "CHUNK", "words"), Entry(4, "TOOL_CALL", "Read {}"),
                   Entry(5, "COMBINED", "First words"), Entry(6, "RESPONSE", "{}\033[2J\n")}}};

  EXPECT_EQ(Command({"task", "transcript", kName, "--step=spec"}), 0);

  EXPECT_EQ(out(),
            "== 1  2027-01-15T08:00:01.000Z  spec 1/1 prompt\nWrite it.\n"
            "== 2  2027-01-15T08:00:02.000Z  spec 1/1 output\nFirst words\n"
            "== 4  2027-01-15T08:00:04.000Z  spec 1/1 tool call\nRead {}\n"
            "== 6  2027-01-15T08:00:06.000Z  spec 1/1 response\n{} [2J\n");
  EXPECT_EQ(server_.executions.transcripts_read[0].step(), "spec");
  EXPECT_FALSE(server_.executions.transcripts_read[0].follow());
}

TEST_F(TaskCommandsTest, ATextOfWhichNoPieceWasShownIsPrintedInOne) {
  server_.executions.readings = {
      {.entries = {Entry(1, "CHUNK", "a"), Entry(2, "COMBINED", "all of the second", 2)}}};

  EXPECT_EQ(Command({"task", "transcript", kName}), 0);

  EXPECT_THAT(out(), EndsWith("spec 1/2 combined\nall of the second\n"));
}

TEST_F(TaskCommandsTest, AFollowedTranscriptGoesOnAfterTheLastEntry) {
  server_.executions.readings = {
      {.entries = {Entry(8, "NOTE", "one"), Entry(9, "NOTE", "two")},
       .eof = false,
       .end = kDraining},
      {.entries = {Entry(9, "NOTE", "two"), Entry(10, "NOTE", "three")}, .eof = false, .end = {}},
      {.entries = {Entry(11, "NOTE", "four")}}};

  EXPECT_EQ(Command({"task", "transcript", kName, "--follow", "--after=7"}), 0);

  ASSERT_THAT(server_.executions.transcripts_read, SizeIs(3));
  EXPECT_EQ(server_.executions.transcripts_read[0].after(), 7);
  EXPECT_EQ(server_.executions.transcripts_read[1].after(), 9);
  EXPECT_EQ(server_.executions.transcripts_read[2].after(), 10);
  EXPECT_EQ(CountLines(out()), 8) << out();
}

TEST_F(TaskCommandsTest, ATranscriptThatNoServerGivesIsAnErrorSoon) {
  EXPECT_EQ(Command({"task", "transcript", kName, "--follow"}), 64 + 14);

  EXPECT_THAT(server_.executions.transcripts_read, SizeIs(3));
}

TEST_F(TaskCommandsTest, ATranscriptThatIsRefusedIsNotReadAgain) {
  server_.executions.readings = {
      {.entries = {}, .eof = false, .end = {grpc::StatusCode::OUT_OF_RANGE, "after: got 9"}}};

  EXPECT_EQ(Command({"task", "transcript", kName, "--after=9"}), 64 + 11);

  EXPECT_THAT(server_.executions.transcripts_read, SizeIs(1));
}

TEST_F(TaskCommandsTest, JsonOfATranscriptIsALineForEachEntry) {
  server_.executions.readings = {{.entries = {Entry(1, "CHUNK", "a"), Entry(2, "COMBINED", "a")}}};

  EXPECT_EQ(Command({"task", "transcript", kName, "-o", "json"}), 0);

  EXPECT_THAT(out(), StartsWith("{\"number\":\"1\""));
  EXPECT_EQ(CountLines(out()), 2) << out();
}

TEST(CommandLineTest, WordsAndJsonArraysAreTakenApartWithoutAShell) {
  EXPECT_THAT(ParseCommandLine("  npm   run test ")->argv(), ElementsAre("npm", "run", "test"));
  EXPECT_THAT(ParseCommandLine(R"(["a b", "$c"])")->argv(), ElementsAre("a b", "$c"));
  EXPECT_THAT(ParseCommandLine("npm test | tee x"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("want words without quotes")));
  EXPECT_THAT(ParseCommandLine("[1]"), StatusIs(absl::StatusCode::kInvalidArgument,
                                                HasSubstr("want a JSON array of texts")));
  EXPECT_THAT(ParseCommandLine("[\"a\""), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseCommandLine(" "), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace capstan::cli
