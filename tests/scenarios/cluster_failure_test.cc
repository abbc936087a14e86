// What a cluster does to executions beyond one bad answer: its API server, its controllers, its
// nodes and other people. F1 to F15 are the failures, by name; F2, F6, F8, F9 and F12 are also in
// fault_matrix_test, scenario_test and failure_test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "absl/strings/str_cat.h"
#include "tests/scenarios/operations.h"
#include "tests/scenarios/ten_actions.h"
#include "tests/support/status_matchers.h"

namespace capstan::testing {
namespace {

using kubesim::Fault;
using kubesim::FaultKind;
using kubesim::Json;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using v1::Execution;
using v1::ExecutionEvent;

constexpr char kActions[] = "capstan-actions";

// Of the worker's calls or watches, until it is cleared.
Fault Always(const std::string& verb, const std::string& resource, FaultKind kind, int code = 0) {
  Fault fault;
  fault.verb = verb;
  fault.resource = resource;
  fault.subresource = resource.empty() ? "*" : "";
  fault.user_agent_prefix = "capstan-worker";
  fault.kind = kind;
  fault.code = code;
  fault.count = -1;
  return fault;
}

class ClusterFailureTest : public ::testing::Test {
 protected:
  kubesim::KubeSim& kube() { return system_->kube(); }

  // Scales Deployments of their own, so that nothing waits for another one.
  std::vector<std::string> SubmitMany(int count) {
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) {
      const std::string deployment = absl::StrCat("web-", ++deployments_);
      kube().AddDeployment("default", deployment, 1);
      names.push_back(*Submit(server_, Scale(2, "default", deployment)));
    }
    return names;
  }
  // Whose Job runs until it is released.
  std::string SubmitRunning() {
    kube().HoldJobs();
    const std::string name = SubmitMany(1)[0];
    WatchUntil(server_, name, ExecutionEvent::kJobArmed);
    EXPECT_TRUE(kube().WaitFor([&] { return kube().PodsRun(JobOf(name)) == 1; }));
    return name;
  }
  bool WaitComplete(const std::string& name) {
    return kube().WaitFor([&] { return kube().JobHas(kActions, JobOf(name), "Complete"); });
  }
  // They ended well and the Job of each ran once.
  void ExpectAllSucceed(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const Streamed run = Watch(server_, name);
      EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
      EXPECT_EQ(kube().PodsRun(JobOf(name)), 1);
    }
    EXPECT_EQ(JobsCreated(kube()), deployments_);
  }

  int deployments_ = 0;
  std::unique_ptr<System> system_ = System::Make();
  Server server_ = system_->StartServer();
};

TEST_F(ClusterFailureTest, S2_10_F1_AServerThatAnswersEveryThirdCallWithTooManyIsWaitedFor) {
  std::vector<int> faults;
  for (int nth = 3; nth <= 120; nth += 3) {
    Fault busy = Always("", "", FaultKind::kStatus, 429);
    busy.nth = nth;
    busy.count = 1;
    faults.push_back(kube().InjectFault(busy));
  }
  const auto worker = system_->StartWorker();

  ExpectAllSucceed(SubmitMany(4));

  int hits = 0;
  for (const int fault : faults) hits += kube().FaultHits(fault);
  EXPECT_GE(hits, 10);
}

TEST_F(ClusterFailureTest, F3_AHistoryThatIsGoneIsReplacedByANewList) {
  const auto worker = system_->StartWorker();
  const std::string name = SubmitRunning();
  kube().SendBookmarks();
  kube().InjectFault(Always("watch", "", FaultKind::kStatus, 503));
  kube().CloseWatches();
  kube().ReleaseJobs();
  ASSERT_TRUE(WaitComplete(name));

  const int lists = kube().CountCalls("list", "jobs");
  kube().CompactHistory();
  kube().ClearFaults();

  ExpectAllSucceed({name});
  EXPECT_GT(kube().CountCalls("list", "jobs"), lists);
}

TEST_F(ClusterFailureTest, F4_AWatchThatTellsOldStatesAgainChangesNoDecision) {
  const auto worker = system_->StartWorker();
  const std::string name = SubmitRunning();
  const int jobs = kube().InjectFault(Always("watch", "jobs", FaultKind::kWatchReplayStale));
  const int pods = kube().InjectFault(Always("watch", "pods", FaultKind::kWatchReplayStale));

  kube().CloseWatches();
  ASSERT_TRUE(
      kube().WaitFor([&] { return kube().FaultHits(jobs) > 0 && kube().FaultHits(pods) > 0; }));
  EXPECT_EQ(Get(server_, name).state(), Execution::STATE_RUNNING);
  kube().ReleaseJobs();

  ExpectAllSucceed({name});
}

TEST_F(ClusterFailureTest, F5_OfAJobWhoseStatesWereAllMissedButTheLastOneTheEndIsSeen) {
  kube().HoldJobs();
  const auto worker = system_->StartWorker();
  const int fault = kube().InjectFault(Always("watch", "jobs", FaultKind::kWatchDrop));
  const std::string name = SubmitRunning();
  kube().ReleaseJobs();
  ASSERT_TRUE(WaitComplete(name));
  ASSERT_TRUE(kube().WaitFor([&] { return kube().FaultHits(fault) > 2; }));

  kube().ClearFaults();
  kube().CompactHistory();
  kube().CloseWatches();

  ExpectAllSucceed({name});
}

