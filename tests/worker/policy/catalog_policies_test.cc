// The bundles that ship with Capstan, through the engine that serves them. Their own *_test.rego
// are run here too, since the store refuses a bundle whose tests fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/policy/policy_directory.h"

namespace capstan::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CatalogPoliciesTest : public ::testing::Test {
 protected:
  static PolicyStore::Options Options() {
    PolicyStore::Options options;
    options.directory = CAPSTAN_SOURCE_DIR "/catalog/policies";
    options.required_bundles = {"action-allowlist", "namespace-restrictions", "node-safety",
                                "production",       "resource-limits",        "scale-safety"};
    options.check_program = CAPSTAN_POLICY_CHECK;
    return options;
  }

  Decision Evaluate(const PolicyInput& input) { return policies_.Evaluate(input); }

  Policies policies_{Options()};
};

TEST_F(CatalogPoliciesTest, S2_23_TheSafetyBundlesAreThereAndTheProductionOne) {
  EXPECT_THAT(policies_.store().status().bundles,
              ElementsAre("action-allowlist", "namespace-restrictions", "node-safety", "production",
                          "resource-limits", "scale-safety"));
}

TEST_F(CatalogPoliciesTest, AnOrdinaryScaleIsAllowed) {
  const Decision decision = Evaluate(ScaleInput());

  EXPECT_TRUE(decision.allow);
  EXPECT_FALSE(decision.requires_approval);
  EXPECT_THAT(decision.violations, IsEmpty());
}

class ProtectedNamespaceTest : public CatalogPoliciesTest,
                               public ::testing::WithParamInterface<const char*> {};

TEST_P(ProtectedNamespaceTest, S2_24_IsDeniedAndNamed) {
  PolicyInput input = ScaleInput();
  input.target_resource.namespace_name = GetParam();

  const Decision decision = Evaluate(input);

  EXPECT_FALSE(decision.allow);
  EXPECT_THAT(Ids(decision), ElementsAre("namespace-restrictions/protected-namespace"));
  EXPECT_THAT(decision.violations.at(0).message, HasSubstr(GetParam()));
}
INSTANTIATE_TEST_SUITE_P(Namespaces, ProtectedNamespaceTest,
                         ::testing::Values("kube-system", "kube-public", "kube-node-lease"));

TEST_F(CatalogPoliciesTest, S2_24_TheExecutorsOwnNamespaceIsDeniedAndNamed) {
  PolicyInput input = ScaleInput();
  input.target_resource.namespace_name = input.metadata.execution_namespace;

  const Decision decision = Evaluate(input);

  EXPECT_THAT(Ids(decision), ElementsAre("namespace-restrictions/executor-namespace"));
  EXPECT_THAT(decision.violations.at(0).message, HasSubstr("capstan-actions"));
}

TEST_F(CatalogPoliciesTest, S2_24_NoExecutorNamespaceDenies) {
  PolicyInput input = ScaleInput();
  input.metadata.execution_namespace = "";

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("namespace-restrictions/unknown-namespace"));
}

TEST_F(CatalogPoliciesTest, S2_26_ZeroReplicasOfACriticalWorkloadAreDenied) {
  PolicyInput input = ScaleInput();
  input.parameters["replicas"] = 0;
  input.target_resource.labels["critical"] = "true";

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("scale-safety/critical-to-zero"));
}

TEST_F(CatalogPoliciesTest, S2_26_TheCallersWordAboutLabelsDoesNotCount) {
  PolicyInput input = ScaleInput();
  input.parameters = {{"replicas", 0}, {"labels", {{"critical", "false"}}}};
  input.target_resource.labels["critical"] = "true";

  EXPECT_FALSE(Evaluate(input).allow);
}

TEST_F(CatalogPoliciesTest, S2_26_ZeroReplicasOfAnOrdinaryWorkloadAreAllowed) {
  PolicyInput input = ScaleInput();
  input.parameters["replicas"] = 0;

  EXPECT_TRUE(Evaluate(input).allow);
}

TEST_F(CatalogPoliciesTest, S2_27_MoreThan110ReplicasAreDenied) {
  PolicyInput input = ScaleInput();
  input.parameters["replicas"] = 111;

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("resource-limits/too-many-replicas"));
}

TEST_F(CatalogPoliciesTest, ReplicasAsTextAreDenied) {
  PolicyInput input = ScaleInput();
  input.parameters["replicas"] = "3";

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("scale-safety/bad-replicas"));
}

