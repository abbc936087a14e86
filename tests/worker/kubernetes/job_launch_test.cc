#include "worker/kubernetes/job_launch.h"

#include <gmock/gmock.h>

#include "tests/support/status_matchers.h"
#include "tests/worker/kubernetes/cluster_fixture.h"
#include "worker/kubernetes/outcome.h"

namespace capstan::kubernetes {
namespace {

using ::capstan::kubesim::FaultKind;
using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class JobLaunchTest : public ClusterTest {
 protected:
  absl::StatusOr<GoneReport::Kind> Gone(const JobRef& ref) {
    absl::StatusOr<GoneReport> report = launcher_->ConfirmGone(ref);
    if (!report.ok()) return report.status();
    return report->kind;
  }
  JobObservation Observed(const JobRef& ref) { return launcher_->Observe(ref).value(); }
};

// --- Create ---

TEST_F(JobLaunchTest, S2_14_ACreatedJobIsSuspendedAndUnarmed) {
  absl::StatusOr<CreatedJob> created = CreateJob();

  ASSERT_OK(created);
  EXPECT_EQ(created->how, CreatedJob::How::kCreated);
  EXPECT_TRUE(created->suspended);
  EXPECT_FALSE(created->armed);
  EXPECT_EQ(created->ref.uid, sim_->Get("jobs", kNamespace, kName)["metadata"]["uid"]);
  EXPECT_EQ(sim_->PodsRun(kName), 0);
}

TEST_F(JobLaunchTest, S2_15_ASecondCreateFindsTheFirstJob) {
  const CreatedJob first = CreateJob().value();

  absl::StatusOr<CreatedJob> second = CreateJob();

  ASSERT_OK(second);
  EXPECT_EQ(second->how, CreatedJob::How::kAdopted);
  EXPECT_EQ(second->ref.uid, first.ref.uid);
}

TEST_F(JobLaunchTest, S2_15_ASecondCreateSeesThatTheJobWasArmed) {
  const JobRef ref = RunningJob();

  absl::StatusOr<CreatedJob> second = CreateJob();

  ASSERT_OK(second);
  EXPECT_TRUE(second->armed);
  EXPECT_FALSE(second->suspended);
  EXPECT_EQ(second->ref.uid, ref.uid);
}

TEST_F(JobLaunchTest, AForeignJobOfThatNameIsLeftAlone) {
  Json foreign = RenderedJob();
  foreign["metadata"]["labels"][std::string(kExecutionLabel)] = "9999";
  ASSERT_OK(sim_->Create("jobs", kNamespace, foreign));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->JobHas(kNamespace, kName, "Suspended"); }));
  const Json before = sim_->Get("jobs", kNamespace, kName);

  EXPECT_THAT(CreateJob(), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("not ours")));

  EXPECT_EQ(sim_->Get("jobs", kNamespace, kName), before);
}

TEST_F(JobLaunchTest, AJobWithAnotherSpecHashIsForeign) {
  Json other = RenderedJob();
  other["metadata"]["annotations"][std::string(kSpecHashAnnotation)] = "hash-2";
  ASSERT_OK(sim_->Create("jobs", kNamespace, other));

  EXPECT_THAT(CreateJob(), StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(JobLaunchTest, ACreateWhoseReplyIsCutIsAdopted) {
  Inject("create", FaultKind::kApplyThenCut);

  absl::StatusOr<CreatedJob> created = CreateJob();

  ASSERT_OK(created);
  EXPECT_EQ(created->how, CreatedJob::How::kAdopted);
  EXPECT_THAT(sim_->List("jobs", kNamespace), SizeIs(1));
}

TEST_F(JobLaunchTest, ACreateThatIsResetBeforeItAppliesIsSentAgain) {
  Inject("create", FaultKind::kResetBeforeApply, 2);

  ASSERT_OK(CreateJob());
  EXPECT_THAT(sim_->List("jobs", kNamespace), SizeIs(1));
}

TEST_F(JobLaunchTest, ACreateThatIsNeverAnsweredIsUnknown) {
  Inject("create", FaultKind::kResetBeforeApply, -1);

  const absl::Status status = CreateJob().status();

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnknown));
  EXPECT_TRUE(ApiErrorOf(status)->outcome_unknown);
}

