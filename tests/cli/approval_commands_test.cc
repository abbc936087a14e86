// `capstan approval …`, and executions that wait for one.
#include <gmock/gmock.h>

#include "cli/render_event.h"
#include "cli/render_execution.h"
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

constexpr auto kPrecondition = grpc::StatusCode::FAILED_PRECONDITION;
constexpr auto kDenied = grpc::StatusCode::PERMISSION_DENIED;

v1::ExecutionEvent Requested(int64_t seq, int number, const std::string& digest) {
  auto event =
      Event(seq, R"pb(approval_requested {
                        rule { quorum: 2 groups: "sre" groups: "oncall" reason: "production" }
                        expire_time { seconds: 1800003600 }
                        plan {
                          policy_decision {
                            allow: true
                            requires_approval: true
                            approval { quorum: 2 groups: "sre" groups: "oncall" }
                          }
                          rollback {
                            action: "ScaleDeployment"
                            parameters {
                              fields {
                                key: "replicas"
                                value { number_value: 1 }
                              }
                            }
                          }
                          condition_results {
                            phase: PHASE_PRE
                            name: "quota_free"
                            evaluated: true
                            message: "2 pods too many"
                          }
                          blast_radius { objects: "Deployment/shop/web" pods: 2 }
                          dry_run_error: "admission webhook said no"
                          expected_changes {
                            target { kind: "Deployment" namespace: "shop" name: "web" }
                            before {
                              fields {
                                key: "replicas"
                                value { number_value: 1 }
                              }
                            }
                            after {
                              fields {
                                key: "replicas"
                                value { number_value: 3 }
                              }
                            }
                          }
                        }
                      })pb");
  event.mutable_approval_requested()->set_number(number);
  event.mutable_approval_requested()->set_plan_digest(digest);
  event.mutable_approval_requested()->mutable_plan()->set_digest(digest);
  return event;
}

v1::ExecutionEvent Decided(int64_t seq, const std::string& more) {
  v1::ExecutionEvent event = Event(seq, "approval_decided { number: 1 " + more + " }");
  *event.mutable_approval_decided()->mutable_decision()->mutable_time() = event.time();
  return event;
}

v1::ExecutionEvent Blocked(int64_t seq) {
  return Event(seq, R"pb(state_changed {
                           to: STATE_BLOCKED
                           block_reason: BLOCK_REASON_APPROVAL
                           message: "waits for 2 approvals by sre or oncall; 0 so far"
                           blocked_until { seconds: 1800003600 }
                         })pb");
}

std::vector<v1::ExecutionEvent> WaitingEvents() {
  return {Accepted(), Validating(), Requested(3, 1, "abc"), Blocked(4)};
}

class ApprovalCommandsTest : public CommandsTest {
 protected:
  ApprovalCommandsTest() {
    server_.executions.events = WaitingEvents();
    server_.executions.execution = Project(WaitingEvents());
    server_.approvals.execution = server_.executions.execution;
  }

  // What the error says when the decision is refused with this.
  std::string ErrorOf(grpc::StatusCode code, const std::string& reason) {
    err_.str("");
    server_.approvals.refusals.Push(Refusal(code, reason, "the server's words"));
    EXPECT_EQ(Command({"approval", "approve", kName, "--reason=ok"}), 64 + code);
    return err();
  }
};

TEST_F(ApprovalCommandsTest, OpenApprovalsAreListed) {
  v1::ListApprovalsResponse page;
  *page.add_approvals() = Parse<v1::Approval>(R"pb(
    execution: "executions/1"
    action: "ScaleDeployment"
    target { kind: "Deployment" namespace: "shop" name: "web" }
    requester: "anna"
    approval {
      quorum: 2
      reason: "production"
      expire_time { seconds: 1800003600 }
      decisions { caller: "bob" approve: true }
    })pb");
  page.set_next_page_token("more");
  server_.approvals.pages = {page, page};

  EXPECT_EQ(Command({"approval", "list", "--limit=2"}), 0);
  EXPECT_EQ(CountLines(out()), 3) << out();
  EXPECT_THAT(out(), HasSubstr("executions/1  ScaleDeployment  Deployment shop/web  anna       1   "
                               "      2 of anybody but the requester  2027-01-15T09:00:00.000Z  "
                               "production\n"));
  EXPECT_EQ(server_.approvals.listed[1].page_token(), "more");
  EXPECT_THAT(err(), HasSubstr("There are more"));
}

