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

TEST(PolicyInputTest, NoLabelsAreAnEmptyObject) {
  EXPECT_TRUE(ToJson(PolicyInput{}).at("target_resource").at("labels").is_object());
}

TEST(PolicyInputTest, EqualInputsHaveEqualText) {
  EXPECT_EQ(ToJson(PolicyInput{}).dump(), ToJson(PolicyInput{}).dump());
}

}  // namespace
}  // namespace capstan::policy