TEST_F(JobLaunchTest, ACreateThatMeetsTooManyRequestsGoesThroughLater) {
  sim_->InjectFault(kubesim::TooManyRequests("create", "jobs", 1));

  EXPECT_OK(CreateJob());
}

TEST_F(JobLaunchTest, S2_18_ACreateOverTheQuotaIsResourceExhausted) {
  sim_->AddJobQuota(kNamespace, "jobs", 0);

  const absl::Status status = CreateJob().status();

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("exceeded quota")));
  EXPECT_EQ(FailureOfCreate(status), JobFailure::kResourceExhausted);
}

TEST_F(JobLaunchTest, S2_18_ACreateThatRbacForbidsIsForbiddenAndNotRepeated) {
  sim_->Forbid("create", "jobs");

  const absl::Status status = CreateJob().status();

  EXPECT_EQ(FailureOfCreate(status), JobFailure::kForbidden);
  EXPECT_EQ(sim_->CountCalls("create", "jobs"), 1);
}

TEST_F(JobLaunchTest, S2_18_ACreateThatAdmissionDeniesIsForbidden) {
  sim_->InjectFault(kubesim::AdmissionPolicyDenied("pin-images", "image not allowed"));
  const absl::Status by_policy = CreateJob().status();
  sim_->ClearFaults();
  sim_->InjectFault(kubesim::WebhookDenied("hook.example.com", "not today"));
  const absl::Status by_webhook = CreateJob().status();

  EXPECT_EQ(FailureOfCreate(by_policy), JobFailure::kForbidden);
  EXPECT_EQ(FailureOfCreate(by_webhook), JobFailure::kForbidden);
}

