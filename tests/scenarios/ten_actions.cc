#include "tests/scenarios/ten_actions.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/status_macros.h"

namespace capstan::testing {
namespace {

using kubesim::Json;

constexpr char kShop[] = "shop";
constexpr char kActions[] = "capstan-actions";
constexpr char kNewImage[] = "registry.example/web:2.0";
constexpr char kPatch[] = R"([{"op":"replace","path":"/data/mode","value":"fast"},)"
                          R"({"op":"add","path":"/data/note","value":"zwölf\n"}])";

// Pods that the test does not put there stay away.
kubesim::NodeOptions Reserved() {
  kubesim::NodeOptions options;
  options.taints =
      Json::array({{{"key", "test"}, {"value", "reserved"}, {"effect", "NoSchedule"}}});
  return options;
}

v1::ExecuteActionRequest OnDeployment(const std::string& action, const std::string& name_space,
                                      const std::string& name,
                                      std::map<std::string, Parameter> more = {}) {
  more["namespace"] = name_space;
  more["deployment"] = name;
  return Request(action, more);
}

v1::ExecuteActionRequest Named(const std::string& action, const std::string& kind,
                               const std::string& name_space, const std::string& name,
                               std::map<std::string, Parameter> more = {}) {
  more["namespace"] = name_space;
  more[kind] = name;
  return Request(action, more);
}

v1::ExecuteActionRequest OnNode(const std::string& action, const std::string& node) {
  return Request(action, {{"node", node}});
}

}  // namespace

TenActions::TenActions(System& system) : kube_(system.kube()) {
  MakeCluster();
  AddDeployments();
  AddData();
  AddNodes();
}

void TenActions::MakeCluster() {
  for (const char* name : {"scaled", "restarted", "imaged", "watched"}) {
    kube_.AddDeployment(kShop, name, 1);
  }
  kube_.AddDeployment(kShop, "pods", 2);
  CAPSTAN_CHECK(kube_
                    .Create("configmaps", kShop,
                            {{"metadata", {{"name", "settings"}}},
                             {"data", {{"mode", "slow"}, {"list", "a\tb\n\n\"c\" \\ d ü\n"}}},
                             {"binaryData", {{"blob", "AAECA//+fw=="}}}})
                    .ok());
  CAPSTAN_CHECK(kube_
                    .Create("configmaps", kShop,
                            {{"metadata", {{"name", "frozen"}}},
                             {"immutable", true},
                             {"data", {{"mode", "slow"}}}})
                    .ok());
  kube_.AddSecret(kShop, "credentials", {{"user", "web"}, {"password", kOldValue}});
  const std::string patch = absl::StrCat(R"([{"op":"replace","path":"/data/password","value":")",
                                         absl::Base64Escape(kCanary), R"("}])");
  kube_.AddSecret(kActions, "credentials-patch", {{"patch", patch}});
  kube_.AddPod(kShop, "lonely");  // nobody would replace it

  kubesim::NodeOptions master = Reserved();
  master.labels["node-role.kubernetes.io/control-plane"] = "";
  kube_.AddNode("master", master);
  for (const char* node : {"cordoned-by-test", "drained-by-test", "uncordoned-by-test"}) {
    kube_.AddNode(node, Reserved());
  }
  CAPSTAN_CHECK(
      kube_
          .PatchExternally("nodes", "", "uncordoned-by-test", {{"spec", {{"unschedulable", true}}}})
          .ok());
  kube_.AddPod(kShop, "evicted",
               {.labels = {{"app", "evicted"}},
                .node = "drained-by-test",
                .owner_kind = "StatefulSet",
                .owner_name = "evicted"});
  const bool ready = kube_.WaitFor([this] {
    const auto all = kube_.List("pods", kShop);
    const auto runs = [](const Json& pod) {
      return pod.value("/status/phase"_json_pointer, "") == "Running";
    };
    return all.size() == 8 && std::all_of(all.begin(), all.end(), runs);
  });
  CAPSTAN_CHECK(ready);
  for (const Json& pod : kube_.List("pods", kShop)) {
    if (pod.value("/metadata/labels/app"_json_pointer, "") != "pods") continue;
    pod_ = pod["metadata"]["name"];
    pod_uid_ = pod["metadata"]["uid"];
  }
}

