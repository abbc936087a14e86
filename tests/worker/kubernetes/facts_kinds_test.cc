// Facts of kinds and states that the simulated cluster does not have, against scripted objects.
#include <gmock/gmock.h>

#include <functional>
#include <map>

#include "absl/strings/match.h"
#include "absl/synchronization/mutex.h"
#include "core/catalog/action_definition.h"
#include "core/ids.h"
#include "core/text.h"
#include "tests/support/scripted_server/scripted_server.h"
#include "tests/support/status_matchers.h"
#include "tests/worker/kubernetes/instant_clock.h"
#include "worker/kubernetes/client.h"
#include "worker/kubernetes/facts.h"
#include "worker/kubernetes/facts_cache.h"
#include "worker/kubernetes/facts_reader.h"

namespace capstan::kubernetes {
namespace {

using ::capstan::testing::Answer;
using ::capstan::testing::ReceivedRequest;
using ::capstan::testing::ScriptedReply;
using ::capstan::testing::ScriptedServer;
using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;

// Objects by path, lists by path; everything else is not there.
class FactKindsTest : public ::testing::Test {
 protected:
  FactKindsTest()
      : server_([this](const ReceivedRequest& request) { return Reply(request); }),
        client_(Client::Create({.server = server_.Url()}, clock_, {.max_attempts = 1}).value()) {
    objects_["/api/v1/namespaces/shop"] = {
        {"metadata", {{"name", "shop"}, {"labels", {{"team", "web"}}}}},
        {"status", {{"phase", "Active"}}}};
  }

  // The object at a path, or a list when it is an array.
  ScriptedReply Reply(const ReceivedRequest& request) {
    absl::MutexLock lock(&mu_);
    const std::string path = request.target.substr(0, request.target.find('?'));
    if (path == broken_)
      return Answer(500, R"({"kind":"Status","code":500,"reason":"InternalError"})");
    auto found = objects_.find(path);
    if (found == objects_.end()) {
      return Answer(404, R"({"kind":"Status","code":404,"reason":"NotFound"})");
    }
    if (!found->second.is_array()) return Answer(200, found->second.dump());
    return Answer(
        200,
        Json{{"kind", "List"}, {"metadata", {{"resourceVersion", "1"}}}, {"items", found->second}}
            .dump());
  }

  absl::StatusOr<Json> Read(std::string_view fact, const FactTarget& target) {
    return Synced([&] { return ReadFact(*client_, fact, target); });
  }
  absl::StatusOr<Json> Read(FactsCache& cache, std::string_view fact, const FactTarget& target) {
    return Synced([&] { return cache.Read(fact, target); });
  }
  // Shows the server's threads what the test did before, and the test what they did.
  absl::StatusOr<Json> Synced(const std::function<absl::StatusOr<Json>()>& call) {
    {
      absl::MutexLock lock(&mu_);
    }
    absl::StatusOr<Json> result = call();
    absl::MutexLock lock(&mu_);
    return result;
  }
  size_t Calls(std::string_view path) {
    size_t calls = 0;
    for (const ReceivedRequest& request : server_.Requests()) {
      calls += absl::StartsWith(request.target, AbslView(path)) ? 1 : 0;
    }
    return calls;
  }

