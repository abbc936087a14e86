// The system's promises, each as a story: a real server, real workers, real Postgres, a simulated
// cluster.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <thread>

#include "tests/scenarios/system.h"
#include "tests/scenarios/ten_actions.h"
#include "tests/support/status_matchers.h"

namespace capstan::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using v1::Execution;

constexpr char kActions[] = "capstan-actions";

kubesim::Fault FaultOn(const std::string& verb, const std::string& resource,
                       kubesim::FaultKind kind) {
  kubesim::Fault fault;
  fault.verb = verb;
  fault.resource = resource;
  fault.kind = kind;
  return fault;
}

class ScenarioTest : public ::testing::Test {
 protected:
  std::unique_ptr<System> system_ = System::Make();
  Server server_ = system_->StartServer();
};

TEST_F(ScenarioTest, S2_17_S2_55_ScaleDeploymentRunsToItsEndAndStreamsEveryEvent) {
  const auto worker = system_->StartWorker();

  const Streamed run = Execute(server_, Scale(3));

  ASSERT_TRUE(run.status.ok()) << run.status.error_message();
  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  EXPECT_EQ(run.End().outcome().exit_code(), 0);
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_APPLIED);
  EXPECT_EQ(run.End().outcome().resources(0).before().fields().at("replicas").number_value(), 1);
  EXPECT_EQ(run.End().outcome().resources(0).after().fields().at("replicas").number_value(), 3);
  EXPECT_EQ(system_->kube().Replicas("default", "web"), 3);
  EXPECT_TRUE(SameEvents(run.events, ListEvents(server_, run.snapshot->name())));
}

TEST_F(ScenarioTest, S2_24_ACallIntoKubeSystemIsDeniedWithItsRuleAndCreatesNoJob) {
  const auto worker = system_->StartWorker();

  const Streamed run = Execute(server_, Scale(0, "kube-system", "coredns"));

  EXPECT_TRUE(run.status.ok());
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_POLICY_DENIED);
  EXPECT_THAT(run.End().message(), HasSubstr("namespace-restrictions/"));
  EXPECT_EQ(system_->kube().CountCalls("create", "jobs"), 0);
}

TEST_F(ScenarioTest, AContainerThatIsNotThereFailsThePreconditionThatSaysSo) {
  const auto worker = system_->StartWorker();
  v1::ExecuteActionRequest request = Scale(0);
  request.set_action("UpdateImage");
  auto& parameters = *request.mutable_parameters()->mutable_fields();
  parameters.erase("replicas");
  parameters["container"].set_string_value("none");
  parameters["image"].set_string_value("registry.example.com/web:2");

  const Streamed run = Execute(server_, request);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED)
      << run.End().DebugString();
  EXPECT_THAT(run.End().message(), HasSubstr("container_exists"));
}

TEST_F(ScenarioTest, S2_36_ADryRunReturnsThePlanAndLeavesNoObject) {
  const auto worker = system_->StartWorker();
  v1::ExecuteActionRequest request = Scale(3);
  request.set_dry_run(true);

  const Streamed run = Execute(server_, request);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_TRUE(run.End().outcome().dry_run());
  EXPECT_THAT(run.End().outcome().plan().rendered_job(), HasSubstr("--replicas=3"));
  EXPECT_EQ(JobsCreated(system_->kube()), 0);
  EXPECT_EQ(system_->kube().Replicas("default", "web"), 1);
}

TEST_F(ScenarioTest, S2_9_TheSameRequestFromManyClientsIsOneExecutionAndOneJob) {
  const auto worker = system_->StartWorker();
  const v1::ExecuteActionRequest request = Scale(3);

  const std::vector<std::string> names = ExecuteFromMany(server_, request, 64);

  EXPECT_THAT(std::set<std::string>(names.begin(), names.end()), SizeIs(1));
  EXPECT_EQ(system_->kube().CountCalls("create", "jobs"), 1);
  EXPECT_EQ(system_->kube().PodsRun(JobOf(names[0])), 1);
}

TEST_F(ScenarioTest, AWorkerThatDiesWhileTheJobRunsIsReplacedAndTheJobIsAdopted) {
  system_->kube().HoldJobs();
  auto first = system_->StartWorker();
  const std::string name = *Submit(server_, Scale(3));
  WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);
  ASSERT_TRUE(system_->kube().WaitFor([&] { return system_->kube().PodsRun(JobOf(name)) == 1; }));

  first->Signal(SIGKILL);
  const auto second = system_->StartWorker();
  WatchUntil(server_, name, v1::ExecutionEvent::kLeaseLost);
  system_->kube().ReleaseJobs();
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(system_->kube().PodsRun(JobOf(name)), 1);
  EXPECT_EQ(system_->kube().CountCalls("create", "jobs"), 1);
}

