// Actions that wait for people: what they see, what their word is bound to, and that nothing is
// launched without it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/scenarios/operations.h"
#include "tests/scenarios/ten_actions.h"
#include "tests/support/status_matchers.h"

namespace capstan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using v1::ApprovalSummary;
using v1::Execution;

constexpr char kWeb[] = "targets/Deployment/default/web";

// Scaling to more than five needs approvals; how many, by whom and how soon is in `obligation`.
std::string Rules(const std::string& obligation) {
  return absl::StrCat("violations := set()\n\nobligations contains {\"type\": \"approval\", ",
                      obligation,
                      ", \"reason\": \"more than five\"} if input.parameters.replicas > 5\n");
}

class ApprovalTest : public ::testing::Test {
 protected:
  static SystemOptions Options() {
    SystemOptions options;
    options.named_callers = true;
    return options;
  }
  void Start(const std::string& obligation) {
    WriteBundle(*system_, "four-eyes", Rules(obligation));
    worker_ = system_->StartWorker();
  }
  kubesim::KubeSim& kube() { return system_->kube(); }
  std::string SubmitMany(int replicas = 6) { return *Submit(server_, Scale(replicas), "alice"); }
  absl::Status Approve(const std::string& name, const std::string& caller) {
    return Decide(server_, name, Get(server_, name).approval().plan_digest(), true, caller);
  }

  std::unique_ptr<System> system_ = System::Make(Options());
  Server server_ = system_->StartServer({}, {"--groups=leads=unauthenticated:lea"});
  std::unique_ptr<Process> worker_;
};

