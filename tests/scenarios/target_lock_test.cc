// One execution at a time changes a target, in the order of arrival, whatever happens to workers;
// and what a target remembers: cooldown, failures to start, a failure that somebody has to look at.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/scenarios/operations.h"
#include "tests/scenarios/ten_actions.h"
#include "tests/support/status_matchers.h"

namespace capstan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using v1::Execution;

constexpr char kWeb[] = "targets/Deployment/default/web";

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

absl::Time TimeOf(const Streamed& run, v1::ExecutionEvent::PayloadCase kind) {
  for (const v1::ExecutionEvent& event : run.events) {
    if (event.payload_case() == kind) return ToTime(event.time());
  }
  return absl::InfinitePast();
}

absl::Time EndOf(const Streamed& run) { return ToTime(run.events.back().time()); }

SystemOptions NamedCallers() {
  SystemOptions options;
  options.named_callers = true;
  return options;
}

class TargetLockTest : public ::testing::Test {
 protected:
  kubesim::KubeSim& kube() { return system_->kube(); }
  std::string SubmitScale(int replicas, Execution::OnConflict on_conflict = {}) {
    v1::ExecuteActionRequest request = Scale(replicas);
    request.set_on_conflict(on_conflict);
    return *Submit(server_, request);
  }
  // Submits one that holds the target: its Job is armed and does not end by itself.
  std::string Hold() {
    kube().HoldJobs();
    const std::string name = SubmitScale(2);
    WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);
    return name;
  }
  void CooldownOf(const std::string& time) {
    Replace(absl::StrCat(system_->catalog(), "/actions/scale_deployment.yaml"),
            "effect: reversible", absl::StrCat("effect: reversible\ncooldown: ", time));
  }

  std::unique_ptr<System> system_ = System::Make(NamedCallers());
  Server server_ = system_->StartServer();
};

TEST_F(TargetLockTest, S2_56_OnOneTargetTheyRunOneAfterTheOtherInOrder) {
  const auto worker = system_->StartWorker();
  const std::string first = Hold();
  const std::string second = SubmitScale(3);
  const v1::StateChanged blocked =
      WaitBlocked(server_, second, Execution::BLOCK_REASON_TARGET_LOCK);
  const std::string third = SubmitScale(4);
  WaitBlocked(server_, third, Execution::BLOCK_REASON_TARGET_LOCK);

  EXPECT_THAT(blocked.message(), HasSubstr(first));
  const v1::ExplainExecutionResponse why = *Explain(server_, third);
  ASSERT_THAT(why.reasons(), Not(IsEmpty()));
  EXPECT_EQ(why.reasons(0).code(), "TARGET_LOCK");
  EXPECT_EQ(why.reasons(0).holder(), first);
  EXPECT_THAT(why.reasons(0).message(), HasSubstr("place 2"));
  const v1::TargetStatus target = Targets(server_)[kWeb];
  EXPECT_EQ(target.holder(), first);
  EXPECT_THAT(target.waiting(), ElementsAre(second, third));

  kube().ReleaseJobs();
  const std::vector<Streamed> runs = WatchAll(server_, {first, second, third});

  for (const Streamed& run : runs) EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_GT(TimeOf(runs[1], v1::ExecutionEvent::kJobCreated), EndOf(runs[0]));
  EXPECT_GT(TimeOf(runs[2], v1::ExecutionEvent::kJobCreated), EndOf(runs[1]));
  EXPECT_EQ(kube().Replicas("default", "web"), 4);
  EXPECT_EQ(runs[2].End().outcome().resources(0).before().fields().at("replicas").number_value(),
            3);
  EXPECT_EQ(Targets(server_)[kWeb].holder(), "");
}

