// The promises on a real Kubernetes: kube-apiserver, controllers, scheduler, kubelet, containerd,
// and kubectl in the action's pod. The apiserver's audit log is the witness.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/e2e/cluster_under_test.h"

namespace capstan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using v1::Execution;
using v1::ExecutionEvent;

std::string Replicas(const std::string& deployment) {
  return Kubectl(absl::StrCat("get deployment ", deployment,
                              " -o jsonpath='{.spec.replicas}/{.status.readyReplicas}'"));
}

class EndToEndTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    Install();
    Kubectl("apply -f tests/e2e/web.yaml");
    Kubectl("rollout status deployment/web --timeout=120s");
  }

  void SetUp() override {
    Kubectl("scale deployment web --replicas=1");
    Kubectl("rollout status deployment/web --timeout=120s");
  }

  // An action whose Job runs until it is ended: the pods of `stuck` never fit on a node.
  std::string SubmitEndless() { return *Submit(server_, Scale(2, "default", "stuck")); }

  std::unique_ptr<System> system_ = MakeSystem({}, {.worker_program = "capstan-worker-faults"});
  Server server_ = system_->StartServer();
};

TEST_F(EndToEndTest, S2_55_ScaleDeploymentFromOneToThreeIsSeenByKubectl) {
  const auto worker = system_->StartWorker();

  const Streamed run = Execute(server_, Scale(3));

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  EXPECT_EQ(Replicas("web"), "3/3");
  EXPECT_EQ(run.End().outcome().resources(0).before().fields().at("replicas").number_value(), 1);
  EXPECT_EQ(run.End().outcome().resources(0).after().fields().at("replicas").number_value(), 3);
  EXPECT_EQ(CountAudit("create", "jobs", JobOf(run.snapshot->name())), 1);
  EXPECT_EQ(PodsCreatedFor(JobOf(run.snapshot->name())), 1);
}

TEST_F(EndToEndTest, S2_24_KubeSystemIsDeniedWithItsRuleAndNoJobReachesTheApiserver) {
  const auto worker = system_->StartWorker();

  const Streamed run = Execute(server_, Scale(0, "kube-system", "coredns"));

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_POLICY_DENIED);
  EXPECT_THAT(run.End().message(), HasSubstr("namespace-restrictions/protected-namespace"));
  EXPECT_THAT(Shell(absl::StrCat("grep -c ", JobOf(run.snapshot->name()), " ",
                                 Environment("CAPSTAN_E2E_AUDIT_LOG")),
                    /*must=*/false),
              HasSubstr("0"));
}

TEST_F(EndToEndTest, S2_36_ADryRunReturnsThePlanAndLeavesNoObject) {
  const auto worker = system_->StartWorker();
  v1::ExecuteActionRequest request = Scale(3);
  request.set_dry_run(true);

  const Streamed run = Execute(server_, request);

  EXPECT_TRUE(run.End().outcome().dry_run());
  EXPECT_THAT(run.End().outcome().plan().rendered_job(), HasSubstr("--replicas=3"));
  EXPECT_EQ(CountAudit("create", "jobs", JobOf(run.snapshot->name())), 0);
  EXPECT_EQ(Replicas("web"), "1/1");
}

TEST_F(EndToEndTest, S2_9_TheSameRequestFromSixtyFourClientsMakesOneJob) {
  const auto worker = system_->StartWorker();
  const v1::ExecuteActionRequest request = Scale(2);

  const std::vector<std::string> names = ExecuteFromMany(server_, request, 64);

  EXPECT_THAT(std::set<std::string>(names.begin(), names.end()), SizeIs(1));
  EXPECT_EQ(CountAudit("create", "jobs", JobOf(names[0])), 1);
  EXPECT_EQ(PodsCreatedFor(JobOf(names[0])), 1);
}

TEST_F(EndToEndTest, AWorkerKilledRightAfterTheJobWasCreatedIsReplacedAndOnePodRuns) {
  const auto first = system_->StartWorker({{"CAPSTAN_FAILPOINT", "job.create.after:crash"}});
  const std::string name = *Submit(server_, Scale(3));
  first->Wait();
  const auto second = system_->StartWorker();

  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  EXPECT_EQ(CountAudit("create", "jobs", JobOf(name)), 1);
  EXPECT_EQ(PodsCreatedFor(JobOf(name)), 1);
  EXPECT_EQ(Replicas("web"), "3/3");
}

