// Emergency stops: from its answer on nothing in its scope is launched, what runs is left alone or
// cancelled, and a lift starts what waited.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/scenarios/operations.h"
#include "tests/scenarios/ten_actions.h"
#include "tests/support/status_matchers.h"

namespace capstan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;
using v1::Execution;

class StopTest : public ::testing::Test {
 protected:
  kubesim::KubeSim& kube() { return system_->kube(); }
  std::string Hold() {
    kube().HoldJobs();
    const std::string name = *Submit(server_, Scale(2));
    WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);
    return name;
  }
  v1::ExecuteActionRequest Restart() {
    return Request("RestartDeployment", {{"namespace", "default"}, {"deployment", "web"}});
  }

  std::unique_ptr<System> system_ = System::Make();
  Server server_ = system_->StartServer();
  std::unique_ptr<Process> worker_ =
      system_->StartWorker({}, {"--kubernetes.qps=1000", "--kubernetes.burst=1000"});
};

TEST_F(StopTest, S2_21_AStopOfAllKeepsWhatComesWaitingUntilItIsLifted) {
  const v1::EmergencyStopResponse stop = *Stop(server_, StopAll());
  const std::string name = *Submit(server_, Scale(3));
  const v1::StateChanged blocked = WaitBlocked(server_, name, Execution::BLOCK_REASON_STOPPED);

  EXPECT_THAT(blocked.message(), HasSubstr(stop.stop().name()));
  EXPECT_THAT(blocked.message(), HasSubstr("something is on fire"));
  EXPECT_EQ(Explain(server_, name)->reasons(0).code(), "STOPPED");
  EXPECT_EQ(JobsCreated(kube()), 0);
  // A plan may still be looked at.
  EXPECT_EQ(Execute(server_, DryRun(Scale(3))).End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_THAT(Lift(server_, stop.stop().name(), /*validate_only=*/true)->waiting(),
              ElementsAre(name));
  EXPECT_EQ(Get(server_, name).state(), Execution::STATE_BLOCKED);

  const absl::StatusOr<v1::LiftEmergencyStopResponse> lifted = Lift(server_, stop.stop().name());
  ASSERT_OK(lifted);
  EXPECT_THAT(lifted->waiting(), ElementsAre(name));
  EXPECT_EQ(Watch(server_, name).End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_THAT(AuditProblems(server_), IsEmpty());
}

TEST_F(StopTest, S2_21_AStopOfANamespaceOrAnActionLeavesTheOthersAlone) {
  kube().AddDeployment("shop", "web", 1);
  const std::string shop = Stop(server_, StopNamespace("shop"))->stop().name();
  const std::string restarts = Stop(server_, StopAction("RestartDeployment"))->stop().name();
  const std::string in_shop = *Submit(server_, Scale(2, "shop"));
  const std::string restart = *Submit(server_, Restart());

  EXPECT_THAT(WaitBlocked(server_, in_shop, Execution::BLOCK_REASON_STOPPED).message(),
              HasSubstr(shop));
  EXPECT_THAT(WaitBlocked(server_, restart, Execution::BLOCK_REASON_STOPPED).message(),
              HasSubstr(restarts));
  EXPECT_EQ(Execute(server_, Scale(2)).End().to(), Execution::STATE_SUCCEEDED);

  EXPECT_THAT(Lift(server_, shop)->waiting(), ElementsAre(in_shop));
  EXPECT_EQ(Watch(server_, in_shop).End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(Get(server_, restart).state(), Execution::STATE_BLOCKED);
  EXPECT_THAT(Lift(server_, restarts)->waiting(), ElementsAre(restart));
  EXPECT_EQ(Watch(server_, restart).End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(StopTest, S2_21_AStopOfAWorkerHoldsWhatItComesTo) {
  const std::vector<v1::Worker> workers = Workers(server_);
  ASSERT_EQ(workers.size(), 1u);
  const std::string stop = Stop(server_, StopWorker(workers[0].name()))->stop().name();

  const std::string name = *Submit(server_, Scale(3));
  WaitBlocked(server_, name, Execution::BLOCK_REASON_STOPPED);
  EXPECT_EQ(JobsCreated(kube()), 0);

  EXPECT_THAT(Lift(server_, stop)->waiting(), ElementsAre(name));
  EXPECT_EQ(Watch(server_, name).End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(StopTest, S2_21_WhatRunsGoesOnUnlessItIsToBeCancelled) {
  const std::string running = Hold();
  const v1::EmergencyStopResponse stop = *Stop(server_, StopAll());
  EXPECT_THAT(stop.cancelled(), IsEmpty());
  EXPECT_EQ(Get(server_, running).state(), Execution::STATE_RUNNING);
  kube().ReleaseJobs();
  EXPECT_EQ(Watch(server_, running).End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(StopTest, S2_21_AStopThatCancelsRemovesTheJobsInItsScope) {
  kube().AddDeployment("shop", "web", 1);
  const std::string here = Hold();
  const std::string shop = *Submit(server_, Scale(2, "shop"));
  WatchUntil(server_, shop, v1::ExecutionEvent::kJobArmed);

  const v1::EmergencyStopResponse stop =
      *Stop(server_, StopNamespace("shop"), /*cancel_running=*/true);
  EXPECT_THAT(stop.cancelled(), ElementsAre(shop));
  const Streamed cancelled = Watch(server_, shop);

  EXPECT_EQ(cancelled.End().to(), Execution::STATE_CANCELLED);
  EXPECT_THAT(cancelled.End().message(), HasSubstr(stop.stop().name()));
  EXPECT_TRUE(kube().Get("jobs", "capstan-actions", JobOf(shop)).is_null());
  kube().ReleaseJobs();
  EXPECT_EQ(Watch(server_, here).End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(StopTest, ASecondStopStillHoldsWhenTheFirstIsLifted) {
  const std::string all = Stop(server_, StopAll())->stop().name();
  const std::string action = Stop(server_, StopAction("ScaleDeployment"))->stop().name();
  const std::string name = *Submit(server_, Scale(3));
  WaitBlocked(server_, name, Execution::BLOCK_REASON_STOPPED);

  EXPECT_THAT(Lift(server_, all)->waiting(), IsEmpty());
  EXPECT_EQ(Get(server_, name).state(), Execution::STATE_BLOCKED);
  EXPECT_THAT(Lift(server_, action)->waiting(), ElementsAre(name));
  EXPECT_EQ(Watch(server_, name).End().to(), Execution::STATE_SUCCEEDED);
}

// As by a server that dies between the commit of its lift and what it would have woken.
TEST_F(StopTest, S2_21_WhatWaitsGoesOnWhenTheServerDiesAfterTheLift) {
  Stop(server_, StopAll()).value();
  const std::string name = *Submit(server_, Scale(3));
  WaitBlocked(server_, name, Execution::BLOCK_REASON_STOPPED);

  MustRunSql(system_->dsn(), "UPDATE stop SET lifted_at = clock_timestamp()");

  EXPECT_EQ(Watch(server_, name).End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(StopTest, ACancelReachesWhatIsStopped) {
  Stop(server_, StopAll()).value();
  const std::string name = *Submit(server_, Scale(3));
  WaitBlocked(server_, name, Execution::BLOCK_REASON_STOPPED);

  ASSERT_OK(Cancel(server_, name, "never mind"));
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_CANCELLED);
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_NONE);
}

TEST_F(StopTest, AStopOutlivesTheWorkerAndWhatItHeld) {
  Stop(server_, StopAll()).value();
  const std::string name = *Submit(server_, Scale(3));
  WaitBlocked(server_, name, Execution::BLOCK_REASON_STOPPED);
  worker_->Signal(SIGKILL);
  worker_->Wait();
  worker_ = system_->StartWorker();

  const std::string later = *Submit(server_, Scale(4));
  WaitBlocked(server_, later, Execution::BLOCK_REASON_STOPPED);
  EXPECT_EQ(Get(server_, name).state(), Execution::STATE_BLOCKED);
  EXPECT_EQ(JobsCreated(kube()), 0);
}

// An execution whose uid was recorded before the stop may still be armed; no other one is.
TEST_F(StopTest, S2_21_AStopThatMeetsFiftySubmitsLaunchesNothingAfterItsAnswer) {
  constexpr int kMany = 50;
  for (int i = 0; i < kMany; ++i) kube().AddDeployment("default", absl::StrCat("web-", i), 1);
  std::mutex mu;
  std::vector<std::string> names;
  std::vector<std::thread> clients;
  std::atomic<int> next = 0;
  for (int client = 0; client < 5; ++client) {
    clients.emplace_back([&] {
      for (int i = next++; i < kMany; i = next++) {
        const std::string name = *Submit(server_, Scale(2, "default", absl::StrCat("web-", i)));
        const std::lock_guard lock(mu);
        names.push_back(name);
      }
    });
  }
  ASSERT_TRUE(kube().WaitFor([&] { return JobsCreated(kube()) >= 5; }));
  const std::string stop = Stop(server_, StopAll())->stop().name();
  const absl::Time answered = absl::Now();
  for (std::thread& client : clients) client.join();

  std::set<std::string> stopped, launched;
  for (const std::string& name : names) {
    const Streamed run = WatchUntil(server_, name, [](const v1::ExecutionEvent& event) {
      return event.state_changed().to() == Execution::STATE_BLOCKED ||
             event.state_changed().to() == Execution::STATE_SUCCEEDED;
    });
    (run.End().to() == Execution::STATE_BLOCKED ? stopped : launched).insert(name);
    for (const v1::ExecutionEvent& event : run.events) {
      if (!event.has_job_created()) continue;
      EXPECT_LT(
          absl::FromUnixSeconds(event.time().seconds()) + absl::Nanoseconds(event.time().nanos()),
          answered)
          << name;
      EXPECT_TRUE(launched.contains(name)) << name;
    }
  }
  std::printf("launched before the stop: %zu, held by it: %zu\n", launched.size(), stopped.size());
  for (const std::string& name : stopped) {
    EXPECT_EQ(kube().CountCalls("patch", "jobs", JobOf(name)), 0) << name;
    EXPECT_EQ(kube().PodsRun(JobOf(name)), 0) << name;
  }
  EXPECT_FALSE(stopped.empty());
  EXPECT_FALSE(launched.empty());

  EXPECT_THAT(Lift(server_, stop)->waiting(), UnorderedElementsAreArray(stopped));
  for (const Streamed& run : WatchAll(server_, names)) {
    EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
    EXPECT_EQ(kube().PodsRun(JobOf(run.snapshot->name())), 1);
  }
  EXPECT_EQ(JobsCreated(kube()), kMany);
}

}  // namespace
}  // namespace capstan::testing