TEST_F(TargetLockTest, S2_22_FiveOfAParentAreInFlightAndTheOthersComeInOrder) {
  constexpr int kMany = 8;
  kube().HoldJobs();
  const auto first_worker = system_->StartWorker(), second_worker = system_->StartWorker();
  std::vector<std::string> names;
  for (int i = 0; i < kMany; ++i) {
    kube().AddDeployment("default", absl::StrCat("web-", i), 1);
    v1::ExecuteActionRequest request = Scale(2, "default", absl::StrCat("web-", i));
    request.mutable_parent()->set_name("wf");
    request.mutable_parent()->set_step(1);
    names.push_back(*Submit(server_, request));
  }
  std::vector<std::string> armed, waiting;
  for (const std::string& name : names) {
    const Streamed run = WatchUntil(server_, name, [](const v1::ExecutionEvent& event) {
      return event.has_job_armed() || event.state_changed().to() == Execution::STATE_BLOCKED;
    });
    (run.events.back().has_job_armed() ? armed : waiting).push_back(name);
  }
  EXPECT_EQ(armed.size(), 5u);
  ASSERT_EQ(waiting.size(), 3u);
  EXPECT_EQ(JobsCreated(kube()), 5);
  const v1::ExplainExecutionResponse why = *Explain(server_, waiting[0]);
  EXPECT_EQ(why.reasons(0).code(), "PARENT_LIMIT");
  EXPECT_THAT(why.reasons(0).message(), HasSubstr("5 executions of wf are in flight"));
  EXPECT_EQ(Execute(server_, DryRun(Scale(3))).End().to(), Execution::STATE_SUCCEEDED)
      << "others are not held up";

  ASSERT_OK(Cancel(server_, armed[0], "make room"));
  WatchUntil(server_, waiting[0], v1::ExecutionEvent::kJobArmed);
  EXPECT_EQ(Get(server_, waiting[1]).state(), Execution::STATE_BLOCKED);
  kube().ReleaseJobs();

  for (const Streamed& run : WatchAll(server_, names)) {
    const bool cancelled = run.snapshot->name() == armed[0];
    EXPECT_EQ(run.End().to(), cancelled ? Execution::STATE_CANCELLED : Execution::STATE_SUCCEEDED);
  }
  EXPECT_EQ(SqlValue(system_->dsn(), "SELECT count(*) FROM sibling"), "0");
}

TEST_F(TargetLockTest, S2_22_S2_56_OnDifferentTargetsTheyRunAtTheSameTime) {
  constexpr int kMany = 12;
  kube().HoldJobs();
  const auto worker = system_->StartWorker();
  std::vector<std::string> names;
  for (int i = 0; i < kMany; ++i) {
    kube().AddDeployment("default", absl::StrCat("web-", i), 1);
    names.push_back(*Submit(server_, Scale(2, "default", absl::StrCat("web-", i))));
  }

  for (const std::string& name : names) WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);
  EXPECT_TRUE(kube().WaitFor([&] {
    return std::all_of(names.begin(), names.end(),
                       [&](const auto& name) { return kube().PodsRun(JobOf(name)) == 1; });
  }));

  kube().ReleaseJobs();
  for (const Streamed& run : WatchAll(server_, names))
    EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(TargetLockTest, S2_56_OneThatDoesNotWantToWaitEndsAtOnce) {
  const auto worker = system_->StartWorker();
  const std::string holder = Hold();

  const std::string rejected = SubmitScale(3, Execution::ON_CONFLICT_REJECT);
  const Streamed run = Watch(server_, rejected);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_TARGET_BUSY);
  EXPECT_THAT(run.End().message(), HasSubstr(holder));
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_NONE);
  EXPECT_EQ(JobsCreated(kube()), 1);
}

