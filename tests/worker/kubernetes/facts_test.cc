#include "worker/kubernetes/facts.h"

#include <gmock/gmock.h>

#include "tests/support/status_matchers.h"
#include "tests/worker/kubernetes/cluster_fixture.h"

namespace capstan::kubernetes {
namespace {

using ::capstan::kubesim::FaultKind;
using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;

class FactsTest : public ClusterTest {
 protected:
  FactsTest() {
    sim_->AddNamespace("shop", {{"team", "web"}});
    sim_->AddDeployment("shop", "web", 2, {{"tier", "front"}});
  }
  Json Facts(const std::string& name_space, const std::string& name) {
    return ReadFact(*client_, "deployment", {name_space, name}).value();
  }
};

TEST_F(FactsTest, ADeploymentIsDescribed) {
  sim_->WaitFor([&] { return Facts("shop", "web")["status"]["ready_replicas"] == 2; });

  const Json facts = Facts("shop", "web");

  const Json stored = sim_->Get("deployments", "shop", "web");
  EXPECT_EQ(facts["found"], true);
  EXPECT_EQ(facts["uid"], stored["metadata"]["uid"]);
  EXPECT_EQ(facts["resource_version"], stored["metadata"]["resourceVersion"]);
  EXPECT_EQ(facts["generation"], stored["metadata"]["generation"]);
  EXPECT_EQ(facts["labels"]["tier"], "front");
  EXPECT_EQ(facts["replicas"], 2);
  EXPECT_EQ(facts["paused"], false);
  EXPECT_EQ(facts["status"]["ready_replicas"], 2);
  EXPECT_EQ(facts["status"]["unavailable_replicas"], 0);
  EXPECT_EQ(facts["namespace_found"], true);
  EXPECT_EQ(facts["namespace_labels"]["team"], "web");
  EXPECT_EQ(facts["hpa"], (Json{{"present", false}}));
  EXPECT_EQ(facts["images"], (Json{{"main", "registry.example/web:1.0"}}));
  EXPECT_EQ(facts["selector"], (Json{{"app", "web"}}));
  EXPECT_EQ(facts["revision"], "1");
  EXPECT_EQ(facts["service_account"], "");
  EXPECT_EQ(facts["node_selector"], Json::object());
  EXPECT_EQ(facts["image_pull_secrets"], Json::array());
}

TEST_F(FactsTest, WhatThePodsOfADeploymentNeedIsDescribed) {
  ASSERT_OK(sim_->PatchExternally(
      "deployments", "shop", "web",
      {{"spec",
        {{"template",
          {{"spec",
            {{"serviceAccountName", "web"},
             {"nodeSelector", {{"disk", "ssd"}}},
             {"imagePullSecrets", Json::array({{{"name", "registry"}}})}}}}}}}}));

  const Json facts = Facts("shop", "web");

  EXPECT_EQ(facts["service_account"], "web");
  EXPECT_EQ(facts["node_selector"], (Json{{"disk", "ssd"}}));
  EXPECT_EQ(facts["image_pull_secrets"], Json({"registry"}));
}

TEST_F(FactsTest, AFactThatIsNotKnownIsRefused) {
  EXPECT_THAT(ReadFact(*client_, "moon", {"shop", "web"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("got \"moon\"")));
}

TEST_F(FactsTest, TheRunningPodsOfAWorkloadAreCounted) {
  sim_->WaitFor([&] { return Facts("shop", "web")["status"]["ready_replicas"] == 2; });

  const Json workload = ReadFact(*client_, "workload", {"shop", "web"}).value();

  EXPECT_EQ(workload["found"], true);
  EXPECT_EQ(workload["pods"].size(), 2u);
  EXPECT_EQ(workload["pods"][0]["images"], Json({"registry.example/web:1.0"}));
  EXPECT_EQ(workload["running_pods"], 2);
  EXPECT_EQ(workload["ready_pods"], 2);
  EXPECT_EQ(workload["crash_looping"], 0);
  EXPECT_EQ(workload["per_pod"], (Json{{"cpu_milli", 0}, {"memory_bytes", 0}}));
}

TEST_F(FactsTest, APodIsDescribedWithItsController) {
  sim_->WaitFor([&] { return Facts("shop", "web")["status"]["ready_replicas"] == 2; });
  const std::string name = sim_->List("pods", "shop")[0]["metadata"]["name"];

  const Json pod = ReadFact(*client_, "pod", {"shop", name}).value();

  const Json stored = sim_->Get("pods", "shop", name);
  EXPECT_EQ(pod["uid"], stored["metadata"]["uid"]);
  EXPECT_EQ(pod["phase"], "Running");
  EXPECT_EQ(pod["ready"], true);
  EXPECT_EQ(pod["node"], stored["spec"]["nodeName"]);
  EXPECT_EQ(pod["owner"]["kind"], "Deployment");
  EXPECT_EQ(pod["owner"]["uid"], stored["metadata"]["ownerReferences"][0]["uid"]);
  EXPECT_EQ(pod["owner_ready_others"], 1);
}

TEST_F(FactsTest, ThePodsThatReplaceADeletedOneAreCountedByWhatWasCaptured) {
  sim_->WaitFor([&] { return Facts("shop", "web")["status"]["ready_replicas"] == 2; });
  const std::string name = sim_->List("pods", "shop")[0]["metadata"]["name"];
  const Json before = ReadFact(*client_, "pod", {"shop", name}).value();
  ASSERT_OK(sim_->DeletePodExternally("shop", name));
  auto now = [&] {
    return ReadFact(*client_, "pod",
                    {"shop", name, {{"uid", before["uid"]}, {"owner", before["owner"]}}})
        .value();
  };

  EXPECT_TRUE(sim_->WaitFor([&] {
    const Json pod = now();
    return pod["found"] == false && pod["owner_ready_others"] == 2;
  }));
}

TEST_F(FactsTest, AnAutoscalerOfTheDeploymentIsFound) {
  sim_->AddDeployment("shop", "other", 1);
  sim_->AddHorizontalPodAutoscaler("shop", "web", 2, 10);

  const Json hpa = Facts("shop", "web")["hpa"];

  EXPECT_EQ(hpa["present"], true);
  EXPECT_EQ(hpa["min_replicas"], 2);
  EXPECT_EQ(hpa["max_replicas"], 10);
  EXPECT_EQ(Facts("shop", "other")["hpa"]["present"], false);
}

TEST_F(FactsTest, AMissingDeploymentIsAFactAndNoError) {
  const Json facts = Facts("shop", "nothing");

  EXPECT_EQ(facts["found"], false);
  EXPECT_EQ(facts["name"], "nothing");
  EXPECT_EQ(facts["namespace_found"], true);
  EXPECT_FALSE(facts.contains("replicas"));
}

TEST_F(FactsTest, AMissingNamespaceIsAFactAndNoError) {
  const Json facts = Facts("nowhere", "web");

  EXPECT_EQ(facts["found"], false);
  EXPECT_EQ(facts["namespace_found"], false);
}

class UnreadableFactsTest
    : public FactsTest,
      public ::testing::WithParamInterface<std::pair<const char*, const char*>> {};

TEST_P(UnreadableFactsTest, AReadThatFailsIsAnErrorAndNotAbsence) {
  Inject(GetParam().first, FaultKind::kStatus, -1, GetParam().second);

  EXPECT_THAT(ReadFact(*client_, "deployment", {"shop", "web"}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(GetParam().second)));
}

INSTANTIATE_TEST_SUITE_P(All, UnreadableFactsTest,
                         ::testing::Values(std::pair{"get", "namespaces"},
                                           std::pair{"get", "deployments"},
                                           std::pair{"list", "horizontalpodautoscalers"}));

TEST_F(FactsTest, AWorkloadWhosePodsOrNodesCannotBeReadIsNotKnown) {
  Inject("list", FaultKind::kStatus, -1, "pods");
  EXPECT_THAT(ReadFact(*client_, "workload", {"shop", "web"}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("pods")));
  sim_->ClearFaults();
  Inject("list", FaultKind::kStatus, -1, "nodes");
  EXPECT_THAT(ReadFact(*client_, "workload", {"shop", "web"}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("nodes")));
}

TEST_F(FactsTest, AReadThatIsForbiddenSaysWhat) {
  sim_->Forbid("list", "horizontalpodautoscalers");

  EXPECT_THAT(ReadFact(*client_, "deployment", {"shop", "web"}),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("horizontalpodautoscalers")));
}

}  // namespace
}  // namespace capstan::kubernetes