TEST_F(CatalogPoliciesTest, S2_28_AnActionThatIsNotListedIsDenied) {
  PolicyInput input = ScaleInput();
  input.action = "DeleteNamespace";

  const Decision decision = Evaluate(input);

  EXPECT_THAT(Ids(decision), ElementsAre("action-allowlist/not-allowed"));
  EXPECT_THAT(decision.violations.at(0).message, HasSubstr("DeleteNamespace"));
}

TEST_F(CatalogPoliciesTest, S2_31_EveryViolationIsReported) {
  PolicyInput input = ScaleInput();
  input.action = "DeleteNamespace";
  input.target_resource.namespace_name = "kube-system";
  input.parameters["replicas"] = 200;

  EXPECT_THAT(Ids(Evaluate(input)),
              ::testing::UnorderedElementsAre("action-allowlist/not-allowed",
                                              "namespace-restrictions/protected-namespace",
                                              "resource-limits/too-many-replicas"));
}

PolicyInput NodeInput(const std::string& action) {
  PolicyInput input = ScaleInput();
  input.action = action;
  input.parameters = {{"node", "worker-1"}};
  input.target_resource = {"Node", "worker-1", "", {}};
  input.facts = {{"node", {{"found", true}, {"control_plane", false}}},
                 {"cluster", {{"total_nodes", 5}, {"other_schedulable_nodes", 3}}}};
  return input;
}

class NodeActionTest : public CatalogPoliciesTest,
                       public ::testing::WithParamInterface<const char*> {};

TEST_P(NodeActionTest, S2_25_IsAllowedOnAWorkerNode) {
  EXPECT_TRUE(Evaluate(NodeInput(GetParam())).allow);
}

TEST_P(NodeActionTest, S2_25_IsDeniedOnAControlPlaneNode) {
  PolicyInput input = NodeInput(GetParam());
  input.facts["node"]["control_plane"] = true;

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("node-safety/control-plane"));
}

TEST_P(NodeActionTest, S2_25_IsDeniedByTheRoleLabel) {
  PolicyInput input = NodeInput(GetParam());
  input.target_resource.labels["node-role.kubernetes.io/master"] = "";

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("node-safety/control-plane"));
}

TEST_P(NodeActionTest, S2_25_TheNameAndTheCallersWordDoNotCount) {
  PolicyInput input = NodeInput(GetParam());
  input.target_resource.name = "master-1";
  input.parameters = {{"node", "master-1"}, {"control_plane", true}};

  EXPECT_TRUE(Evaluate(input).allow);
}

TEST_P(NodeActionTest, S2_25_FactsThatAreMissingDeny) {
  PolicyInput input = NodeInput(GetParam());
  input.facts = nlohmann::json::object();

  EXPECT_FALSE(Evaluate(input).allow);
}
INSTANTIATE_TEST_SUITE_P(Actions, NodeActionTest,
                         ::testing::Values("CordonNode", "DrainNode", "UncordonNode"));

TEST_F(CatalogPoliciesTest, S2_27_ADrainWithTwoNodesIsDenied) {
  PolicyInput input = NodeInput("DrainNode");
  input.facts["cluster"]["total_nodes"] = 2;

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("node-safety/too-few-nodes-to-drain"));
}

TEST_F(CatalogPoliciesTest, S2_27_ACordonOfTheLastSchedulableNodeIsDenied) {
  PolicyInput input = NodeInput("CordonNode");
  input.facts["cluster"]["other_schedulable_nodes"] = 0;

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("node-safety/last-schedulable-node"));
}

PolicyInput PatchInput(const std::string& patch, int size_bytes) {
  PolicyInput input = ScaleInput();
  input.action = "PatchConfigMap";
  input.parameters = {{"configmap", "web"}, {"patch", patch}};
  input.target_resource.kind = "ConfigMap";
  input.facts = {{"config_map", {{"found", true}, {"size_bytes", size_bytes}}}};
  return input;
}

TEST_F(CatalogPoliciesTest, S2_27_ASmallPatchOfAConfigMapIsAllowed) {
  EXPECT_TRUE(
      Evaluate(PatchInput(R"([{"op":"replace","path":"/data/a","value":"b"}])", 1000)).allow);
}

TEST_F(CatalogPoliciesTest, S2_27_AConfigMapThatGrowsTooLargeIsDenied) {
  EXPECT_THAT(Ids(Evaluate(PatchInput("[]", 1 << 20))),
              ElementsAre("resource-limits/config-map-too-large"));
}

TEST_F(CatalogPoliciesTest, S2_27_ALargePatchOfASecretIsDenied) {
  PolicyInput input = PatchInput("", 0);
  input.action = "PatchSecret";
  input.parameters = {{"secret", "web"}, {"patch", std::string(205000, 'x')}};

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("resource-limits/patch-too-large"));
}