void TenActions::AddDeployments() {
  Add({.action = "ScaleDeployment",
       .request = OnDeployment("ScaleDeployment", kShop, "scaled", {{"replicas", 3}}),
       .done = [this] { return kube_.Replicas(kShop, "scaled") == 3; },
       .argv = "--replicas=3",
       .target = "Deployment/shop/scaled",
       .fact = "replicas",
       .denied = OnDeployment("ScaleDeployment", kShop, "scaled", {{"replicas", 111}}),
       .rule = "resource-limits/too-many-replicas",
       .impossible = OnDeployment("ScaleDeployment", kShop, "absent", {{"replicas", 3}}),
       .reason = "Deployment shop/absent does not exist",
       .postcondition = "desired_replicas_running",
       .inverse = "ScaleDeployment"});
  Add({.action = "RestartDeployment",
       .request = OnDeployment("RestartDeployment", kShop, "restarted"),
       .done =
           [this] {
             return kube_.Get("deployments", kShop, "restarted")
                 .contains(
                     "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt"_json_pointer);
           },
       .argv = "restart-deployment",
       .target = "Deployment/shop/restarted",
       .fact = "generation",
       .denied = OnDeployment("RestartDeployment", "kube-system", "coredns"),
       .rule = "namespace-restrictions/protected-namespace",
       .impossible = OnDeployment("RestartDeployment", kShop, "absent"),
       .reason = "Deployment shop/absent does not exist",
       .postcondition = "rollout_complete",
       .inverse = ""});
  Add({.action = "UpdateImage",
       .request = OnDeployment("UpdateImage", kShop, "imaged",
                               {{"container", "main"}, {"image", kNewImage}}),
       .done =
           [this] {
             return kube_.Get("deployments", kShop, "imaged")
                        .at("/spec/template/spec/containers/0/image"_json_pointer) == kNewImage;
           },
       .argv = absl::StrCat("main=", kNewImage),
       .target = "Deployment/shop/imaged",
       .fact = "image",
       .denied = OnDeployment("UpdateImage", "kube-system", "coredns",
                              {{"container", "main"}, {"image", kNewImage}}),
       .rule = "namespace-restrictions/protected-namespace",
       .impossible = OnDeployment("UpdateImage", kShop, "imaged",
                                  {{"container", "sidecar"}, {"image", kNewImage}}),
       .reason = "precondition container_exists",
       .postcondition = "pods_run_image",
       .inverse = "UpdateImage"});
  Add({.action = "RolloutStatus",
       .request = OnDeployment("RolloutStatus", kShop, "watched"),
       .done = [] { return true; },
       .argv = "rollout",
       .target = "Deployment/shop/watched",
       .reads = true,
       .denied = OnDeployment("RolloutStatus", "kube-system", "coredns"),
       .rule = "namespace-restrictions/protected-namespace",
       .impossible = OnDeployment("RolloutStatus", kShop, "absent"),
       .reason = "Deployment shop/absent does not exist",
       .postcondition = "rollout_complete"});
}

void TenActions::AddData() {
  Add({.action = "DeletePod",
       .request = Named("DeletePod", "pod", kShop, pod_, {{"grace", 0}}),
       .done =
           [this] {
             const Json pod = kube_.Get("pods", kShop, pod_);
             return pod.is_null() || pod["metadata"]["uid"] != pod_uid_;
           },
       .argv = absl::StrCat("--uid=", pod_uid_),
       .target = absl::StrCat("Pod/shop/", pod_),
       .denied = Named("DeletePod", "pod", "kube-system", "dns"),
       .rule = "namespace-restrictions/protected-namespace",
       .impossible = Named("DeletePod", "pod", kShop, "lonely"),
       .reason = "precondition managed_by_controller",
       .postcondition = "replacement_ready"});
  Add({.action = "PatchConfigMap",
       .request = Named("PatchConfigMap", "configmap", kShop, "settings", {{"patch", kPatch}}),
       .done =
           [this] {
             const Json map = kube_.Get("configmaps", kShop, "settings");
             return map["data"].value("mode", "") == "fast" &&
                    map["data"].value("note", "") == "zwölf\n";
           },
       .argv = "patch-config-map",
       .target = "ConfigMap/shop/settings",
       .fact = "data_sha256",
       .denied = Named("PatchConfigMap", "configmap", "kube-system", "dns", {{"patch", kPatch}}),
       .rule = "namespace-restrictions/protected-namespace",
       .impossible = Named("PatchConfigMap", "configmap", kShop, "frozen", {{"patch", kPatch}}),
       .reason = "precondition config_map_not_immutable",
       .postcondition = "config_map_matches_patch",
       .inverse = "PatchConfigMap"});
  Add({.action = "PatchSecret",
       .request = Named("PatchSecret", "secret", kShop, "credentials",
                        {{"patch_secret", "credentials-patch"}}),
       .done =
           [this] {
             return kube_.Get("secrets", kShop, "credentials")["data"].value("password", "") ==
                    absl::Base64Escape(kCanary);
           },
       .argv = "patch-secret",
       .target = "Secret/shop/credentials",
       .denied = Named("PatchSecret", "secret", "kube-system", "token",
                       {{"patch_secret", "credentials-patch"}}),
       .rule = "namespace-restrictions/protected-namespace",
       .impossible =
           Named("PatchSecret", "secret", kShop, "absent", {{"patch_secret", "credentials-patch"}}),
       .reason = "",
       .inverse = "PatchSecret"});
}

