#include "core/catalog/job_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/kubernetes_names.h"
#include "tests/core/catalog/fixtures.h"
#include "tests/support/golden.h"
#include "tests/support/status_matchers.h"

namespace capstan::catalog {
namespace {

using ::capstan::testing::MatchesGolden;
using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;
using Json = nlohmann::json;

class JobSpecTest : public ::testing::Test {
 protected:
  absl::StatusOr<RenderedJob> Render() {
    return RenderJob({.execution = execution_,
                      .action = action_,
                      .parameters = parameters_,
                      .timeout = timeout_,
                      .actions_namespace = "capstan-actions",
                      .installation = installation_,
                      .images = images_,
                      .traceparent = traceparent_,
                      .captured = captured_,
                      .create_time = create_time_});
  }
  Json RenderJson() { return Json::parse(Render()->json); }
  Json RenderPod() { return RenderJson()["spec"]["template"]["spec"]; }

  ExecutionId execution_ = *ExecutionId::Parse("01932b5c-7d1e-7f00-8a00-0123456789ab");
  ActionDefinition action_ = ScaleDeployment();
  TypedParameters parameters_ = {
      {"deployment", "web"}, {"namespace", "shop"}, {"replicas", int64_t{3}}};
  absl::Duration timeout_ = absl::Minutes(5);
  std::string installation_ = "capstan";
  RunnerImages images_ = {{"kubectl", "registry.local/kubectl:v1.34.4"}};
  std::string traceparent_;
  google::protobuf::Struct captured_;
  absl::Time create_time_ =
      absl::FromCivil(absl::CivilSecond(2026, 1, 2, 3, 4, 5), absl::UTCTimeZone());
};

TEST_F(JobSpecTest, S2_14_TheWholeJobIsAsTheGoldenSays) {
  traceparent_ = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

  EXPECT_TRUE(MatchesGolden("catalog/scale_deployment_job.json", RenderJson().dump(2) + "\n"));
}

TEST_F(JobSpecTest, S2_14_JobNameIsDerivedFromTheExecution) {
  EXPECT_EQ(Render()->name, "capstan-01932b5c7d1e7f008a000123456789ab");
  EXPECT_EQ(RenderJson()["metadata"]["name"], JobNameOf(execution_));
}

TEST_F(JobSpecTest, S2_14_ThePodRunsAtMostOnceAndNotBeforeItIsArmed) {
  Json spec = RenderJson()["spec"];

  EXPECT_EQ(spec["suspend"], true);
  EXPECT_EQ(spec["backoffLimit"], 0);
  EXPECT_EQ(spec["completions"], 1);
  EXPECT_EQ(spec["parallelism"], 1);
  EXPECT_EQ(spec["podReplacementPolicy"], "Failed");
  EXPECT_EQ(spec["template"]["spec"]["restartPolicy"], "Never");
  EXPECT_FALSE(spec.contains("ttlSecondsAfterFinished"));
  EXPECT_FALSE(spec.contains("podFailurePolicy"));
}

TEST_F(JobSpecTest, S2_67_EveryJobRunsInTheOneNamespaceUnderAnAccountThatItOnlyNames) {
  EXPECT_EQ(RenderJson()["metadata"]["namespace"], "capstan-actions");
  EXPECT_EQ(RenderPod()["serviceAccountName"], "kubernetes-executor-scale-deployment");
}

TEST_F(JobSpecTest, S2_12_TheTimeoutIsTheJobsDeadline) {
  timeout_ = absl::Seconds(61);

  EXPECT_EQ(RenderJson()["spec"]["activeDeadlineSeconds"], 61);
  EXPECT_EQ(RenderPod()["containers"][0]["command"][4], "--timeout=61s");
}

TEST_F(JobSpecTest, S2_14_LabelsNameExecutionActionAndInstallationOnJobAndPod) {
  Json job = RenderJson();

  EXPECT_EQ(job["metadata"]["labels"][std::string(kExecutionLabel)], execution_.ToString());
  EXPECT_EQ(job["metadata"]["labels"][std::string(kActionLabel)], "ScaleDeployment");
  EXPECT_EQ(job["metadata"]["labels"][std::string(kInstallationLabel)], "capstan");
  EXPECT_EQ(job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]);
}

TEST_F(JobSpecTest, S2_63_EveryContainerIsLockedDown) {
  Json pod = RenderPod();
  Json locked = {{"allowPrivilegeEscalation", false},
                 {"readOnlyRootFilesystem", true},
                 {"capabilities", {{"drop", {"ALL"}}}}};

  EXPECT_EQ(pod["securityContext"]["runAsNonRoot"], true);
  EXPECT_EQ(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
  EXPECT_EQ(pod["initContainers"][0]["securityContext"], locked);
  EXPECT_EQ(pod["containers"][0]["securityContext"], locked);
  EXPECT_EQ(pod["volumes"][0]["name"], "tmp");
  EXPECT_TRUE(pod["volumes"][0].contains("emptyDir"));
}

TEST_F(JobSpecTest, S2_64_AParameterIsOnePieceOfOneArgumentWhateverItHolds) {
  parameters_["deployment"] = "web; rm -rf / $(id) ${parameters.namespace} --all";

  EXPECT_EQ(RenderPod()["initContainers"][0]["command"],
            Json({"kubectl", "scale", "--namespace=shop", "--replicas=3", "deployment", "--",
                  "web; rm -rf / $$(id) $${parameters.namespace} --all"}));
}

TEST_F(JobSpecTest, S2_64_TheKubeletFindsNothingToExpand) {
  parameters_["deployment"] = "$(HOME) $$(HOME) $";

  EXPECT_EQ(RenderPod()["initContainers"][0]["command"][6], "$$(HOME) $$$$(HOME) $$");
}

TEST_F(JobSpecTest, S2_62_WhatMayRunTwiceSurvivesAKilledOrMovedPod) {
  const Json ignored = {
      {"rules",
       Json::array({{{"action", "Ignore"},
                     {"onExitCodes", {{"operator", "In"}, {"values", Json::array({137})}}}},
                    {{"action", "Ignore"},
                     {"onPodConditions",
                      Json::array({{{"type", "DisruptionTarget"}, {"status", "True"}}})}}})}};
  action_.effect = EffectClass::kRead;
  EXPECT_EQ(RenderJson()["spec"]["podFailurePolicy"], ignored);
  action_.effect = EffectClass::kIdempotent;
  EXPECT_EQ(RenderJson()["spec"]["podFailurePolicy"], ignored);
  EXPECT_EQ(RenderJson()["spec"]["backoffLimit"], 0);
}

TEST_F(JobSpecTest, S2_62_AnyFailureOfAnythingElseFailsTheJob) {
  action_.effect = EffectClass::kReversible;
  EXPECT_FALSE(RenderJson()["spec"].contains("podFailurePolicy"));
  action_.effect = EffectClass::kDestructive;
  EXPECT_FALSE(RenderJson()["spec"].contains("podFailurePolicy"));
  EXPECT_EQ(RenderJson()["spec"]["backoffLimit"], 0);
}

TEST_F(JobSpecTest, ArgumentsMayHoldWhatWasCapturedAndTheExecution) {
  action_.containers[0].argv = {"x", "${captured.replicas} ${execution.create_time}",
                                "--id=${execution.id}", "--to=${execution.namespace}"};
  captured_ = ParseStruct(R"({"replicas":1500000})");

  EXPECT_EQ(RenderPod()["initContainers"][0]["command"],
            Json({"x", "1500000 2026-01-02T03:04:05Z", "--id=01932b5c-7d1e-7f00-8a00-0123456789ab",
                  "--to=capstan-actions"}));
}

TEST_F(JobSpecTest, WhatWasNotCapturedIsNamed) {
  action_.containers[0].argv = {"x", "--uid=${captured.uid}"};
  EXPECT_THAT(Render().status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                          "action ScaleDeployment: captured.uid is not known"));

  action_.containers[0].argv = {"x", "--at=${execution.create_time}"};
  create_time_ = absl::InfinitePast();
  EXPECT_THAT(Render().status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "action ScaleDeployment: execution.create_time is not known"));
}