// In order in every way, at noon.
PolicyInput ProductionInput(const std::string& action) {
  PolicyInput input = ScaleInput();
  input.action = action;
  input.parameters = nlohmann::json::object();
  input.environment = "production";
  input.evaluation_time = absl::FromCivil(absl::CivilHour(2026, 1, 31, 12), absl::UTCTimeZone());
  input.rate_limit_state = {0, 10, 60};
  input.running_actions.emplace();
  input.prior_dry_run = true;
  return input;
}

TEST_F(CatalogPoliciesTest, S2_29_AnOrdinaryRestartInProductionIsAllowed) {
  const Decision decision = Evaluate(ProductionInput("RestartDeployment"));

  EXPECT_TRUE(decision.allow);
  EXPECT_FALSE(decision.requires_approval);
}

TEST_F(CatalogPoliciesTest, S2_29_ADrainInProductionIsDenied) {
  PolicyInput input = NodeInput("DrainNode");
  input.environment = "production";
  input.rate_limit_state = {0, 10, 60};
  input.running_actions.emplace();
  input.prior_dry_run = true;
  input.approval = {true, {"bob", "carol"}};

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("production/forbidden-action"));
}

TEST_F(CatalogPoliciesTest, S2_29_MoreThanTwentyReplicasInProductionAreDenied) {
  PolicyInput input = ProductionInput("ScaleDeployment");
  input.parameters["replicas"] = 21;

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("production/too-many-replicas"));
}

TEST_F(CatalogPoliciesTest, S2_29_ACriticalWorkloadKeepsThreeReplicasInProduction) {
  PolicyInput input = ProductionInput("ScaleDeployment");
  input.target_resource.labels["critical"] = "true";
  input.parameters["replicas"] = 2;

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("production/critical-too-small"));
}

TEST_F(CatalogPoliciesTest, S2_29_ANewImageInProductionAsksForAnApproval) {
  PolicyInput input = ProductionInput("UpdateImage");
  input.parameters["image"] = "registry.example.com/web:2";

  const Decision decision = Evaluate(input);

  EXPECT_TRUE(decision.allow);
  EXPECT_TRUE(decision.requires_approval);
  EXPECT_THAT(decision.approvals,
              ElementsAre(ApprovalObligation{1, {}, absl::Hours(1), "UpdateImage in production"}));
}

TEST_F(CatalogPoliciesTest, S2_29_DestructiveActionsInOfficeHoursAreDenied) {
  EXPECT_THAT(Ids(Evaluate(ProductionInput("DeletePod"))),
              ElementsAre("production/business-hours"));
}

TEST_F(CatalogPoliciesTest, S2_29_ARecordedApprovalOfAnotherIsTheOverride) {
  PolicyInput input = ProductionInput("DeletePod");
  input.approval = {true, {"bob", "carol"}};

  EXPECT_TRUE(Evaluate(input).allow);
}

TEST_F(CatalogPoliciesTest, S2_29_TheCallersWordIsNoOverride) {
  PolicyInput input = ProductionInput("DeletePod");
  input.parameters = {{"emergency", true}, {"override", true}};

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("production/business-hours"));
}

TEST_F(CatalogPoliciesTest, S2_29_RiskyActionsNeedAPriorDryRun) {
  PolicyInput input = ProductionInput("PatchSecret");
  input.prior_dry_run = false;

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("production/no-dry-run"));
}

TEST_F(CatalogPoliciesTest, S2_29_TheRateOfANamespaceIsLimited) {
  PolicyInput input = ProductionInput("RestartDeployment");
  input.rate_limit_state = {10, 10, 60};

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("production/rate-limit"));
}

TEST_F(CatalogPoliciesTest, S2_29_OneActionAtATimeOnATarget) {
  PolicyInput input = ProductionInput("RestartDeployment");
  input.running_actions.emplace(1, PolicyInput::RunningAction{"ScaleDeployment", "executions/2"});

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("production/target-busy"));
}

TEST_F(CatalogPoliciesTest, S2_29_WhatProductionIsNotToldDenies) {
  PolicyInput input = ProductionInput("RestartDeployment");
  input.rate_limit_state.reset();
  input.running_actions.reset();

  EXPECT_THAT(Ids(Evaluate(input)),
              ::testing::UnorderedElementsAre("production/unknown-rate",
                                              "production/unknown-running-actions"));
}

}  // namespace
}  // namespace capstan::policy
