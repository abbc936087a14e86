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
    options.required_bundles = {"action-allowlist", "namespace-restrictions", "scale-safety"};
    options.check_program = CAPSTAN_POLICY_CHECK;
    return options;
  }

  Decision Evaluate(const PolicyInput& input) { return policies_.Evaluate(input); }

  Policies policies_{Options()};
};

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

TEST_F(CatalogPoliciesTest, TooManyReplicasAreDenied) {
  PolicyInput input = ScaleInput();
  input.parameters["replicas"] = 111;

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("scale-safety/too-many-replicas"));
}

TEST_F(CatalogPoliciesTest, ReplicasAsTextAreDenied) {
  PolicyInput input = ScaleInput();
  input.parameters["replicas"] = "3";

  EXPECT_THAT(Ids(Evaluate(input)), ElementsAre("scale-safety/bad-replicas"));
}

TEST_F(CatalogPoliciesTest, S2_28_AnActionThatIsNotListedIsDenied) {
  PolicyInput input = ScaleInput();
  input.action = "DrainNode";

  const Decision decision = Evaluate(input);

  EXPECT_THAT(Ids(decision), ElementsAre("action-allowlist/not-allowed"));
  EXPECT_THAT(decision.violations.at(0).message, HasSubstr("DrainNode"));
}

TEST_F(CatalogPoliciesTest, S2_31_EveryViolationIsReported) {
  PolicyInput input = ScaleInput();
  input.action = "DrainNode";
  input.target_resource.namespace_name = "kube-system";
  input.parameters["replicas"] = 200;

  EXPECT_THAT(Ids(Evaluate(input)),
              ::testing::UnorderedElementsAre("action-allowlist/not-allowed",
                                              "namespace-restrictions/protected-namespace",
                                              "scale-safety/too-many-replicas"));
}

}  // namespace
}  // namespace capstan::policy
