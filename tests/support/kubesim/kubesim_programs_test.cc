// kubectl and capstan-action as simulated containers run them.
#include "tests/support/kubesim/kubesim_fixture.h"
#include "tests/support/kubesim/object_store.h"

namespace capstan::kubesim {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class ProgramsTest : public KubeSimTest {
 protected:
  void SetUp() override {
    KubeSimOptions options;
    options.nodes = {"a"};
    StartSim(std::move(options));
  }

  // Starts a Job that runs this.
  void Launch(const std::vector<std::string>& argv) { CreateJob(JobJson("job", argv, false)); }
  // Runs it to its end; what it printed.
  std::string Run(const std::vector<std::string>& argv, const char* ending = "Complete") {
    Launch(argv);
    EXPECT_TRUE(WaitForCondition("job", ending)) << Log();
    return Log();
  }
  std::string Log() {
    auto pods = sim_->PodsOfJob(kNamespace, "job");
    return pods.empty() ? "" : sim_->PodLog(kNamespace, pods[0]["metadata"]["name"]);
  }
  bool WaitForLog(const std::string& text) {
    return sim_->WaitFor([&] { return Log().find(text) != std::string::npos; });
  }
  bool Unschedulable(const std::string& node) {
    return sim_->Get("nodes", "", node)["spec"].value("unschedulable", false);
  }
  // Two replicas on node a, with node b ready to take them.
  void WebOnA() {
    sim_->AddDeployment("shop", "web", 2);
    EXPECT_TRUE(sim_->WaitFor([&] {
      return NumberAt(sim_->Get("deployments", "shop", "web"), {"status", "availableReplicas"}) ==
             2;
    }));
    sim_->AddNode("b");
  }
  bool PodsAreOn(const std::string& node) {
    return sim_->WaitFor([&] {
      auto pods = sim_->List("pods", "shop");
      return pods.size() == 2 && pods[0]["spec"].value("nodeName", "") == node &&
             pods[1]["spec"].value("nodeName", "") == node;
    });
  }
};

TEST_F(ProgramsTest, SetImageChangesTheContainer) {
  sim_->AddDeployment("shop", "web", 1);

  EXPECT_EQ(
      Run({"kubectl", "set", "image", "--namespace=shop", "--", "deployment/web", "main=w:2"}),
      "deployment.apps/web image updated\n");

  Json web = sim_->Get("deployments", "shop", "web");
  EXPECT_EQ(web["spec"]["template"]["spec"]["containers"][0]["image"], "w:2");
}

TEST_F(ProgramsTest, SetImageOfAContainerThatIsNotThereFails) {
  sim_->AddDeployment("shop", "web", 1);

  EXPECT_EQ(
      Run({"kubectl", "set", "image", "-n", "shop", "deployment", "web", "side=w:2"}, "Failed"),
      "error: unable to find container named \"side\"\n");
}

TEST_F(ProgramsTest, CordonAndUncordonSetTheFlagOnce) {
  EXPECT_EQ(Run({"kubectl", "cordon", "--", "a"}), "node/a cordoned\n");
  EXPECT_TRUE(Unschedulable("a"));

  ASSERT_OK(sim_->DeleteJobExternally(kNamespace, "job"));
  sim_->AddNode("b");  // the first one takes no more pods

  EXPECT_EQ(Run({"kubectl", "cordon", "a"}), "node/a already cordoned\n");
  ASSERT_OK(sim_->DeleteJobExternally(kNamespace, "job"));
  EXPECT_EQ(Run({"kubectl", "uncordon", "node/a"}), "node/a uncordoned\n");
  EXPECT_FALSE(Unschedulable("a"));
}

TEST_F(ProgramsTest, CordonOfANodeThatIsNotThereFails) {
  EXPECT_EQ(Run({"kubectl", "cordon", "z"}, "Failed"),
            "Error from server (NotFound): nodes \"z\" not found\n");
}

TEST_F(ProgramsTest, DrainMovesPodsToOtherNodes) {
  WebOnA();
  sim_->AddPod("kube-system", "agent-a",
               {.node = "a", .owner_kind = "DaemonSet", .owner_name = "agent"});
  sim_->AddPod("kube-system", "static-a", {.node = "a", .mirror = true});

  const std::string log = Run(
      {"kubectl", "drain", "--ignore-daemonsets", "--grace-period=5", "--timeout=10m", "--", "a"});

  EXPECT_THAT(log, AllOf(HasSubstr("node/a cordoned\n"),
                         HasSubstr("Warning: ignoring DaemonSet-managed Pods: kube-system/agent-a"),
                         HasSubstr("evicting pod shop/web-"), HasSubstr("node/a drained\n")));
  EXPECT_TRUE(PodsAreOn("b"));
  EXPECT_FALSE(sim_->Get("pods", "kube-system", "agent-a").is_null());
  EXPECT_FALSE(sim_->Get("pods", "kube-system", "static-a").is_null());
}

TEST_F(ProgramsTest, DrainWaitsForTheBudget) {
  WebOnA();
  sim_->AddPodDisruptionBudget("shop", "web", "web", {{"minAvailable", 2}});
  ASSERT_TRUE(sim_->WaitFor([&] {
    return NumberAt(sim_->Get("poddisruptionbudgets", "shop", "web"),
                    {"status", "currentHealthy"}) == 2;
  }));
  Launch({"kubectl", "drain", "a"});
  ASSERT_TRUE(WaitForLog("(will retry after 5s): Cannot evict pod as it would violate"));

  ASSERT_OK(sim_->PatchExternally("poddisruptionbudgets", "shop", "web",
                                  {{"spec", {{"minAvailable", 1}}}}));

  EXPECT_TRUE(WaitForCondition("job", "Complete")) << Log();
  EXPECT_TRUE(PodsAreOn("b"));
}

TEST_F(ProgramsTest, DrainGivesUpAfterItsTimeout) {
  KubeSimOptions options;
  options.nodes = {"a"};
  options.clock = &clock_;
  StartSim(std::move(options));
  WebOnA();
  sim_->AddPodDisruptionBudget("shop", "web", "web", {{"maxUnavailable", 0}});
  Launch({"kubectl", "drain", "--timeout=60s", "a"});
  ASSERT_TRUE(WaitForLog("will retry"));

  clock_.Advance(absl::Seconds(60));

  EXPECT_TRUE(WaitForCondition("job", "Failed"));
  EXPECT_THAT(Log(), HasSubstr("global timeout reached: 60s"));
  EXPECT_TRUE(Unschedulable("a"));
}

TEST_F(ProgramsTest, DrainRefusesWhatItsFlagsDoNotAllow) {
  sim_->AddPod("shop", "agent-a", {.node = "a", .owner_kind = "DaemonSet", .owner_name = "agent"});
  sim_->AddPod("shop", "scratch",
               {.node = "a", .owner_kind = "StatefulSet", .owner_name = "db", .empty_dir = true});
  sim_->AddPod("shop", "lone", {.node = "a"});
  sim_->AddNode("b");

  const std::string log = Run({"kubectl", "drain", "a"}, "Failed");

  EXPECT_THAT(
      log,
      AllOf(
          HasSubstr("cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): "
                    "shop/agent-a"),
          HasSubstr("cannot delete Pods with local storage (use --delete-emptydir-data to "
                    "override): shop/scratch"),
          HasSubstr("cannot delete Pods that declare no controller (use --force to override): ")));
  EXPECT_THAT(sim_->List("pods", "shop"), SizeIs(3));
}

TEST_F(ProgramsTest, DrainWithAllItsFlagsTakesThemAll) {
  sim_->AddPod("shop", "scratch",
               {.node = "a", .owner_kind = "StatefulSet", .owner_name = "db", .empty_dir = true});
  sim_->AddPod("shop", "lone", {.node = "a"});
  sim_->AddNode("b");
  ASSERT_OK(sim_->PatchExternally("nodes", "", "a", {{"spec", {{"unschedulable", true}}}}));

  const std::string log = Run(
      {"kubectl", "drain", "--force", "--delete-emptydir-data", "--ignore-daemonsets=true", "a"});

  EXPECT_THAT(log, AllOf(HasSubstr("node/a already cordoned"), HasSubstr("pod/lone evicted")));
  EXPECT_THAT(sim_->List("pods", "shop"), IsEmpty());
}

TEST_F(ProgramsTest, S2_48_ARefusalInThePodNamesItsAccount) {
  sim_->ForbidPods("create", "pods/eviction");
  WebOnA();

  const std::string log = Run({"kubectl", "drain", "a"}, "Failed");

  EXPECT_THAT(log, AllOf(HasSubstr("error when evicting pods/"),
                         HasSubstr("User \"system:serviceaccount:capstan-actions:default\" cannot "
                                   "create resource \"pods/eviction\"")));
}

TEST_F(ProgramsTest, CapstanActionRestartsADeployment) {
  sim_->AddDeployment("shop", "web", 1);

  const std::string log = Run({"/bin/capstan-action", "restart-deployment", "--namespace=shop",
                               "--at=2026-01-02T03:04:05Z", "--", "web"});

  EXPECT_EQ(log, "deployment.apps/web restarted at 2026-01-02T03:04:05Z\n");
}

TEST_F(ProgramsTest, CapstanActionWaitsForThePodItDeletes) {
  sim_->AddPod("shop", "lone", {.node = "a"});
  ASSERT_TRUE(sim_->WaitFor(
      [&] { return sim_->Get("pods", "shop", "lone")["status"]["phase"] == "Running"; }));
  sim_->HoldPodTermination();
  const std::string uid = sim_->Get("pods", "shop", "lone")["metadata"]["uid"];
  Launch({"capstan-action", "delete-pod", "--namespace=shop", Cat("--uid=", uid), "--", "lone"});
  ASSERT_TRUE(WaitForLog("deleted"));
  EXPECT_FALSE(sim_->JobHas(kNamespace, "job", "Complete"));

  sim_->ReleasePodTermination();

  EXPECT_TRUE(WaitForCondition("job", "Complete"));
}

TEST_F(ProgramsTest, CapstanActionReadsThePatchOfASecretFromItsMount) {
  sim_->AddSecret("shop", "db", {{"password", "canary-old"}});
  sim_->AddSecret(
      kNamespace, "change",
      {{"patch.json", R"([{"op":"replace","path":"/data/password","value":"Y2FuYXJ5LW5ldw=="}])"}});
  sim_->ForbidPods("get", "secrets", kNamespace);  // a mount is the kubelet's doing
  Json job = JobJson("job",
                     {"capstan-action", "patch-secret", "--namespace=shop",
                      "--patch-file=/etc/change/patch.json", "--", "db"},
                     false);
  Json& spec = job["spec"]["template"]["spec"];
  spec["volumes"] = Json::array({{{"name", "change"}, {"secret", {{"secretName", "change"}}}}});
  spec["containers"][0]["volumeMounts"] =
      Json::array({{{"name", "change"}, {"mountPath", "/etc/change"}}});
  CreateJob(job);

  ASSERT_TRUE(WaitForCondition("job", "Complete")) << Log();

  EXPECT_EQ(sim_->Get("secrets", "shop", "db")["data"]["password"], "Y2FuYXJ5LW5ldw==");
  EXPECT_THAT(Log(), AllOf(HasSubstr("data.password changed"), Not(HasSubstr("canary"))));
}

TEST_F(ProgramsTest, CapstanActionThatFailsEndsWithOneAndSaysWhy) {
  EXPECT_THAT(Run({"capstan-action", "restart-deployment", "--namespace=shop",
                   "--at=2026-01-02T03:04:05Z", "--", "absent"},
                  "Failed"),
              HasSubstr("Error from server (NotFound)"));
}

}  // namespace
}  // namespace capstan::kubesim