TEST_F(JobSpecTest, S2_65_ASecretIsAMountedVolumeAndMustBeThere) {
  action_.containers[0].secrets = {{"${parameters.deployment}-key", "/keys"}, {"fixed", "/fixed"}};
  action_.containers[1].secrets = {{"fixed", "/other"}};

  const Json pod = RenderPod();

  EXPECT_EQ(
      pod["volumes"][1],
      Json({{"name", "secret-0"},
            {"secret", {{"secretName", "web-key"}, {"defaultMode", 0444}, {"optional", false}}}}));
  EXPECT_EQ(pod["volumes"].size(), 3u);
  EXPECT_EQ(pod["initContainers"][0]["volumeMounts"][1],
            Json({{"name", "secret-0"}, {"mountPath", "/keys"}, {"readOnly", true}}));
  EXPECT_EQ(pod["containers"][0]["volumeMounts"][1],
            Json({{"name", "secret-1"}, {"mountPath", "/other"}, {"readOnly", true}}));
}

TEST_F(JobSpecTest, AContainerOfAParameterThatIsNotGivenIsLeftOut) {
  action_.containers[1].when = "note";
  EXPECT_FALSE(RenderPod().contains("initContainers"));
  EXPECT_EQ(RenderPod()["containers"][0]["name"], "scale");

  parameters_["note"] = "x";
  EXPECT_EQ(RenderPod()["containers"][0]["name"], "rollout-status");

  action_.containers[0].when = "other";
  parameters_.erase("note");
  EXPECT_THAT(Render().status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("no container is for these parameters")));
}

