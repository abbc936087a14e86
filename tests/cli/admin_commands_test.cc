// `capstan stop …`, `capstan target …`, `capstan budget …` and `capstan audit …`.
#include <gmock/gmock.h>

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

constexpr char kStop[] = "stop { name: 'stops/7' scope { namespace: 'shop' } caller: 'anna' } ";

class AdminCommandsTest : public CommandsTest {
 protected:
  AdminCommandsTest() {
    server_.admin.stop = Parse<v1::EmergencyStopResponse>(kStop);
    server_.admin.lift = Parse<v1::LiftEmergencyStopResponse>(
        std::string(kStop) + "waiting: 'executions/1' waiting: 'executions/2' waiting_count: 5");
  }

  // The scope that was sent when the command line has this flag.
  v1::StopScope ScopeFor(const std::string& flag) {
    EXPECT_EQ(Command({"stop", "create", flag, "--reason=fire"}), 0);
    return server_.admin.stopped.back().scope();
  }
};

TEST_F(AdminCommandsTest, AStopSaysThatItIsInForceAndHowToLiftIt) {
  EXPECT_EQ(Command({"stop", "create", "--namespace=shop", "--reason=fire"}), 0);

  ASSERT_THAT(server_.admin.stopped, SizeIs(1));
  EXPECT_THAT(server_.admin.stopped[0].request_id(), SizeIs(36));
  EXPECT_EQ(server_.admin.stopped[0].reason(), "fire");
  EXPECT_FALSE(server_.admin.stopped[0].cancel_running());
  EXPECT_EQ(out(),
            "Stopped: namespace shop (stops/7). Nothing in this scope is launched from now on.\n"
            "What has been launched goes on.\n"
            "To lift it: capstan stop lift stops/7 --reason=WHY\n");
}

TEST_F(AdminCommandsTest, AStopHasTheScopeOfItsFlag) {
  EXPECT_TRUE(ScopeFor("--all").all());
  EXPECT_EQ(ScopeFor("--namespace=shop").namespace_(), "shop");
  EXPECT_EQ(ScopeFor("--action=DrainNode").action(), "DrainNode");
  EXPECT_EQ(ScopeFor("--worker=workers/1").worker(), "workers/1");
  EXPECT_EQ(ScopeFor("--worker=1").worker(), "workers/1");
}

TEST_F(AdminCommandsTest, AStopHasExactlyOneScopeAndAReason) {
  EXPECT_EQ(Command({"stop", "create", "--reason=fire"}), 2);
  EXPECT_EQ(Command({"stop", "create", "--all", "--namespace=shop", "--reason=fire"}), 2);
  EXPECT_EQ(Command({"stop", "create", "--all"}), 2);
  EXPECT_EQ(Command({"stop", "create", "--all", "--reason="}), 2);
  EXPECT_EQ(Command({"stop", "create", "--reason=", "--all"}), 2);
  EXPECT_THAT(server_.admin.stopped, IsEmpty());
}

TEST_F(AdminCommandsTest, AStopWhoseScopeWasForgottenIsRefused) {
  EXPECT_EQ(Command({"stop", "create", "--namespace=", "--cancel-running", "--reason=fire"}), 2);
  EXPECT_THAT(err(), HasSubstr("--namespace: got \"\", want a name"));
  EXPECT_EQ(Command({"stop", "create", "--reason=fire", "--worker", "--cancel-running"}), 2);
  EXPECT_EQ(Command({"stop", "create", "--reason=fire", "--action="}), 2);
  EXPECT_THAT(server_.admin.stopped, IsEmpty());
}

TEST_F(AdminCommandsTest, AStopCanCancelWhatRuns) {
  server_.admin.stop.add_cancelled("executions/1");

  EXPECT_EQ(Command({"stop", "create", "--all", "--reason=fire", "--cancel-running"}), 0);
  EXPECT_TRUE(server_.admin.stopped[0].cancel_running());
  EXPECT_THAT(out(),
              AllOf(HasSubstr("  cancel requested: executions/1\n"), Not(HasSubstr("goes on"))));
  server_.admin.stop.clear_cancelled();
  EXPECT_EQ(Command({"stop", "create", "--all", "--reason=fire", "--cancel-running"}), 0);
  EXPECT_THAT(out(), HasSubstr("Nothing was running in it.\n"));
}

