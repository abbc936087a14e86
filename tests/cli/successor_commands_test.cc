// `capstan execution retry`, `rollback` and `explain`, and who is calling.
#include <gmock/gmock.h>

#include <thread>

#include "tests/cli/commands_fixture.h"

namespace capstan::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kOld[] = "executions/01932b5c-0000-7f00-8a00-000000000001";
constexpr auto kPrecondition = grpc::StatusCode::FAILED_PRECONDITION;

class SuccessorCommandsTest : public CommandsTest {
 protected:
  SuccessorCommandsTest() { server_.executions.execution = Project({Accepted()}); }

  void Refuse(grpc::StatusCode code, const std::string& reason, const std::string& message) {
    server_.executions.refusals.Push(Refusal(code, reason, message));
  }
};

TEST_F(SuccessorCommandsTest, ARetryFollowsTheNewExecutionToItsEnd) {
  Play(Stream(GoodEvents()));

  EXPECT_EQ(Command({"execution", "retry", kOld}), 0);
  ASSERT_THAT(server_.executions.retried, SizeIs(1));
  EXPECT_EQ(server_.executions.retried[0].name(), kOld);
  EXPECT_THAT(server_.executions.retried[0].request_id(), SizeIs(36));
  EXPECT_FALSE(server_.executions.retried[0].accept_repeated_effect());
  EXPECT_EQ(server_.executions.watched[0].name(), kName);
  EXPECT_EQ(CountLines(out()), 9 + 4) << out();
  EXPECT_THAT(out(), HasSubstr("\nSUCCEEDED  ScaleDeployment"));
}

TEST_F(SuccessorCommandsTest, ARetryHasTheExitCodeOfTheNewExecution) {
  Play(Stream(DeniedEvents()));

  EXPECT_EQ(Command({"execution", "retry", kOld}), 3);
}

TEST_F(SuccessorCommandsTest, ARetrySendsWhatTheFlagsSay) {
  Play(Stream(GoodEvents()));

  Command({"execution", "retry", "01932b5c-0000-7f00-8a00-000000000001", "--accept-repeated-effect",
           "--request-id=7d444840-9dc0-11d1-b245-5ffdce74fad2"});

  EXPECT_EQ(server_.executions.retried[0].name(), kOld);
  EXPECT_EQ(server_.executions.retried[0].request_id(), "7d444840-9dc0-11d1-b245-5ffdce74fad2");
  EXPECT_TRUE(server_.executions.retried[0].accept_repeated_effect());
}

TEST_F(SuccessorCommandsTest, WithNoWaitOnlyTheNewNameIsPrinted) {
  EXPECT_EQ(Command({"execution", "retry", kOld, "--no-wait"}), 0);
  EXPECT_EQ(Command({"execution", "rollback", kOld, "--no-wait"}), 0);
  EXPECT_EQ(out(), std::string(kName) + "\n" + kName + "\n");
  EXPECT_THAT(server_.executions.watched, IsEmpty());
}

TEST_F(SuccessorCommandsTest, JsonOfARetryIsTheNewExecutionAtItsEnd) {
  Play(Stream(GoodEvents()));

  EXPECT_EQ(Command({"execution", "retry", kOld, "-o", "json"}), 0);
  EXPECT_THAT(out(), AllOf(StartsWith("{\n \"name\": \"executions/"),
                           HasSubstr("\"state\": \"STATE_SUCCEEDED\"")));
}

TEST_F(SuccessorCommandsTest, AnUnansweredRetryIsSentAgainWithTheSameRequestId) {
  server_.executions.refusals.Push(kDraining);
  Play(Stream(GoodEvents()));

  EXPECT_EQ(Command({"execution", "retry", kOld}), 0);
  ASSERT_THAT(server_.executions.retried, SizeIs(2));
  EXPECT_EQ(server_.executions.retried[0].request_id(), server_.executions.retried[1].request_id());
}

TEST_F(SuccessorCommandsTest, ARetryThatIsNeverAnsweredSaysHowToFindIt) {
  for (int i = 0; i < 3; ++i) server_.executions.refusals.Push(kDraining);

  EXPECT_EQ(
      Command({"execution", "retry", kOld, "--request-id=7d444840-9dc0-11d1-b245-5ffdce74fad2"}),
      64 + 14);
  EXPECT_THAT(server_.executions.retried, SizeIs(3));
  EXPECT_THAT(err(), HasSubstr("with --request-id=7d444840-9dc0-11d1-b245-5ffdce74fad2 finds it"));
}

