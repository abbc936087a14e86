#include "worker/policy/policy_input.h"

#include <gtest/gtest.h>

namespace capstan::policy {
namespace {

TEST(PolicyInputTest, S2_30_TheDocumentHasTheAgreedFields) {
  PolicyInput input;
  input.action = "ScaleDeployment";
  input.parameters = {{"replicas", 3}};
  input.caller = "spiffe://example/team-a";
  input.dry_run = true;
  input.evaluation_time = absl::FromUnixSeconds(1700000000);
  input.target_resource = {"Deployment", "web", "shop", {{"critical", "true"}}};
  input.metadata = {"executions/1", "capstan-actions"};
  input.facts = {{"replicas", 1}};

  const nlohmann::json document = ToJson(input);

  EXPECT_EQ(document, nlohmann::json::parse(R"({
    "api_version": "capstan.policy/v1",
    "action": "ScaleDeployment",
    "parameters": {"replicas": 3},
    "caller": "spiffe://example/team-a",
    "dry_run": true,
    "evaluation_time": "2023-11-14T22:13:20+00:00",
    "target_resource": {"kind": "Deployment", "name": "web", "namespace": "shop", "labels": {"critical": "true"}},
    "metadata": {"execution_name": "executions/1", "execution_namespace": "capstan-actions"},
    "facts": {"replicas": 1}
  })"));
}

TEST(PolicyInputTest, S2_30a_WhatIsSetIsInTheDocument) {
  PolicyInput input;
  input.account = {
      "executor", "capstan-actions", {{"namespaced", {"apps"}, {"deployments"}, {"get"}}}};
  input.environment = "production";
  input.cluster_info = {"eu-1", 5, 4};
  input.cluster_state = {2, 1};
  input.rate_limit_state = {3, 10, 60};
  input.running_actions.emplace(1, PolicyInput::RunningAction{"ScaleDeployment", "executions/2"});
  input.prior_dry_run = false;
  input.approval = {true, {"bob"}};

  nlohmann::json document = ToJson(input);
  const nlohmann::json always = ToJson(PolicyInput{});
  for (const auto& [key, value] : always.items()) document.erase(key);

  EXPECT_EQ(document, nlohmann::json::parse(R"({
    "account": {"name": "executor", "namespace": "capstan-actions", "rights": [
      {"scope": "namespaced", "api_groups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}]},
    "environment": "production",
    "cluster_info": {"name": "eu-1", "total_nodes": 5, "available_nodes": 4},
    "cluster_state": {"concurrent_actions": 2, "other_clusters_draining": 1},
    "rate_limit_state": {"count": 3, "max_count": 10, "window_seconds": 60},
    "running_actions": [{"action": "ScaleDeployment", "execution_name": "executions/2"}],
    "prior_dry_run": false,
    "approval": {"approved": true, "approvers": ["bob"]}
  })"));
}

TEST(PolicyInputTest, S2_30a_WhatIsKnownToBeEmptyIsNotLeftOut) {
  PolicyInput input;
  input.running_actions.emplace();
  input.approval.emplace();
  input.cluster_state.emplace();

  const nlohmann::json document = ToJson(input);

  EXPECT_EQ(document.at("running_actions"), nlohmann::json::array());
  EXPECT_EQ(document.at("approval"), nlohmann::json::parse(R"({"approved":false,"approvers":[]})"));
  EXPECT_EQ(document.at("cluster_state"), nlohmann::json::parse(R"({"concurrent_actions":0})"));
}

TEST(PolicyInputTest, NoLabelsAreAnEmptyObject) {
  EXPECT_TRUE(ToJson(PolicyInput{}).at("target_resource").at("labels").is_object());
}

TEST(PolicyInputTest, EqualInputsHaveEqualText) {
  EXPECT_EQ(ToJson(PolicyInput{}).dump(), ToJson(PolicyInput{}).dump());
}

}  // namespace
}  // namespace capstan::policy
