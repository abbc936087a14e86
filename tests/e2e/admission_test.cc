// Which Jobs the real API server lets into the actions namespace, asked with the worker's own
// token: those that Capstan renders, and no others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/catalog/catalog.h"
#include "core/catalog/job_spec.h"
#include "core/status_macros.h"
#include "tests/e2e/action_cases.h"
#include "tests/e2e/api_client.h"
#include "tests/support/status_matchers.h"

namespace capstan::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr char kActions[] = "capstan-actions";

const catalog::Catalog& Shipped() {
  static const auto* const kCatalog =
      new catalog::Catalog(*catalog::Catalog::Load("catalog/actions"));
  return *kCatalog;
}

// What a worker would create.
Json JobOfCase(const ClusterCase& action) {
  const catalog::ActionDefinition& definition = *Shipped().Find(action.action);
  const auto parameters = catalog::ValidateParameters(
      definition, Request(action.action, action.parameters).parameters());
  CAPSTAN_CHECK(parameters.ok());
  google::protobuf::Struct captured;
  for (const char* name : {"uid", "resource_version"}) {
    (*captured.mutable_fields())[name].set_string_value("1");
  }
  const catalog::RunnerImages images = catalog::DefaultRunnerImages();
  const auto job = catalog::RenderJob({.execution = ExecutionId::Make(absl::Now()),
                                       .action = definition,
                                       .parameters = *parameters,
                                       .timeout = absl::Seconds(60),
                                       .actions_namespace = kActions,
                                       .installation = "capstan",
                                       .images = images,
                                       .traceparent = "00-1-1-01",
                                       .captured = captured,
                                       .create_time = absl::Now()});
  CAPSTAN_CHECK(job.ok());
  return Json::parse(job->json);
}

class AdmissionTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (worker_ != nullptr) return;
    Install();
    worker_ = ConnectToCluster(TokenOf("capstan-worker", "capstan-system")).release();
  }

  static absl::Status Try(const Json& job) {
    return worker_->Create(kubernetes::kJobs, kActions, job.dump(), {.dry_run = true}).status();
  }

  static inline kubernetes::Client* worker_ = nullptr;
};

class RenderedJobTest : public AdmissionTest, public ::testing::WithParamInterface<ClusterCase> {};

TEST_P(RenderedJobTest, S2_63_IsLetIn) { EXPECT_OK(Try(JobOfCase(GetParam()))); }

INSTANTIATE_TEST_SUITE_P(TheTen, RenderedJobTest, ::testing::ValuesIn(TheTenActions()), NameOf);

struct BadJob {
  std::string name;     // of the test
  std::string patch;    // JSON Patch that makes it of a rendered one; ${pod}, ${main}, ${init}
  std::string because;  // in the refusal
  std::string action = "ScaleDeployment";
};

class BadJobTest : public AdmissionTest, public ::testing::WithParamInterface<BadJob> {};

TEST_P(BadJobTest, S2_46_S2_63_IsRefused) {
  const std::string patch =
      Filled(GetParam().patch, {{"main", "/spec/template/spec/containers/0"},
                                {"init", "/spec/template/spec/initContainers/0"},
                                {"pod", "/spec/template/spec"}});
  const Json job = JobOfCase(CaseOf(GetParam().action)).patch(Json::parse(patch));

  const absl::Status status = Try(job);

  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("ValidatingAdmissionPolicy"));
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().because));
}

constexpr char kAccount[] = "the account is not that of the action";
constexpr char kImage[] = "a container or its image is not of this action";
constexpr char kProgram[] = "a container runs something else";
constexpr char kEnvironment[] = "an environment, hooks or devices";
constexpr char kLocked[] = "a container is not locked down";
constexpr char kMounts[] = "a container mounts what this action does not";
constexpr char kShares[] = "the pod shares namespaces of its node";
constexpr char kPodLocked[] = "the pod is not locked down";
constexpr char kVolumes[] = "the pod has a volume that this action has not";
constexpr char kChooses[] = "the pod chooses its node, priority or runtime";
constexpr char kOnce[] = "the Job runs more than one pod, more than once, or without a deadline";

std::string Put(const std::string& path, const std::string& value) {
  return absl::StrCat(R"([{"op": "add", "path": ")", path, R"(", "value": )", value, "}]");
}
std::string Cut(const std::string& path) {
  return absl::StrCat(R"([{"op": "remove", "path": ")", path, R"("}])");
}

