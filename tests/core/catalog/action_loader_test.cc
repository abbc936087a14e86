#include "core/catalog/action_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/ids.h"
#include "tests/core/catalog/fixtures.h"
#include "tests/support/status_matchers.h"

namespace capstan::catalog {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(ActionLoaderTest, ReadsTheShippedScaleDeployment) {
  ActionDefinition action = ScaleDeployment();

  EXPECT_EQ(action.name, "ScaleDeployment");
  EXPECT_EQ(action.effect, EffectClass::kReversible);
  EXPECT_EQ(action.default_timeout, absl::Seconds(300));
  EXPECT_EQ(action.max_timeout, absl::Seconds(900));
  EXPECT_THAT(action.facts, ElementsAre("deployment"));
  EXPECT_EQ(action.FindParameter("replicas")->max, 1000);
  EXPECT_EQ(action.FindParameter("namespace")->format, ParameterFormat::kDnsLabel);
  EXPECT_EQ(action.FindParameter("none"), nullptr);
  EXPECT_THAT(action.containers[1].argv,
              ElementsAre("kubectl", "rollout", "status", "--namespace=${parameters.namespace}",
                          "--timeout=${timeout}", "deployment", "--", "${parameters.deployment}"));
}

TEST(ActionLoaderTest, TheDigestIsThatOfTheFile) {
  EXPECT_EQ(ScaleDeployment().digest, Sha256Hex(ScaleDeploymentYaml()));
}

TEST(ActionLoaderTest, S2_46_TheAccountIsNamedAfterTheAction) {
  EXPECT_EQ(ServiceAccountOf("ScaleDeployment"), "kubernetes-executor-scale-deployment");
  EXPECT_EQ(ServiceAccountOf("PatchConfigMap"), "kubernetes-executor-patch-config-map");
  EXPECT_EQ(ServiceAccountOf("HPAStatus"), "kubernetes-executor-hpa-status");
}

TEST(ActionLoaderTest, RefusesAnUnknownKeyByFileLineAndPath) {
  EXPECT_THAT(ParseEdited("name: ScaleDeployment\n", "name: ScaleDeployment\ncolour: red\n"),
              StatusIs(kInvalid, HasSubstr("a.yaml:3: colour: unknown key")));
  EXPECT_THAT(ParseEdited("    min: 0\n", "    minimum: 0\n"),
              StatusIs(kInvalid, HasSubstr("parameters[2].minimum: unknown key")));
}

TEST(ActionLoaderTest, RefusesAMissingKeyByPath) {
  EXPECT_THAT(ParseEdited("  kind: Deployment\n", ""),
              StatusIs(kInvalid, HasSubstr("target.kind: missing")));
  EXPECT_THAT(ParseEdited("    verbs: [get, list, watch]\n", ""),
              StatusIs(kInvalid, HasSubstr("rbac[0].verbs: missing")));
}

TEST(ActionLoaderTest, ReportsEveryMistakeOfAFileAtOnce) {
  EXPECT_THAT(
      ParseAction("a.yaml", "name: X\ncolour: red\n"),
      StatusIs(kInvalid, AllOf(HasSubstr("colour: unknown key"), HasSubstr("effect: missing"),
                               HasSubstr("containers: missing"))));
}

TEST(ActionLoaderTest, RefusesAKeyGivenTwice) {
  EXPECT_THAT(ParseEdited("name: ScaleDeployment\n", "name: ScaleDeployment\nname: Other\n"),
              StatusIs(kInvalid, HasSubstr("name: given twice")));
}

TEST(ActionLoaderTest, RefusesWhatIsNotOneMapping) {
  EXPECT_THAT(ParseAction("a.yaml", "[1, 2"), StatusIs(kInvalid, HasSubstr("not YAML")));
  EXPECT_THAT(ParseAction("a.yaml", "- 1\n"), StatusIs(kInvalid, HasSubstr("want a mapping")));
  EXPECT_THAT(ParseAction("a.yaml", "a: 1\n---\nb: 1\n"),
              StatusIs(kInvalid, HasSubstr("got 2 YAML documents")));
  EXPECT_THAT(ParseAction("a.yaml", ""), StatusIs(kInvalid, HasSubstr("0 YAML documents")));
  EXPECT_THAT(ParseAction("a.yaml", std::string(kMaxDefinitionBytes + 1, '#')),
              StatusIs(kInvalid, HasSubstr("larger than")));
}

TEST(ActionLoaderTest, RefusesAWordThatIsNotInItsTable) {
  EXPECT_THAT(
      ParseEdited("effect: reversible", "effect: harmless"),
      StatusIs(kInvalid, HasSubstr("effect: got \"harmless\", want one of read, idempotent")));
  EXPECT_THAT(ParseEdited("type: integer", "type: float"),
              StatusIs(kInvalid, HasSubstr("parameters[2].type: got \"float\"")));
  EXPECT_THAT(ParseEdited("facts: [deployment]", "facts: [deployment, moon]"),
              StatusIs(kInvalid, HasSubstr("facts: got \"moon\"")));
  EXPECT_THAT(ParseEdited("[get, update, patch]", "[get, escalate]"),
              StatusIs(kInvalid, HasSubstr("rbac[1].verbs: got \"escalate\"")));
}

TEST(ActionLoaderTest, RefusesRightsByWildcard) {
  EXPECT_THAT(ParseEdited("resources: [deployments/scale]", "resources: ['*']"),
              StatusIs(kInvalid, HasSubstr("rbac[1].resources: want resources by name")));
  EXPECT_THAT(ParseEdited("api_groups: [apps]", "api_groups: ['*']"),
              StatusIs(kInvalid, HasSubstr("rbac[0].api_groups: want groups by name")));
}

TEST(ActionLoaderTest, RefusesAShellAsProgram) {
  EXPECT_THAT(ParseEdited("      - kubectl\n", "      - /bin/sh\n"),
              StatusIs(kInvalid, HasSubstr("containers[0].argv: \"sh\" is a shell")));
}

TEST(ActionLoaderTest, RefusesAProgramThatAParameterChooses) {
  EXPECT_THAT(ParseEdited("      - kubectl\n", "      - k${parameters.deployment}\n"),
              StatusIs(kInvalid, HasSubstr("containers[0].argv: the program is fixed")));
}

TEST(ActionLoaderTest, RefusesAnOperandBeforeTheDashes) {
  EXPECT_THAT(ParseEdited("      - --\n", ""),
              StatusIs(kInvalid, HasSubstr("could be taken for a flag: put \"--\" before it")));
}

TEST(ActionLoaderTest, RefusesReferencesToNothing) {
  EXPECT_THAT(ParseEdited("=${parameters.replicas}", "=${parameters.replicants}"),
              StatusIs(kInvalid, HasSubstr("parameter \"replicants\" is not declared")));
  EXPECT_THAT(ParseEdited("${captured.replicas}", "${captured.moons}"),
              StatusIs(kInvalid, HasSubstr("\"moons\" is not captured")));
  EXPECT_THAT(ParseEdited("=${parameters.replicas}", "=${captured.replicas}"),
              StatusIs(kInvalid, HasSubstr("unknown reference to \"captured.replicas\"")));
  EXPECT_THAT(ParseEdited("=${parameters.replicas}", "=${parameters.replicas"),
              StatusIs(kInvalid, HasSubstr("want a closing }")));
  EXPECT_THAT(ParseEdited("name: ${parameters.deployment}", "name: ${timeout}"),
              StatusIs(kInvalid, HasSubstr("target.name: unknown reference to \"timeout\"")));
}

TEST(ActionLoaderTest, RefusesToUseAnOptionalParameterWithoutADefault) {
  EXPECT_THAT(
      ParseEdited("    max: 1000\n    required: true\n", "    max: 1000\n"),
      StatusIs(kInvalid, HasSubstr("parameter \"replicas\" is optional and has no default")));
}

TEST(ActionLoaderTest, ChecksADefaultAgainstTheParameter) {
  absl::StatusOr<ActionDefinition> action =
      ParseEdited("    max: 1000\n    required: true\n", "    max: 1000\n    default: 3\n");

  ASSERT_OK(action);
  EXPECT_EQ(action->FindParameter("replicas")->default_value, ParameterValue(int64_t{3}));
  EXPECT_THAT(
      ParseEdited("    max: 1000\n    required: true\n", "    max: 1000\n    default: 1001\n"),
      StatusIs(kInvalid, HasSubstr("parameters[2].default: got 1001")));
  EXPECT_THAT(ParseEdited("    max: 1000\n", "    max: 1000\n    default: 3\n"),
              StatusIs(kInvalid, HasSubstr("a required parameter has none")));
}

TEST(ActionLoaderTest, RefusesBoundsAndFormatsThatDoNotFitTheType) {
  EXPECT_THAT(ParseEdited("    format: dns_label\n", "    max: 3\n"),
              StatusIs(kInvalid, HasSubstr("parameters[1].max: only integers have bounds")));
  EXPECT_THAT(ParseEdited("    min: 0\n", "    format: dns_label\n"),
              StatusIs(kInvalid, HasSubstr("parameters[2].format: only strings have one")));
  EXPECT_THAT(ParseEdited("    min: 0\n", "    min: 2000\n"),
              StatusIs(kInvalid, HasSubstr("parameters[2].max: is below min")));
}

TEST(ActionLoaderTest, S2_12_TimeoutsStayBelowTheHardMaximum) {
  EXPECT_THAT(ParseEdited("max: 900s", "max: 901s"),
              StatusIs(kInvalid, HasSubstr("timeout.max: want at most 15m")));
  EXPECT_THAT(ParseEdited("default: 300s", "default: 901s"),
              StatusIs(kInvalid, HasSubstr("timeout.default: is above max")));
  EXPECT_THAT(ParseEdited("default: 300s", "default: 0.5s"),
              StatusIs(kInvalid, HasSubstr("timeout.default: want a duration of whole seconds")));
}

TEST(ActionLoaderTest, S2_12_WithoutATimeoutTheGlobalOnesHold) {
  absl::StatusOr<ActionDefinition> action =
      ParseEdited("timeout:\n  default: 300s\n  max: 900s\n", "");

  ASSERT_OK(action);
  EXPECT_EQ(action->default_timeout, absl::Minutes(5));
  EXPECT_EQ(action->max_timeout, absl::Minutes(15));
}

TEST(ActionLoaderTest, S2_70_RequestsAreQuantitiesAndNotAboveTheLimits) {
  EXPECT_THAT(
      ParseEdited("cpu: 10m", "cpu: 501m"),
      StatusIs(kInvalid, HasSubstr("resources.requests: cpu 501m is above the limit 500m")));
  EXPECT_THAT(ParseEdited("memory: 32Mi", "memory: 1Gi"),
              StatusIs(kInvalid, HasSubstr("memory 1Gi is above the limit 128Mi")));
  EXPECT_THAT(ParseEdited("memory: 32Mi", "memory: lots"),
              StatusIs(kInvalid, HasSubstr("resources.requests: got \"lots\"")));
  EXPECT_THAT(ParseEdited(", memory: 128Mi", ""),
              StatusIs(kInvalid, HasSubstr("resources.limits: \"memory\" is missing")));
}

TEST(ActionLoaderTest, AReversibleActionNamesItsInverse) {
  EXPECT_THAT(
      ParseEdited("rollback:\n  action: ScaleDeployment\n  parameters:\n"
                  "    deployment: ${parameters.deployment}\n"
                  "    namespace: ${parameters.namespace}\n"
                  "    replicas: ${captured.replicas}\n",
                  ""),
      StatusIs(kInvalid, HasSubstr("rollback: missing: a reversible action names its inverse")));
}

TEST(ActionLoaderTest, RefusesAnImageThatIsNotAnAlias) {
  EXPECT_THAT(
      ParseEdited("image: kubectl", "image: evil.example/kubectl:1"),
      StatusIs(kInvalid, HasSubstr("containers[0].image: want the alias of a runner image")));
}

TEST(ActionLoaderTest, CapturesOnlyFromFactsThatAreRead) {
  EXPECT_THAT(ParseEdited("deployment.replicas", "node.unschedulable"),
              StatusIs(kInvalid, HasSubstr("capture: path \"node.unschedulable\" does not begin")));
}

}  // namespace
}  // namespace capstan::catalog
