// What a real Kubernetes and the people in it do to executions: F3 to F15 are the failures that
// cluster_failure_test tells on the simulated one; F6 is in e2e_test.cc, a missing account (F9) in
// rights_e2e_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/kubernetes_names.h"
#include "tests/e2e/cluster_under_test.h"
#include "tests/scenarios/operations.h"

namespace capstan::testing {
namespace {

using ::testing::HasSubstr;
using v1::Execution;
using v1::ExecutionEvent;
using Json = nlohmann::json;

// Its pods fit nowhere until Release().
constexpr char kHeld[] = R"(---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: default, labels: {of: failures}}
spec:
  replicas: 1
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 0
      nodeSelector: {capstan.dev/no-such-node: "true"}
      containers: [{name: web, image: "capstan.test/web:1"}]
)";

class FailuresTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    Install();
    system_ = MakeSystem().release();
    server_ = new Server(system_->StartServer());
  }
  static void TearDownTestSuite() {
    Kubectl("delete deployment -n default -l of=failures --wait=false");
    delete server_;
    delete system_;
  }

  // Scales a Deployment of this name, made for it, whose rollout lasts until Release().
  static std::string SubmitHeld(const std::string& deployment) {
    Kubectl(absl::StrCat("delete deployment --ignore-not-found ", deployment));
    Apply(Filled(kHeld, {{"name", deployment}}));
    return *Submit(*server_, Scale(2, "default", deployment));
  }
  // The same, once its pod is at work.
  static std::string SubmitAtWork(const std::string& deployment) {
    const std::string name = SubmitHeld(deployment);
    WaitUntilAtWork(name);
    return name;
  }
  static void WaitUntilAtWork(const std::string& execution) {
    WatchUntil(*server_, execution, ExecutionEvent::kJobArmed);
    WaitForLog(JobOf(execution), "Waiting for deployment");
  }
  static void Release(const std::string& deployment) {
    Kubectl(absl::StrCat("patch deployment ", deployment,
                         " --type=json -p '[{\"op\": \"remove\", \"path\": "
                         "\"/spec/template/spec/nodeSelector\"}]'"));
  }
  static void ExpectOneJobAndPod(const std::string& execution) {
    EXPECT_EQ(CountAudit("create", "jobs", JobOf(execution)), 1);
    EXPECT_EQ(PodsCreatedFor(JobOf(execution)), 1);
  }

  static inline System* system_ = nullptr;
  static inline Server* server_ = nullptr;
  std::unique_ptr<Process> worker_ = system_->StartWorker();
};

int ListsOfJobs() {
  return std::atoi(
      Shell(absl::StrCat("grep '\"verb\":\"list\"' ", Environment("CAPSTAN_E2E_AUDIT_LOG"),
                         " | grep '\"resource\":\"jobs\"' | grep -c capstan-worker"),
            /*must=*/false)
          .c_str());
}

// The history up to now is gone from etcd, and with the restart from the API server.
void CompactAndRestart() {
  // So that the worker's watch stands before what is then the beginning.
  for (const char* mark : {"a-", "a=1", "a=2", "a=3", "a-"}) {
    Kubectl(absl::StrCat("annotate --overwrite namespace default capstan.test/", mark));
  }
  const std::string etcd = "exec curl -sf http://127.0.0.1:2379/v3/kv/";
  const Json range = Json::parse(Cluster(etcd + R"(range -d '{"key": "AA=="}')"));
  Cluster(absl::StrCat(etcd, R"(compaction -d '{"physical": true, "revision": ")",
                       range["header"]["revision"].get<std::string>(), R"("}')"));
  Cluster("restart kube-apiserver");
}

TEST_F(FailuresTest, F3_F13_TenActionsSurviveACompactionAndACrashOfTheApiServer) {
  std::map<std::string, std::string> names;
  for (int i = 0; i < 10; ++i) {
    const std::string deployment = absl::StrCat("f13-", i);
    names[deployment] = SubmitHeld(deployment);
  }
  for (const auto& [deployment, name] : names) WaitUntilAtWork(name);
  const int lists = ListsOfJobs();

  CompactAndRestart();
  for (const auto& [deployment, name] : names) Release(deployment);

  for (const auto& [deployment, name] : names) {
    const Streamed run = Watch(*server_, name);
    EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
    ExpectOneJobAndPod(name);
  }
  EXPECT_GT(ListsOfJobs(), lists);
}