TEST_F(JobLaunchTest, AJobThatCouldRunByItselfIsNeverSent) {
  Json job = RenderedJob();
  job["spec"]["suspend"] = false;

  EXPECT_THAT(launcher_->CreateSuspended(job.dump(), kExecution, kHash),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not suspended")));
  EXPECT_EQ(sim_->CountCalls("create", "jobs"), 0);
}

TEST_F(JobLaunchTest, AJobOfAnotherExecutionIsNeverSent) {
  EXPECT_THAT(launcher_->CreateSuspended(RenderedJob().dump(), "other", kHash),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(launcher_->CreateSuspended(RenderedJob().dump(), kExecution, "other"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(sim_->CountCalls("create", "jobs"), 0);
}

// --- Arm ---

TEST_F(JobLaunchTest, AnArmedJobRunsOnce) {
  const JobRef ref = CreateJob().value().ref;

  EXPECT_THAT(launcher_->Arm(ref), IsOkAndHolds(ArmResult::kArmed));

  ASSERT_TRUE(WaitForEnd(kName));
  EXPECT_EQ(sim_->PodsRunByUid(ref.uid), 1);
}

TEST_F(JobLaunchTest, ArmingAgainIsANoOp) {
  const JobRef ref = RunningJob();

  EXPECT_THAT(launcher_->Arm(ref), IsOkAndHolds(ArmResult::kAlreadyArmed));
  sim_->ReleaseJobs();
  ASSERT_TRUE(WaitForEnd(kName));
  EXPECT_THAT(launcher_->Arm(ref), IsOkAndHolds(ArmResult::kAlreadyArmed));

  EXPECT_EQ(sim_->PodsRunByUid(ref.uid), 1);
}

TEST_F(JobLaunchTest, AnArmWhoseReplyIsCutIsSettledByReading) {
  const JobRef ref = CreateJob().value().ref;
  Inject("patch", FaultKind::kApplyThenCut);

  EXPECT_THAT(launcher_->Arm(ref), IsOkAndHolds(ArmResult::kAlreadyArmed));

  ASSERT_TRUE(WaitForEnd(kName));
  EXPECT_EQ(sim_->PodsRunByUid(ref.uid), 1);
}

TEST_F(JobLaunchTest, AnArmThatIsResetBeforeItAppliesIsSentAgain) {
  const JobRef ref = CreateJob().value().ref;
  Inject("patch", FaultKind::kResetBeforeApply, 2);

  EXPECT_THAT(launcher_->Arm(ref), IsOkAndHolds(ArmResult::kArmed));
}

TEST_F(JobLaunchTest, AnArmThatCannotBeSettledIsUnknown) {
  const JobRef ref = CreateJob().value().ref;
  Inject("patch", FaultKind::kApplyThenCut);
  Inject("get", FaultKind::kResetBeforeApply, -1);

  const absl::Status status = launcher_->Arm(ref).status();

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnknown));
  EXPECT_TRUE(ApiErrorOf(status)->outcome_unknown);
}

TEST_F(JobLaunchTest, AConflictWhileArmingIsTriedAgain) {
  const JobRef ref = CreateJob().value().ref;
  kubesim::Fault conflict;
  conflict.verb = "patch";
  conflict.resource = "jobs";
  conflict.code = 409;
  sim_->InjectFault(conflict);

  EXPECT_THAT(launcher_->Arm(ref), IsOkAndHolds(ArmResult::kArmed));
}

TEST_F(JobLaunchTest, AJobOfTheSameNameWithAnotherUidIsNotArmed) {
  JobRef ref = CreateJob().value().ref;
  ref.uid = "another-uid";

  EXPECT_THAT(launcher_->Arm(ref), IsOkAndHolds(ArmResult::kGone));

  EXPECT_TRUE(sim_->Get("jobs", kNamespace, kName)["spec"]["suspend"]);
}

TEST_F(JobLaunchTest, S2_19_AJobThatWasDeletedCannotBeArmed) {
  const JobRef ref = CreateJob().value().ref;
  ASSERT_OK(sim_->DeleteJobExternally(kNamespace, kName));

  EXPECT_THAT(launcher_->Arm(ref), IsOkAndHolds(ArmResult::kGone));
}

TEST_F(JobLaunchTest, S2_19_AJobThatWasReplacedCannotBeArmed) {
  const JobRef old_ref = CreateJob().value().ref;
  ASSERT_OK(sim_->DeleteJobExternally(kNamespace, kName));
  const JobRef new_ref = CreateJob().value().ref;

  EXPECT_THAT(launcher_->Arm(old_ref), IsOkAndHolds(ArmResult::kGone));

  EXPECT_FALSE(Observed(new_ref).armed);
}

TEST_F(JobLaunchTest, AnArmedJobThatSomebodySuspendedIsNeverStartedAgain) {
  const JobRef ref = RunningJob();
  ASSERT_OK(sim_->SuspendJobExternally(kNamespace, kName));

  EXPECT_THAT(launcher_->Arm(ref), IsOkAndHolds(ArmResult::kArmedButSuspended));

  EXPECT_TRUE(Observed(ref).suspended);
  EXPECT_EQ(sim_->PodsRunByUid(ref.uid), 1);
}

// --- Observe ---

TEST_F(JobLaunchTest, S2_16_AnObservationHoldsTheJobAndItsPods) {
  const JobRef ref = RunningJob();
  sim_->FinishPod(kName, 3, "", "no such deployment");
  ASSERT_TRUE(WaitForEnd(kName));

  const JobObservation observation = Observed(ref);
  const JobOutcome outcome = OutcomeOf(observation);

  EXPECT_TRUE(observation.armed);
  EXPECT_THAT(observation.pods, SizeIs(1));
  EXPECT_TRUE(outcome.finished);
  EXPECT_EQ(outcome.failure, JobFailure::kJobFailed);
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.message, HasSubstr("no such deployment"));
}

TEST_F(JobLaunchTest, AnObservationReadsFromTheStoreAndNotFromACache) {
  const JobRef ref = CreateJob().value().ref;
  JobRef other = ref;
  other.uid = "another-uid";

  EXPECT_TRUE(Observed(ref).found);
  EXPECT_FALSE(Observed(other).found);
}

struct FateCase {
  kubesim::PodFate fate;
  const char* waiting_reason;
  JobFailure waiting_failure;
};

class WaitingFateTest : public JobLaunchTest, public ::testing::WithParamInterface<FateCase> {};

TEST_P(WaitingFateTest, S2_18_APodThatCannotStartSaysWhy) {
  sim_->SetPodFate("", GetParam().fate);
  const JobRef ref = CreateJob().value().ref;
  ASSERT_THAT(launcher_->Arm(ref), IsOkAndHolds(ArmResult::kArmed));

  JobOutcome outcome;
  sim_->WaitFor([&] {
    outcome = OutcomeOf(Observed(ref), launcher_->ReadEvents(ref).value());
    return outcome.waiting_reason == GetParam().waiting_reason;
  });

  EXPECT_EQ(outcome.waiting_reason, GetParam().waiting_reason);
  EXPECT_EQ(JobFailureName(outcome.waiting_failure), JobFailureName(GetParam().waiting_failure));
  EXPECT_FALSE(outcome.finished);
  EXPECT_EQ(outcome.pods_started, 0);
}

INSTANTIATE_TEST_SUITE_P(
    All, WaitingFateTest,
    ::testing::Values(
        FateCase{kubesim::PodFate::kImagePull, "ImagePullBackOff", JobFailure::kImagePull},
        FateCase{kubesim::PodFate::kConfigError, "CreateContainerConfigError",
                 JobFailure::kConfiguration},
        FateCase{kubesim::PodFate::kMissingMount, "FailedMount", JobFailure::kConfiguration},
        FateCase{kubesim::PodFate::kUnschedulable, "Unschedulable",
                 JobFailure::kResourceExhausted}));

class EndingFateTest
    : public JobLaunchTest,
      public ::testing::WithParamInterface<std::pair<kubesim::PodFate, JobFailure>> {};

TEST_P(EndingFateTest, S2_18_APodThatIsTakenDownSaysWhy) {
  sim_->SetPodFate("", GetParam().first);
  const JobRef ref = CreateJob().value().ref;
  ASSERT_THAT(launcher_->Arm(ref), IsOkAndHolds(ArmResult::kArmed));
  ASSERT_TRUE(WaitForEnd(kName));

  EXPECT_EQ(JobFailureName(OutcomeOf(Observed(ref)).failure), JobFailureName(GetParam().second));
}

INSTANTIATE_TEST_SUITE_P(
    All, EndingFateTest,
    ::testing::Values(std::pair{kubesim::PodFate::kOomKilled, JobFailure::kOomKilled},
                      std::pair{kubesim::PodFate::kEvicted, JobFailure::kEvicted}));

// --- Delete and gone ---

TEST_F(JobLaunchTest, AJobIsDeletedByItsUidOnly) {
  JobRef ref = CreateJob().value().ref;
  const std::string uid = std::exchange(ref.uid, "another-uid");

  EXPECT_THAT(launcher_->DeleteJob(ref, std::nullopt, Propagation::kBackground),
              IsOkAndHolds(DeleteResult::kGone));
  EXPECT_THAT(sim_->List("jobs", kNamespace), SizeIs(1));

  ref.uid = uid;
  EXPECT_THAT(launcher_->DeleteJob(ref, std::nullopt, Propagation::kBackground),
              IsOkAndHolds(DeleteResult::kDeleted));
  EXPECT_THAT(Gone(ref), IsOkAndHolds(GoneReport::Kind::kGone));
}

TEST_F(JobLaunchTest, ADeleteAtAnOlderVersionIsRefused) {
  const CreatedJob created = CreateJob().value();
  ASSERT_THAT(launcher_->Arm(created.ref), IsOkAndHolds(ArmResult::kArmed));

  EXPECT_THAT(launcher_->DeleteJob(created.ref, created.resource_version, Propagation::kForeground),
              IsOkAndHolds(DeleteResult::kChanged));
  EXPECT_THAT(sim_->List("jobs", kNamespace), SizeIs(1));
}

TEST_F(JobLaunchTest, ADeleteAtTheUnarmedVersionMeansThatNothingRan) {
  const CreatedJob created = CreateJob().value();
  // The controller writes the Job once more when it has seen it.
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->JobHas(kNamespace, kName, "Suspended"); }));
  const JobObservation unarmed = Observed(created.ref);

  EXPECT_THAT(launcher_->DeleteJob(created.ref, unarmed.resource_version, Propagation::kForeground),
              IsOkAndHolds(DeleteResult::kDeleted));

  EXPECT_EQ(sim_->PodsRun(kName), 0);
}

