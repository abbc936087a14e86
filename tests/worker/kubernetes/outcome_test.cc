#include "worker/kubernetes/outcome.h"

#include <gmock/gmock.h>

#include "tests/support/status_matchers.h"
#include "worker/kubernetes/api_error.h"

namespace capstan::kubernetes {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

Json Condition(const std::string& type, const std::string& reason,
               const std::string& message = "") {
  return {{"type", type},
          {"status", "True"},
          {"reason", reason},
          {"message", message},
          {"lastTransitionTime", "2026-01-02T03:04:15Z"}};
}

Json JobWith(const std::vector<Json>& conditions) {
  return {{"kind", "Job"},
          {"metadata", {{"name", "capstan-1"}, {"uid", "u1"}, {"resourceVersion", "9"}}},
          {"spec", {{"suspend", false}, {"activeDeadlineSeconds", 30}}},
          {"status", {{"startTime", "2026-01-02T03:04:05Z"}, {"conditions", conditions}}}};
}

Json Terminated(const std::string& name, int exit_code, const std::string& reason,
                const std::string& message = "") {
  return {{"name", name},
          {"state",
           {{"terminated", {{"exitCode", exit_code}, {"reason", reason}, {"message", message}}}}}};
}

Json Waiting(const std::string& name, const std::string& reason, const std::string& message = "") {
  return {{"name", name}, {"state", {{"waiting", {{"reason", reason}, {"message", message}}}}}};
}

Json Running(const std::string& name) { return {{"name", name}, {"state", {{"running", {}}}}}; }

Json PodWith(const std::vector<Json>& containers, const std::vector<Json>& init_containers = {}) {
  return {{"metadata", {{"name", "capstan-1-abc"}, {"creationTimestamp", "2026-01-02T03:04:06Z"}}},
          {"status",
           {{"phase", "Failed"},
            {"containerStatuses", containers},
            {"initContainerStatuses", init_containers}}}};
}

Json Warning(const std::string& reason, const std::string& message) {
  return {{"type", "Warning"},
          {"reason", reason},
          {"message", message},
          {"lastTimestamp", "2026-01-02T03:04:10Z"}};
}

JobOutcome Judge(const Json& job, const std::vector<Json>& pods,
                 const std::vector<Json>& events = {}) {
  return OutcomeOf(ObservationOf(job, "u1", pods), events);
}

const Json kBackoffLimitExceeded =
    Condition("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit");

TEST(OutcomeTest, S2_16_ACompleteConditionIsSuccess) {
  const JobOutcome outcome = Judge(JobWith({Condition("Complete", "CompletionsReached")}),
                                   {PodWith({Terminated("main", 0, "Completed", "done")})});

  EXPECT_TRUE(outcome.finished);
  EXPECT_TRUE(outcome.succeeded);
  EXPECT_EQ(outcome.failure, JobFailure::kNone);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.termination_message, "done");
  EXPECT_THAT(outcome.message, IsEmpty());
  EXPECT_EQ(absl::FormatTime(outcome.started_at, absl::UTCTimeZone()), "2026-01-02T03:04:05+00:00");
  EXPECT_EQ(absl::FormatTime(outcome.finished_at, absl::UTCTimeZone()),
            "2026-01-02T03:04:15+00:00");
}

TEST(OutcomeTest, S2_16_SuccessDoesNotNeedItsPods) {
  EXPECT_TRUE(Judge(JobWith({Condition("Complete", "CompletionsReached")}), {}).succeeded);
}

TEST(OutcomeTest, S2_16_EarlyNoticesDoNotEndAJob) {
  const Json pod = PodWith({Terminated("main", 1, "Error")});

  EXPECT_FALSE(
      Judge(JobWith({Condition("FailureTarget", "BackoffLimitExceeded")}), {pod}).finished);
  EXPECT_FALSE(
      Judge(JobWith({Condition("SuccessCriteriaMet", "CompletionsReached")}), {pod}).finished);
}

TEST(OutcomeTest, S2_16_AConditionThatIsNotTrueDoesNotEndAJob) {
  Json condition = Condition("Failed", "BackoffLimitExceeded");
  condition["status"] = "False";

  EXPECT_FALSE(Judge(JobWith({condition}), {}).finished);
}