TEST_F(AdminCommandsTest, AnUnansweredStopIsSentAgainAndThenSaysHowToFindIt) {
  for (int i = 0; i < 3; ++i) server_.admin.refusals.Push(kDraining);

  EXPECT_EQ(Command({"stop", "create", "--all", "--reason=fire"}), 64 + 14);
  ASSERT_THAT(server_.admin.stopped, SizeIs(3));
  EXPECT_EQ(server_.admin.stopped[0].request_id(), server_.admin.stopped[2].request_id());
  EXPECT_THAT(err(), HasSubstr("with --request-id=" + server_.admin.stopped[0].request_id()));
}

TEST_F(AdminCommandsTest, AStopThatWasLiftedMeanwhileIsSaidToBeSo) {
  server_.admin.stop.mutable_stop()->mutable_lift_time()->set_seconds(kCreated);

  EXPECT_EQ(Command({"stop", "create", "--all", "--reason=fire"}), 0);
  EXPECT_EQ(out(), "stops/7 was lifted at 2027-01-15T08:00:00.000Z: it stops nothing any more.\n");
}

TEST_F(AdminCommandsTest, JsonOfAStopIsTheAnswer) {
  EXPECT_EQ(Command({"stop", "create", "--all", "--reason=fire", "-o", "json"}), 0);
  EXPECT_THAT(out(), HasSubstr("\"name\": \"stops/7\""));
}

TEST_F(AdminCommandsTest, StopsAreListed) {
  server_.admin.stops = Parse<v1::ListEmergencyStopsResponse>(
      "stops { name: 'stops/8' scope { all: true } caller: 'bob' reason: 'fire' } "
      "stops { name: 'stops/7' scope { action: 'DrainNode' } caller: 'anna' reason: 'why not' }");

  EXPECT_EQ(Command({"stop", "list"}), 0);
  EXPECT_EQ(out(),
            "NAME     SCOPE             CALLER  CREATED  REASON\n"
            "stops/8  everything        bob     -        fire\n"
            "stops/7  action DrainNode  anna    -        why not\n");
  EXPECT_EQ(Command({"stop", "list", "-o", "json"}), 0);
  EXPECT_THAT(out(), HasSubstr("\"all\": true"));
}

TEST_F(AdminCommandsTest, AListThatFailsIsAnError) {
  server_.admin.refusals.Push({grpc::StatusCode::INTERNAL, "boom"});

  EXPECT_EQ(Command({"stop", "list"}), 64 + 13);
}

TEST_F(AdminCommandsTest, ADryRunOfALiftShowsWhatWouldStart) {
  EXPECT_EQ(Command({"stop", "lift", "7", "--reason=over", "--dry-run"}), 0);

  EXPECT_EQ(server_.admin.lifted[0].name(), "stops/7");
  EXPECT_TRUE(server_.admin.lifted[0].validate_only());
  EXPECT_EQ(out(),
            "Dry run: stops/7 (namespace shop) stays in force. Lifting it would start 5 "
            "executions.\n"
            "  executions/1\n"
            "  executions/2\n"
            "  and 3 more\n");
}

TEST_F(AdminCommandsTest, ALiftShowsWhatStarts) {
  EXPECT_EQ(Command({"stop", "lift", "stops/7", "--reason=over"}), 0);
  EXPECT_EQ(server_.admin.lifted[0].reason(), "over");
  EXPECT_FALSE(server_.admin.lifted[0].validate_only());
  EXPECT_THAT(out(), StartsWith("Lifted: stops/7 (namespace shop). Starting now: 5 executions.\n"));
  EXPECT_EQ(Command({"stop", "lift", "stops/7", "--reason=over", "-o", "json"}), 0);
  EXPECT_THAT(out(), HasSubstr("\"waitingCount\": \"5\""));
}

TEST_F(AdminCommandsTest, ALiftOfWhatThereIsNotSaysWhereToLook) {
  server_.admin.refusals.Push(
      Refusal(grpc::StatusCode::NOT_FOUND, "STOP_NOT_FOUND", "there is no stops/9"));

  EXPECT_EQ(Command({"stop", "lift", "9", "--reason=over"}), 64 + 5);
  EXPECT_THAT(err(), EndsWith("capstan stop list shows the stops in force.\n"));
}

TEST_F(AdminCommandsTest, ALiftNeedsANameAndAReason) {
  EXPECT_EQ(Command({"stop", "lift", "7"}), 2);
  EXPECT_EQ(Command({"stop", "lift", "--reason=over"}), 2);
}