TEST_F(JobLaunchTest, ADeleteWhoseReplyIsCutIsRepeated) {
  const JobRef ref = CreateJob().value().ref;
  Inject("delete", FaultKind::kApplyThenCut);

  EXPECT_THAT(launcher_->DeleteJob(ref, std::nullopt, Propagation::kBackground),
              IsOkAndHolds(DeleteResult::kGone));
}

TEST_F(JobLaunchTest, AGuardedDeleteWhoseReplyIsCutIsUnknown) {
  const CreatedJob created = CreateJob().value();
  // The controller writes the Job once more when it has seen it.
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->JobHas(kNamespace, kName, "Suspended"); }));
  Inject("delete", FaultKind::kApplyThenCut);

  EXPECT_THAT(launcher_->DeleteJob(created.ref, Observed(created.ref).resource_version,
                                   Propagation::kForeground),
              StatusIs(absl::StatusCode::kUnknown));
}

TEST_F(JobLaunchTest, AJobIsNotGoneWhileItsPodRuns) {
  const JobRef ref = RunningJob();
  EXPECT_THAT(Gone(ref), IsOkAndHolds(GoneReport::Kind::kStillThere));
  sim_->HoldPodTermination();

  ASSERT_THAT(launcher_->DeleteJob(ref, std::nullopt, Propagation::kBackground),
              IsOkAndHolds(DeleteResult::kDeleted));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->Get("jobs", kNamespace, kName).is_null(); }));
  absl::StatusOr<GoneReport> report = launcher_->ConfirmGone(ref);

  ASSERT_OK(report);
  EXPECT_EQ(report->kind, GoneReport::Kind::kStillThere);
  EXPECT_THAT(report->detail, HasSubstr("pod capstan-0123-"));

  sim_->ReleasePodTermination();
  EXPECT_TRUE(sim_->WaitFor([&] { return Gone(ref).value() == GoneReport::Kind::kGone; }));
}

TEST_F(JobLaunchTest, APodOnALostNodeCannotBeShownGone) {
  sim_->SetPodFate("", kubesim::PodFate::kNodeLost);
  const JobRef ref = CreateJob().value().ref;
  ASSERT_THAT(launcher_->Arm(ref), IsOkAndHolds(ArmResult::kArmed));

  EXPECT_TRUE(sim_->WaitFor([&] { return Gone(ref).value() == GoneReport::Kind::kCannotBeShown; }));
  ASSERT_THAT(launcher_->DeleteJob(ref, std::nullopt, Propagation::kBackground),
              IsOkAndHolds(DeleteResult::kDeleted));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->Get("jobs", kNamespace, kName).is_null(); }));

  EXPECT_THAT(Gone(ref), IsOkAndHolds(GoneReport::Kind::kCannotBeShown));
}

TEST_F(JobLaunchTest, AReadThatFailsProvesNothingAboutBeingGone) {
  const JobRef ref = CreateJob().value().ref;
  Inject("list", FaultKind::kStatus, -1, "pods");

  EXPECT_THAT(Gone(ref), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace capstan::kubernetes
