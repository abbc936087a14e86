#include "core/catalog/manifests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/catalog/fixtures.h"
#include "tests/support/golden.h"
#include "tests/support/status_matchers.h"

namespace capstan::catalog {
namespace {

using ::capstan::testing::MatchesGolden;
using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

Catalog ShippedCatalog() { return *Catalog::Make({ScaleDeployment()}); }

TEST(ManifestsTest, S2_46_S2_47_TheManifestsAreAsTheGoldenSays) {
  absl::StatusOr<std::string> yaml = RenderManifests(ShippedCatalog(), {});

  ASSERT_OK(yaml);
  EXPECT_TRUE(MatchesGolden("catalog/manifests.yaml", *yaml));
}

TEST(ManifestsTest, S2_46_WithNamespacesTheActionMayChangeNothingElsewhere) {
  absl::StatusOr<std::string> yaml =
      RenderManifests(ShippedCatalog(), {.target_namespaces = {"shop", "blog"}});

  ASSERT_OK(yaml);
  EXPECT_TRUE(MatchesGolden("catalog/manifests_two_namespaces.yaml", *yaml));
}

TEST(ManifestsTest, S2_47_NobodyMayEscalateBindImpersonateOrReadSecrets) {
  EXPECT_THAT(*RenderManifests(ShippedCatalog(), {}),
              AllOf(Not(HasSubstr("escalate")), Not(HasSubstr("- bind")),
                    Not(HasSubstr("impersonate")), Not(HasSubstr("secrets")), Not(HasSubstr("*"))));
}

TEST(ManifestsTest, ClusterScopedRulesAreAlwaysBoundInTheCluster) {
  ActionDefinition action = ScaleDeployment();
  action.rbac = {
      {.scope = Scope::kCluster, .api_groups = {""}, .resources = {"nodes"}, .verbs = {"get"}}};

  std::string yaml = *RenderManifests(*Catalog::Make({action}), {.target_namespaces = {"shop"}});

  EXPECT_THAT(yaml,
              HasSubstr("name: capstan-actions:kubernetes-executor-scale-deployment-cluster"));
  EXPECT_THAT(yaml, Not(HasSubstr("namespace: shop")));
}

TEST(ManifestsTest, RefusesOneNamespaceForBoth) {
  EXPECT_THAT(
      RenderManifests(ShippedCatalog(), {.actions_namespace = "a", .system_namespace = "a"}),
      StatusIs(kInvalid, HasSubstr("want another one")));
}

TEST(ManifestsTest, RefusesNamesThatAreNone) {
  EXPECT_THAT(RenderManifests(ShippedCatalog(), {.actions_namespace = "A\nb: c"}),
              StatusIs(kInvalid, HasSubstr("actions namespace")));
  EXPECT_THAT(RenderManifests(ShippedCatalog(), {.target_namespaces = {"*"}}),
              StatusIs(kInvalid, HasSubstr("target namespace: got \"*\"")));
  EXPECT_THAT(RenderManifests(ShippedCatalog(), {.worker_account = ""}),
              StatusIs(kInvalid, HasSubstr("worker account")));
}

TEST(ManifestsTest, RefusesImagesThatAreMissingOrNotPinned) {
  EXPECT_THAT(RenderManifests(ShippedCatalog(), {.images = {}}),
              StatusIs(kInvalid, HasSubstr("ScaleDeployment needs an image for \"kubectl\"")));
  EXPECT_THAT(RenderManifests(ShippedCatalog(), {.images = {{"kubectl", "kubectl:latest"}}}),
              StatusIs(kInvalid, HasSubstr("a tag other than latest")));
}

TEST(RunnerImagesTest, AnImageIsPinnedByTagOrDigest) {
  const std::string digest(64, 'a');

  EXPECT_OK(ValidateRunnerImage("kubectl", "registry.k8s.io/kubectl:v1.34.4"));
  EXPECT_OK(ValidateRunnerImage("kubectl", "localhost:5000/kubectl@sha256:" + digest));
  EXPECT_THAT(ValidateRunnerImage("kubectl", "localhost:5000/kubectl"), StatusIs(kInvalid));
  EXPECT_THAT(ValidateRunnerImage("kubectl", "kubectl"), StatusIs(kInvalid));
  EXPECT_THAT(ValidateRunnerImage("kubectl", "kubectl@sha256:abc"), StatusIs(kInvalid));
  EXPECT_THAT(ValidateRunnerImage("kubectl", ""), StatusIs(kInvalid));
  EXPECT_THAT(ValidateRunnerImage("Kubectl", "kubectl:v1"), StatusIs(kInvalid, HasSubstr("alias")));
}

TEST(RunnerImagesTest, TheDefaultsArePinned) {
  EXPECT_OK(ValidateRunnerImage("kubectl", DefaultRunnerImages().at("kubectl")));
}

}  // namespace
}  // namespace capstan::catalog