TEST(OutcomeTest, S2_19_AJobThatIsGoneHasAnUnknownOutcome) {
  const JobOutcome gone = OutcomeOf(JobObservation{});
  const JobOutcome replaced = OutcomeOf(
      ObservationOf(JobWith({Condition("Complete", "CompletionsReached")}), "other-uid", {}));

  EXPECT_TRUE(gone.gone);
  EXPECT_FALSE(gone.finished);
  EXPECT_EQ(gone.failure, JobFailure::kUnknownOutcome);
  EXPECT_EQ(replaced.failure, JobFailure::kUnknownOutcome);
}

struct FailureCase {
  const char* name;
  Json job;
  std::vector<Json> pods;
  std::vector<Json> events;
  JobFailure failure;
  const char* message;
};

void PrintTo(const FailureCase& test_case, std::ostream* out) { *out << test_case.name; }

class FailureTest : public ::testing::TestWithParam<FailureCase> {};

TEST_P(FailureTest, S2_18_S2_66_FailuresAreNamed) {
  const FailureCase& test_case = GetParam();

  const JobOutcome outcome = Judge(test_case.job, test_case.pods, test_case.events);

  EXPECT_TRUE(outcome.finished);
  EXPECT_FALSE(outcome.succeeded);
  EXPECT_EQ(JobFailureName(outcome.failure), JobFailureName(test_case.failure));
  EXPECT_THAT(outcome.message, HasSubstr(test_case.message));
}

Json EvictedPod() {
  Json pod = PodWith({Terminated("main", 137, "Error")});
  pod["status"]["reason"] = "Evicted";
  pod["status"]["message"] = "The node was low on resource: memory.";
  return pod;
}

Json DisruptedPod() {
  Json pod = PodWith({Terminated("main", 143, "Error")});
  pod["status"]["conditions"] = {
      Condition("DisruptionTarget", "PreemptionByScheduler", "preempting to make room")};
  return pod;
}

INSTANTIATE_TEST_SUITE_P(
    All, FailureTest,
    ::testing::Values(
        FailureCase{"DeadlineExceeded",
                    JobWith({Condition("Failed", "DeadlineExceeded")}),
                    {PodWith({Terminated("main", 143, "Error")})},
                    {},
                    JobFailure::kDeadlineExceeded,
                    "deadline of 30 s"},
        FailureCase{"DeadlineAtTheBoundaryWinsOverTheExitCode",
                    JobWith({Condition("Failed", "DeadlineExceeded")}),
                    {PodWith({Terminated("main", 0, "Completed")})},
                    {},
                    JobFailure::kDeadlineExceeded,
                    "deadline of 30 s"},
        FailureCase{"DeadlineBeforeThePodRanSaysWhy",
                    JobWith({Condition("Failed", "DeadlineExceeded")}),
                    {},
                    {Warning("Failed", "Failed to pull image \"x\"")},
                    JobFailure::kDeadlineExceeded,
                    "never ran; last warning: Failed: Failed to pull"},
        FailureCase{"OutOfMemory",
                    JobWith({kBackoffLimitExceeded}),
                    {PodWith({Terminated("main", 137, "OOMKilled")})},
                    {},
                    JobFailure::kOomKilled,
                    "container main was killed: it used more memory"},
        FailureCase{"KilledWithoutOutOfMemory",
                    JobWith({kBackoffLimitExceeded}),
                    {PodWith({Terminated("main", 137, "Error")})},
                    {},
                    JobFailure::kJobFailed,
                    "exit code 137 (killed: SIGKILL)"},
        FailureCase{"ToldToStop",
                    JobWith({kBackoffLimitExceeded}),
                    {PodWith({Terminated("main", 143, "Error")})},
                    {},
                    JobFailure::kJobFailed,
                    "exit code 143 (told to stop: SIGTERM)"},
        FailureCase{"Evicted",
                    JobWith({kBackoffLimitExceeded}),
                    {EvictedPod()},
                    {},
                    JobFailure::kEvicted,
                    "low on resource: memory"},
        FailureCase{"Preempted",
                    JobWith({kBackoffLimitExceeded}),
                    {DisruptedPod()},
                    {},
                    JobFailure::kEvicted,
                    "preempting to make room"},
        FailureCase{"TheActionFailed",
                    JobWith({kBackoffLimitExceeded}),
                    {PodWith({Terminated("main", 3, "Error", "no such deployment\n")})},
                    {},
                    JobFailure::kJobFailed,
                    "container main ended with exit code 3: no such deployment"},
        FailureCase{
            "AnInitContainerFailed",
            JobWith({kBackoffLimitExceeded}),
            {PodWith({Waiting("main", "PodInitializing")},
                     {Terminated("first", 0, "Completed"), Terminated("second", 9, "Error")})},
            {},
            JobFailure::kJobFailed,
            "container second ended with exit code 9"},
        FailureCase{"PodFailurePolicy",
                    JobWith({Condition("Failed", "PodFailurePolicy", "matching FailJob rule")}),
                    {PodWith({Terminated("main", 42, "Error")})},
                    {},
                    JobFailure::kJobFailed,
                    "exit code 42"},
        FailureCase{"TheActionWasForbidden",
                    JobWith({kBackoffLimitExceeded}),
                    {PodWith({Terminated(
                        "main", 1, "Error",
                        "Error from server (Forbidden): deployments.apps \"web\" is forbidden")})},
                    {},
                    JobFailure::kRoleMissing,
                    "Error from server (Forbidden)"},
        FailureCase{"TheCommandIsNotThere",
                    JobWith({kBackoffLimitExceeded}),
                    {PodWith({Terminated("main", 128, "StartError", "exec: no such file")})},
                    {},
                    JobFailure::kConfiguration,
                    "exec: no such file"},
        FailureCase{"TheCommandWasNotFound",
                    JobWith({kBackoffLimitExceeded}),
                    {PodWith({Terminated("main", 127, "Error")})},
                    {},
                    JobFailure::kConfiguration,
                    "the command was not found"},
        FailureCase{"ThePodsAreGone",
                    JobWith({kBackoffLimitExceeded}),
                    {},
                    {Warning("BackOff", "Back-off restarting")},
                    JobFailure::kJobFailed,
                    "BackoffLimitExceeded: Job has reached the specified backoff limit; last "
                    "warning: BackOff: Back-off restarting"}),
    [](const auto& info) { return info.param.name; });