TEST_F(TargetLockTest, OfManyThatCoalesceOnlyTheLatestRunsAndTheOthersNameIt) {
  const auto worker = system_->StartWorker();
  const std::string holder = Hold();
  std::vector<std::string> names;
  for (const int replicas : {3, 4, 5}) {
    names.push_back(SubmitScale(replicas, Execution::ON_CONFLICT_COALESCE));
    WaitBlocked(server_, names.back(), Execution::BLOCK_REASON_TARGET_LOCK);
  }

  kube().ReleaseJobs();
  const std::vector<Streamed> runs = WatchAll(server_, names);

  for (const int earlier : {0, 1}) {
    EXPECT_EQ(runs[earlier].End().to(), Execution::STATE_CANCELLED);
    EXPECT_THAT(runs[earlier].End().message(), HasSubstr(names[2]));
    EXPECT_EQ(runs[earlier].End().outcome().effect(), Execution::EFFECT_NONE);
  }
  EXPECT_EQ(runs[2].End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(JobsCreated(kube()), 2);
  EXPECT_EQ(kube().Replicas("default", "web"), 5);
}

TEST_F(TargetLockTest, S2_56_OneThatReadsTakesNoLockAndDoesNotWait) {
  const std::string holder = SubmitScale(2);
  kube().HoldJobs(JobOf(holder));
  const auto worker = system_->StartWorker();
  WatchUntil(server_, holder, v1::ExecutionEvent::kJobArmed);

  const Streamed read =
      Execute(server_, Request("RolloutStatus", {{"namespace", "default"}, {"deployment", "web"}}));

  EXPECT_EQ(read.End().to(), Execution::STATE_SUCCEEDED) << read.End().DebugString();
  EXPECT_EQ(Targets(server_)[kWeb].holder(), holder);
  kube().ReleaseJobs();
  EXPECT_EQ(Watch(server_, holder).End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(TargetLockTest, ACancelledWaiterLeavesTheLine) {
  const auto worker = system_->StartWorker();
  const std::string holder = Hold();
  const std::string second = SubmitScale(3);
  WaitBlocked(server_, second, Execution::BLOCK_REASON_TARGET_LOCK);
  const std::string third = SubmitScale(4);
  WaitBlocked(server_, third, Execution::BLOCK_REASON_TARGET_LOCK);

  ASSERT_OK(Cancel(server_, second, "changed my mind"));
  const Streamed cancelled = Watch(server_, second);

  EXPECT_EQ(cancelled.End().to(), Execution::STATE_CANCELLED);
  EXPECT_EQ(cancelled.End().outcome().effect(), Execution::EFFECT_NONE);
  EXPECT_THAT(Targets(server_)[kWeb].waiting(), ElementsAre(third));
  kube().ReleaseJobs();
  EXPECT_EQ(Watch(server_, third).End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(TargetLockTest, S2_57_TheSameActionCoolsDownAndOthersDoNot) {
  CooldownOf("1h");
  const auto worker = system_->StartWorker();
  const Streamed first = Execute(server_, Scale(3));
  ASSERT_EQ(first.End().to(), Execution::STATE_SUCCEEDED);

  const std::string second = SubmitScale(4);
  const v1::StateChanged blocked = WaitBlocked(server_, second, Execution::BLOCK_REASON_COOLDOWN);
  const Streamed other = Execute(
      server_, Request("RestartDeployment", {{"namespace", "default"}, {"deployment", "web"}}));
  const Streamed undone = Watch(server_, *Rollback(server_, first.snapshot->name()));

  EXPECT_NEAR(absl::ToDoubleSeconds(ToTime(blocked.blocked_until()) - EndOf(first)), 3600, 5);
  EXPECT_EQ(Explain(server_, second)->reasons(0).code(), "COOLDOWN");
  EXPECT_EQ(other.End().to(), Execution::STATE_SUCCEEDED) << other.End().DebugString();
  EXPECT_EQ(undone.End().to(), Execution::STATE_SUCCEEDED) << undone.End().DebugString();
}

TEST_F(TargetLockTest, S2_57_WhenTheCooldownIsOverItGoesOnByItself) {
  CooldownOf("2s");
  const auto worker = system_->StartWorker();
  const Streamed first = Execute(server_, Scale(3));

  const Streamed second = Execute(server_, Scale(4));

  EXPECT_EQ(second.End().to(), Execution::STATE_SUCCEEDED) << second.End().DebugString();
  EXPECT_GE(TimeOf(second, v1::ExecutionEvent::kJobCreated) - EndOf(first), absl::Seconds(2));
}

TEST_F(TargetLockTest, S2_58_AFailureToStartPausesItsTargetAndNoOther) {
  kube().AddDeployment("default", "api", 1);
  const auto worker = system_->StartWorker({}, {"--jobs.start_deadline=1s"});
  const std::string first = SubmitScale(3);
  kube().SetPodFate(JobOf(first), kubesim::PodFate::kUnschedulable);
  const Streamed failed = Watch(server_, first);
  ASSERT_EQ(failed.End().failure_reason(), Execution::FAILURE_REASON_RESOURCE_EXHAUSTED)
      << failed.End().DebugString();

  const std::string second = SubmitScale(4);
  const v1::StateChanged blocked = WaitBlocked(server_, second, Execution::BLOCK_REASON_BACKOFF);
  const Streamed other = Execute(server_, Scale(2, "default", "api"));

  EXPECT_NEAR(absl::ToDoubleSeconds(ToTime(blocked.blocked_until()) - EndOf(failed)), 60, 1);
  EXPECT_EQ(Explain(server_, second)->reasons(0).code(), "BACKOFF");
  EXPECT_EQ(Targets(server_)[kWeb].consecutive_failures(), 1);
  EXPECT_EQ(other.End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(TargetLockTest, S2_58_FiveFailuresToStartInARowBlockTheTargetUntilSomebodyHasLooked) {
  const auto worker = system_->StartWorker({}, {"--jobs.start_deadline=1s"});
  kube().SetPodFate("", kubesim::PodFate::kImagePull);
  std::string last;
  for (int i = 0; i < 5; ++i) {
    const Streamed failed = Execute(server_, Scale(3));
    last = failed.snapshot->name();
    ASSERT_EQ(failed.End().failure_reason(), Execution::FAILURE_REASON_IMAGE_PULL);
    // As if the pause were over.
    MustRunSql(system_->dsn(), "UPDATE target SET backoff_until = now()");
  }
  kube().SetPodFate("", kubesim::PodFate::kRun);

  const std::string next = SubmitScale(3);
  const v1::StateChanged blocked =
      WaitBlocked(server_, next, Execution::BLOCK_REASON_PREVIOUS_FAILURE);
  EXPECT_THAT(blocked.message(), HasSubstr("5 failures to start in a row"));
  EXPECT_EQ(Targets(server_)[kWeb].blocked_by(), last);

  ASSERT_OK(ClearBlock(server_, kWeb, "the registry is back", "oscar"));
  EXPECT_EQ(Watch(server_, next).End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(Targets(server_)[kWeb].consecutive_failures(), 0);
}

// With pods to delete, which is destructive.
class BlockTest : public TargetLockTest {
 protected:
  BlockTest() {
    kube().WaitFor([this] { return kube().List("pods", "default").size() == 1; });
    pod_ = kube().List("pods", "default")[0]["metadata"]["name"];
    target_ = absl::StrCat("targets/Pod/default/", pod_);
  }
  v1::ExecuteActionRequest Delete() const {
    return Request("DeletePod", {{"namespace", "default"}, {"pod", pod_}, {"grace", 0}});
  }
  // Fails after it has started.
  std::string Fail() {
    kube().HoldJobs();
    const std::string name = *Submit(server_, Delete());
    WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);
    kube().WaitFor([&] { return kube().PodsRun(JobOf(name)) == 1; });
    kube().FinishPod(JobOf(name), 1, "error: the server said no\n");
    Watch(server_, name);
    kube().ReleaseJobs();
    return name;
  }

  std::string pod_;
  std::string target_;
};

TEST_F(BlockTest, S2_59_S2_60_AFailureBlocksTheTargetUntilSomebodyWithANameAndAReasonClearsIt) {
  const auto worker = system_->StartWorker();
  const std::string failed = Fail();
  const Execution before = Get(server_, failed);
  ASSERT_EQ(before.failure_reason(), Execution::FAILURE_REASON_JOB_FAILED);

  const std::string next = *Submit(server_, Delete());
  const v1::StateChanged blocked =
      WaitBlocked(server_, next, Execution::BLOCK_REASON_PREVIOUS_FAILURE);

  EXPECT_THAT(blocked.message(), HasSubstr(failed));
  const v1::ExplainExecutionResponse why = *Explain(server_, next);
  EXPECT_EQ(why.reasons(0).code(), "PREVIOUS_FAILURE");
  EXPECT_EQ(why.reasons(0).holder(), failed);
  EXPECT_THAT(why.reasons(0).clears(), HasSubstr("target clear"));
  EXPECT_THAT(ClearBlock(server_, target_, "", "oscar"),
              StatusIs(absl::StatusCode::kInvalidArgument));

  ASSERT_OK(ClearBlock(server_, target_, "looked at it: nothing was deleted", "oscar"));
  const Streamed run = Watch(server_, next);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(Get(server_, failed), before));
  EXPECT_THAT(ClearBlock(server_, target_, "again", "oscar"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(AuditProblems(server_), IsEmpty());
  EXPECT_THAT(DumpDatabase(*system_), HasSubstr("looked at it: nothing was deleted"));
}

TEST_F(BlockTest, S2_61_ManyThatFindTheBlockWaitInOrderAndEachRunsOnce) {
  const auto worker = system_->StartWorker();
  Fail();
  std::vector<std::string> names;
  for (int i = 0; i < 3; ++i) {
    names.push_back(*Submit(server_, Delete()));
    WaitBlocked(server_, names.back(), Execution::BLOCK_REASON_PREVIOUS_FAILURE);
  }
  EXPECT_EQ(Targets(server_)[target_].waiting_size(), 3);

  ASSERT_OK(ClearBlock(server_, target_, "looked at it", "oscar"));
  const std::vector<Streamed> runs = WatchAll(server_, names);

  EXPECT_EQ(runs[0].End().to(), Execution::STATE_SUCCEEDED);
  // The pod is gone for the others.
  for (const int later : {1, 2}) {
    EXPECT_EQ(runs[later].End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED);
  }
  EXPECT_EQ(JobsCreated(kube()), 2);
}

TEST_F(TargetLockTest, AWorkerThatDiesWhileItHoldsATargetLosesNeitherTheLockNorTheLine) {
  const auto worker = system_->StartWorker();
  const std::string first = Hold();
  const std::string second = SubmitScale(3);
  WaitBlocked(server_, second, Execution::BLOCK_REASON_TARGET_LOCK);

  worker->Signal(SIGKILL);
  worker->Wait();
  const auto successor = system_->StartWorker();
  WatchUntil(server_, first, v1::ExecutionEvent::kLeaseLost);
  EXPECT_EQ(Targets(server_)[kWeb].holder(), first);
  kube().ReleaseJobs();
  const std::vector<Streamed> runs = WatchAll(server_, {first, second});

  EXPECT_EQ(runs[0].End().to(), Execution::STATE_SUCCEEDED) << runs[0].End().DebugString();
  EXPECT_EQ(runs[1].End().to(), Execution::STATE_SUCCEEDED) << runs[1].End().DebugString();
  EXPECT_GT(TimeOf(runs[1], v1::ExecutionEvent::kJobCreated), EndOf(runs[0]));
  EXPECT_EQ(kube().PodsRun(JobOf(first)), 1);
  EXPECT_EQ(kube().PodsRun(JobOf(second)), 1);
  EXPECT_EQ(JobsCreated(kube()), 2);
}

TEST(TargetHandOverTest, AWorkerThatDiesInTheHandOverHandsItOverWholeOrNotAtAll) {
  SystemOptions options;
  options.worker_program = "capstan-worker-faults";
  const auto system = System::Make(options);
  Server server = system->StartServer();
  system->kube().HoldJobs();
  auto first_worker = system->StartWorker();
  const std::string first = *Submit(server, Scale(2));
  WatchUntil(server, first, v1::ExecutionEvent::kJobArmed);
  const std::string second = *Submit(server, Scale(3));
  WaitBlocked(server, second, Execution::BLOCK_REASON_TARGET_LOCK);
  first_worker->Signal(SIGTERM);
  first_worker->Wait();

  // Its first change of a target is the end of `first`.
  auto dying = system->LaunchWorker({{"CAPSTAN_FAILPOINT", "target.between:crash"}});
  system->kube().ReleaseJobs();
  dying->Wait();
  EXPECT_EQ(Targets(server)[kWeb].holder(), first);
  const auto last = system->StartWorker();
  const std::vector<Streamed> runs = WatchAll(server, {first, second});

  for (const Streamed& run : runs) EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(JobsCreated(system->kube()), 2);
  EXPECT_EQ(system->kube().Replicas("default", "web"), 3);
}

}  // namespace
}  // namespace capstan::testing