TEST_F(EndToEndTest, AWorkerKilledRightAfterArmingIsReplacedAndOnePodRuns) {
  const auto first = system_->StartWorker({{"CAPSTAN_FAILPOINT", "job.arm.after:crash"}});
  const std::string name = *Submit(server_, Scale(3));
  first->Wait();
  const auto second = system_->StartWorker();

  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  EXPECT_EQ(CountAudit("create", "jobs", JobOf(name)), 1);
  EXPECT_EQ(PodsCreatedFor(JobOf(name)), 1);
}

TEST_F(EndToEndTest, S2_19_F6_AJobDeletedFromOutsideAfterArmingIsAnUnknownOutcomeAndNotRecreated) {
  const auto worker = system_->StartWorker();
  const std::string name = SubmitEndless();
  WatchUntil(server_, name, ExecutionEvent::kJobArmed);

  Kubectl(absl::StrCat("-n capstan-actions delete job ", JobOf(name),
                       " --force --grace-period=0 --wait=false"));
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN);
  EXPECT_EQ(CountAudit("create", "jobs", JobOf(name)), 1);
}

TEST_F(EndToEndTest, ACancelRemovesTheRunningJobAndItsPod) {
  const auto worker = system_->StartWorker();
  const std::string name = SubmitEndless();
  WatchUntil(server_, name, ExecutionEvent::kJobArmed);

  ASSERT_TRUE(Cancel(server_, name, "").ok());
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_CANCELLED);
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_POSSIBLE);
  EXPECT_THAT(Kubectl("-n capstan-actions get pods,jobs -o name"), Not(HasSubstr(JobOf(name))));
}

TEST_F(EndToEndTest, S2_18_AJobPastItsTimeoutEndsDeadlineExceeded) {
  const auto worker = system_->StartWorker();
  v1::ExecuteActionRequest request = Scale(2, "default", "stuck");
  request.mutable_timeout()->set_seconds(10);

  const Streamed run = Execute(server_, request);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_DEADLINE_EXCEEDED)
      << run.End().DebugString();
}

TEST_F(EndToEndTest, S2_32_AnEmptiedPolicyDirectoryDeniesTheNextActionAndTheWorkerLives) {
  const auto worker = system_->StartWorker();
  for (const auto& entry : std::filesystem::directory_iterator(system_->policies())) {
    std::filesystem::remove_all(entry.path());
  }

  const Streamed run = Execute(server_, Scale(3));

  EXPECT_EQ(run.End().to(), Execution::STATE_FAILED);
  EXPECT_EQ(CountAudit("create", "jobs", JobOf(run.snapshot->name())), 0);
  EXPECT_TRUE(worker->Running());
}

TEST_F(EndToEndTest, TheLogOfTheActionIsStoredAndItsJobIsDeletedAfterTheEnd) {
  const auto worker = system_->StartWorker();
  const Streamed run = Execute(server_, Scale(2));

  const std::string log = ReadLog(server_, run.snapshot->name());

  EXPECT_THAT(log, HasSubstr("deployment.apps/web scaled"));
  EXPECT_THAT(log, HasSubstr("successfully rolled out"));
  Kubectl(absl::StrCat("-n capstan-actions wait --for=delete job/", JobOf(run.snapshot->name()),
                       " --timeout=30s"));
}

TEST_F(EndToEndTest, AServerKilledInMidStreamIsReplacedByAnotherWithoutAGap) {
  const auto worker = system_->StartWorker();
  const std::string name = *Submit(server_, Scale(3));
  const Streamed before = WatchUntil(server_, name, ExecutionEvent::kJobCreated);
  Server other = system_->StartServer();

  server_.process->Signal(SIGKILL);
  const Streamed after = Watch(other, name, before.events.back().seq());

  std::vector<ExecutionEvent> all = before.events;
  all.insert(all.end(), after.events.begin(), after.events.end());
  EXPECT_TRUE(SameEvents(all, ListEvents(other, name)));
}

TEST_F(EndToEndTest, TheActionsAccountMayScaleAndNothingElse) {
  const std::string as =
      " --as=system:serviceaccount:capstan-actions:kubernetes-executor-scale-deployment -n default";

  EXPECT_THAT(Kubectl(absl::StrCat("auth can-i patch deployments --subresource=scale", as)),
              HasSubstr("yes"));
  EXPECT_THAT(Kubectl(absl::StrCat("auth can-i get secrets", as), false), HasSubstr("no"));
  EXPECT_THAT(Kubectl(absl::StrCat("auth can-i delete deployments", as), false), HasSubstr("no"));
  EXPECT_THAT(Kubectl(absl::StrCat("auth can-i create pods", as), false), HasSubstr("no"));
}

}  // namespace
}  // namespace capstan::testing