struct WaitingCase {
  const char* name;
  std::vector<Json> pods;
  std::vector<Json> events;
  const char* reason;
  JobFailure failure;
};

void PrintTo(const WaitingCase& test_case, std::ostream* out) { *out << test_case.name; }

class WaitingTest : public ::testing::TestWithParam<WaitingCase> {};

TEST_P(WaitingTest, S2_18_WhatAStartWaitsForIsNamed) {
  const WaitingCase& test_case = GetParam();

  const JobOutcome outcome = Judge(JobWith({}), test_case.pods, test_case.events);

  EXPECT_FALSE(outcome.finished);
  EXPECT_EQ(outcome.waiting_reason, test_case.reason);
  EXPECT_EQ(JobFailureName(outcome.waiting_failure), JobFailureName(test_case.failure));
}

Json UnschedulablePod() {
  Json pod = PodWith({});
  pod["status"]["conditions"] = {{{"type", "PodScheduled"},
                                  {"status", "False"},
                                  {"reason", "Unschedulable"},
                                  {"message", "0/1 nodes are available: Insufficient cpu"}}};
  return pod;
}

INSTANTIATE_TEST_SUITE_P(
    All, WaitingTest,
    ::testing::Values(
        WaitingCase{"NoPodYet", {}, {}, "PodNotCreated", JobFailure::kNone},
        WaitingCase{"Quota",
                    {},
                    {Warning("FailedCreate", "pods \"x\" is forbidden: exceeded quota: q")},
                    "FailedCreate",
                    JobFailure::kResourceExhausted},
        WaitingCase{"PodSecurity",
                    {},
                    {Warning("FailedCreate", "pods \"x\" is forbidden: violates PodSecurity")},
                    "FailedCreate",
                    JobFailure::kForbidden},
        WaitingCase{"MissingServiceAccount",
                    {},
                    {Warning("FailedCreate",
                             "pods \"x\" is forbidden: error looking up service account a/b: "
                             "serviceaccount \"b\" not found")},
                    "FailedCreate",
                    JobFailure::kAccountMissing},
        WaitingCase{"Unschedulable",
                    {UnschedulablePod()},
                    {},
                    "Unschedulable",
                    JobFailure::kResourceExhausted},
        WaitingCase{"ImagePull",
                    {PodWith({Waiting("main", "ImagePullBackOff")})},
                    {},
                    "ImagePullBackOff",
                    JobFailure::kImagePull},
        WaitingCase{
            "InitImagePull",
            {PodWith({Waiting("main", "PodInitializing")}, {Waiting("first", "ErrImagePull")})},
            {},
            "ErrImagePull",
            JobFailure::kImagePull},
        WaitingCase{"MissingSecret",
                    {PodWith({Waiting("main", "CreateContainerConfigError", "secret not found")})},
                    {},
                    "CreateContainerConfigError",
                    JobFailure::kConfiguration},
        WaitingCase{"MissingMount",
                    {PodWith({Waiting("main", "ContainerCreating")})},
                    {Warning("FailedMount", "secret \"kube\" not found")},
                    "FailedMount",
                    JobFailure::kConfiguration},
        WaitingCase{"Creating",
                    {PodWith({Waiting("main", "ContainerCreating")})},
                    {},
                    "ContainerCreating",
                    JobFailure::kNone},
        WaitingCase{"NotOnANodeYet", {PodWith({})}, {}, "Pending", JobFailure::kNone},
        WaitingCase{"ARunningContainerWaitsForNothing",
                    {PodWith({Running("main")})},
                    {Warning("FailedMount", "an old one")},
                    "",
                    JobFailure::kNone}),
    [](const auto& info) { return info.param.name; });

