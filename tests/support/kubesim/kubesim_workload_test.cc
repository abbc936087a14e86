// Nodes, budgets, data and what becomes of a Deployment's pods.
#include "tests/support/kubesim/kubesim_fixture.h"
#include "tests/support/kubesim/object_store.h"

namespace capstan::kubesim {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class WorkloadTest : public KubeSimTest {
 protected:
  void StartWithNodes(const std::vector<std::string>& nodes) {
    KubeSimOptions options;
    options.nodes = nodes;
    StartSim(std::move(options));
  }
  Json Deployment() { return sim_->Get("deployments", "shop", "web"); }
  bool WaitForAvailable(int replicas) {
    return sim_->WaitFor([&] {
      Json web = Deployment();
      return NumberAt(web, {"status", "observedGeneration"}) ==
                 NumberAt(web, {"metadata", "generation"}) &&
             NumberAt(web, {"status", "updatedReplicas"}) == replicas &&
             NumberAt(web, {"status", "availableReplicas"}) == replicas &&
             NumberAt(web, {"status", "replicas"}) == replicas;
    });
  }
  std::vector<std::string> NodesOfPods() {
    std::vector<std::string> nodes;
    for (const Json& pod : sim_->List("pods", "shop")) nodes.push_back(pod["spec"]["nodeName"]);
    return nodes;
  }
  Reply Evict(const std::string& pod) {
    Json eviction = {{"apiVersion", "policy/v1"},
                     {"kind", "Eviction"},
                     {"metadata", {{"name", pod}, {"namespace", "shop"}}}};
    return Call("POST", Url(Cat("/api/v1/namespaces/shop/pods/", pod, "/eviction")),
                eviction.dump());
  }
  int64_t Allowed() {
    return NumberAt(sim_->Get("poddisruptionbudgets", "shop", "web"),
                    {"status", "disruptionsAllowed"}, -1);
  }
  Reply PatchWeb(const Json& patch) {
    return Call("PATCH", Url("/apis/apps/v1/namespaces/shop/deployments/web"), patch.dump(),
                "application/strategic-merge-patch+json");
  }
};

TEST_F(WorkloadTest, ANewImageReplacesThePodsAndRaisesTheRevision) {
  sim_->AddDeployment("shop", "web", 2);
  ASSERT_TRUE(WaitForAvailable(2));
  EXPECT_EQ(Deployment()["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");

  Json container = {{"name", "main"}, {"image", "registry.example/web:2.0"}};
  PatchWeb({{"spec", {{"template", {{"spec", {{"containers", Json::array({container})}}}}}}}});

  ASSERT_TRUE(WaitForAvailable(2));
  EXPECT_TRUE(sim_->WaitFor([&] {  // the old ones take a moment to stop
    const std::string pods = Json(sim_->List("pods", "shop")).dump();
    return pods.find("web:1.0") == std::string::npos && pods.find("web:2.0") != std::string::npos;
  }));
  EXPECT_EQ(Deployment()["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
}

TEST_F(WorkloadTest, ACrashLoopingRolloutKeepsTheOldPods) {
  sim_->AddDeployment("shop", "web", 1);
  ASSERT_TRUE(WaitForAvailable(1));
  sim_->SetDeploymentPodFate("shop", "web", PodFate::kCrashLoop);

  PatchWeb({{"spec", {{"template", {{"metadata", {{"annotations", {{"again", "1"}}}}}}}}}});

  ASSERT_TRUE(sim_->WaitFor([&] {
    return Json(sim_->List("pods", "shop")).dump().find("CrashLoopBackOff") != std::string::npos;
  }));
  EXPECT_TRUE(sim_->WaitFor([&] {
    Json status = Deployment()["status"];
    return status.value("updatedReplicas", 0) == 1 && status.value("readyReplicas", 0) == 1 &&
           status.value("replicas", 0) == 2;
  }));
}

struct DeploymentFateCase {
  const char* name;
  PodFate fate;
  const char* waiting;
  const char* last;
};

class DeploymentFateTest : public WorkloadTest,
                           public ::testing::WithParamInterface<DeploymentFateCase> {};

TEST_P(DeploymentFateTest, ShowsInTheContainerStatus) {
  sim_->SetDeploymentPodFate("shop", "web", GetParam().fate);

  sim_->AddDeployment("shop", "web", 1);

  EXPECT_TRUE(sim_->WaitFor([&] {
    auto pods = sim_->List("pods", "shop");
    if (pods.empty() || !pods[0]["status"].contains("containerStatuses")) return false;
    const Json& status = pods[0]["status"]["containerStatuses"][0];
    return status["state"].value("/waiting/reason"_json_pointer, "") == GetParam().waiting &&
           status["lastState"].value("/terminated/reason"_json_pointer, "") == GetParam().last;
  }));
  EXPECT_EQ(Deployment()["status"].value("readyReplicas", 0), 0);
}

INSTANTIATE_TEST_SUITE_P(Fates, DeploymentFateTest,
                         ::testing::Values(DeploymentFateCase{"CrashLoop", PodFate::kCrashLoop,
                                                              "CrashLoopBackOff", "Error"},
                                           DeploymentFateCase{"OutOfMemory", PodFate::kOomKilled,
                                                              "CrashLoopBackOff", "OOMKilled"},
                                           DeploymentFateCase{"ImagePull", PodFate::kImagePull,
                                                              "ImagePullBackOff", ""}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(WorkloadTest, PodsAreSpreadOverReadyNodes) {
  StartWithNodes({"a", "b"});
  sim_->AddNode("broken", {.ready = false});
  sim_->AddDeployment("shop", "web", 4);

  ASSERT_TRUE(WaitForAvailable(4));

  EXPECT_THAT(NodesOfPods(), ::testing::UnorderedElementsAre("a", "a", "b", "b"));
}

TEST_F(WorkloadTest, APodWithoutANodeSaysWhyAndStartsWhenThereIsOne) {
  StartWithNodes({});
  sim_->AddNode("gpu", {.taints = Json::array(
                            {{{"key", "dedicated"}, {"value", "gpu"}, {"effect", "NoSchedule"}}})});
  sim_->AddDeployment("shop", "web", 1);
  ASSERT_TRUE(sim_->WaitFor([&] {
    auto pods = sim_->List("pods", "shop");
    return !pods.empty() &&
           pods[0].dump().find("1 node(s) had untolerated taint {dedicated: gpu}") !=
               std::string::npos &&
           !sim_->List("events", "shop").empty();  // recorded after the condition
  }));
  EXPECT_THAT(sim_->List("events", "shop"), SizeIs(1));

  sim_->AddNode("plain");

  ASSERT_TRUE(WaitForAvailable(1));
  EXPECT_THAT(NodesOfPods(), Each("plain"));
}

TEST_F(WorkloadTest, APodWhoseSecretIsMissingWaitsForIt) {
  Json job = JobJson("job", {"true"}, false);
  Json& spec = job["spec"]["template"]["spec"];
  spec["volumes"] =
      Json::array({{{"name", "patch"}, {"secret", {{"secretName", "absent-patch"}}}}});
  CreateJob(job);
  ASSERT_TRUE(sim_->WaitFor([&] {
    return Json(sim_->List("events")).dump().find("secret \\\"absent-patch\\\" not found") !=
           std::string::npos;
  }));
  EXPECT_EQ(sim_->PodsRun("job"), 0);

  sim_->AddSecret(kNamespace, "absent-patch", {{"patch", "[]"}});

  EXPECT_TRUE(WaitForCondition("job", "Complete"));
}

TEST_F(WorkloadTest, AnEvictionIsRefusedWhileTheBudgetForbidsIt) {
  sim_->AddDeployment("shop", "web", 2);
  sim_->AddPodDisruptionBudget("shop", "web", "web", {{"minAvailable", 2}});
  ASSERT_TRUE(WaitForAvailable(2));
  ASSERT_TRUE(sim_->WaitFor([&] { return Allowed() == 0; }));
  const std::string pod = sim_->List("pods", "shop")[0]["metadata"]["name"];

  Reply refused = Evict(pod);

  EXPECT_EQ(refused.code, 429);
  EXPECT_EQ(refused.json()["reason"], "TooManyRequests");
  EXPECT_EQ(refused.json()["details"]["causes"][0]["reason"], "DisruptionBudget");
  EXPECT_EQ(refused.json()["details"]["causes"][0]["message"],
            "The disruption budget web needs 2 healthy pods and has 2 currently");
  EXPECT_FALSE(sim_->Get("pods", "shop", pod)["metadata"].contains("deletionTimestamp"));
}

TEST_F(WorkloadTest, ABudgetAllowsOneEvictionAtATime) {
  sim_->AddDeployment("shop", "web", 2);
  sim_->AddPodDisruptionBudget("shop", "web", "web", {{"maxUnavailable", "50%"}});
  ASSERT_TRUE(WaitForAvailable(2));
  ASSERT_TRUE(sim_->WaitFor([&] { return Allowed() == 1; }));
  const std::vector<Json> pods = sim_->List("pods", "shop");
  sim_->HoldDeploymentRollout("shop", "web");

  EXPECT_EQ(Evict(pods[0]["metadata"]["name"]).code, 201);
  EXPECT_EQ(Evict(pods[1]["metadata"]["name"]).code, 429);

  sim_->ReleaseDeploymentRollout("shop", "web");
  EXPECT_TRUE(sim_->WaitFor([&] { return Allowed() == 1; }));
}

TEST_F(WorkloadTest, AnEvictionHonoursItsPreconditions) {
  sim_->AddPod("shop", "lone");
  ASSERT_TRUE(sim_->WaitFor(
      [&] { return sim_->Get("pods", "shop", "lone")["status"]["phase"] == "Running"; }));

  Reply reply =
      Call("POST", Url("/api/v1/namespaces/shop/pods/lone/eviction"),
           R"({"metadata":{"name":"lone"},"deleteOptions":{"preconditions":{"uid":"x"}}})");

  EXPECT_EQ(reply.code, 409);
  EXPECT_EQ(Evict("absent").code, 404);
}

TEST_F(WorkloadTest, DataOfASecretIsBase64AndOfOneMebibyteAtMost) {
  sim_->AddSecret("shop", "db", {{"password", "hunter2"}});
  const std::string path = Url("/api/v1/namespaces/shop/secrets/db");

  Reply wrong = Call("PATCH", path, R"({"data":{"password":"%"}})", kMergePatch);
  Reply big =
      Call("PATCH", path, Json{{"stringData", {{"big", std::string(1024 * 1024 + 1, 'x')}}}}.dump(),
           kMergePatch);
  Reply key = Call("PATCH", path, R"({"stringData":{"a/b":"x"}})", kMergePatch);

  EXPECT_EQ(sim_->Get("secrets", "shop", "db")["data"]["password"], "aHVudGVyMg==");
  EXPECT_EQ(wrong.code, 400);
  EXPECT_THAT(wrong.text, HasSubstr("illegal base64"));
  EXPECT_EQ(big.code, 422);
  EXPECT_EQ(key.code, 422);
}

TEST_F(WorkloadTest, AnImmutableConfigMapKeepsItsData) {
  sim_->AddConfigMap("shop", "web", {{"mode", "fast"}});
  ASSERT_OK(sim_->PatchExternally("configmaps", "shop", "web", {{"immutable", true}}));

  Reply reply = Call("PATCH", Url("/api/v1/namespaces/shop/configmaps/web"),
                     R"([{"op":"replace","path":"/data/mode","value":"slow"}])", kJsonPatch);

  EXPECT_EQ(reply.code, 422);
  EXPECT_THAT(reply.text, HasSubstr("field is immutable when `immutable` is set"));
}

TEST_F(WorkloadTest, AJsonPatchWithATestOfTheVersionWorksOnEveryKind) {
  sim_->AddConfigMap("shop", "web", {{"mode", "fast"}});
  const std::string version = sim_->Get("configmaps", "shop", "web")["metadata"]["resourceVersion"];
  const auto patch = [&](const std::string& mode) {
    const Json body = {{{"op", "test"}, {"path", "/metadata/resourceVersion"}, {"value", version}},
                       {{"op", "replace"}, {"path", "/data/mode"}, {"value", mode}}};
    return Call("PATCH", Url("/api/v1/namespaces/shop/configmaps/web"), body.dump(), kJsonPatch);
  };

  EXPECT_EQ(patch("slow").code, 200);
  EXPECT_EQ(patch("slower").code, 422);
  EXPECT_EQ(sim_->Get("configmaps", "shop", "web")["data"]["mode"], "slow");
}

}  // namespace
}  // namespace capstan::kubesim