  absl::Mutex mu_;
  std::map<std::string, Json> objects_;  // changed between calls only
  std::string broken_;
  InstantClock clock_;
  ScriptedServer server_;
  std::unique_ptr<Client> client_;
};

Json Node(const std::string& name, bool ready, bool cordoned, const Json& labels = Json::object()) {
  return {{"metadata",
           {{"name", name}, {"uid", name + "-uid"}, {"resourceVersion", "5"}, {"labels", labels}}},
          {"spec", {{"unschedulable", cordoned}}},
          {"status",
           {{"allocatable", {{"cpu", "2"}, {"memory", "4Gi"}}},
            {"conditions",
             Json::array({{{"type", "Ready"}, {"status", ready ? "True" : "Unknown"}}})}}}};
}

Json Pod(const std::string& name, const std::string& node) {
  return {
      {"metadata",
       {{"name", name},
        {"namespace", "shop"},
        {"uid", name + "-uid"},
        {"labels", {{"app", "web"}}}}},
      {"spec",
       {{"nodeName", node},
        {"containers",
         Json::array({{{"name", "main"},
                       {"image", "web:1"},
                       {"resources", {{"requests", {{"cpu", "250m"}, {"memory", "1Gi"}}}}}}})}}},
      {"status",
       {{"phase", "Running"},
        {"conditions", Json::array({{{"type", "Ready"}, {"status", "True"}}})}}}};
}

Json OwnedBy(Json pod, const std::string& kind, const std::string& name) {
  pod["metadata"]["ownerReferences"] =
      Json::array({{{"kind", kind}, {"name", name}, {"uid", name + "-uid"}, {"controller", true}}});
  return pod;
}

// As a node's fact describes it.
Json PodOf(const std::string& name, const std::string& owner_kind, const std::string& owner) {
  return {{"namespace", "shop"},
          {"name", name},
          {"owner_kind", owner_kind},
          {"owner_name", owner},
          {"daemon_set", owner_kind == "DaemonSet"}};
}

// --- ConfigMaps and Secrets ---

constexpr char kConfigMap[] = "/api/v1/namespaces/shop/configmaps/settings";

TEST_F(FactKindsTest, AConfigMapIsDescribedWithoutItsValues) {
  objects_[kConfigMap] = {{"metadata", {{"uid", "u1"}, {"resourceVersion", "7"}}},
                          {"immutable", true},
                          {"data", {{"a", "one"}, {"b", "two"}}},
                          {"binaryData", {{"c", "AAE="}}}};

  const Json fact = Read("config_map", {"shop", "settings"}).value();

  EXPECT_EQ(fact["found"], true);
  EXPECT_EQ(fact["kind"], "ConfigMap");
  EXPECT_EQ(fact["uid"], "u1");
  EXPECT_EQ(fact["resource_version"], "7");
  EXPECT_EQ(fact["immutable"], true);
  EXPECT_EQ(fact["keys"], Json({"a", "b", "c"}));
  EXPECT_EQ(fact["size_bytes"], 13);
  EXPECT_EQ(fact["data_sha256"],
            Sha256Hex(R"({"binaryData":{"c":"AAE="},"data":{"a":"one","b":"two"}})"));
  EXPECT_EQ(fact["namespace_labels"], (Json{{"team", "web"}}));
  EXPECT_EQ(fact["namespace_phase"], "Active");
  EXPECT_FALSE(fact.contains("generation"));
}

TEST_F(FactKindsTest, S2_45_TheRestorePatchPutsAConfigMapBackByteForByte) {
  const Json before = {{"metadata", {{"name", "settings"}}},
                       {"data", {{"a", "line\n\"x\" \\ \xc3\xa9 $(HOME)"}, {"b/~c", ""}}}};
  objects_[kConfigMap] = before;
  const std::string patch = Read("config_map", {"shop", "settings"}).value()["restore_patch"];

  Json changed = {{"metadata", {{"name", "settings"}}},
                  {"data", {{"z", "new"}}},
                  {"binaryData", {{"bin", "AAE="}}}};
  changed = changed.patch(Json::parse(patch));

  EXPECT_EQ(changed["data"], before["data"]);
  EXPECT_EQ(changed["binaryData"], Json::object());
}

TEST_F(FactKindsTest, AConfigMapThatIsTooLargeHasNoRestorePatch) {
  objects_[kConfigMap] = {{"data", {{"a", std::string(kMaxRestorePatchBytes, 'x')}}}};

  const Json fact = Read("config_map", {"shop", "settings"}).value();

  EXPECT_EQ(fact["restore_patch"], "");
  EXPECT_EQ(fact["size_bytes"], kMaxRestorePatchBytes + 1);
  static_assert(kMaxRestorePatchBytes == catalog::kMaxPatchBytes);
}

TEST_F(FactKindsTest, AMissingConfigMapIsAFactAndNoError) {
  const Json fact = Read("config_map", {"shop", "settings"}).value();

  EXPECT_EQ(fact["found"], false);
  EXPECT_EQ(fact["name"], "settings");
  EXPECT_EQ(fact["namespace_found"], true);
  EXPECT_FALSE(fact.contains("keys"));
}

TEST_F(FactKindsTest, ASecretIsNeverRead) {
  const Json fact = Read("secret", {"shop", "db"}).value();

  EXPECT_EQ(fact["found"], true);
  EXPECT_EQ(fact["readable"], false);
  EXPECT_EQ(fact["uid"], "");
  EXPECT_EQ(fact["kind"], "Secret");
  EXPECT_EQ(fact["namespace_found"], true);
  EXPECT_EQ(Calls("/api/v1/namespaces/shop/secrets"), 0u);
}

// --- Pods ---

TEST_F(FactKindsTest, APodWithoutAControllerHasNoOwner) {
  objects_["/api/v1/namespaces/shop/pods/web-1"] = Pod("web-1", "n1");

  const Json fact = Read("pod", {"shop", "web-1"}).value();

  EXPECT_EQ(fact["owner"], nullptr);
  EXPECT_EQ(fact["owner_ready_others"], 0);
  EXPECT_EQ(fact["images"], Json({"web:1"}));
}

TEST_F(FactKindsTest, APodOfTheSameNameIsAnotherOne) {
  Json replacement = OwnedBy(Pod("web-1", "n1"), "StatefulSet", "web");
  objects_["/api/v1/namespaces/shop/pods/web-1"] = replacement;
  objects_["/api/v1/namespaces/shop/pods"] = Json::array({replacement});

  const Json fact =
      Read("pod", {"shop", "web-1", {{"uid", "old"}, {"owner", {{"uid", "web-uid"}}}}}).value();

  EXPECT_EQ(fact["uid"], "web-1-uid");
  EXPECT_EQ(fact["owner_ready_others"], 1);
}

// --- Workloads ---

class WorkloadFactTest : public FactKindsTest {
 protected:
  WorkloadFactTest() {
    objects_["/apis/apps/v1/namespaces/shop/deployments/web"] = {
        {"spec",
         {{"selector",
           {{"matchLabels", {{"app", "web"}}},
            {"matchExpressions",
             Json::array({{{"key", "tier"}, {"operator", "NotIn"}, {"values", {"x", "y"}}},
                          {{"key", "old"}, {"operator", "DoesNotExist"}}})}}},
          {"template",
           {{"spec",
             {{"nodeSelector", {{"disk", "ssd"}}},
              {"initContainers",
               Json::array({{{"resources", {{"requests", {{"cpu", "2"}, {"memory", "1Mi"}}}}}}})},
              {"containers",
               Json::array({{{"resources", {{"requests", {{"cpu", "100m"}, {"memory", "64Mi"}}}}}},
                            {{"resources", {{"requests", {{"cpu", "150m"}}}}}}})}}}}}}}};
    objects_["/api/v1/nodes"] =
        Json::array({Node("n1", true, false, {{"disk", "ssd"}}),
                     Node("n2", false, false, {{"disk", "ssd"}}), Node("n3", true, false)});
    objects_["/api/v1/namespaces/shop/pods"] = Json::array();
  }
  void AddPod(const std::string& name, const Json& status) {
    Json pod = Pod(name, "n1");
    pod["status"]["containerStatuses"] = Json::array({status});
    objects_["/api/v1/namespaces/shop/pods"].push_back(pod);
  }
  Json Workload() { return Read("workload", {"shop", "web"}).value(); }
};

TEST_F(WorkloadFactTest, ItsSelectorIsAskedFor) {
  Workload();

  const std::string target = server_.Requests()[1].target;
  EXPECT_THAT(target, HasSubstr("labelSelector="));
  EXPECT_THAT(target, HasSubstr("app%3Dweb"));
  EXPECT_THAT(target, HasSubstr("notin"));
}

TEST_F(WorkloadFactTest, APodNeedsTheLargerOfItsContainersAndEachInitContainer) {
  EXPECT_EQ(Workload()["per_pod"], (Json{{"cpu_milli", 2000}, {"memory_bytes", 64 << 20}}));
}

TEST_F(WorkloadFactTest, NodesAreCountedByTheNodeSelector) {
  EXPECT_EQ(Workload()["matching_nodes"], 2);
  EXPECT_EQ(Workload()["ready_matching_nodes"], 1);
}

TEST_F(WorkloadFactTest, WhatIsWrongWithPodsIsCounted) {
  AddPod("crash", {{"restartCount", 5},
                   {"state", {{"waiting", {{"reason", "CrashLoopBackOff"}}}}},
                   {"lastState", {{"terminated", {{"reason", "OOMKilled"}}}}}});
  AddPod("pull", {{"state", {{"waiting", {{"reason", "ImagePullBackOff"}}}}}});
  AddPod("fine", {{"state", {{"running", Json::object()}}}});

  const Json workload = Workload();

  EXPECT_EQ(workload["crash_looping"], 1);
  EXPECT_EQ(workload["image_pull_failing"], 1);
  EXPECT_EQ(workload["oom_killed"], 1);
  EXPECT_EQ(workload["pods"][0]["restarts"], 5);
  EXPECT_EQ(workload["pods"][0]["waiting_reason"], "CrashLoopBackOff");
  EXPECT_EQ(workload["pods"][0]["terminated_reason"], "OOMKilled");
  EXPECT_EQ(workload["pods"][0]["oom_killed"], true);
  EXPECT_EQ(workload["pods"][2]["waiting_reason"], "");
}

TEST_F(WorkloadFactTest, APodThatIsBeingDeletedIsListedAndNotCounted) {
  Json pod = Pod("old", "n1");
  pod["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z";
  objects_["/api/v1/namespaces/shop/pods"].push_back(pod);

  EXPECT_EQ(Workload()["pods"][0]["terminating"], true);
  EXPECT_EQ(Workload()["ready_pods"], 0);
}

TEST_F(WorkloadFactTest, WithoutTheDeploymentThereIsNone) {
  EXPECT_EQ(Read("workload", {"shop", "other"}).value(), (Json{{"found", false}}));
}

TEST_F(WorkloadFactTest, AQuantityThatIsNoneIsAnError) {
  objects_["/apis/apps/v1/namespaces/shop/deployments/web"]["spec"]["template"]["spec"]
          ["containers"][0]["resources"]["requests"]["cpu"] = "lots";

  EXPECT_THAT(Read("workload", {"shop", "web"}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("cpu: got \"lots\"")));
}

TEST_F(FactKindsTest, ThePodsThatUseAConfigMapAreItsWorkload) {
  Json by_volume = Pod("volume", "n1");
  by_volume["spec"]["volumes"] = Json::array({{{"configMap", {{"name", "settings"}}}}});
  Json by_projection = Pod("projection", "n1");
  by_projection["spec"]["volumes"] = Json::array(
      {{{"projected", {{"sources", Json::array({{{"configMap", {{"name", "settings"}}}}})}}}}});
  Json by_variables = Pod("variables", "n1");
  by_variables["spec"]["containers"][0]["envFrom"] =
      Json::array({{{"configMapRef", {{"name", "settings"}}}}});
  Json by_key = Pod("key", "n1");
  by_key["spec"]["initContainers"] = Json::array(
      {{{"env", Json::array({{{"valueFrom", {{"configMapKeyRef", {{"name", "settings"}}}}}}})}}});
  by_key["status"]["conditions"][0]["status"] = "False";
  Json other = Pod("other", "n1");
  other["spec"]["volumes"] = Json::array({{{"configMap", {{"name", "others"}}}}});
  objects_["/api/v1/namespaces/shop/pods"] =
      Json::array({by_volume, by_projection, by_variables, by_key, other});

  const Json workload =
      Read("workload", {.name_space = "shop", .name = "settings", .kind = "ConfigMap"}).value();

  EXPECT_EQ(workload["running_pods"], 4);
  EXPECT_EQ(workload["ready_pods"], 3);
  EXPECT_EQ(workload["pods"][3]["name"], "key");
}

// --- Nodes ---

class NodeFactTest : public FactKindsTest {
 protected:
  NodeFactTest() {
    objects_["/api/v1/nodes/n1"] =
        Node("n1", true, true, {{"node-role.kubernetes.io/control-plane", ""}});
    objects_["/api/v1/pods"] = Json::array();
    objects_["/apis/policy/v1/poddisruptionbudgets"] = Json::array();
  }
  void AddBudget(const std::string& name, int allowed, const Json& selector) {
    objects_["/apis/policy/v1/poddisruptionbudgets"].push_back(
        {{"metadata", {{"name", name}, {"namespace", "shop"}}},
         {"spec", {{"selector", selector}}},
         {"status", {{"disruptionsAllowed", allowed}}}});
  }
  Json NodeFact(const Json& captured = Json::object()) {
    return Read("node", {"", "n1", captured}).value();
  }
};

TEST_F(NodeFactTest, ANodeIsDescribed) {
  objects_["/api/v1/nodes/n1"]["spec"]["taints"] =
      Json::array({{{"key", "gpu"}, {"value", "yes"}, {"effect", "NoSchedule"}}});

  const Json fact = NodeFact();

  EXPECT_EQ(fact["found"], true);
  EXPECT_EQ(fact["kind"], "Node");
  EXPECT_EQ(fact["namespace"], "");
  EXPECT_EQ(fact["uid"], "n1-uid");
  EXPECT_EQ(fact["unschedulable"], true);
  EXPECT_EQ(fact["ready"], true);
  EXPECT_EQ(fact["taints"],
            Json::array({{{"key", "gpu"}, {"value", "yes"}, {"effect", "NoSchedule"}}}));
  EXPECT_FALSE(fact.contains("namespace_found"));
  EXPECT_FALSE(fact.contains("evicted_unready"));
}

TEST_F(NodeFactTest, S2_25_TheRoleLabelMakesAControlPlaneNodeAndTheNameDoesNot) {
  EXPECT_EQ(NodeFact()["control_plane"], true);
  objects_["/api/v1/nodes/n1"] = Node("n1", true, false, {{"node-role.kubernetes.io/master", ""}});
  EXPECT_EQ(NodeFact()["control_plane"], true);
  objects_["/api/v1/nodes/n1"] = Node("n1", true, false, {{"kubernetes.io/hostname", "master"}});
  EXPECT_EQ(NodeFact()["control_plane"], false);
}

TEST_F(NodeFactTest, OnlyItsOwnPodsAreAskedFor) {
  NodeFact();

  EXPECT_EQ(Calls("/api/v1/pods?"), 1u);
  EXPECT_THAT(server_.Requests()[1].target, HasSubstr("fieldSelector=spec.nodeName%3Dn1"));
}

TEST_F(NodeFactTest, ItsPodsSayWhatADrainNeedsToKnow) {
  Json mirror = Pod("mirror", "n1");
  mirror["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "x";
  Json scratch = OwnedBy(Pod("scratch", "n1"), "ReplicaSet", "web-5d");
  scratch["spec"]["volumes"] = Json::array({{{"name", "tmp"}, {"emptyDir", Json::object()}}});
  Json done = Pod("done", "n1");
  done["status"]["phase"] = "Succeeded";
  objects_["/api/v1/pods"] =
      Json::array({OwnedBy(Pod("agent", "n1"), "DaemonSet", "agent"), mirror, scratch, done});

  const Json pods = NodeFact()["pods"];

  EXPECT_EQ(pods[0]["daemon_set"], true);
  EXPECT_EQ(pods[1]["mirror"], true);
  EXPECT_EQ(pods[2], (Json{{"namespace", "shop"},
                           {"name", "scratch"},
                           {"owner_kind", "ReplicaSet"},
                           {"owner_name", "web-5d"},
                           {"daemon_set", false},
                           {"mirror", false},
                           {"empty_dir", true},
                           {"finished", false},
                           {"terminating", false}}));
  EXPECT_EQ(pods[3]["finished"], true);
}

TEST_F(NodeFactTest, ABudgetThatAllowsFewerThanThePodsHereBlocks) {
  objects_["/api/v1/pods"] = Json::array({OwnedBy(Pod("a", "n1"), "ReplicaSet", "web"),
                                          OwnedBy(Pod("b", "n1"), "ReplicaSet", "web"),
                                          OwnedBy(Pod("agent", "n1"), "DaemonSet", "agent")});
  AddBudget("tight", 1, {{"matchLabels", {{"app", "web"}}}});
  AddBudget("wide", 2, {{"matchLabels", {{"app", "web"}}}});
  AddBudget("other", 0, {{"matchLabels", {{"app", "db"}}}});
  AddBudget("everything", 0, Json::object());
  AddBudget("in", 0,
            {{"matchExpressions",
              Json::array({{{"key", "app"}, {"operator", "In"}, {"values", {"web"}}}})}});
  AddBudget("exists", 0,
            {{"matchExpressions", Json::array({{{"key", "tier"}, {"operator", "Exists"}}})}});

  const Json blocking = NodeFact()["blocking_budgets"];

  ASSERT_EQ(blocking.size(), 3u);
  EXPECT_EQ(
      blocking[0],
      (Json{{"namespace", "shop"}, {"name", "tight"}, {"disruptions_allowed", 1}, {"pods", 2}}));
  EXPECT_EQ(blocking[1]["name"], "everything");
  EXPECT_EQ(blocking[2]["name"], "in");
}

TEST_F(NodeFactTest, AfterADrainTheOwnersOfWhatWasEvictedAreLookedAt) {
  const Json before =
      Json::array({PodOf("web-1", "ReplicaSet", "web"), PodOf("web-2", "ReplicaSet", "web"),
                   PodOf("db-0", "StatefulSet", "db"), PodOf("agent", "DaemonSet", "agent"),
                   PodOf("old", "ReplicaSet", "gone"), PodOf("job", "Job", "job")});
  objects_["/apis/apps/v1/namespaces/shop/replicasets/web"] = {{"spec", {{"replicas", 2}}},
                                                               {"status", {{"readyReplicas", 1}}}};
  objects_["/apis/apps/v1/namespaces/shop/statefulsets/db"] = {{"spec", {{"replicas", 1}}},
                                                               {"status", {{"readyReplicas", 1}}}};

  EXPECT_EQ(NodeFact({{"pods", before}})["evicted_unready"], Json({"shop/web"}));
  EXPECT_EQ(Calls("/apis/apps/v1/namespaces/shop/replicasets/web"), 1u);
}

TEST_F(NodeFactTest, AMissingNodeIsAFactAndNoError) {
  EXPECT_EQ(Read("node", {"", "n9"}).value(),
            (Json{{"kind", "Node"}, {"namespace", ""}, {"name", "n9"}, {"found", false}}));
}

// --- The cluster ---

class ClusterFactTest : public FactKindsTest {
 protected:
  ClusterFactTest() {
    objects_["/api/v1/nodes"] =
        Json::array({Node("n1", true, false, {{"node-role.kubernetes.io/control-plane", ""}}),
                     Node("n2", true, false), Node("n3", true, true), Node("n4", false, false)});
    objects_["/api/v1/pods"] = Json::array({Pod("a", "n1"), Pod("b", "n3"), Pod("c", "")});
  }
};

TEST_F(ClusterFactTest, S2_30a_NodesAndRoomAreCounted) {
  const Json fact = Read("cluster", {"", "n2"}).value();

  EXPECT_EQ(fact, (Json{{"total_nodes", 4},
                        {"ready_nodes", 3},
                        {"schedulable_nodes", 2},
                        {"other_schedulable_nodes", 1},
                        {"control_plane_nodes", 1},
                        {"allocatable", {{"cpu_milli", 4000}, {"memory_bytes", 8LL << 30}}},
                        {"requested", {{"cpu_milli", 250}, {"memory_bytes", 1LL << 30}}},
                        {"free", {{"cpu_milli", 3750}, {"memory_bytes", 7LL << 30}}}}));
}

TEST_F(ClusterFactTest, OnlyTheTargetNodeIsLeftOut) {
  EXPECT_EQ(Read("cluster", {"", "n3"}).value()["other_schedulable_nodes"], 2);
  EXPECT_EQ(Read("cluster", {"shop", "n2"}).value()["other_schedulable_nodes"], 2);
}

TEST_F(ClusterFactTest, S2_43_TheClusterIsReadOnceInFiveSeconds) {
  FactsCache cache(*client_, clock_);

  ASSERT_OK(Read(cache, "cluster", {"shop", "web"}));
  clock_.Advance(absl::Milliseconds(4999));
  EXPECT_EQ(Read(cache, "cluster", {"", "n2"}).value()["other_schedulable_nodes"], 1);
  EXPECT_EQ(Calls("/api/v1/nodes"), 1u);

  clock_.Advance(absl::Milliseconds(1));
  objects_["/api/v1/nodes"].erase(1);
  EXPECT_EQ(Read(cache, "cluster", {"", "n2"}).value()["schedulable_nodes"], 1);
  EXPECT_EQ(Calls("/api/v1/nodes"), 2u);
}

TEST_F(ClusterFactTest, S2_43_ATargetIsReadEveryTime) {
  FactsCache cache(*client_, clock_);

  ASSERT_OK(Read(cache, "config_map", {"shop", "settings"}));
  ASSERT_OK(Read(cache, "config_map", {"shop", "settings"}));

  EXPECT_EQ(Calls(kConfigMap), 2u);
}

TEST_F(ClusterFactTest, AFailedReadIsNotKept) {
  FactsCache cache(*client_, clock_);
  broken_ = "/api/v1/pods";
  EXPECT_FALSE(Read(cache, "cluster", {"shop", "web"}).ok());

  broken_ = "";
  EXPECT_OK(Read(cache, "cluster", {"shop", "web"}));
}

// --- What cannot be read is not absent ---

struct Unreadable {
  const char* fact;
  const char* target_namespace;
  const char* broken;
};

class UnreadableKindsTest : public NodeFactTest,
                            public ::testing::WithParamInterface<Unreadable> {};

TEST_P(UnreadableKindsTest, AReadThatFailsIsAnErrorAndNotAbsence) {
  objects_["/api/v1/namespaces/shop/pods/n1"] = OwnedBy(Pod("n1", "n1"), "ReplicaSet", "web");
  objects_["/api/v1/nodes"] = Json::array();
  broken_ = GetParam().broken;

  EXPECT_FALSE(Read(GetParam().fact, {GetParam().target_namespace, "n1"}).ok());
}

INSTANTIATE_TEST_SUITE_P(
    All, UnreadableKindsTest,
    ::testing::Values(Unreadable{"config_map", "shop", "/api/v1/namespaces/shop"},
                      Unreadable{"config_map", "shop", "/api/v1/namespaces/shop/configmaps/n1"},
                      Unreadable{"secret", "shop", "/api/v1/namespaces/shop"},
                      Unreadable{"pod", "shop", "/api/v1/namespaces/shop/pods/n1"},
                      Unreadable{"pod", "shop", "/api/v1/namespaces/shop/pods"},
                      Unreadable{"node", "", "/api/v1/nodes/n1"},
                      Unreadable{"node", "", "/api/v1/pods"},
                      Unreadable{"node", "", "/apis/policy/v1/poddisruptionbudgets"},
                      Unreadable{"cluster", "", "/api/v1/nodes"},
                      Unreadable{"cluster", "", "/api/v1/pods"}));

}  // namespace
}  // namespace capstan::kubernetes