TEST_F(ApprovalCommandsTest, JsonOfAListIsTheAnswer) {
  server_.approvals.pages = {Parse<v1::ListApprovalsResponse>("approvals { requester: 'anna' }")};

  EXPECT_EQ(Command({"approval", "list", "-o", "json"}), 0);
  EXPECT_THAT(out(), HasSubstr("\"requester\": \"anna\""));
}

TEST_F(ApprovalCommandsTest, ShowPrintsThePlanThatIsToBeApproved) {
  EXPECT_EQ(Command({"approval", "show", "01932b5c-7d1e-7f00-8a00-0123456789ab"}), 0);
  EXPECT_THAT(
      out(),
      AllOf(HasSubstr("action      ScaleDeployment\n"),
            HasSubstr("parameters  deployment=web namespace=shop replicas=3\n"),
            HasSubstr("wants       2 of sre or oncall\n"), HasSubstr("because     production\n"),
            HasSubstr("Policy: allowed once approved by 2 of sre or oncall\n"),
            HasSubstr("Check: precondition quota_free does not hold (warning): 2 pods too many\n"),
            HasSubstr("Touches: Deployment/shop/web; 2 pods may start, be replaced or stop\n")));
  EXPECT_THAT(
      out(),
      AllOf(HasSubstr("Expected: Deployment shop/web: replicas 1 -> 3\n"),
            HasSubstr("Undone by: ScaleDeployment replicas=1\n"),
            HasSubstr("Server-side dry run of the Job: REFUSED: admission webhook said no\n"),
            HasSubstr("Plan: sha256:abc\n"),
            HasSubstr("  capstan approval reject executions/01932b5c-7d1e-7f00-8a00-0123456789ab "
                      "--reason=WHY --plan-digest=abc\n")));
}

TEST_F(ApprovalCommandsTest, ShowPrintsTheNewestOfSeveral) {
  server_.executions.events = {
      Accepted(),
      Validating(),
      Requested(3, 1, "abc"),
      Event(4, "approval_ended { number: 1 state: STATE_VOID }"),
      Requested(5, 2, "def"),
      Blocked(6),
  };
  server_.executions.execution = Project(server_.executions.events);

  EXPECT_EQ(Command({"approval", "show", kName}), 0);
  EXPECT_THAT(out(), AllOf(HasSubstr("sha256:def"), Not(HasSubstr("sha256:abc"))));
}

TEST_F(ApprovalCommandsTest, ShowOfADecidedOneSaysNothingAboutDeciding) {
  server_.executions.events.push_back(
      Decided(5, "decision { caller: 'bob' reason: 'too late at night' }"));
  server_.executions.events.push_back(
      Event(6, "approval_ended { number: 1 state: STATE_REJECTED }"));
  server_.executions.execution = Project(server_.executions.events);

  EXPECT_EQ(Command({"approval", "show", kName}), 0);
  EXPECT_THAT(out(), AllOf(HasSubstr("approval    REJECTED\n"),
                           HasSubstr("decision    bob said no: too late at night at 2"),
                           Not(HasSubstr("To decide"))));
}

TEST_F(ApprovalCommandsTest, JsonOfAnApprovalIsItsRequest) {
  EXPECT_EQ(Command({"approval", "show", kName, "-o", "json"}), 0);
  EXPECT_THAT(out(), AllOf(HasSubstr("\"planDigest\": \"abc\""), HasSubstr("\"plan\": {")));
}

TEST_F(ApprovalCommandsTest, AnExecutionWithoutAnApprovalHasNothingToShowOrDecide) {
  server_.executions.execution = Project(GoodEvents());

  EXPECT_EQ(Command({"approval", "show", kName}), 64 + 9);
  EXPECT_THAT(err(), HasSubstr("has never asked for an approval; it is SUCCEEDED"));
  EXPECT_EQ(Command({"approval", "approve", kName, "--reason=ok"}), 64 + 9);
  EXPECT_THAT(server_.approvals.decided, IsEmpty());
}