// Whoever takes over before the Job is armed decides again; that decision too can be replayed.
TEST(TakeoverTest, ADecisionMadeAgainAfterFactsCouldNotBeReadIsStoredWithItsInput) {
  SystemOptions options;
  options.worker_program = "capstan-worker-faults";
  const auto system = System::Make(options);
  Server server = system->StartServer();
  const auto first = system->LaunchWorker({{"CAPSTAN_FAILPOINT", "job.arm.before:crash"}});
  const std::string name = *Submit(server, Scale(3));
  first->Wait();

  kubesim::Fault fault = FaultOn("get", "deployments", kubesim::FaultKind::kStatus);
  fault.count = 8;  // more than one call is tried
  const int failed = system->kube().InjectFault(fault);
  const auto second = system->StartWorker();
  const Streamed run = Watch(server, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(system->kube().FaultHits(failed), fault.count);
  const SqlRows decisions =
      MustRunSql(system->dsn(),
                 "SELECT number, allow, nullif(input_json, '')::json #>> '{parameters,replicas}', "
                 "nullif(result_json, '')::json ->> 'allow' FROM policy_decision ORDER BY number");
  EXPECT_THAT(decisions,
              ElementsAre(ElementsAre("1", "t", "3", "true"), ElementsAre("2", "t", "3", "true")));
}

TEST(TakeoverTest, ACancelThatFindsTheJobOfALostAttemptDoneTellsThatItWasArmed) {
  SystemOptions options;
  options.worker_program = "capstan-worker-faults";
  const auto system = System::Make(options);
  Server server = system->StartServer();
  const auto first = system->LaunchWorker({{"CAPSTAN_FAILPOINT", "job.arm.after:crash"}});
  const std::string name = *Submit(server, Scale(3));
  first->Wait();
  ASSERT_TRUE(system->kube().WaitFor(
      [&] { return system->kube().JobHas(kActions, JobOf(name), "Complete"); }));
  ASSERT_OK(Cancel(server, name, "too late"));

  const auto second = system->StartWorker();
  const Streamed run = Watch(server, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  const auto armed = std::find_if(run.events.begin(), run.events.end(),
                                  [](const auto& event) { return event.has_job_armed(); });
  ASSERT_NE(armed, run.events.end());
  EXPECT_TRUE(armed->job_armed().found());
  EXPECT_TRUE(std::next(armed)->has_job_finished());
}

TEST_F(ScenarioTest, AWorkerThatWasPausedPastItsLeaseDoesNotActWhenItWakes) {
  system_->kube().HoldJobs();
  auto first = system_->StartWorker();
  const std::string name = *Submit(server_, Scale(3));
  WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);

  first->Signal(SIGSTOP);
  ASSERT_TRUE(first->WaitStopped());
  const auto second = system_->StartWorker();
  WatchUntil(server_, name, v1::ExecutionEvent::kLeaseLost);
  first->Signal(SIGCONT);
  ASSERT_TRUE(first->WaitForLog("declared dead"));
  system_->kube().ReleaseJobs();
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(system_->kube().PodsRun(JobOf(name)), 1);
}

// The fence of a worker that was paused, or cut off, stays shut until a heartbeat is answered, and
// the watch tells the end of a Job once: here the end is told while the fence is shut, and the
// worker is then found to have been alive all along.
TEST(WorkerTest, AJobWhoseEndWasToldWhileTheFenceWasShutIsLookedAtAgain) {
  constexpr absl::Duration kTtl = absl::Seconds(4);
  SystemOptions options;
  options.lease_ttl = kTtl;
  options.heartbeat = absl::Milliseconds(200);
  const auto system = System::Make(options);
  Server server = system->StartServer();
  const auto worker =
      system->StartWorker({}, {"--store.lock_timeout=10s", "--store.statement_timeout=10s"});
  system->kube().HoldJobs();
  std::vector<std::string> names;
  for (const char* const deployment : {"one", "two"}) {
    system->kube().AddDeployment("default", deployment, 1);
    names.push_back(*Submit(server, Scale(3, "default", deployment)));
    WatchUntil(server, names.back(), v1::ExecutionEvent::kJobArmed);
  }
  MustRunSql(system->dsn(), "CREATE TABLE answered (yes bool)");
  std::jthread unanswered([&] {  // no heartbeat, until `answered` has a row
    MustRunSql(system->dsn(),
               "DO $$ BEGIN PERFORM 1 FROM worker FOR UPDATE; FOR i IN 1..1000 LOOP EXIT WHEN "
               "EXISTS (SELECT FROM answered); PERFORM pg_sleep(0.01); END LOOP; END $$");
  });
  absl::SleepFor(kTtl * 0.85);  // the fault itself: the fence shuts after 0.8 of the lease time
  system->kube().ReleaseJobs();
  absl::SleepFor(kTtl * 0.05);  // the news are under way
  MustRunSql(system->dsn(), "INSERT INTO answered VALUES (true)");

  for (const std::string& name : names) {
    const Streamed run = Watch(server, name);
    ASSERT_TRUE(run.status.ok()) << run.status.error_message();
    EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
    EXPECT_EQ(system->kube().PodsRun(JobOf(name)), 1);
  }
}

TEST_F(ScenarioTest, S2_19_F6_AJobDeletedByOthersAfterItWasArmedIsAnUnknownOutcomeAndNotRecreated) {
  system_->kube().HoldJobs();
  const auto worker = system_->StartWorker();
  const std::string name = *Submit(server_, Scale(3));
  WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);
  ASSERT_TRUE(system_->kube().WaitFor([&] { return system_->kube().PodsRun(JobOf(name)) == 1; }));

  ASSERT_OK(system_->kube().DeleteJobExternally(kActions, JobOf(name)));
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN);
  EXPECT_EQ(system_->kube().CountCalls("create", "jobs"), 1);
}