TEST_F(SuccessorCommandsTest, ARetrySubmittedBeforeIsSaidToBeSo) {
  server_.executions.deduplicated = true;
  Play(Stream(GoodEvents()));

  EXPECT_EQ(Command({"execution", "retry", kOld}), 0);
  EXPECT_THAT(err(), HasSubstr("This request had been submitted before: executions/01932b5c-7d1e"));
}

TEST_F(SuccessorCommandsTest, ABrokenStreamOfARetryIsResumed) {
  Play(Stream(GoodEvents(), 0, 4), kDraining);
  Play(Stream(GoodEvents(), 4));

  EXPECT_EQ(Command({"execution", "retry", kOld}), 0);
  EXPECT_EQ(server_.executions.watched[1].after_seq(), 4);
  EXPECT_EQ(CountLines(out()), 9 + 4) << out();
}

TEST_F(SuccessorCommandsTest, ControlCDetachesFromTheNewExecution) {
  clock_ = &system_;
  server_.executions.scripts.push_back(
      {.updates = Stream(GoodEvents(), 0, 4), .end = {}, .hang = true});
  std::jthread interrupter([&] {
    server_.executions.AwaitHanging();
    stop_.request_stop();
  });

  EXPECT_EQ(Command({"execution", "retry", kOld}), 130);
  EXPECT_THAT(err(), HasSubstr("capstan execution watch executions/01932b5c-7d1e"));
}

TEST_F(SuccessorCommandsTest, WaitingTooLongForARetryIsExitCodeFour) {
  clock_ = &system_;
  server_.executions.scripts.push_back(
      {.updates = Stream(GoodEvents(), 0, 4), .end = {}, .hang = true});

  EXPECT_EQ(Command({"execution", "retry", kOld, "--wait-timeout", "300ms"}), 4);
}

TEST_F(SuccessorCommandsTest, ARefusedRetrySaysWhatToDo) {
  Refuse(kPrecondition, "NOT_ENDED", "it has not ended: it is RUNNING");
  Refuse(kPrecondition, "EFFECT_POSSIBLE", "it may have changed its target");
  Refuse(kPrecondition, "ALREADY_SUCCEEDED", "submit the action again if it is wanted");

  EXPECT_EQ(Command({"execution", "retry", kOld}), 64 + 9);
  EXPECT_THAT(err(), HasSubstr("Error: FAILED_PRECONDITION NOT_ENDED: it has not ended: it is "
                               "RUNNING\nWait for its end"));
  EXPECT_EQ(Command({"execution", "retry", kOld}), 64 + 9);
  EXPECT_THAT(err(), HasSubstr("--accept-repeated-effect then runs it all the same."));
  EXPECT_EQ(Command({"execution", "retry", kOld}), 64 + 9);
  EXPECT_THAT(err(), HasSubstr("ALREADY_SUCCEEDED: submit the action again"));
  EXPECT_THAT(err(), Not(HasSubstr("The execution goes on")));
  EXPECT_THAT(out(), IsEmpty());
}

TEST_F(SuccessorCommandsTest, ARollbackFollowsTheNewExecution) {
  Play(Stream(GoodEvents()));

  EXPECT_EQ(Command({"execution", "rollback", kOld}), 0);
  EXPECT_EQ(server_.executions.rolled_back[0].name(), kOld);
  EXPECT_FALSE(server_.executions.rolled_back[0].dry_run());
  EXPECT_THAT(out(), HasSubstr("\nSUCCEEDED  ScaleDeployment"));
}

TEST_F(SuccessorCommandsTest, ADryRunOfARollbackShowsThePlan) {
  Play(Stream(EndedEvents("to: STATE_SUCCEEDED outcome { dry_run: true plan { digest: 'abc' } }")));

  EXPECT_EQ(Command({"execution", "rollback", kOld, "--dry-run"}), 0);
  EXPECT_TRUE(server_.executions.rolled_back[0].dry_run());
  EXPECT_THAT(out(), HasSubstr("Dry run: nothing was launched."));
}