TEST_F(ApprovalCommandsTest, AnApprovalWhoseRequestIsNotInTheEventsIsAnError) {
  server_.executions.events = {Accepted()};

  EXPECT_EQ(Command({"approval", "show", kName}), 64 + 5);
  EXPECT_THAT(out(), IsEmpty());
}

TEST_F(ApprovalCommandsTest, ApproveTakesTheDigestOfTheOpenApprovalAndPrintsIt) {
  EXPECT_EQ(Command({"approval", "approve", kName, "--reason", "looked at it", "--caller=bob"}), 0);

  ASSERT_THAT(server_.approvals.decided, SizeIs(1));
  const v1::DecideApprovalRequest& request = server_.approvals.decided[0];
  EXPECT_EQ(request.execution(), kName);
  EXPECT_EQ(request.plan_digest(), "abc");
  EXPECT_EQ(request.decision(), v1::DecideApprovalRequest::DECISION_APPROVE);
  EXPECT_EQ(request.reason(), "looked at it");
  EXPECT_THAT(server_.approvals.callers, ElementsAre("bob"));
  EXPECT_THAT(out(), StartsWith("Said yes to executions/01932b5c-7d1e-7f00-8a00-0123456789ab, plan "
                                "sha256:abc\nWatch it: capstan execution watch"));
}

TEST_F(ApprovalCommandsTest, ADigestThatIsGivenIsSentAsItIs) {
  EXPECT_EQ(Command({"approval", "approve", kName, "--reason=ok", "--plan-digest=def"}), 0);
  EXPECT_EQ(server_.approvals.decided[0].plan_digest(), "def");
}

TEST_F(ApprovalCommandsTest, RejectSaysNo) {
  EXPECT_EQ(Command({"approval", "reject", kName, "--reason=too risky"}), 0);
  EXPECT_EQ(server_.approvals.decided[0].decision(), v1::DecideApprovalRequest::DECISION_REJECT);
  EXPECT_THAT(out(), StartsWith("Said no to executions/"));
}

TEST_F(ApprovalCommandsTest, JsonOfADecisionIsTheExecution) {
  EXPECT_EQ(Command({"approval", "approve", kName, "--reason=ok", "-o", "json"}), 0);
  EXPECT_THAT(out(), HasSubstr("\"planDigest\": \"abc\""));
}

TEST_F(ApprovalCommandsTest, AnUnansweredDecisionIsSentAgain) {
  server_.approvals.refusals.Push(kDraining);

  EXPECT_EQ(Command({"approval", "approve", kName, "--reason=ok"}), 0);
  EXPECT_THAT(server_.approvals.decided, SizeIs(2));
}

TEST_F(ApprovalCommandsTest, ARefusedDecisionSaysWhatToDo) {
  EXPECT_EQ(ErrorOf(kDenied, "SELF_APPROVAL"),
            "Error: PERMISSION_DENIED SELF_APPROVAL: the server's words\n"
            "Somebody else has to decide.\n");
  EXPECT_THAT(ErrorOf(kDenied, "NOT_AN_APPROVER"), HasSubstr("Ask a member of such a group"));
  EXPECT_THAT(ErrorOf(kPrecondition, "NO_PENDING_APPROVAL"), HasSubstr("capstan approval list"));
  EXPECT_THAT(ErrorOf(kPrecondition, "PLAN_CHANGED"), HasSubstr("capstan approval show EXECUTION"));
}

TEST_F(ApprovalCommandsTest, ADecisionNeedsANameAndAReason) {
  EXPECT_EQ(Command({"approval", "approve", kName}), 2);
  EXPECT_EQ(Command({"approval", "approve", kName, "--reason="}), 2);
  EXPECT_EQ(Command({"approval", "reject", "--reason=no"}), 2);
  EXPECT_EQ(Command({"approval"}), 2);
  EXPECT_THAT(server_.approvals.decided, IsEmpty());
}

TEST_F(ApprovalCommandsTest, AWatchSaysHowToApproveOnceWhileItWaits) {
  std::vector<v1::ExecutionEvent> events = WaitingEvents();
  events.push_back(Decided(5, "decision { caller: 'bob' approve: true }"));
  events.push_back(Event(6, "state_changed { to: STATE_CANCELLED }"));
  Play(Stream(events));

  EXPECT_EQ(Command({"execution", "watch", kName}), 5);
  EXPECT_EQ(
      err(),
      "It waits for an approval.\n"
      "  see the plan:  capstan approval show executions/01932b5c-7d1e-7f00-8a00-0123456789ab\n"
      "  approve it:    capstan approval approve "
      "executions/01932b5c-7d1e-7f00-8a00-0123456789ab --reason=WHY\n");
}