TEST_F(ClusterFailureTest, F7_AJobThatIsCleanedUpBeforeItsEndIsSeenIsAnUnknownOutcome) {
  const auto first = system_->StartWorker();
  const std::string name = SubmitRunning();
  EXPECT_FALSE(kube()
                   .Get("jobs", kActions, JobOf(name))
                   .contains("/spec/ttlSecondsAfterFinished"_json_pointer));
  first->Signal(SIGKILL);
  first->Wait();
  kube().ReleaseJobs();
  ASSERT_TRUE(WaitComplete(name));
  ASSERT_OK(kube().DeleteJobExternally(kActions, JobOf(name)));

  // Seen by a look at that Job; a list that lacks it would come later.
  kube().InjectFault(Always("list", "jobs", FaultKind::kStatus, 503));
  const auto second = system_->StartWorker();
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN)
      << run.End().DebugString();
  EXPECT_EQ(JobsCreated(kube()), 1);
}

TEST_F(ClusterFailureTest, F10_AForeignJobOfTheSameNameIsLeftAsItIs) {
  const std::string name = SubmitMany(1)[0];
  const Json container = {{"name", "theirs"}, {"image", "registry.example/theirs:1"}};
  ASSERT_OK(kube().Create(
      "jobs", kActions,
      {{"metadata", {{"name", JobOf(name)}}},
       {"spec",
        {{"suspend", true},
         {"template",
          {{"spec", {{"restartPolicy", "Never"}, {"containers", Json::array({container})}}}}}}}}));
  ASSERT_TRUE(kube().WaitFor([&] { return kube().JobHas(kActions, JobOf(name), "Suspended"); }));
  const Json theirs = kube().Get("jobs", kActions, JobOf(name));

  const auto worker = system_->StartWorker();
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_NAME_COLLISION)
      << run.End().DebugString();
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_NONE);
  EXPECT_EQ(kube().Get("jobs", kActions, JobOf(name)), theirs);
}

TEST_F(ClusterFailureTest, F11_AnActionWhoseNodeIsLostCannotBeShownToHaveEndedAndIsNotRepeated) {
  const auto worker = system_->StartWorker();
  const std::string name = SubmitMany(1)[0];
  kube().SetPodFate(JobOf(name), kubesim::PodFate::kNodeLost);
  WatchUntil(server_, name, ExecutionEvent::kJobArmed);
  ASSERT_TRUE(kube().WaitFor([&] { return kube().PodsRun(JobOf(name)) == 1; }));

  ASSERT_OK(Cancel(server_, name, "it does not answer"));
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN)
      << run.End().DebugString();
  EXPECT_EQ(kube().PodsRun(JobOf(name)), 1);
  EXPECT_EQ(kube().CountCalls("patch", "jobs", JobOf(name)), 1);
}

TEST_F(ClusterFailureTest, F13_HundredActionsSurviveARestartOfTheApiServer) {
  kube().HoldJobs();
  const auto worker =
      system_->StartWorker({}, {"--kubernetes.qps=1000", "--kubernetes.burst=1000"});
  std::vector<std::string> names = SubmitMany(100);
  WatchUntil(server_, names[50], ExecutionEvent::kJobArmed);

  const int down = kube().InjectFault(Always("", "", FaultKind::kResetBeforeApply));
  kube().CloseWatches();
  kube().ReleaseJobs();
  ASSERT_TRUE(kube().WaitFor([&] { return kube().FaultHits(down) >= 20; }));
  kube().CompactHistory();
  kube().ClearFaults();

  ExpectAllSucceed(names);
}

TEST_F(ClusterFailureTest, F14_ALogThatCannotBeReadSaysSoAndTheOutcomeIsKept) {
  Fault no_log = Always("get", "pods", FaultKind::kStatus, 500);
  no_log.subresource = "log";
  kube().InjectFault(no_log);
  const auto worker = system_->StartWorker();

  const std::string name = SubmitMany(1)[0];

  ExpectAllSucceed({name});
  EXPECT_THAT(ReadLog(server_, name), HasSubstr("[the rest of the log is missing: "));
}

TEST_F(ClusterFailureTest, F14_ThePodIsGoneWithItsLog) {
  const auto worker = system_->StartWorker();
  const std::string name = SubmitRunning();

  ASSERT_OK(kube().DeletePodExternally(
      kActions, kube().PodsOfJob(kActions, JobOf(name))[0]["metadata"]["name"]));
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_JOB_FAILED)
      << run.End().DebugString();
  EXPECT_THAT(ReadLog(server_, name),
              EndsWith("[the rest of the log is missing: the pod is gone]\n"));
}

TEST_F(ClusterFailureTest, F15_WithoutAJobControllerTheWaitIsExplainedAndEndsAtTheStartDeadline) {
  kube().PauseControllers();
  const auto worker = system_->StartWorker({}, {"--jobs.start_deadline=1s"});
  const std::string name = SubmitMany(1)[0];
  WatchUntil(server_, name, ExecutionEvent::kJobArmed);
  EXPECT_EQ(Explain(server_, name)->reasons(0).code(), "JOB_RUNNING");

  // The Job is deleted, which takes a controller as well.
  ASSERT_TRUE(kube().WaitFor([&] { return kube().CountCalls("delete", "jobs", JobOf(name)) > 0; }));
  kube().ResumeControllers();
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_FAILED_TO_START)
      << run.End().DebugString();
  EXPECT_THAT(run.End().message(), HasSubstr("the Job controller has made no pod yet"));
  EXPECT_EQ(kube().PodsRun(JobOf(name)), 0);
}

}  // namespace
}  // namespace capstan::testing
