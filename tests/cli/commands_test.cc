// Whole commands against a server in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/cli/commands_fixture.h"

namespace capstan::cli {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST_F(CommandsTest, ARunPrintsALineForEachEventAndItsEnd) {
  Play(Stream(GoodEvents()));

  EXPECT_EQ(RunScale(), 0);
  EXPECT_THAT(out(), StartsWith("  1  2027-01-15T08:00:00.000Z  accepted  ScaleDeployment"));
  EXPECT_THAT(
      out(),
      HasSubstr(
          "  9  2027-01-15T08:00:08.000Z  state     SUCCEEDED: done\nSUCCEEDED  ScaleDeployment"));
  EXPECT_THAT(out(), HasSubstr("To undo it: capstan execution rollback executions/01932b5c"));
  EXPECT_THAT(err(), IsEmpty());
}

TEST_F(CommandsTest, ARunSendsWhatTheFlagsSay) {
  Play(Stream(GoodEvents()));

  RunScale({"--dry-run", "--timeout=90s", "--priority=1", "--label", "team=a", "--parent", "wf",
            "--parent-step", "2", "--request-id", "7d444840-9dc0-11d1-b245-5ffdce74fad2"});

  ASSERT_THAT(server_.executions.submitted, SizeIs(1));
  const v1::ExecuteActionRequest& request = server_.executions.submitted[0];
  EXPECT_EQ(request.request_id(), "7d444840-9dc0-11d1-b245-5ffdce74fad2");
  EXPECT_EQ(request.action(), "ScaleDeployment");
  EXPECT_EQ(request.parameters().fields().at("replicas").number_value(), 3);
  EXPECT_EQ(request.parameters().fields().at("namespace").string_value(), "shop");
  EXPECT_TRUE(request.dry_run());
  EXPECT_EQ(request.timeout().seconds(), 90);
  EXPECT_EQ(request.priority(), 1);
  EXPECT_EQ(request.labels().at("team"), "a");
  EXPECT_EQ(request.parent().name(), "wf");
  EXPECT_EQ(request.parent().step(), 2);
  EXPECT_EQ(request.wait_until(), v1::ExecuteActionRequest::WAIT_UNTIL_TERMINAL);
}

TEST_F(CommandsTest, WithoutARequestIdEachRunHasItsOwn) {
  Play(Stream(GoodEvents()));
  Play(Stream(GoodEvents()));

  RunScale();
  RunScale();

  EXPECT_THAT(server_.executions.submitted[0].request_id(), SizeIs(36));
  EXPECT_NE(server_.executions.submitted[0].request_id(),
            server_.executions.submitted[1].request_id());
}

TEST_F(CommandsTest, ParametersComeFromStandardInputToo) {
  in_.str(R"({"deployment": "web", "replicas": 5})");
  Play(Stream(GoodEvents()));

  Command({"action", "run", "ScaleDeployment", "--parameters-file", "-", "-p", "replicas=4"});

  EXPECT_EQ(server_.executions.submitted[0].parameters().fields().at("replicas").number_value(), 4);
  EXPECT_EQ(server_.executions.submitted[0].parameters().fields().at("deployment").string_value(),
            "web");
}

TEST_F(CommandsTest, AParametersFileThatIsNoneIsUsage) {
  in_.str("[]");

  EXPECT_EQ(Command({"action", "run", "A", "--parameters-file", "-"}), 2);
  EXPECT_THAT(err(), HasSubstr("Error: -: want one JSON object"));
  EXPECT_EQ(Command({"action", "run", "A", "--parameters-file", "/no/such/file"}), 2);
  EXPECT_THAT(err(), HasSubstr("cannot read /no/such/file"));
  EXPECT_EQ(Command({"action", "run", "A", "--label", "x"}), 2);
  EXPECT_THAT(server_.executions.submitted, IsEmpty());
}

TEST_F(CommandsTest, ABrokenStreamIsResumedAfterItsLastEvent) {
  Play(Stream(GoodEvents(), 0, 4), kDraining);
  Play(Stream(GoodEvents(), 4, 6), kDraining);
  Play(Stream(GoodEvents(), 6));

  EXPECT_EQ(RunScale(), 0);
  ASSERT_THAT(server_.executions.watched, SizeIs(2));
  EXPECT_EQ(server_.executions.watched[0].name(), kName);
  EXPECT_EQ(server_.executions.watched[0].after_seq(), 4);
  EXPECT_EQ(server_.executions.watched[1].after_seq(), 6);
  EXPECT_THAT(err(), HasSubstr("Connection lost (UNAVAILABLE: draining); going on in 250ms."));
}

TEST_F(CommandsTest, TheLinesOfAResumedRunAreThoseOfAnUnbrokenOne) {
  Play(Stream(GoodEvents()));
  RunScale();
  const std::string unbroken = out();
  out_.str("");
  Play(Stream(GoodEvents(), 0, 4), kDraining);
  Play(Stream(GoodEvents(), 2));  // says some events again

  RunScale();

  EXPECT_EQ(out(), unbroken);
}

TEST_F(CommandsTest, AStreamThatEndsEarlyWithoutAnErrorIsResumed) {
  Play(Stream(GoodEvents(), 0, 4));
  Play(Stream(GoodEvents(), 4));

  EXPECT_EQ(RunScale(), 0);
  EXPECT_THAT(err(), HasSubstr("The stream ended early"));
}

TEST_F(CommandsTest, S2_9_AnUnansweredSubmitIsSentAgainWithTheSameRequestId) {
  Play({}, kDraining);
  server_.executions.scripts.push_back(
      {.updates = Stream(GoodEvents()), .end = {}, .deduplicated = true});

  EXPECT_EQ(RunScale(), 0);
  ASSERT_THAT(server_.executions.submitted, SizeIs(2));
  EXPECT_EQ(server_.executions.submitted[0].request_id(),
            server_.executions.submitted[1].request_id());
  EXPECT_THAT(err(), Not(HasSubstr("submitted before")));
}

TEST_F(CommandsTest, ARequestSubmittedBeforeIsSaidToBeSo) {
  server_.executions.scripts.push_back(
      {.updates = Stream(GoodEvents()), .end = {}, .deduplicated = true});

  EXPECT_EQ(RunScale(), 0);
  EXPECT_THAT(err(), HasSubstr("This request had been submitted before: executions/01932b5c"));
}

TEST_F(CommandsTest, ASubmitThatIsNeverAnsweredSaysHowToFindIt) {
  Play({}, kDraining);
  Play({}, kDraining);
  Play({}, kDraining);

  EXPECT_EQ(RunScale({"--request-id=7d444840-9dc0-11d1-b245-5ffdce74fad2"}), 64 + 14);
  EXPECT_THAT(err(),
              HasSubstr("The same command with --request-id=7d444840-9dc0-11d1-b245-5ffdce74fad2"));
}

TEST_F(CommandsTest, AStreamThatBreaksForGoodSaysHowToGoOn) {
  Play(Stream(GoodEvents(), 0, 4), {grpc::StatusCode::INTERNAL, "boom"});

  EXPECT_EQ(RunScale(), 64 + 13);
  EXPECT_THAT(err(), AllOf(HasSubstr("Error: INTERNAL: boom"),
                           HasSubstr("execution watch executions/01932b5c")));
}

TEST_F(CommandsTest, S2_7_ARefusedRequestPrintsTheServersReasons) {
  google::rpc::Status status;
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field("action");
  violation->set_description("got \"Nope\", want one of: ScaleDeployment");
  status.add_details()->PackFrom(bad_request);
  Play({}, {grpc::StatusCode::INVALID_ARGUMENT, "refused", status.SerializeAsString()});

  EXPECT_EQ(Command({"action", "run", "Nope", "-p", "a=1"}), 64 + 3);
  EXPECT_THAT(err(), HasSubstr("  action: got \"Nope\", want one of: ScaleDeployment\n"));
  EXPECT_THAT(out(), IsEmpty());
}

TEST_F(CommandsTest, S2_55_ADenialIsExitCodeThree) {
  Play(Stream(DeniedEvents()));

  EXPECT_EQ(RunScale(), 3);
  EXPECT_THAT(out(), HasSubstr("namespace-restrictions/system: kube-system is off limits"));
}

TEST_F(CommandsTest, AnUnknownOutcomeIsExitCodeSix) {
  Play(Stream(EndedEvents("to: STATE_FAILED failure_reason: FAILURE_REASON_OUTCOME_UNKNOWN")));

  EXPECT_EQ(RunScale(), 6);
  EXPECT_THAT(out(), HasSubstr("It is not known whether the action took effect"));
}

TEST_F(CommandsTest, NoWaitPrintsTheNameOnly) {
  Play({Snapshot({Accepted()})});

  EXPECT_EQ(RunScale({"--no-wait"}), 0);
  EXPECT_EQ(out(), std::string(kName) + "\n");
  EXPECT_EQ(server_.executions.submitted[0].wait_until(),
            v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED);
}

TEST_F(CommandsTest, JsonOfARunIsTheExecutionAtItsEnd) {
  Play(Stream(GoodEvents()));

  EXPECT_EQ(RunScale({"-o", "json"}), 0);
  EXPECT_THAT(out(), AllOf(StartsWith("{\n \"name\": \"executions/"),
                           HasSubstr("\"state\": \"STATE_SUCCEEDED\""), EndsWith("}\n")));
}

TEST_F(CommandsTest, JsonOfAWatchIsALineForEachUpdate) {
  Play(Stream(EndedEvents("to: STATE_CANCELLED")));

  EXPECT_EQ(Command({"execution", "watch", kName, "-o", "json"}), 5);
  EXPECT_THAT(out(), StartsWith("{\"snapshot\":{\"name\":\"executions/"));
  EXPECT_EQ(CountLines(out()), 4) << out();
}

TEST_F(CommandsTest, JsonErrorsAreObjects) {
  EXPECT_EQ(Command({"execution", "get", "executions/none", "-o", "json"}), 64 + 5);
  EXPECT_EQ(err(), "{\"error\":{\"code\":5,\"message\":\"no such execution\"}}\n");
}

TEST_F(CommandsTest, ATerminalShowsOneLiveLineThenTheEnd) {
  terminal_ = true;
  clock_ = &system_;
  Play(Stream(GoodEvents()));

  EXPECT_EQ(RunScale(), 0);
  EXPECT_THAT(out(), HasSubstr("  RUNNING  ScaleDeployment Deployment shop/web"));
  EXPECT_THAT(out(), HasSubstr("\r\033[J\033[?25hSUCCEEDED  ScaleDeployment"));
  EXPECT_THAT(out(), Not(HasSubstr("accepted")));
}

TEST_F(CommandsTest, ControlCDetachesAndSaysHowToGoOn) {
  clock_ = &system_;
  server_.executions.scripts.push_back(
      {.updates = Stream(GoodEvents(), 0, 4), .end = {}, .hang = true});
  std::jthread interrupter([&] {
    server_.executions.AwaitHanging();
    stop_.request_stop();
  });

  EXPECT_EQ(Command({"execution", "watch", kName, "--address", server_.address}), 130);
  EXPECT_THAT(err(), HasSubstr("The execution goes on.\n  watch it:   capstan --address=" +
                               server_.address + " execution watch executions/01932b5c"));
}

TEST_F(CommandsTest, WaitingTooLongIsExitCodeFour) {
  clock_ = &system_;
  server_.executions.scripts.push_back(
      {.updates = Stream(GoodEvents(), 0, 4), .end = {}, .hang = true});

  EXPECT_EQ(Command({"execution", "watch", kName, "--wait-timeout", "300ms"}), 4);
  EXPECT_THAT(err(), HasSubstr("Stopped waiting after 300ms. The execution goes on."));
}

TEST_F(CommandsTest, WatchTakesTheUuidAlone) {
  Play(Stream(GoodEvents()));

  EXPECT_EQ(Command({"execution", "watch", "01932b5c-7d1e-7f00-8a00-0123456789ab"}), 0);
  EXPECT_EQ(server_.executions.watched[0].name(), kName);
}

TEST_F(CommandsTest, GetShowsOneExecution) {
  EXPECT_EQ(Command({"execution", "get", kName}), 0);
  EXPECT_THAT(out(), HasSubstr("state       SUCCEEDED\n"));
}

TEST_F(CommandsTest, GetShowsAllPagesOfEvents) {
  server_.executions.events = GoodEvents();

  EXPECT_EQ(Command({"execution", "get", kName, "--events"}), 0);
  EXPECT_EQ(CountLines(out()), 9) << out();
}

TEST_F(CommandsTest, ListGoesOnUntilTheLimit) {
  v1::ListExecutionsResponse page;
  *page.add_executions() = Project(GoodEvents());
  page.set_next_page_token("more");
  server_.executions.pages = {page, page};

  EXPECT_EQ(Command({"execution", "list", "--limit", "2", "--filter", "state = SUCCEEDED"}), 0);
  EXPECT_THAT(out(), StartsWith("NAME "));
  EXPECT_EQ(CountLines(out()), 3) << out();
  EXPECT_EQ(server_.executions.listed[0].filter(), "state = SUCCEEDED");
  EXPECT_EQ(server_.executions.listed[0].page_size(), 2);
  EXPECT_EQ(server_.executions.listed[1].page_token(), "more");
  EXPECT_THAT(err(), HasSubstr("There are more"));
}

TEST_F(CommandsTest, CancelSaysThatItWasRequested) {
  server_.executions.execution = Project({Accepted(), Validating()});

  EXPECT_EQ(Command({"execution", "cancel", kName, "--reason", "wrong one"}), 0);
  EXPECT_EQ(server_.executions.cancelled[0].reason(), "wrong one");
  EXPECT_THAT(out(), StartsWith("Cancel requested; it is VALIDATING now."));
}

TEST_F(CommandsTest, CancelSaysThatItCameTooLate) {
  EXPECT_EQ(Command({"execution", "cancel", kName}), 0);
  EXPECT_EQ(out(), "It had ended already: SUCCEEDED\n");
}

TEST_F(CommandsTest, LogsAreCopiedAsTheyAre) {
  server_.executions.log = std::string("line\n\x00\xff", 7);

  EXPECT_EQ(Command({"execution", "logs", kName}), 0);
  EXPECT_EQ(out(), server_.executions.log);
}

TEST_F(CommandsTest, FollowedLogsGoOnAfterABreak) {
  server_.executions.log = "first half, second half\n";

  EXPECT_EQ(Command({"execution", "logs", "-f", kName}), 0);
  EXPECT_EQ(out(), server_.executions.log);
}

TEST_F(CommandsTest, ActionsAreListedAndShown) {
  EXPECT_EQ(Command({"action", "list"}), 0);
  EXPECT_THAT(out(),
              HasSubstr("ScaleDeployment  reversible  Deployment  Sets the number of replicas.\n"));
  EXPECT_EQ(Command({"action", "show", "ScaleDeployment"}), 0);
  EXPECT_THAT(out(), HasSubstr("replicas    integer 0..1000"));
  EXPECT_EQ(Command({"action", "show", "Nope"}), 64 + 5);
}

TEST_F(CommandsTest, WorkersAreListed) {
  server_.admin.workers = Parse<v1::ListWorkersResponse>(
      "workers { name: 'workers/1' host: 'a' version: '1' state: STATE_DRAINING executions_held: 2 "
      "}");

  EXPECT_EQ(Command({"worker", "list"}), 0);
  EXPECT_THAT(out(), HasSubstr("workers/1  DRAINING  a     1        2"));
}

TEST_F(CommandsTest, ManifestsNeedNoServer) {
  EXPECT_EQ(Command({"manifests", "--catalog-dir", CAPSTAN_SOURCE_DIR "/catalog", "--image",
                     "kubectl=local/kubectl:v1", "--actions-namespace", "jobs",
                     "--target-namespace", "shop"}),
            0);
  EXPECT_THAT(out(), AllOf(HasSubstr("name: jobs\n"), HasSubstr("local/kubectl:v1"),
                           HasSubstr("namespace: shop\n")));
}

TEST_F(CommandsTest, ManifestsSayWhatIsWrong) {
  EXPECT_EQ(Command({"manifests", "--catalog-dir", "/none"}), 2);
  EXPECT_THAT(err(), HasSubstr("catalog directory /none/actions"));
  EXPECT_EQ(
      Command({"manifests", "--catalog-dir", CAPSTAN_SOURCE_DIR "/catalog", "--image", "kubectl"}),
      2);
}

TEST_F(CommandsTest, AWordThatIsNoCommandIsNamedWithThoseThatAre) {
  EXPECT_EQ(Command({"execution", "show", "executions/1"}), 2);
  EXPECT_THAT(err(), HasSubstr("Error: execution: got \"show\", want one of "));
  EXPECT_THAT(err(), HasSubstr("get, "));
  EXPECT_EQ(Command({"perform"}), 2);
  EXPECT_THAT(err(), HasSubstr("Error: capstan: got \"perform\", want one of action, execution, "));
  EXPECT_EQ(Command({"stop"}), 2);
  EXPECT_THAT(err(), HasSubstr("Error: stop: got nothing, want one of create, "));
}

TEST_F(CommandsTest, VersionIsTextOrJson) {
  EXPECT_EQ(Command({"version"}), 0);
  EXPECT_EQ(Command({"version", "-o", "json"}), 0);
  EXPECT_THAT(out(), AllOf(StartsWith("capstan "), HasSubstr("{\"version\":\"")));
}

TEST_F(CommandsTest, ACaFileThatIsNotThereIsUsage) {
  EXPECT_EQ(Command({"worker", "list", "--ca-file", "/none"}), 2);
  EXPECT_THAT(err(), HasSubstr("--ca-file: /none cannot be read"));
}

}  // namespace
}  // namespace capstan::cli