TEST(OutcomeTest, S2_65_TheMissingSecretIsNamed) {
  const JobOutcome outcome =
      Judge(JobWith({}), {PodWith({Waiting("main", "CreateContainerConfigError",
                                           "secret \"registry-login\" not found")})});

  EXPECT_THAT(outcome.waiting_message, HasSubstr("registry-login"));
}

TEST(OutcomeTest, S2_65_TheMissingMountIsNamedThoughALaterEventDoesNot) {
  for (const char* missing :
       {"secret \"db-patch\" not found", "configmap \"settings\" not found"}) {
    Json useless = Warning(
        "FailedMount", "Unable to attach or mount volumes: timed out waiting for the condition");
    useless["lastTimestamp"] = "2026-01-02T03:06:10Z";
    const Json naming = Warning(
        "FailedMount", std::string("MountVolume.SetUp failed for volume \"v\" : ") + missing);

    for (const std::vector<Json>& events :
         {std::vector<Json>{naming, useless}, std::vector<Json>{useless, naming}}) {
      const JobOutcome outcome =
          Judge(JobWith({}), {PodWith({Waiting("main", "ContainerCreating")})}, events);

      EXPECT_EQ(outcome.waiting_reason, "FailedMount");
      EXPECT_EQ(outcome.waiting_failure, JobFailure::kConfiguration);
      EXPECT_THAT(outcome.waiting_message, HasSubstr(missing));
    }
  }
}

TEST(OutcomeTest, S2_48_AMissingAccountIsNamedAsSuch) {
  const std::vector<Json> events = {
      Warning("FailedCreate",
              "Error creating: pods \"capstan-1-\" is forbidden: error looking up service account "
              "actions/capstan-scale: serviceaccount \"capstan-scale\" not found")};

  const JobOutcome waiting = Judge(JobWith({}), {}, events);
  const JobOutcome failed = Judge(JobWith({kBackoffLimitExceeded}), {}, events);

  EXPECT_EQ(waiting.waiting_failure, JobFailure::kAccountMissing);
  EXPECT_THAT(waiting.waiting_message, HasSubstr("the action's ServiceAccount does not exist"));
  EXPECT_THAT(waiting.waiting_message, HasSubstr("actions/capstan-scale"));
  EXPECT_EQ(failed.failure, JobFailure::kAccountMissing);
  EXPECT_THAT(failed.message, HasSubstr("the action's ServiceAccount does not exist"));
}

constexpr char kRefusal[] =
    "Error from server (Forbidden): deployments.apps \"web\" is forbidden: User \"u\" cannot patch "
    "resource \"deployments\"\n";