// The delete ends the pods, and their Job then counts them as failed.
TEST_F(ScenarioTest, AJobThatFailsBecauseTheCancelDeletesItDoesNotEndItsExecutionAsFailed) {
  kubesim::KubeSim& kube = system_->kube();
  kube.HoldJobs();
  const auto worker = system_->StartWorker();
  const std::string name = *Submit(server_, Scale(3));
  const std::string job = JobOf(name);
  WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);
  ASSERT_TRUE(kube.WaitFor([&] { return kube.PodsRun(job) == 1; }));
  ASSERT_OK(kube.PatchExternally("jobs", kActions, job,
                                 {{"metadata", {{"finalizers", {"example.com/keeps-it"}}}}}));

  ASSERT_TRUE(Cancel(server_, name, "wrong deployment").ok());
  ASSERT_TRUE(kube.WaitFor([&] { return kube.JobHas(kActions, job, "Failed"); }));
  // The removal is tried again as long as the Job is there, which begins with a look at it.
  const int deletes = kube.CountCalls("delete", "jobs");
  ASSERT_TRUE(kube.WaitFor([&] { return kube.CountCalls("delete", "jobs") > deletes; }));
  ASSERT_OK(kube.PatchExternally("jobs", kActions, job, {{"metadata", {{"finalizers", nullptr}}}}));
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_CANCELLED) << run.End().DebugString();
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_POSSIBLE);
}

TEST_F(ScenarioTest, ACancelReachesTheRunningJob) {
  system_->kube().HoldJobs();
  const auto worker = system_->StartWorker();
  const std::string name = *Submit(server_, Scale(3));
  WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);

  ASSERT_TRUE(Cancel(server_, name, "wrong deployment").ok());
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_CANCELLED);
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_POSSIBLE);
  EXPECT_THAT(run.End().message(), HasSubstr("wrong deployment"));
  EXPECT_TRUE(system_->kube().List("jobs", kActions).empty());
}

TEST_F(ScenarioTest, ACancelBeforeAnyWorkerHasItEndsWithoutEffect) {
  const std::string name = *Submit(server_, Scale(3));
  ASSERT_TRUE(Cancel(server_, name, "").ok());

  const auto worker = system_->StartWorker();
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_CANCELLED);
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_NONE);
  EXPECT_EQ(system_->kube().CountCalls("create", "jobs"), 0);
}

TEST_F(ScenarioTest, AServerKilledInMidStreamIsReplacedByAnotherWithoutAGap) {
  system_->kube().HoldJobs();
  const auto worker = system_->StartWorker();
  const std::string name = *Submit(server_, Scale(3));
  const Streamed before = WatchUntil(server_, name, v1::ExecutionEvent::kJobCreated);
  Server other = system_->StartServer();

  server_.process->Signal(SIGKILL);
  system_->kube().ReleaseJobs();
  const Streamed after = Watch(other, name, before.events.back().seq());

  std::vector<v1::ExecutionEvent> all = before.events;
  all.insert(all.end(), after.events.begin(), after.events.end());
  EXPECT_TRUE(SameEvents(all, ListEvents(other, name)));
}