TEST_F(FailuresTest, F7_AJobThatIsCleanedUpBeforeItsEndIsSeenIsAnUnknownOutcome) {
  const std::string name = SubmitAtWork("f7");
  const std::string job = absl::StrCat("-n capstan-actions get job ", JobOf(name));
  EXPECT_EQ(Kubectl(job + " -o jsonpath='{.spec.ttlSecondsAfterFinished}'"), "");
  Kubectl(absl::StrCat("-n capstan-actions patch job ", JobOf(name),
                       " -p '{\"spec\": {\"ttlSecondsAfterFinished\": 0}}'"));
  worker_->Signal(SIGKILL);
  worker_->Wait();
  Release("f7");
  Kubectl(absl::StrCat("-n capstan-actions wait --for=delete --timeout=60s job/", JobOf(name)));

  worker_ = system_->StartWorker();
  const Streamed run = Watch(*server_, name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN)
      << run.End().DebugString();
  ExpectOneJobAndPod(name);
}

TEST_F(FailuresTest, F8_AnActionWhosePodIsDrainedFromItsNodeSaysSoAndIsNotRepeated) {
  const std::string name = SubmitAtWork("f8");
  const absl::Cleanup uncordon = [] { Kubectl("uncordon node-1"); };

  Kubectl(absl::StrCat("drain node-1 --pod-selector=job-name=", JobOf(name),
                       " --force --delete-emptydir-data --timeout=60s"));
  const Streamed run = Watch(*server_, name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_RESOURCE_EXHAUSTED)
      << run.End().DebugString();
  EXPECT_THAT(run.End().message(), HasSubstr("taken off its node"));
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_POSSIBLE);
  ExpectOneJobAndPod(name);
}

TEST_F(FailuresTest, F9_AnImageThatIsNotThereEndsAtTheStartDeadlineWithItsReason) {
  const std::string image = "capstan.test/none:1";
  const Installation other = {
      .actions_namespace = "capstan-f9",
      .system_namespace = "capstan-f9-system",
      .flags = absl::StrCat("--image kubectl=", image, " --image capstan-action=", image)};
  Install(other);
  const absl::Cleanup remove = [] {
    Kubectl("delete namespace capstan-f9 capstan-f9-system --wait=false");
  };
  const auto system = MakeSystem(other);
  Server server = system->StartServer();
  const auto worker = system->StartWorker(
      {}, {"--kubernetes.namespace=capstan-f9", "--jobs.start_deadline=5s",
           absl::StrCat("--kubernetes.runner_images=kubectl=", image, ",capstan-action=", image)});
  Apply(Filled(kHeld, {{"name", "f9"}}));

  const Streamed run = Execute(server, Scale(2, "default", "f9"));

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_IMAGE_PULL)
      << run.End().DebugString();
  EXPECT_THAT(run.End().message(), HasSubstr("Image"));
  EXPECT_THAT(run.End().message(), HasSubstr(image));
  EXPECT_EQ(Kubectl("get deployment f9 -o jsonpath='{.spec.replicas}'"), "1");
}

TEST_F(FailuresTest, F10_AForeignJobOfTheSameNameIsLeftAsItIs) {
  Apply(Filled(kHeld, {{"name", "f10"}}));
  const Streamed tried = Execute(*server_, DryRun(Scale(2, "default", "f10")));
  Json job = Json::parse(tried.End().outcome().plan().rendered_job());
  worker_.reset();
  const std::string name = *Submit(*server_, Scale(2, "default", "f10"));
  // As the admission policy wants it, and of somebody else.
  job["metadata"]["name"] = JobOf(name);
  job["metadata"]["labels"][std::string(kInstallationLabel)] = "theirs";
  Apply(job.dump());
  const std::string theirs = absl::StrCat("-n capstan-actions get job ", JobOf(name),
                                          " -o jsonpath='{.metadata.uid} {.metadata.generation} "
                                          "{.metadata.annotations} {.spec.suspend}'");
  const std::string before = Kubectl(theirs);

  worker_ = system_->StartWorker();
  const Streamed run = Watch(*server_, name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_NAME_COLLISION)
      << run.End().DebugString();
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_NONE);
  EXPECT_EQ(Kubectl(theirs), before);
  Kubectl(absl::StrCat("-n capstan-actions delete job ", JobOf(name)));
}