TEST(OutcomeTest, S2_48_AMissingRoleShowsAsARefusalBeforeAnyChange) {
  const JobOutcome outcome = Judge(
      JobWith({kBackoffLimitExceeded}),
      {PodWith({Waiting("main", "PodInitializing")}, {Terminated("scale", 1, "Error", kRefusal)})});

  EXPECT_EQ(outcome.failure, JobFailure::kRoleMissing);
  EXPECT_THAT(outcome.message,
              HasSubstr("container scale was refused before it reported any change"));
  EXPECT_THAT(outcome.message, HasSubstr("cannot patch resource \"deployments\""));
}

TEST(OutcomeTest, S2_48_ARefusalAfterMuchWasSaidIsQuotedItself) {
  const std::string much(1000, 'x');
  const JobOutcome outcome =
      Judge(JobWith({kBackoffLimitExceeded}),
            {PodWith({Terminated("main", 1, "Error", much + "\n" + kRefusal)})});

  EXPECT_THAT(outcome.message, HasSubstr("cannot patch resource \"deployments\""));
}

TEST(OutcomeTest, S2_48_ARefusalMidRunSaysThatAPartWasDone) {
  const JobOutcome later_container = Judge(
      JobWith({kBackoffLimitExceeded}),
      {PodWith({Terminated("main", 1, "Error", kRefusal)}, {Terminated("scale", 0, "Completed")})});
  const JobOutcome later_line =
      Judge(JobWith({kBackoffLimitExceeded}),
            {PodWith({Terminated("main", 1, "Error",
                                 "node/a cordoned\nerror when evicting pods/\"p\" -n \"n\": pods "
                                 "\"p\" is forbidden: User \"u\" cannot create resource "
                                 "\"pods/eviction\"\n")})});

  EXPECT_EQ(later_container.failure, JobFailure::kForbidden);
  EXPECT_THAT(later_container.message, HasSubstr("refused after a part of the action was done"));
  EXPECT_EQ(later_line.failure, JobFailure::kForbidden);
  EXPECT_THAT(later_line.message, HasSubstr("refused after a part of the action was done"));
}

TEST(OutcomeTest, S2_48_ACutMessageIsNotTakenForTheFirstWord) {
  const JobOutcome outcome =
      Judge(JobWith({kBackoffLimitExceeded}),
            {PodWith({Terminated("main", 1, "Error", kRefusal + std::string(2048, 'x'))})});

  EXPECT_THAT(outcome.message, HasSubstr("after a part of the action was done"));
}

TEST(OutcomeTest, S2_66_AnEvictedPodThatIsGoneIsToldByItsEvents) {
  Json eviction = Warning("TaintManagerEviction", "Marking for deletion Pod actions/capstan-1-abc");
  eviction["type"] = "Normal";

  const JobOutcome outcome =
      Judge(JobWith({kBackoffLimitExceeded}), {},
            {Warning("FailedScheduling", "0/1 nodes are available"), eviction});

  EXPECT_EQ(outcome.failure, JobFailure::kEvicted);
  EXPECT_THAT(outcome.message, HasSubstr("Marking for deletion Pod actions/capstan-1-abc"));
}

TEST(OutcomeTest, S2_66_EventsWithoutALastTimestampAreOrderedByTheirEventTime) {
  Json scheduling = Warning("FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu");
  scheduling["lastTimestamp"] = nullptr;
  scheduling["eventTime"] = "2026-01-02T03:05:00.123456Z";

  const JobOutcome outcome = Judge(JobWith({Condition("Failed", "DeadlineExceeded")}), {},
                                   {scheduling, Warning("FailedCreate", "an older one")});

  EXPECT_THAT(outcome.message, HasSubstr("last warning: FailedScheduling: 0/1 nodes"));
}

TEST(OutcomeTest, S2_62_AReplacedPodIsCounted) {
  Json first = PodWith({Terminated("main", 137, "Error")});
  first["metadata"]["creationTimestamp"] = "2026-01-02T03:04:05Z";

  const JobOutcome outcome = Judge(JobWith({Condition("Complete", "CompletionsReached")}),
                                   {first, PodWith({Terminated("main", 0, "Completed")})});

  EXPECT_TRUE(outcome.succeeded);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.pods_started, 2);
}