TEST_F(ApprovalCommandsTest, AWatchOfWhatIsNotWaitingAnyMoreSaysNothing) {
  std::vector<v1::ExecutionEvent> events = WaitingEvents();
  events.push_back(Event(5, "state_changed { to: STATE_CANCELLED }"));
  std::vector<v1::ExecutionUpdate> updates = Stream(events);
  updates[0] = Snapshot(events);
  Play(updates);

  EXPECT_EQ(Command({"execution", "watch", kName}), 5);
  EXPECT_THAT(err(), IsEmpty());
}

TEST_F(ApprovalCommandsTest, ATerminalSaysHowToApproveToo) {
  terminal_ = true;
  clock_ = &system_;
  std::vector<v1::ExecutionEvent> events = WaitingEvents();
  events.push_back(Event(5, "state_changed { to: STATE_CANCELLED }"));
  Play(Stream(events));

  EXPECT_EQ(Command({"execution", "watch", kName}), 5);
  EXPECT_THAT(err(), HasSubstr("capstan approval approve executions/01932b5c"));
  EXPECT_THAT(out(), HasSubstr("BLOCKED(APPROVAL)  ScaleDeployment Deployment shop/web  until "
                               "2027-01-15T09:00:00.000Z  waits for 2 approvals"));
}

TEST(ApprovalRenderTest, EventsSayWhoSaidWhat) {
  EXPECT_THAT(EventLine(Requested(3, 1, "abc")),
              HasSubstr("approval  wants 2 of sre or oncall until 2027-01-15T09:00:00.000Z: "
                        "production; plan sha256:abc"));
  EXPECT_THAT(EventLine(Blocked(4)),
              HasSubstr("BLOCKED(APPROVAL), until 2027-01-15T09:00:00.000Z: waits for 2"));
  EXPECT_THAT(EventLine(Decided(5, "decision { caller: 'bob' approve: true reason: 'fine' }")),
              HasSubstr("approval  bob said yes: fine"));
  EXPECT_THAT(EventLine(Decided(5, "decision { caller: 'anna' } ignored: 'it came too late'")),
              HasSubstr("anna said no; it does not count: it came too late"));
  EXPECT_THAT(
      EventLine(Event(6, "approval_ended { number: 1 state: STATE_VOID message: 'new plan' }")),
      HasSubstr("approval  VOID: new plan"));
}

TEST(ApprovalRenderTest, DetailsShowTheApprovalAndHowToGiveIt) {
  std::vector<v1::ExecutionEvent> events = WaitingEvents();
  events.push_back(Decided(5, "decision { caller: 'bob' approve: true reason: 'fine' }"));
  const std::string text = Details(Project(events), {.program = "capstan --address=a:1"});

  EXPECT_THAT(text, AllOf(HasSubstr("state       BLOCKED(APPROVAL)\n"),
                          HasSubstr("approval    PENDING, wants 2 of sre or oncall: production\n"),
                          HasSubstr("decision    bob said yes: fine at 2027-01-15T08:00:04.000Z\n"),
                          HasSubstr("to approve  capstan --address=a:1 approval approve exec")));
}

TEST(ApprovalRenderTest, TheEndSaysWhoSaidNo) {
  std::vector<v1::ExecutionEvent> events = WaitingEvents();
  events.push_back(Decided(5, "decision { caller: 'bob' reason: 'too risky' }"));
  events.push_back(Event(6, R"pb(state_changed {
                                   to: STATE_FAILED
                                   failure_reason: FAILURE_REASON_APPROVAL_REJECTED
                                   outcome { effect: EFFECT_NONE }
                                 })pb"));
  const std::string text = EndText(Project(events), {});

  EXPECT_THAT(text, AllOf(StartsWith("FAILED(APPROVAL_REJECTED)"),
                          HasSubstr("\nApproval: bob said no: too risky\nNothing was changed.\n")));
}

}  // namespace
}  // namespace capstan::cli