void TenActions::AddNodes() {
  const auto cordoned = [this](const std::string& node) {
    return kube_.Get("nodes", "", node).value("/spec/unschedulable"_json_pointer, false);
  };
  Add({.action = "CordonNode",
       .request = OnNode("CordonNode", "cordoned-by-test"),
       .done = [cordoned] { return cordoned("cordoned-by-test"); },
       .argv = "cordon",
       .target = "Node/cordoned-by-test",
       .fact = "unschedulable",
       .denied = OnNode("CordonNode", "master"),
       .rule = "node-safety/control-plane",
       .impossible = OnNode("CordonNode", "absent"),
       .reason = "Node absent does not exist",
       .postcondition = "node_unschedulable",
       .inverse = "UncordonNode"});
  Add({.action = "DrainNode",
       .request = Request("DrainNode", {{"node", "drained-by-test"}, {"grace", 0}}),
       .done =
           [this, cordoned] {
             return cordoned("drained-by-test") && kube_.Get("pods", kShop, "evicted").is_null();
           },
       .argv = "drain",
       .target = "Node/drained-by-test",
       .fact = "unschedulable",
       .denied = OnNode("DrainNode", "master"),
       .rule = "node-safety/control-plane",
       .impossible = OnNode("DrainNode", "absent"),
       .reason = "Node absent does not exist",
       .postcondition = "node_drained",
       .inverse = "UncordonNode"});
  Add({.action = "UncordonNode",
       .request = OnNode("UncordonNode", "uncordoned-by-test"),
       .done = [cordoned] { return !cordoned("uncordoned-by-test"); },
       .argv = "uncordon",
       .target = "Node/uncordoned-by-test",
       .fact = "unschedulable",
       .denied = OnNode("UncordonNode", "master"),
       .rule = "node-safety/control-plane",
       .impossible = OnNode("UncordonNode", "absent"),
       .reason = "Node absent does not exist",
       .postcondition = "node_schedulable",
       .inverse = "CordonNode"});
}

const ActionCase& TenActions::operator[](const std::string& action) const {
  const auto found = std::find_if(all_.begin(), all_.end(),
                                  [&](const ActionCase& one) { return one.action == action; });
  CAPSTAN_CHECK(found != all_.end());
  return *found;
}

std::vector<std::string> TenActions::SubmitAll(Server& server) const {
  std::vector<std::string> names;
  for (const ActionCase& one : all_) {
    const absl::StatusOr<std::string> name = Submit(server, one.request);
    if (!name.ok()) std::fprintf(stderr, "%s\n", name.status().ToString().c_str());
    CAPSTAN_CHECK(name.ok());
    names.push_back(*name);
  }
  return names;
}

int JobsCreated(const kubesim::KubeSim& kube) {
  const auto audit = kube.Audit();
  return static_cast<int>(std::count_if(audit.begin(), audit.end(), [](const auto& entry) {
    return entry.verb == "create" && entry.resource == "jobs" && entry.applied && !entry.dry_run;
  }));
}

}  // namespace capstan::testing