TEST_F(AdminCommandsTest, TargetsAreListedWithWhoHoldsThem) {
  v1::ListTargetsResponse page = Parse<v1::ListTargetsResponse>(R"pb(
    targets {
      name: "targets/Deployment/shop/web"
      holder: "executions/1"
      hold_time { seconds: 1799999935 }
      waiting: "executions/2"
    }
    targets {
      name: "targets/Node/n1"
      blocked_by: "executions/3"
      block_message: "the drain stopped half way"
      consecutive_failures: 2
    }
    targets {
      name: "targets/Node/n2"
      backoff_until { seconds: 1800000060 }
    }
    targets {
      name: "targets/Node/n3"
      backoff_until { seconds: 1799999999 }
    })pb");
  server_.admin.target_pages = {page};

  EXPECT_EQ(Command({"target", "list"}), 0);
  EXPECT_THAT(
      out(),
      AllOf(HasSubstr("targets/Deployment/shop/web  HELD                                    "
                      "executions/1  1:05      1        0         -"),
            HasSubstr("targets/Node/n1              BLOCKED                                 -     "
                      "        -         0        2         executions/3  the drain stopped half"),
            HasSubstr("targets/Node/n2              BACKOFF until 2027-01-15T08:01:00.000Z"),
            HasSubstr("targets/Node/n3              FREE ")));
}

TEST_F(AdminCommandsTest, TargetsAreListedUntilTheLimit) {
  v1::ListTargetsResponse page;
  page.add_targets()->set_name("targets/Node/n1");
  page.set_next_page_token("more");
  server_.admin.target_pages = {page, page};

  EXPECT_EQ(Command({"target", "list", "--limit=2", "-o", "json"}), 0);
  EXPECT_EQ(server_.admin.targets_listed[0].page_size(), 2);
  EXPECT_EQ(server_.admin.targets_listed[1].page_size(), 1);
  EXPECT_EQ(server_.admin.targets_listed[1].page_token(), "more");
  EXPECT_THAT(out(), HasSubstr("\"nextPageToken\": \"more\""));
  EXPECT_THAT(err(), IsEmpty());
}

TEST_F(AdminCommandsTest, ABlockIsClearedAndTheNextInLineIsNamed) {
  server_.admin.target = Parse<v1::TargetStatus>("name: 'targets/Node/n1' waiting: 'executions/2'");

  EXPECT_EQ(Command({"target", "clear", "Node/n1", "--reason=looked at it"}), 0);
  EXPECT_EQ(server_.admin.cleared[0].name(), "targets/Node/n1");
  EXPECT_EQ(server_.admin.cleared[0].reason(), "looked at it");
  EXPECT_EQ(out(), "Cleared: targets/Node/n1. Next of 1 that wait: executions/2\n");
  server_.admin.target.clear_waiting();
  EXPECT_EQ(Command({"target", "clear", "targets/Node/n1", "--reason=looked at it"}), 0);
  EXPECT_EQ(server_.admin.cleared[1].name(), "targets/Node/n1");
  EXPECT_THAT(out(), EndsWith("Nothing waits for it.\n"));
  EXPECT_EQ(Command({"target", "clear", "targets/Node/n1", "--reason=r", "-o", "json"}), 0);
  EXPECT_THAT(out(), EndsWith("{\n \"name\": \"targets/Node/n1\"\n}\n"));
}

TEST_F(AdminCommandsTest, ATargetThatIsNotBlockedIsAnError) {
  server_.admin.refusals.Push(
      Refusal(grpc::StatusCode::FAILED_PRECONDITION, "NOT_BLOCKED", "it is not blocked"));

  EXPECT_EQ(Command({"target", "clear", "Node/n1", "--reason=r"}), 64 + 9);
  EXPECT_THAT(err(), HasSubstr("NOT_BLOCKED: it is not blocked\ncapstan target list shows"));
}

TEST_F(AdminCommandsTest, AClearNeedsANameAndAReason) {
  EXPECT_EQ(Command({"target", "clear", "Node/n1"}), 2);
  EXPECT_EQ(Command({"target", "clear", "--reason=r"}), 2);
  EXPECT_THAT(server_.admin.cleared, IsEmpty());
}