TEST_F(ScenarioTest, S2_32_APolicyDirectoryThatWasEmptiedDeniesTheNextActionAndTheWorkerLives) {
  const auto worker = system_->StartWorker();
  ASSERT_EQ(Execute(server_, Scale(2)).End().to(), Execution::STATE_SUCCEEDED);

  for (const auto& entry : std::filesystem::directory_iterator(system_->policies())) {
    std::filesystem::remove_all(entry.path());
  }
  const Streamed run = Execute(server_, Scale(3));

  EXPECT_EQ(run.End().to(), Execution::STATE_FAILED);
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_NONE);
  EXPECT_TRUE(worker->Running());
  EXPECT_EQ(system_->kube().Replicas("default", "web"), 2);
}

TEST_F(ScenarioTest, S2_10_AnApiThatIsAwayForAMomentDelaysTheJobAndNothingMore) {
  kubesim::Fault away = FaultOn("create", "jobs", kubesim::FaultKind::kStatus);
  away.code = 503;
  away.count = 3;
  const int fault = system_->kube().InjectFault(away);
  const auto worker = system_->StartWorker();

  const Streamed run = Execute(server_, Scale(3));

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  EXPECT_GE(system_->kube().FaultHits(fault), 1);
  EXPECT_EQ(system_->kube().PodsRun(JobOf(run.snapshot->name())), 1);
}

TEST_F(ScenarioTest, ACreateWhoseReplyIsCutIsFoundAndNotRepeated) {
  system_->kube().InjectFault(FaultOn("create", "jobs", kubesim::FaultKind::kApplyThenCut));
  const auto worker = system_->StartWorker();

  const Streamed run = Execute(server_, Scale(3));

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(system_->kube().PodsRun(JobOf(run.snapshot->name())), 1);
}

TEST_F(ScenarioTest, AnArmWhoseReplyIsCutRunsOnePod) {
  system_->kube().InjectFault(FaultOn("patch", "jobs", kubesim::FaultKind::kApplyThenCut));
  const auto worker = system_->StartWorker();

  const Streamed run = Execute(server_, Scale(3));

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(system_->kube().PodsRun(JobOf(run.snapshot->name())), 1);
}

TEST_F(ScenarioTest, AWorkerThatIsToldToStopGivesItsWorkToAnotherAtOnce) {
  system_->kube().HoldJobs();
  auto first = system_->StartWorker();
  const std::string name = *Submit(server_, Scale(3));
  WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);
  const auto second = system_->StartWorker();

  first->Signal(SIGTERM);
  EXPECT_EQ(first->Wait(), 0);
  system_->kube().ReleaseJobs();
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED);
  for (const v1::ExecutionEvent& event : run.events) EXPECT_FALSE(event.has_lease_lost());
}

TEST_F(ScenarioTest, AFailedProgramEndsJobFailedWithItsExitCodeAndLog) {
  system_->kube().HoldJobs();
  const auto worker = system_->StartWorker();
  const std::string name = *Submit(server_, Scale(3));
  WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);
  ASSERT_TRUE(system_->kube().WaitFor([&] { return system_->kube().PodsRun(JobOf(name)) == 1; }));

  system_->kube().FinishPod(JobOf(name), 7, "error: no such deployment\n");
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_JOB_FAILED);
  EXPECT_EQ(run.End().outcome().exit_code(), 7);
  EXPECT_THAT(ReadLog(server_, name), HasSubstr("no such deployment"));
}

TEST_F(ScenarioTest, TheLogIsStoredAlsoWhenTheWatchHasMissedThePod) {
  kubesim::Fault missed = FaultOn("watch", "pods", kubesim::FaultKind::kWatchDrop);
  missed.count = -1;
  system_->kube().InjectFault(missed);
  const auto worker = system_->StartWorker();

  const Streamed run = Execute(server_, Scale(3));

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_THAT(ReadLog(server_, run.snapshot->name()), HasSubstr("scaled"));
}

TEST_F(ScenarioTest, S2_3_AnEndedExecutionStaysAsItIs) {
  const auto worker = system_->StartWorker();
  const Streamed run = Execute(server_, Scale(3));

  const absl::StatusOr<v1::Execution> cancelled = Cancel(server_, run.snapshot->name(), "");

  ASSERT_OK(cancelled);
  EXPECT_EQ(cancelled->state(), Execution::STATE_SUCCEEDED);
  EXPECT_THAT(ListEvents(server_, run.snapshot->name()), SizeIs(run.events.size()));
}

}  // namespace
}  // namespace capstan::testing
