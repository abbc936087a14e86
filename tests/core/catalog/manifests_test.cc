#include "core/catalog/manifests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "core/text.h"

#include "tests/core/catalog/fixtures.h"
#include "tests/support/golden.h"
#include "tests/support/status_matchers.h"

namespace capstan::catalog {
namespace {

using ::capstan::testing::MatchesGolden;
using ::capstan::testing::StatusIs;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

Catalog ScaleOnly() { return *Catalog::Make({ScaleDeployment()}); }

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

using Cell = std::tuple<std::string, std::string, std::string>;  // verb, resource.group, where

std::set<Cell> CellsOf(const std::vector<Grant>& grants) {
  std::set<Cell> cells;
  for (const Grant& grant : grants) {
    cells.emplace(grant.verb, Cat(grant.resource, ".", grant.api_group), grant.name_space);
  }
  return cells;
}

std::set<Cell> Cells(std::string_view where,
                     const std::vector<std::pair<std::string, std::vector<std::string>>>& rows) {
  std::set<Cell> cells;
  for (const auto& [resource, verbs] : rows) {
    for (const std::string& verb : verbs) cells.emplace(verb, resource, where);
  }
  return cells;
}

std::set<Cell> Both(std::set<Cell> a, const std::set<Cell>& b) {
  a.insert(b.begin(), b.end());
  return a;
}

// What the table of the ten actions gives to each account.
std::map<std::string, std::set<Cell>> TableA() {
  return {
      {"kubernetes-executor-scale-deployment",
       Cells("", {{"deployments.apps", {"get", "list", "watch"}},
                  {"deployments/scale.apps", {"get", "update", "patch"}}})},
      {"kubernetes-executor-restart-deployment",
       Cells("", {{"deployments.apps", {"get", "list", "watch", "patch"}}})},
      {"kubernetes-executor-delete-pod", Cells("", {{"pods.", {"get", "delete"}}})},
      {"kubernetes-executor-patch-config-map", Cells("", {{"configmaps.", {"get", "patch"}}})},
      {"kubernetes-executor-patch-secret",
       Both(Cells("", {{"secrets.", {"get", "patch"}}}),
            Cells("capstan-actions", {{"secrets.", {"get", "create"}}}))},
      {"kubernetes-executor-update-image",
       Cells("", {{"deployments.apps", {"get", "list", "watch", "patch"}}})},
      {"kubernetes-executor-cordon-node", Cells("", {{"nodes.", {"get", "patch"}}})},
      {"kubernetes-executor-drain-node", Cells("", {{"nodes.", {"get", "patch"}},
                                                    {"pods.", {"get", "list"}},
                                                    {"pods/eviction.", {"create"}},
                                                    {"daemonsets.apps", {"get"}}})},
      {"kubernetes-executor-uncordon-node", Cells("", {{"nodes.", {"get", "patch"}}})},
      {"kubernetes-executor-rollout-status",
       Cells("", {{"deployments.apps", {"get", "list", "watch"}}})},
  };
}

TEST(ManifestsTest, S2_46_EachAccountMayDoWhatTheTableSaysAndNothingElse) {
  std::map<std::string, std::set<Cell>> given;
  for (const AccountGrants& account : GrantsOf(ShippedCatalog(), {})) {
    if (account.name_space == "capstan-actions") given[account.account] = CellsOf(account.grants);
  }

  EXPECT_EQ(given, TableA());
}

TEST(ManifestsTest, S2_46_WithTargetNamespacesNamespacedRightsHoldOnlyThere) {
  const std::vector<AccountGrants> all =
      GrantsOf(ShippedCatalog(), {.target_namespaces = {"shop", "blog"}});

  for (const AccountGrants& account : all) {
    if (account.account != "kubernetes-executor-delete-pod") continue;
    EXPECT_EQ(CellsOf(account.grants), Both(Cells("shop", {{"pods.", {"get", "delete"}}}),
                                            Cells("blog", {{"pods.", {"get", "delete"}}})));
  }
}

TEST(ManifestsTest, S2_47_TheWorkerRunsJobsInItsNamespaceAndReadsFactsElsewhere) {
  const AccountGrants worker = GrantsOf(ShippedCatalog(), {}).front();

  EXPECT_EQ(worker.account, "capstan-worker");
  EXPECT_EQ(worker.name_space, "capstan-system");
  EXPECT_EQ(CellsOf(worker.grants),
            Both(Cells("capstan-actions",
                       {{"jobs.batch", {"create", "get", "list", "watch", "patch", "delete"}},
                        {"pods.", {"get", "list", "watch"}},
                        {"pods/log.", {"get"}},
                        {"events.", {"create", "list"}}}),
                 Cells("", {{"namespaces.", {"get"}},
                            {"nodes.", {"get", "list"}},
                            {"pods.", {"get", "list"}},
                            {"configmaps.", {"get"}},
                            {"deployments.apps", {"get"}},
                            {"replicasets.apps", {"get"}},
                            {"statefulsets.apps", {"get"}},
                            {"horizontalpodautoscalers.autoscaling", {"list"}},
                            {"poddisruptionbudgets.policy", {"list"}}})));
}

// Every rule of every role in the manifests, by role.
std::map<std::string, std::set<Cell>> RolesOf(const std::string& manifests) {
  std::map<std::string, std::set<Cell>> roles;
  for (const YAML::Node& object : YAML::LoadAll(manifests)) {
    for (const YAML::Node& rule : object["rules"]) {
      for (const YAML::Node& group : rule["apiGroups"]) {
        for (const YAML::Node& resource : rule["resources"]) {
          for (const YAML::Node& verb : rule["verbs"]) {
            roles[object["metadata"]["name"].Scalar()].emplace(
                verb.Scalar(), Cat(resource.Scalar(), ".", group.Scalar()), "");
          }
        }
      }
    }
  }
  return roles;
}

TEST(ManifestsTest, S2_46_TheGrantsAreThoseOfTheManifests) {
  std::set<Cell> listed;
  for (const AccountGrants& account : GrantsOf(ShippedCatalog(), {})) {
    for (Cell cell : CellsOf(account.grants)) {
      std::get<2>(cell) = account.account;
      listed.insert(cell);
    }
  }

  std::set<Cell> written;
  for (const auto& [role, cells] : RolesOf(*RenderManifests(ShippedCatalog(), {}))) {
    std::string account = role.substr(role.find(':') + 1);
    for (std::string_view suffix : {"-facts", "-cluster"}) {
      if (account.ends_with(suffix)) account.resize(account.size() - suffix.size());
    }
    for (Cell cell : cells) {
      std::get<2>(cell) = account;
      written.insert(cell);
    }
  }

  EXPECT_EQ(written, listed);
}

TEST(ManifestsTest, S2_47_NobodyMayEscalateBindOrImpersonateAndOneMayReadSecrets) {
  for (const auto& [role, cells] : RolesOf(*RenderManifests(ShippedCatalog(), {}))) {
    for (const auto& [verb, resource, where] : cells) {
      EXPECT_THAT(verb, Not(AnyOf("escalate", "bind", "impersonate", "*"))) << role;
      EXPECT_THAT(resource, Not(AnyOf(HasSubstr("*"), HasSubstr("serviceaccounts")))) << role;
      EXPECT_TRUE(resource != "secrets." || role.ends_with("patch-secret")) << role;
    }
  }
}

// The admission policy's CEL literals, by variable.
std::map<std::string, nlohmann::json> PolicyOf(const Catalog& catalog) {
  std::map<std::string, nlohmann::json> literals;
  for (const YAML::Node& object : YAML::LoadAll(*RenderManifests(catalog, {}))) {
    if (object["kind"].Scalar() != "ValidatingAdmissionPolicy") continue;
    EXPECT_FALSE(object["spec"]["matchConditions"]) << "every Job of the namespace is looked at";
    for (const YAML::Node& variable : object["spec"]["variables"]) {
      literals[variable["name"].Scalar()] = nlohmann::json::parse(
          variable["expression"].Scalar(), nullptr, /*allow_exceptions=*/false);
    }
  }
  return literals;
}

TEST(ManifestsTest, S2_46_AllTenAccountsArePinnedToTheirActionsImagesAndArguments) {
  auto policy = PolicyOf(ShippedCatalog());

  EXPECT_EQ(policy["accounts"].size(), 10u);
  EXPECT_EQ(policy["accounts"]["DrainNode"], "kubernetes-executor-drain-node");
  EXPECT_EQ(policy["allContainers"].size(), 10u);
  const auto restart = policy["allContainers"]["RestartDeployment"];
  EXPECT_EQ(restart.size(), 2u);
  EXPECT_EQ(restart["restart"]["image"], DefaultRunnerImages().at("capstan-action"));
  EXPECT_EQ(restart["restart"]["arguments"], "capstan-action\nrestart-deployment\n--namespace=");
  EXPECT_EQ(restart["rollout-status"]["image"], DefaultRunnerImages().at("kubectl"));
}

TEST(ManifestsTest, S2_65_OnlyTheActionThatNamesSecretsMayMountThemAndWhereItSays) {
  auto policy = PolicyOf(ShippedCatalog());

  EXPECT_EQ(policy["allFolders"],
            nlohmann::json::parse(R"({"": {}, "PatchSecret": {"patch-secret": ["/patch"]}})"));
}

TEST(ManifestsTest, AFixedArgumentIsPinnedAsItIsRendered) {
  ActionDefinition action = ScaleDeployment();
  action.containers[0].argv = {"kubectl", "cost=5$", "--to=${parameters.replicas}"};

  auto policy = PolicyOf(*Catalog::Make({action}));

  EXPECT_EQ(policy["allContainers"]["ScaleDeployment"][action.containers[0].name]["arguments"],
            "kubectl\ncost=5$$\n--to=");
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
  EXPECT_THAT(RenderManifests(ScaleOnly(), {.images = {}}),
              StatusIs(kInvalid, HasSubstr("ScaleDeployment needs an image for \"kubectl\"")));
  EXPECT_THAT(RenderManifests(ScaleOnly(), {.images = {{"kubectl", "kubectl:latest"}}}),
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
  EXPECT_OK(ValidateRunnerImage("capstan-action", DefaultRunnerImages().at("capstan-action")));
}

}  // namespace
}  // namespace capstan::catalog