std::vector<BadJob> BadJobs() {
  const std::string extra =
      R"({"name": "extra", "image": "registry.k8s.io/kubectl:v1.34.4", "command": ["kubectl"]})";
  const std::string label = "/metadata/labels/capstan.dev~1action";
  return {
      {"NotSuspended", Put("/spec/suspend", "false"), "the Job is not suspended"},
      {"SuspendedUnsaid", Cut("/spec/suspend"), "the Job is not suspended"},
      {"AccountOfAnotherAction",
       Put("${pod}/serviceAccountName", R"("kubernetes-executor-patch-secret")"), kAccount},
      {"DefaultAccount", Put("${pod}/serviceAccountName", R"("default")"), kAccount},
      {"NoAccount", Cut("${pod}/serviceAccountName"), kAccount},
      {"WorkersAccount", Put("${pod}/serviceAccountName", R"("capstan-worker")"), kAccount},
      // Without labels a Job gets those of its pods.
      {"NoLabels",
       R"([{"op": "remove", "path": "/metadata/labels"},
           {"op": "remove", "path": "/spec/template/metadata/labels"}])",
       kAccount},
      {"NoActionLabel", Cut(label), kAccount},
      {"UnknownAction", Put(label, R"("DeleteNamespace")"), kAccount},
      {"LabelOfAnotherAction", Put(label, R"("DrainNode")"), kAccount},
      {"OtherImage", Put("${main}/image", R"("capstan.test/busybox:1")"), kImage},
      {"OtherInitImage", Put("${init}/image", R"("capstan.test/busybox:1")"), kImage},
      {"LatestImage", Put("${main}/image", R"("registry.k8s.io/kubectl:latest")"), kImage},
      {"ImageOfAnotherAction",
       Put("${main}/image", R"("registry.capstan.dev/capstan-action:v0.1.0")"), kImage},
      {"ExtraContainer", Put("${pod}/containers/-", extra), kImage},
      {"ExtraInitContainer", Put("${pod}/initContainers/-", extra), kImage},
      {"RenamedContainer", Put("${main}/name", R"("shell")"), kImage},
      {"Shell", Put("${main}/command", R"(["sh", "-c", "kubectl get secrets"])"), kProgram},
      {"OtherVerb", Put("${main}/command", R"(["kubectl", "delete", "deployment", "web"])"),
       kProgram},
      {"OneLongArgument", Put("${main}/command", R"(["kubectl rollout status --namespace=x"])"),
       kProgram},
      {"FlagBeforeTheVerb",
       Put("${main}/command",
           R"(["kubectl", "--server=https://example.com", "rollout", "status", "--namespace=x"])"),
       kProgram},
      {"Arguments", Put("${main}/args", R"(["--as=admin"])"), kProgram},
      {"EntryPointOfTheImage", Cut("${main}/command"), kProgram},
      {"OtherEnvironment", Put("${main}/env/-", R"({"name": "KUBECONFIG", "value": "/tmp/x"})"),
       kEnvironment},
      {"EnvironmentFromSecret",
       Put("${main}/envFrom", R"([{"secretRef": {"name": "new-password"}}])"), kEnvironment},
      {"HomeFromSecret", Put("${main}/env", R"([{"name": "HOME", "valueFrom":
           {"secretKeyRef": {"name": "new-password", "key": "patch"}}}])"),
       kEnvironment},
      {"Hook",
       Put("${main}/lifecycle", R"({"postStart": {"exec": {"command": ["kubectl", "version"]}}})"),
       kEnvironment},
      {"Privileged", Put("${main}/securityContext", R"({"privileged": true})"), kLocked},
      {"Escalation", Put("${main}/securityContext/allowPrivilegeEscalation", "true"), kLocked},
      {"EscalationUnsaid", Cut("${main}/securityContext/allowPrivilegeEscalation"), kLocked},
      {"WritableRoot", Put("${main}/securityContext/readOnlyRootFilesystem", "false"), kLocked},
      {"AddedCapability", Put("${main}/securityContext/capabilities/add", R"(["NET_ADMIN"])"),
       kLocked},
      {"KeptCapabilities", Put("${main}/securityContext/capabilities/drop", R"(["NET_RAW"])"),
       kLocked},
      {"NoCapabilitiesDropped", Cut("${main}/securityContext/capabilities"), kLocked},
      {"NoSecurityContext", Cut("${main}/securityContext"), kLocked},
      {"InitContainerNotLocked", Cut("${init}/securityContext"), kLocked},
      {"ContainerAsRoot", Put("${main}/securityContext/runAsUser", "0"), kLocked},
      {"ContainerMayBeRoot", Put("${main}/securityContext/runAsNonRoot", "false"), kLocked},
      {"ContainerUnconfined",
       Put("${main}/securityContext/seccompProfile", R"({"type": "Unconfined"})"), kLocked},
      {"PodAsRoot", Put("${pod}/securityContext/runAsUser", "0"), kPodLocked},
      {"PodMayBeRoot", Put("${pod}/securityContext/runAsNonRoot", "false"), kPodLocked},
      {"NoPodSecurityContext", Cut("${pod}/securityContext"), kPodLocked},
      {"Unconfined", Put("${pod}/securityContext/seccompProfile", R"({"type": "Unconfined"})"),
       kPodLocked},
      {"GroupOfRoot", Put("${pod}/securityContext/supplementalGroups", "[0]"), kPodLocked},
      {"HostNetwork", Put("${pod}/hostNetwork", "true"), kShares},
      {"HostProcesses", Put("${pod}/hostPID", "true"), kShares},
      {"HostIpc", Put("${pod}/hostIPC", "true"), kShares},
      {"HostAliases",
       Put("${pod}/hostAliases",
           R"([{"ip": "192.0.2.1", "hostnames": ["kubernetes.default.svc"]}])"),
       kShares},
      {"SharedProcesses", Put("${pod}/shareProcessNamespace", "true"), kShares},
      {"HostPath", Put("${pod}/volumes/-", R"({"name": "host", "hostPath": {"path": "/"}})"),
       kVolumes},
      {"HostPathAsTmp", Put("${pod}/volumes", R"([{"name": "tmp", "hostPath": {"path": "/"}}])"),
       kVolumes},
      {"SecretOfThePatches",
       Put("${pod}/volumes/-", R"({"name": "s", "secret": {"secretName": "new-password"}})"),
       kVolumes},
      {"ConfigMapVolume",
       Put("${pod}/volumes/-", R"({"name": "c", "configMap": {"name": "kube-root-ca.crt"}})"),
       kVolumes},
      {"TokenForOthers", Put("${pod}/volumes/-", R"({"name": "t", "projected": {"sources":
           [{"serviceAccountToken": {"path": "token", "audience": "vault"}}]}})"),
       kVolumes},
      {"TmpElsewhere", Put("${main}/volumeMounts/-", R"({"name": "tmp", "mountPath": "/bin"})"),
       kMounts},
      {"SecretMountedInAnotherContainer",
       Put("${init}/volumeMounts/-", R"({"name": "secret-0", "mountPath": "/patch"})"), kMounts,
       "PatchSecret"},
      {"SecretMountedElsewhere",
       Put("${main}/volumeMounts/-", R"({"name": "secret-0", "mountPath": "/etc/keys"})"), kMounts,
       "PatchSecret"},
      {"ChosenNode", Put("${pod}/nodeName", R"("node-1")"), kChooses},
      {"Tolerations", Put("${pod}/tolerations", R"([{"operator": "Exists"}])"), kChooses},
      {"Priority", Put("${pod}/priorityClassName", R"("system-node-critical")"), kChooses},
      {"Runtime", Put("${pod}/runtimeClassName", R"("other")"), kChooses},
      {"ManyPodsAtOnce", Put("/spec/parallelism", "2"), kOnce},
      {"ManyPods", Put("/spec/completions", "5"), kOnce},
      {"Repeated", Put("/spec/backoffLimit", "6"), kOnce},
      {"RepeatedByDefault", Cut("/spec/backoffLimit"), kOnce},
      {"NoDeadline", Cut("/spec/activeDeadlineSeconds"), kOnce},
      {"LongDeadline", Put("/spec/activeDeadlineSeconds", "901"), kOnce},
      {"ForeignPods",
       R"([{"op": "add", "path": "/spec/manualSelector", "value": true},
           {"op": "add", "path": "/spec/selector",
            "value": {"matchLabels": {"capstan.dev/action": "ScaleDeployment"}}}])",
       kOnce},
  };
}

std::string TestName(const ::testing::TestParamInfo<BadJob>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Each, BadJobTest, ::testing::ValuesIn(BadJobs()), TestName);

TEST_F(AdmissionTest, S2_67_AnotherNamespaceIsNoneOfItsBusiness) {
  const Json job = Json::parse(R"({"apiVersion": "batch/v1", "kind": "Job",
    "metadata": {"name": "other", "namespace": "default"},
    "spec": {"template": {"spec": {"restartPolicy": "Never",
             "containers": [{"name": "a", "image": "capstan.test/web:1"}]}}}})");

  EXPECT_OK(
      ConnectToCluster()->Create(kubernetes::kJobs, "default", job.dump(), {.dry_run = true}));
}

}  // namespace
}  // namespace capstan::testing