TEST_F(AdminCommandsTest, S4_24_BudgetsAreListedWithWhatIsLeft) {
  server_.admin.budgets = Parse<v1::ListProjectBudgetsResponse>(R"pb(
    budgets { project: "attic" month: "2026-11" spent_microusd: 1230000 is_upper_bound: true }
    budgets {
      project: "shop"
      month: "2026-11"
      monthly_limit_microusd: 20000000
      spent_microusd: 12500000
      reserved_microusd: 2000000
    }
    budgets {
      project: "yard"
      month: "2026-11"
      monthly_limit_microusd: 1000000
      spent_microusd: 1500000
    })pb");

  EXPECT_EQ(Command({"budget", "list"}), 0);
  EXPECT_EQ(out(),
            "PROJECT  MONTH    LIMIT     SPENT    RESERVED  LEFT\n"
            "attic    2026-11  no limit  <=$1.23  $0.00     -\n"
            "shop     2026-11  $20.00    $12.50   $2.00     $5.50\n"
            "yard     2026-11  $1.00     $1.50    $0.00     -$0.50\n");
}

TEST_F(AdminCommandsTest, S4_24_ABudgetIsSetInDollars) {
  server_.admin.budget = Parse<v1::ProjectBudget>(
      "project: 'shop' month: '2026-11' monthly_limit_microusd: 20500000 spent_microusd: 1000000 "
      "reserved_microusd: 500000");

  EXPECT_EQ(Command({"budget", "set", "shop", "20.50", "--reason=as agreed"}), 0);
  ASSERT_THAT(server_.admin.budgets_set, SizeIs(1));
  EXPECT_EQ(server_.admin.budgets_set[0].project(), "shop");
  EXPECT_EQ(server_.admin.budgets_set[0].monthly_limit_microusd(), 20'500'000);
  EXPECT_EQ(server_.admin.budgets_set[0].reason(), "as agreed");
  EXPECT_EQ(out(),
            "Set: project shop may cost $20.50 a month; in 2026-11 $1.00 is spent and $0.50 "
            "reserved.\n");
  server_.admin.budget.clear_monthly_limit_microusd();
  EXPECT_EQ(Command({"budget", "set", "shop", "0", "--reason=open"}), 0);
  EXPECT_EQ(server_.admin.budgets_set[1].monthly_limit_microusd(), 0);
  EXPECT_THAT(out(), HasSubstr("Set: project shop has no limit; in 2026-11 "));
}

TEST_F(AdminCommandsTest, ABudgetNeedsAProjectAnAmountAndAReason) {
  EXPECT_EQ(Command({"budget", "set", "shop", "20"}), 2);
  EXPECT_EQ(Command({"budget", "set", "shop", "--reason=r"}), 2);
  EXPECT_EQ(Command({"budget", "set", "shop", "much", "--reason=r"}), 2);
  EXPECT_THAT(err(), HasSubstr("got \"much\", want US dollars such as 2.50, at most 1000000"));
  EXPECT_EQ(Command({"budget", "set", "shop", "2000000", "--reason=r"}), 2);
  EXPECT_THAT(server_.admin.budgets_set, IsEmpty());
}

TEST_F(AdminCommandsTest, AWholeAuditLogIsExitCodeZero) {
  server_.admin.audit =
      Parse<v1::VerifyAuditResponse>("chains { name: 'c1' rows: 12 hash: 'abcd' }");

  EXPECT_EQ(Command({"audit", "verify"}), 0);
  EXPECT_EQ(out(),
            "The audit log is whole.\n"
            "CHAIN  ROWS  HASH OF THE LAST\n"
            "c1     12    abcd\n");
}

TEST_F(AdminCommandsTest, AnAuditLogThatWasChangedIsExitCodeOne) {
  server_.admin.audit = Parse<v1::VerifyAuditResponse>(
      "chains { name: 'c1' rows: 12 hash: 'abcd' } "
      "problems { chain: 'c1' number: 3 message: 'the row is missing' } "
      "problems { chain: 'c1' message: 'the chain ends at row 11, want 12' }");

  EXPECT_EQ(Command({"audit", "verify"}), 1);
  EXPECT_THAT(out(), StartsWith("chain c1 row 3: the row is missing\n"
                                "chain c1: the chain ends at row 11, want 12\n"
                                "The audit log is NOT whole: 2 problems.\n"));
  out_.str("");
  EXPECT_EQ(Command({"audit", "verify", "-o", "json"}), 1);
  EXPECT_THAT(out(), HasSubstr("\"message\": \"the row is missing\""));
}

TEST_F(AdminCommandsTest, AnAuditLogThatCannotBeReadIsAnError) {
  server_.admin.refusals.Push(kDraining);

  EXPECT_EQ(Command({"audit", "verify"}), 64 + 14);
  EXPECT_THAT(out(), IsEmpty());
}

}  // namespace
}  // namespace capstan::cli