TEST_F(JobSpecTest, AJobThatChangesANodeDoesNotRunOnIt) {
  EXPECT_FALSE(RenderPod().contains("affinity"));

  action_.target = {.api_version = "v1",
                    .kind = "Node",
                    .namespace_template = "",
                    .name_template = "${parameters.deployment}"};

  EXPECT_EQ(
      RenderPod()["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
                 ["nodeSelectorTerms"][0]["matchFields"][0],
      Json({{"key", "metadata.name"}, {"operator", "NotIn"}, {"values", Json::array({"web"})}}));
}

TEST_F(JobSpecTest, TheLastContainerIsTheMainOne) {
  action_.containers.erase(action_.containers.begin());

  EXPECT_FALSE(RenderPod().contains("initContainers"));
  EXPECT_EQ(RenderPod()["containers"][0]["name"], "rollout-status");
}

TEST_F(JobSpecTest, TheHashIsThatOfTheJobWithoutIt) {
  RenderedJob rendered = *Render();
  Json job = Json::parse(rendered.json);

  EXPECT_EQ(job["metadata"]["annotations"][std::string(kSpecHashAnnotation)], rendered.spec_hash);
  EXPECT_EQ(job["metadata"]["annotations"][std::string(kArmedAnnotation)], "false");
  job["metadata"]["annotations"].erase(std::string(kSpecHashAnnotation));
  EXPECT_EQ(Sha256Hex(job.dump()), rendered.spec_hash);
}

TEST_F(JobSpecTest, RenderingTwiceGivesTheSameBytes) { EXPECT_EQ(Render()->json, Render()->json); }

TEST_F(JobSpecTest, AnotherParameterGivesAnotherHash) {
  std::string before = Render()->spec_hash;
  parameters_["replicas"] = int64_t{4};

  EXPECT_NE(Render()->spec_hash, before);
}

TEST_F(JobSpecTest, WithoutATraceThereIsNoVariableForIt) {
  EXPECT_THAT(Render()->json, ::testing::Not(HasSubstr("TRACEPARENT")));
}

TEST_F(JobSpecTest, AnImageThatIsNotConfiguredIsNamed) {
  images_.clear();

  EXPECT_THAT(Render().status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "action ScaleDeployment: no runner image is configured for \"kubectl\""));
}

TEST_F(JobSpecTest, RefusesAnInstallationThatIsNoLabel) {
  installation_ = "My Capstan";

  EXPECT_THAT(Render().status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("My Capstan")));
}

}  // namespace
}  // namespace capstan::catalog