TEST_F(FailuresTest, F12_AQuotaIsNamedAndWaitedFor) {
  Apply(R"(
apiVersion: v1
kind: ResourceQuota
metadata: {name: no-jobs, namespace: capstan-actions}
spec: {hard: {count/jobs.batch: "0"}}
)");
  Kubectl(
      "-n capstan-actions wait resourcequota no-jobs --timeout=30s "
      "--for=jsonpath='{.status.hard.count/jobs\\.batch}'=0");
  const std::string name = SubmitHeld("f12");
  Release("f12");
  WatchUntil(*server_, name,
             [](const ExecutionEvent& event) { return event.state_changed().has_retry_time(); });
  const v1::ExplainExecutionResponse why = *Explain(*server_, name);

  Kubectl("-n capstan-actions delete resourcequota no-jobs");
  const Streamed run = Watch(*server_, name);

  EXPECT_THAT(why.reasons(0).message(), HasSubstr("exceeded quota: no-jobs"));
  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  ExpectOneJobAndPod(name);
}

TEST_F(FailuresTest, F12_ADenialByAdmissionEndsItWithTheWordsOfTheServer) {
  Apply(R"(
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: fridays}
spec:
  matchConstraints:
    resourceRules:
      - {apiGroups: [batch], apiVersions: [v1], operations: [CREATE], resources: [jobs]}
  validations: [{expression: "false", message: not on Fridays}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: fridays}
spec: {policyName: fridays, validationActions: [Deny]}
)");
  // The API server takes a moment to heed a policy, and another to forget it.
  const auto wait_until_probe = [](const std::string& outcome) {
    Shell(absl::StrCat("for i in $(seq 100); do ", Environment("CAPSTAN_E2E_KUBECTL"),
                       " create job probe --image=none --dry-run=server 2>&1 | grep -q ", outcome,
                       " && exit; sleep 0.1; done; exit 1"));
  };
  const absl::Cleanup lift = [&] {
    Kubectl("delete validatingadmissionpolicy,validatingadmissionpolicybinding fridays");
    wait_until_probe("created");
  };
  wait_until_probe("Fridays");

  const Streamed run = Watch(*server_, SubmitHeld("f12-denied"));

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_FORBIDDEN)
      << run.End().DebugString();
  EXPECT_THAT(run.End().message(), HasSubstr("not on Fridays"));
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_NONE);
  EXPECT_EQ(CountAudit("create", "jobs", JobOf(run.snapshot->name())), 0);
}

TEST_F(FailuresTest, F14_APodThatIsDeletedTakesItsLogWithItWhichIsSaid) {
  const std::string name = SubmitAtWork("f14");

  Kubectl(absl::StrCat("-n capstan-actions delete pod -l job-name=", JobOf(name),
                       " --force --grace-period=0 --wait=false"));
  const Streamed run = Watch(*server_, name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_JOB_FAILED)
      << run.End().DebugString();
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_POSSIBLE);
  EXPECT_THAT(ReadLog(*server_, name), HasSubstr("[the rest of the log is missing: "));
  ExpectOneJobAndPod(name);
}

TEST_F(FailuresTest, F15_WithoutAJobControllerItWaitsIsExplainedAndGoesOn) {
  Cluster("signal kube-controller-manager STOP");
  absl::Cleanup go_on = [] { Cluster("signal kube-controller-manager CONT"); };
  const std::string name = SubmitHeld("f15");
  Release("f15");
  WatchUntil(*server_, name, ExecutionEvent::kJobArmed);
  EXPECT_EQ(Explain(*server_, name)->reasons(0).code(), "JOB_RUNNING");
  EXPECT_EQ(PodsCreatedFor(JobOf(name)), 0);

  std::move(go_on).Invoke();
  const Streamed run = Watch(*server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  ExpectOneJobAndPod(name);
}

}  // namespace
}  // namespace capstan::testing
