#include "tests/e2e/action_cases.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/ids.h"
#include "core/status_macros.h"

namespace capstan::testing {
namespace {

constexpr char kDeployment[] = R"(---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: actions-e2e}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 0
      ${placed}
      containers: [{name: web, image: "capstan.test/web:1"}]
)";

std::string Deployment(const std::string& name, int replicas = 1, const std::string& placed = "") {
  return Filled(kDeployment,
                {{"name", name}, {"replicas", absl::StrCat(replicas)}, {"placed", placed}});
}

// Of the other kinds that actions change.
constexpr char kOthers[] = R"(---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: delete, namespace: actions-e2e}
spec:
  replicas: 1
  selector: {matchLabels: {app: delete}}
  template:
    metadata: {labels: {app: delete}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 0
      containers: [{name: web, image: "capstan.test/web:1"}]
---
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: actions-e2e}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  containers: [{name: web, image: "capstan.test/web:1"}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: actions-e2e}
data: {mode: slow, old: "1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: fixed, namespace: actions-e2e}
immutable: true
data: {mode: slow}
---
apiVersion: v1
kind: Secret
metadata: {name: database, namespace: actions-e2e}
stringData: {password: canary-7c2a-old}
---
apiVersion: v1
kind: Secret
metadata: {name: new-password, namespace: capstan-actions}
stringData:
  patch: '[{"op": "replace", "path": "/data/password", "value": "Y2FuYXJ5LTdjMmEtbmV3"}]'
)";

std::string Target(const std::string& kind, const std::string& name, const std::string& path) {
  return absl::StrCat("get ", kind, " ", name, " -n ", kTargets, " -o jsonpath='{", path, "}'");
}

std::string NodeFlag(const std::string& node) {
  return absl::StrCat("get node ", node, " -o jsonpath='{.spec.unschedulable}'");
}

std::string OnNode(const std::string& node) { return absl::StrCat(R"({"node": ")", node, R"("})"); }

std::string OnDeployment(const std::string& name, const std::string& more = "") {
  return absl::StrCat(R"({"namespace": "actions-e2e", "deployment": ")", name, "\"", more, "}");
}

std::vector<ClusterCase> MakeCases() {
  return {
      {"ScaleDeployment", OnDeployment("scale", R"(, "replicas": 2)"),
       Target("deployment", "scale", ".status.readyReplicas"), "1", "2", true},
      {"RestartDeployment", OnDeployment("restart"),
       Target("deployment", "restart", ".metadata.generation"), "1", "2", false},
      {"DeletePod", R"({"namespace": "actions-e2e", "pod": "delete-0", "grace": 0})",
       Target("pod", "delete-0", ".metadata.uid"), "", "", false},
      {"PatchConfigMap",
       R"({"namespace": "actions-e2e", "configmap": "settings",
           "patch": "[{\"op\": \"replace\", \"path\": \"/data/mode\", \"value\": \"fast\"},
                      {\"op\": \"remove\", \"path\": \"/data/old\"}]"})",
       Target("configmap", "settings", ".data"), R"({"mode":"slow","old":"1"})",
       R"({"mode":"fast"})", true},
      {"PatchSecret",
       R"({"namespace": "actions-e2e", "secret": "database", "patch_secret": "new-password"})",
       Target("secret", "database", ".data.password"), "Y2FuYXJ5LTdjMmEtb2xk",
       "Y2FuYXJ5LTdjMmEtbmV3", true},
      {"UpdateImage",
       OnDeployment("update", R"(, "container": "web", "image": "registry.k8s.io/pause:3.10")"),
       Target("deployment", "update", ".spec.template.spec.containers[0].image"),
       "capstan.test/web:1", "registry.k8s.io/pause:3.10", true},
      {"CordonNode", OnNode(kCordoned), NodeFlag(kCordoned), "", "true", true},
      {"DrainNode", OnNode(kDrained), NodeFlag(kDrained), "", "true", true},
      {"UncordonNode", OnNode(kUncordoned), NodeFlag(kUncordoned), "true", "", true},
      {"RolloutStatus", OnDeployment("rollout"),
       Target("deployment", "rollout", ".metadata.generation"), "1", "1", false},
  };
}

// What the tests share; ended after the last of them.
class Shared : public ::testing::Environment {
 public:
  void Begin() {
    if (system_ != nullptr) return;
    Install();
    MakeTargets();
    system_ = MakeSystem();
    server_.emplace(system_->StartServer());
    worker_ = system_->StartWorker();
  }