TEST_F(ApprovalTest, S2_37_WhatWaitsHoldsNothingAndRunsOnceSomebodyElseHasAgreed) {
  Start("\"quorum\": 1");
  const std::string name = SubmitMany();
  const v1::StateChanged blocked = WaitBlocked(server_, name, Execution::BLOCK_REASON_APPROVAL);
  const ApprovalSummary approval = WaitApproval(server_, name);

  EXPECT_EQ(approval.state(), ApprovalSummary::STATE_PENDING);
  EXPECT_EQ(approval.reason(), "more than five");
  EXPECT_THAT(blocked.message(), HasSubstr("1 approval"));
  EXPECT_EQ(JobsCreated(kube()), 0);
  EXPECT_THAT(Targets(server_), IsEmpty());
  EXPECT_EQ(SqlValue(system_->dsn(), "SELECT count(*) FROM lease"), "0");
  EXPECT_EQ(Explain(server_, name)->reasons(0).code(), "APPROVAL");
  grpc::ClientContext context;
  v1::ListApprovalsResponse open;
  ASSERT_TRUE(server_.approvals->ListApprovals(&context, {}, &open).ok());
  ASSERT_THAT(open.approvals(), SizeIs(1));
  EXPECT_EQ(open.approvals(0).execution(), name);
  EXPECT_EQ(open.approvals(0).requester(), "unauthenticated:alice");
  EXPECT_THAT(Approve(name, "alice"), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(Decide(server_, name, "another plan", true, "bob"),
              StatusIs(absl::StatusCode::kFailedPrecondition));

  ASSERT_OK(Approve(name, "bob"));
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  const Execution execution = Get(server_, name);
  EXPECT_EQ(execution.approval().state(), ApprovalSummary::STATE_APPROVED);
  ASSERT_THAT(execution.approval().decisions(), SizeIs(1));
  EXPECT_EQ(execution.approval().decisions(0).caller(), "unauthenticated:bob");
  EXPECT_EQ(execution.approval().decisions(0).reason(), "looks right");
  const auto asked = std::find_if(run.events.begin(), run.events.end(),
                                  [](const auto& event) { return event.has_approval_requested(); });
  ASSERT_NE(asked, run.events.end());
  EXPECT_THAT(asked->approval_requested().plan().rendered_job(), HasSubstr("--replicas=6"));
  EXPECT_EQ(kube().Replicas("default", "web"), 6);
  EXPECT_EQ(JobsCreated(kube()), 1);
  EXPECT_THAT(AuditProblems(server_), IsEmpty());
}

TEST_F(ApprovalTest, WhatNeedsNoApprovalDoesNotWait) {
  Start("\"quorum\": 1");
  EXPECT_EQ(Execute(server_, Scale(3), "alice").End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(ApprovalTest, S2_36_ADryRunSaysThatItWouldWaitAndAsksNobody) {
  Start("\"quorum\": 2");
  const Streamed run = Execute(server_, DryRun(Scale(6)), "alice");

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_TRUE(run.End().outcome().plan().policy_decision().requires_approval());
  EXPECT_EQ(run.End().outcome().plan().policy_decision().approval().quorum(), 2);
  EXPECT_FALSE(Get(server_, run.snapshot->name()).has_approval());
}

TEST_F(ApprovalTest, S2_37_ANoEndsIt) {
  Start("\"quorum\": 2");
  const std::string name = SubmitMany();
  const ApprovalSummary approval = WaitApproval(server_, name);

  ASSERT_OK(Decide(server_, name, approval.plan_digest(), false, "bob"));
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_APPROVAL_REJECTED);
  EXPECT_THAT(run.End().message(), HasSubstr("unauthenticated:bob: not now"));
  EXPECT_EQ(JobsCreated(kube()), 0);
  EXPECT_THAT(Approve(name, "carol"), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(ApprovalTest, S2_37_WithoutAnAnswerInTimeItFails) {
  Start("\"quorum\": 1, \"timeout_seconds\": 1");
  const Streamed run = Execute(server_, Scale(6), "alice");

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_APPROVAL_TIMEOUT);
  EXPECT_EQ(Get(server_, run.snapshot->name()).approval().state(), ApprovalSummary::STATE_EXPIRED);
  EXPECT_EQ(JobsCreated(kube()), 0);
}

TEST_F(ApprovalTest, AQuorumIsOfDifferentPeople) {
  Start("\"quorum\": 2");
  const std::string name = SubmitMany();
  WaitApproval(server_, name);

  ASSERT_OK(Approve(name, "bob"));
  WatchUntil(server_, name, v1::ExecutionEvent::kApprovalDecided);
  ASSERT_OK(Approve(name, "bob"));
  int decided = 0;
  const Streamed ignored = WatchUntil(server_, name, [&](const v1::ExecutionEvent& event) {
    return event.has_approval_decided() && ++decided == 2;
  });
  EXPECT_EQ(ignored.events.back().approval_decided().ignored(), "said so before");
  EXPECT_EQ(Get(server_, name).state(), Execution::STATE_BLOCKED);
  EXPECT_EQ(JobsCreated(kube()), 0);

  ASSERT_OK(Approve(name, "carol"));
  EXPECT_EQ(Watch(server_, name).End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(ApprovalTest, OnlyMembersOfTheGroupDecide) {
  Start("\"quorum\": 1, \"groups\": [\"leads\"]");
  const std::string name = SubmitMany();
  WaitApproval(server_, name);

  EXPECT_THAT(Approve(name, "bob"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("leads")));
  ASSERT_OK(Approve(name, "lea"));
  EXPECT_EQ(Watch(server_, name).End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(ApprovalTest, ATargetThatMovedMeanwhileMakesTheApprovalVoidAndItIsAskedForAnew) {
  Start("\"quorum\": 1");
  const std::string name = SubmitMany();
  const ApprovalSummary first = WaitApproval(server_, name);
  // It holds no lock: another one runs through on the same target.
  ASSERT_EQ(Execute(server_, Scale(2), "dave").End().to(), Execution::STATE_SUCCEEDED);

  ASSERT_OK(Approve(name, "bob"));
  const ApprovalSummary second = WaitApproval(server_, name, 2);

  EXPECT_NE(second.plan_digest(), first.plan_digest());
  EXPECT_EQ(second.state(), ApprovalSummary::STATE_PENDING);
  EXPECT_THAT(second.decisions(), IsEmpty());
  EXPECT_EQ(kube().Replicas("default", "web"), 2);
  EXPECT_EQ(JobsCreated(kube()), 1);
  EXPECT_THAT(Decide(server_, name, first.plan_digest(), true, "carol"),
              StatusIs(absl::StatusCode::kFailedPrecondition));

  ASSERT_OK(Approve(name, "bob"));
  const Streamed run = Watch(server_, name);
  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(run.End().outcome().resources(0).before().fields().at("replicas").number_value(), 2);
}

TEST_F(ApprovalTest, RulesThatChangedMeanwhileMakeTheApprovalVoidAndItIsAskedForAnew) {
  Start("\"quorum\": 1");
  const std::string name = SubmitMany();
  const ApprovalSummary first = WaitApproval(server_, name);
  WriteBundle(*system_, "four-eyes", Rules("\"quorum\": 2"));
  const std::string loaded = "\"policies loaded\"";
  ASSERT_TRUE(WaitForFile(system_->LogFile("worker-2.log"), *worker_, [&] {
    const std::string log = worker_->Log();
    return log.find(loaded, log.find(loaded) + 1) != std::string::npos;
  }));

  ASSERT_OK(Approve(name, "bob"));
  const ApprovalSummary second = WaitApproval(server_, name, 2);

  EXPECT_EQ(second.quorum(), 2);
  EXPECT_NE(second.plan_digest(), first.plan_digest());
  ASSERT_OK(Approve(name, "bob"));
  ASSERT_OK(Approve(name, "carol"));
  EXPECT_EQ(Watch(server_, name).End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(ApprovalTest, AWorkerThatIsReplacedWhileItWaitsChangesNothing) {
  Start("\"quorum\": 1");
  const std::string name = SubmitMany();
  const ApprovalSummary first = WaitApproval(server_, name);

  worker_->Signal(SIGKILL);
  worker_->Wait();
  ASSERT_OK(Approve(name, "bob"));
  worker_ = system_->StartWorker();
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  EXPECT_EQ(Get(server_, name).approval().number(), 1);
  EXPECT_EQ(JobsCreated(kube()), 1);
}

TEST_F(ApprovalTest, ACancelEndsTheWaiting) {
  Start("\"quorum\": 1");
  const std::string name = SubmitMany();
  WaitApproval(server_, name);

  ASSERT_OK(Cancel(server_, name, "not needed any more"));
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_CANCELLED);
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_NONE);
  grpc::ClientContext context;
  v1::ListApprovalsResponse open;
  ASSERT_TRUE(server_.approvals->ListApprovals(&context, {}, &open).ok());
  EXPECT_THAT(open.approvals(), IsEmpty());
}

TEST_F(ApprovalTest, AfterItsApprovalItWaitsForTheTargetLikeAnyOther) {
  Start("\"quorum\": 1");
  const std::string name = SubmitMany();
  WaitApproval(server_, name);
  kube().HoldJobs();
  const std::string holder = *Submit(server_, Scale(1), "dave");  // changes nothing
  WatchUntil(server_, holder, v1::ExecutionEvent::kJobArmed);

  ASSERT_OK(Approve(name, "bob"));
  WaitBlocked(server_, name, Execution::BLOCK_REASON_TARGET_LOCK);
  EXPECT_THAT(Targets(server_)[kWeb].waiting(), ElementsAre(name));
  kube().ReleaseJobs();

  EXPECT_EQ(Watch(server_, holder).End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(Watch(server_, name).End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(Get(server_, name).approval().number(), 1);
}

TEST_F(ApprovalTest, S2_30a_RulesSeeWhatElseIsChangedAndWhatTheJobsAccountMayDo) {
  WriteBundle(*system_, "probe", R"(
violations contains {"id": "probe/saw", "message": json.marshal({"c": input.cluster_state, "a": input.account})} if {
	input.target_resource.name == "api"
}
)");
  kube().AddDeployment("default", "api", 1);
  kube().HoldJobs();
  worker_ = system_->StartWorker({}, {"--policy.environment=production"});
  const std::string name = *Submit(server_, Scale(3), "alice");
  WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);

  const Streamed asked = Execute(server_, Scale(3, "default", "api"), "alice");
  kube().ReleaseJobs();
  ASSERT_EQ(Watch(server_, name).End().to(), Execution::STATE_SUCCEEDED);
  const Streamed alone = Execute(server_, Scale(3, "default", "api"), "alice");

  EXPECT_THAT(asked.End().message(), HasSubstr(R"("c":{"concurrent_actions":1})"));
  EXPECT_THAT(alone.End().message(), HasSubstr(R"("c":{"concurrent_actions":0})"));
  EXPECT_THAT(asked.End().message(), HasSubstr(R"("name":"kubernetes-executor-scale-deployment")"));
  EXPECT_THAT(asked.End().message(), HasSubstr(R"("resources":["deployments/scale"])"));
}

TEST_F(ApprovalTest, S2_29_InProductionAnImageIsTriedAndApprovedFirst) {
  worker_ = system_->StartWorker({}, {"--policy.environment=production"});
  const auto request = [] {
    return Request("UpdateImage", {{"namespace", "default"},
                                   {"deployment", "web"},
                                   {"container", "main"},
                                   {"image", "registry.example/web:2.0"}});
  };
  EXPECT_THAT(Execute(server_, request(), "alice").End().message(),
              HasSubstr("production/no-dry-run"));
  EXPECT_THAT(Execute(server_, Scale(21), "alice").End().message(),
              HasSubstr("production/too-many-replicas"));
  // What somebody else has tried does not count.
  ASSERT_EQ(Execute(server_, DryRun(request()), "bob").End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_THAT(Execute(server_, request(), "alice").End().message(),
              HasSubstr("production/no-dry-run"));
  ASSERT_EQ(Execute(server_, DryRun(request()), "alice").End().to(), Execution::STATE_SUCCEEDED);

  const std::string name = *Submit(server_, request(), "alice");
  EXPECT_THAT(WaitApproval(server_, name).reason(), HasSubstr("UpdateImage in production"));
  ASSERT_OK(Approve(name, "bob"));
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
}

}  // namespace
}  // namespace capstan::testing