TEST_F(SuccessorCommandsTest, ARefusedRollbackSaysWhatToDo) {
  Refuse(kPrecondition, "NO_INVERSE", "no recorded inverse");
  Refuse(kPrecondition, "NOTHING_TO_UNDO", "there is no known change to undo");
  Refuse(kPrecondition, "STATE_UNKNOWN", "what it left behind could not be read");

  EXPECT_EQ(Command({"execution", "rollback", kOld}), 64 + 9);
  EXPECT_THAT(err(), HasSubstr("NO_INVERSE: no recorded inverse\nUndo it by hand"));
  EXPECT_EQ(Command({"execution", "rollback", kOld}), 64 + 9);
  EXPECT_THAT(err(), HasSubstr("capstan execution get shows what is known about its effect."));
  EXPECT_EQ(Command({"execution", "rollback", kOld}), 64 + 9);
  EXPECT_THAT(err(), HasSubstr("shows the action that would undo it."));
}

TEST_F(SuccessorCommandsTest, ExplainShowsTheReasonsInOrderWithTheirAges) {
  auto& explanation = server_.executions.explanation;
  explanation = Parse<v1::ExplainExecutionResponse>(R"pb(
    reasons {
      code: "TARGET_LOCK"
      message: "another execution may change Deployment/shop/web now; place 1 in its line"
      since { seconds: 1799999935 }
      holder: "executions/2"
      clears: "by itself when it ends; capstan execution cancel executions/2"
    }
    reasons { code: "CANCEL_REQUESTED" message: "it was asked to cancel" }
    next_time { seconds: 1800000090 })pb");
  *explanation.mutable_execution() = Project(
      {Accepted(), Validating(),
       Event(3, "state_changed { to: STATE_BLOCKED block_reason: BLOCK_REASON_TARGET_LOCK }")});

  EXPECT_EQ(Command({"execution", "explain", "01932b5c-7d1e-7f00-8a00-0123456789ab"}), 0);
  EXPECT_EQ(server_.executions.explained[0].name(), kName);
  EXPECT_EQ(out(),
            "BLOCKED(TARGET_LOCK)  ScaleDeployment Deployment shop/web  "
            "executions/01932b5c-7d1e-7f00-8a00-0123456789ab\n"
            "1. TARGET_LOCK: another execution may change Deployment/shop/web now; place 1 in its "
            "line\n"
            "   for:     1:05, since 2027-01-15T07:58:55.000Z\n"
            "   holder:  executions/2\n"
            "   clears:  by itself when it ends; capstan execution cancel executions/2\n"
            "2. CANCEL_REQUESTED: it was asked to cancel\n"
            "Next: something happens by itself at 2027-01-15T08:01:30.000Z, in 1:30.\n");
}

TEST_F(SuccessorCommandsTest, JsonOfAnExplanationIsTheAnswer) {
  server_.executions.explanation = Parse<v1::ExplainExecutionResponse>("reasons { code: 'ENDED' }");

  EXPECT_EQ(Command({"execution", "explain", kName, "-o", "json"}), 0);
  EXPECT_THAT(out(), HasSubstr("\"code\": \"ENDED\""));
}

TEST_F(SuccessorCommandsTest, ExplainingWhatThereIsNotIsAnError) {
  Refuse(grpc::StatusCode::NOT_FOUND, "EXECUTION_NOT_FOUND", "there is none");

  EXPECT_EQ(Command({"execution", "explain", kName}), 64 + 5);
}

TEST_F(SuccessorCommandsTest, ACallSaysWhoIsCalling) {
  Play(Stream(GoodEvents()));
  Play(Stream(GoodEvents()));
  Play(Stream(GoodEvents()));

  Command({"execution", "watch", kName});
  Command({"execution", "watch", kName, "--caller=anna"});
  variables_["CAPSTAN_CALLER"] = "bob";
  Command({"execution", "watch", kName});

  EXPECT_THAT(server_.executions.callers, ElementsAre("", "anna", "bob"));
}

TEST_F(SuccessorCommandsTest, ACallerThatIsNoNameIsUsage) {
  EXPECT_EQ(Command({"execution", "watch", kName, "--caller=anna smith"}), 2);
  EXPECT_THAT(err(), HasSubstr("--caller: got \"anna smith\", want at most 253 visible ASCII"));
  variables_["CAPSTAN_CALLER"] = "bö";
  EXPECT_EQ(Command({"execution", "watch", kName}), 2);
}

}  // namespace
}  // namespace capstan::cli