  void TearDown() override {
    worker_.reset();
    server_.reset();
    system_.reset();
  }

  Server& server() { return *server_; }

 private:
  std::unique_ptr<System> system_;
  std::optional<Server> server_;
  std::unique_ptr<Process> worker_;
};

// Owned by GoogleTest.
Shared& TheShared() {
  static auto* const kShared =
      static_cast<Shared*>(::testing::AddGlobalTestEnvironment(new Shared()));
  return *kShared;
}

// Registered before the tests begin.
[[maybe_unused]] const Shared& kRegistered = TheShared();

}  // namespace

ActionCasesTest::ActionCasesTest() { TheShared().Begin(); }

Server& ActionCasesTest::server() {
  TheShared().Begin();
  return TheShared().server();
}

const std::vector<ClusterCase>& TheTenActions() {
  static const auto* const kCases = new std::vector<ClusterCase>(MakeCases());
  return *kCases;
}

const ClusterCase& CaseOf(const std::string& action) {
  const auto found = std::find_if(TheTenActions().begin(), TheTenActions().end(),
                                  [&](const ClusterCase& one) { return one.action == action; });
  CAPSTAN_CHECK(found != TheTenActions().end());
  return *found;
}

std::string Look(const ClusterCase& action) { return Kubectl(action.look); }

std::string DeploymentOn(const std::string& node, const std::string& name, int replicas) {
  return Deployment(
      name, replicas,
      absl::StrCat("nodeSelector: {kubernetes.io/hostname: ", node,
                   "}\n      tolerations: [{key: kwok.x-k8s.io/node, operator: Exists}]"));
}

std::string Budget(const std::string& name, int disrupted) {
  return Filled(R"(---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: ${name}, namespace: actions-e2e}
spec:
  maxUnavailable: ${disrupted}
  selector: {matchLabels: {app: ${name}}}
)",
                {{"name", name}, {"disrupted", absl::StrCat(disrupted)}});
}

std::string DeploymentOf(const std::string& name, const std::string& image) {
  return absl::StrReplaceAll(Deployment(name), {{"capstan.test/web:1", image}});
}

void MakeTargets() {
  Kubectl("delete namespace actions-e2e --ignore-not-found");
  Kubectl("create namespace actions-e2e");
  for (const char* node : {kCordoned, kDrained, kControlPlane, kDrainCancelled, kDrainTooLate,
                           kDrainedLater, kCordonedWithBudget}) {
    Kubectl(absl::StrCat("uncordon ", node));
  }
  Kubectl(absl::StrCat("cordon ", kUncordoned));
  Kubectl(absl::StrCat("label --overwrite node ", kControlPlane,
                       " node-role.kubernetes.io/control-plane="));
  Apply(absl::StrCat(Deployment("scale"), Deployment("restart"), Deployment("update"),
                     Deployment("rollout"), kOthers, DeploymentOn(kDrained, "drained", 2),
                     DeploymentOn(kDrainCancelled, "cancelled", 2), Budget("cancelled", 0),
                     DeploymentOn(kDrainTooLate, "late", 2), Budget("late", 0),
                     DeploymentOn(kDrainedLater, "later", 2), Budget("later", 0),
                     DeploymentOn(kCordonedWithBudget, "cordoned", 2), Budget("cordoned", 0)));
  Kubectl("wait -n actions-e2e --for=condition=Ready pod/delete-0 pod/alone --timeout=120s");
  Kubectl("wait -n actions-e2e --for=condition=Available deployment --all --timeout=120s");
}

v1::ExecuteActionRequest Request(const std::string& action, const std::string& parameters) {
  v1::ExecuteActionRequest request;
  request.set_request_id(RandomUuid());
  request.set_action(action);
  CAPSTAN_CHECK(
      google::protobuf::util::JsonStringToMessage(parameters, request.mutable_parameters()).ok());
  return request;
}

Streamed RollBack(Server& server, const std::string& execution) {
  v1::RollbackExecutionRequest request;
  request.set_name(execution);
  request.set_request_id(RandomUuid());
  v1::RollbackExecutionResponse response;
  grpc::ClientContext context;
  const grpc::Status status = server.executions->RollbackExecution(&context, request, &response);
  if (status.ok()) return Watch(server, response.execution().name());
  Streamed refused;
  refused.status = status;
  return refused;
}

std::string NameOf(const ::testing::TestParamInfo<ClusterCase>& info) { return info.param.action; }

}  // namespace capstan::testing