TEST(OutcomeTest, S2_62_AFailureThatNoRuleTolerates) {
  const JobOutcome outcome =
      Judge(JobWith({Condition("Failed", "PodFailurePolicy",
                               "Container main for pod a/b failed with exit code 137 matching "
                               "FailJob rule at index 0")}),
            {});

  EXPECT_EQ(outcome.failure, JobFailure::kJobFailed);
  EXPECT_THAT(outcome.message, HasSubstr("exit code 137 matching FailJob rule"));
}

TEST(OutcomeTest, ASuspendedJobWaitsForNobody) {
  Json job = JobWith({});
  job["spec"]["suspend"] = true;

  EXPECT_THAT(Judge(job, {}).waiting_reason, IsEmpty());
}

TEST(OutcomeTest, TheNewestPodDecides) {
  Json older = PodWith({Terminated("main", 137, "OOMKilled")});
  older["metadata"]["creationTimestamp"] = "2026-01-02T03:04:05Z";

  const JobOutcome outcome =
      Judge(JobWith({kBackoffLimitExceeded}), {PodWith({Terminated("main", 5, "Error")}), older});

  EXPECT_EQ(outcome.exit_code, 5);
  EXPECT_EQ(outcome.pods_started, 2);
}

TEST(OutcomeTest, FieldsOfTheWrongTypeReadAsAbsent) {
  Json job = JobWith({kBackoffLimitExceeded});
  job["status"]["startTime"] = 7;
  job["spec"] = "none";
  Json pod = PodWith({});
  pod["status"]["containerStatuses"] = {{{"name", 3}, {"state", "x"}}, 4, nullptr};
  pod["metadata"] = Json::array();

  const JobOutcome outcome = Judge(job, {pod, Json("pod")}, {Json(1), Json::object()});

  EXPECT_TRUE(outcome.finished);
  EXPECT_EQ(outcome.failure, JobFailure::kJobFailed);
}

TEST(OutcomeTest, LongTerminationMessagesAreCut) {
  const JobOutcome outcome =
      Judge(JobWith({kBackoffLimitExceeded}),
            {PodWith({Terminated("main", 1, "Error", std::string(100'000, 'x'))})});

  EXPECT_EQ(outcome.termination_message.size(), kMaxTerminationMessageBytes);
  EXPECT_LE(outcome.message.size(), kMaxOutcomeMessageBytes);
}

absl::Status Refused(int code, const std::string& message) {
  const Json body = {{"kind", "Status"}, {"code", code}, {"message", message}};
  return StatusFromResponse("create jobs", code, body.dump(), "", true);
}

TEST(FailureOfCreateTest, S2_18_RefusalsOfTheCreateAreSorted) {
  EXPECT_EQ(FailureOfCreate(Refused(403, "jobs.batch is forbidden: exceeded quota: q")),
            JobFailure::kResourceExhausted);
  EXPECT_EQ(FailureOfCreate(Refused(403, "jobs.batch is forbidden: User cannot create")),
            JobFailure::kForbidden);
  EXPECT_EQ(FailureOfCreate(Refused(422, "ValidatingAdmissionPolicy 'p' denied request: no")),
            JobFailure::kForbidden);
  EXPECT_EQ(FailureOfCreate(Refused(422, "spec.template: Required value")),
            JobFailure::kConfiguration);
  EXPECT_EQ(FailureOfCreate(Refused(404, "namespaces \"a\" not found")),
            JobFailure::kConfiguration);
}

TEST(FailureOfCreateTest, S2_69a_QuotaAndRbacAreDifferentReasons) {
  const absl::Status quota = Refused(403, "jobs.batch \"j\" is forbidden: exceeded quota: few");
  const absl::Status rbac = Refused(403, "jobs.batch is forbidden: User \"u\" cannot create");

  EXPECT_NE(JobFailureName(FailureOfCreate(quota)), JobFailureName(FailureOfCreate(rbac)));
}

TEST(FailureOfCreateTest, ErrorsThatMayPassAreNoFailure) {
  EXPECT_EQ(FailureOfCreate(Refused(429, "slow down")), JobFailure::kNone);
  EXPECT_EQ(FailureOfCreate(Refused(500, "etcd")), JobFailure::kNone);
  EXPECT_EQ(FailureOfCreate(absl::UnavailableError("not sent")), JobFailure::kNone);
}

}  // namespace
}  // namespace capstan::kubernetes
