#include "core/catalog/action_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/ids.h"
#include "core/text.h"
#include "tests/core/catalog/fixtures.h"
#include "tests/support/status_matchers.h"

namespace capstan::catalog {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(ActionLoaderTest, ReadsTheShippedScaleDeployment) {
  ActionDefinition action = ScaleDeployment();

  EXPECT_EQ(action.name, "ScaleDeployment");
  EXPECT_EQ(action.effect, EffectClass::kReversible);
  EXPECT_EQ(action.default_timeout, absl::Seconds(300));
  EXPECT_EQ(action.max_timeout, absl::Seconds(900));
  EXPECT_THAT(action.facts, ElementsAre("deployment", "workload", "cluster"));
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
  EXPECT_THAT(ParseEdited("facts: [deployment,", "facts: [deployment, moon,"),
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
  EXPECT_THAT(ParseEdited("=${parameters.replicas}", "=${captured.moons}"),
              StatusIs(kInvalid, HasSubstr("containers[0].argv: \"moons\" is not captured")));
  EXPECT_THAT(ParseEdited("=${parameters.replicas}", "=${execution.mood}"),
              StatusIs(kInvalid, HasSubstr("unknown reference to \"execution.mood\"")));
  EXPECT_THAT(ParseEdited("name: ${parameters.deployment}", "name: ${captured.replicas}"),
              StatusIs(kInvalid, HasSubstr("unknown reference to \"captured.replicas\"")));
  EXPECT_THAT(ParseEdited("name: ${parameters.deployment}", "name: ${execution.id}"),
              StatusIs(kInvalid, HasSubstr("unknown reference to \"execution.id\"")));
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

TEST(ActionLoaderTest, ACapturePathMayLeadThroughAWholeParameter) {
  EXPECT_OK(ParseEdited("deployment.replicas", "deployment.images.${parameters.deployment}.tag"));
  const auto refused = StatusIs(kInvalid, HasSubstr("want a required parameter as a whole part"));
  EXPECT_THAT(ParseEdited("deployment.replicas", "deployment.a-${parameters.deployment}"), refused);
  EXPECT_THAT(ParseEdited("deployment.replicas", "deployment.${parameters.deployment}s"), refused);
  EXPECT_THAT(ParseEdited("deployment.replicas", "deployment.${parameters.moons}"), refused);
  EXPECT_THAT(ParseEdited("deployment.replicas", "deployment.${captured.replicas}"), refused);
  EXPECT_THAT(ParseEdited("deployment.replicas", "deployment.${x"),
              StatusIs(kInvalid, HasSubstr("capture: got \"${x\", want a closing }")));
}

TEST(ActionLoaderTest, ReadsFormatsOfStrings) {
  const ActionDefinition patch = Shipped("PatchConfigMap");

  EXPECT_EQ(patch.FindParameter("patch")->format, ParameterFormat::kJsonPatch);
  EXPECT_THAT(patch.FindParameter("patch")->paths, ElementsAre("/data", "/binaryData"));
  EXPECT_EQ(Shipped("UpdateImage").FindParameter("image")->format, ParameterFormat::kImage);
}

TEST(ActionLoaderTest, AJsonPatchSaysWhatItMayTouch) {
  EXPECT_THAT(ParseEdited("format: dns_label", "format: json_patch"),
              StatusIs(kInvalid, HasSubstr("parameters[1].paths: missing")));
  EXPECT_THAT(ParseEdited("format: dns_label", "format: dns_label\n    paths: [/data]"),
              StatusIs(kInvalid, HasSubstr("parameters[1].paths: only a json_patch has them")));
  EXPECT_THAT(ParseEdited("format: dns_label", "format: json_patch\n    paths: [data]"),
              StatusIs(kInvalid, HasSubstr("got \"data\", want a JSON Pointer such as /data")));
  EXPECT_THAT(ParseEdited("format: dns_label", "format: json_patch\n    paths: [/]"),
              StatusIs(kInvalid, HasSubstr("got \"/\", want a JSON Pointer")));
}

TEST(ActionLoaderTest, ReadsConditionsWithTheirDefaults) {
  const ActionDefinition scale = ScaleDeployment();
  const ActionDefinition restart = Shipped("RestartDeployment");

  EXPECT_EQ(scale.preconditions[2].name, "current_replicas_match");
  EXPECT_FALSE(scale.preconditions[2].required);
  EXPECT_EQ(scale.preconditions[2].timeout, absl::Seconds(5));
  EXPECT_TRUE(restart.preconditions[0].required);
  EXPECT_EQ(restart.preconditions[0].timeout, absl::Seconds(30));
  EXPECT_EQ(restart.postconditions[0].timeout, absl::Minutes(2));
  EXPECT_THAT(Shipped("PatchSecret").preconditions, IsEmpty());
}

TEST(ActionLoaderTest, RefusesConditionsThatAreNone) {
  EXPECT_THAT(ParseEdited("- name: deployment_exists\n", "- name: DeploymentExists\n"),
              StatusIs(kInvalid, HasSubstr("preconditions[0].name: want small letters")));
  EXPECT_THAT(ParseEdited("- name: deployment_exists\n", "- name: node_selector_matches\n"),
              StatusIs(kInvalid, HasSubstr("preconditions[4].name: used twice")));
  EXPECT_THAT(ParseEdited("timeout: 10s\n    description", "timeout: 901s\n    description"),
              StatusIs(kInvalid, HasSubstr("preconditions[0].timeout: want at most 15m")));
  EXPECT_THAT(ParseEdited("timeout: 10s\n    description", "timeout: 0s\n    description"),
              StatusIs(kInvalid, HasSubstr("preconditions[0].timeout: want a duration")));
  EXPECT_THAT(ParseEdited("    description: The Deployment exists.\n", ""),
              StatusIs(kInvalid, HasSubstr("preconditions[0].description: missing")));
  EXPECT_THAT(ParseEdited("    required: false\n", "    required: perhaps\n"),
              StatusIs(kInvalid, HasSubstr("preconditions[2].required: want true or false")));
  EXPECT_THAT(ParseEdited("    required: false\n", "    needed: false\n"),
              StatusIs(kInvalid, HasSubstr("preconditions[2].needed: unknown key")));
  std::string many = "postconditions:\n";
  for (size_t i = 0; i <= kMaxConditions; ++i) {
    many += Cat("  - name: c", i, "\n    description: c\n");
  }
  EXPECT_THAT(ParseEdited("postconditions:\n", many),
              StatusIs(kInvalid, HasSubstr("postconditions: more than 16")));
}

TEST(ActionLoaderTest, S2_57_TheCooldownIsZeroUnlessTheFileSaysOtherwise) {
  EXPECT_EQ(ScaleDeployment().cooldown, absl::ZeroDuration());
  EXPECT_EQ(ParseEdited("effect: reversible\n", "effect: reversible\ncooldown: 5m\n")->cooldown,
            absl::Minutes(5));
  EXPECT_OK(ParseEdited("effect: reversible\n", "effect: reversible\ncooldown: 0s\n"));
  EXPECT_THAT(ParseEdited("effect: reversible\n", "effect: reversible\ncooldown: 25h\n"),
              StatusIs(kInvalid, HasSubstr("cooldown: want at most 24h")));
  EXPECT_THAT(ParseEdited("effect: reversible\n", "effect: reversible\ncooldown: -1s\n"),
              StatusIs(kInvalid, HasSubstr("cooldown: want a duration")));
  EXPECT_THAT(ParseEdited("effect: reversible\n", "effect: read\ncooldown: 5s\n"),
              StatusIs(kInvalid, HasSubstr("cooldown: an action that only reads has none")));
}

TEST(ActionLoaderTest, S2_59_AFailedDestructiveActionBlocksItsTargetByDefault) {
  EXPECT_FALSE(ScaleDeployment().blocks_after_failure);
  EXPECT_TRUE(ParseEdited("effect: reversible", "effect: destructive")->blocks_after_failure);
  EXPECT_TRUE(
      ParseEdited("effect: reversible\n", "effect: reversible\nblocks_after_failure: true\n")
          ->blocks_after_failure);
  EXPECT_FALSE(
      ParseEdited("effect: reversible\n", "effect: destructive\nblocks_after_failure: false\n")
          ->blocks_after_failure);
  EXPECT_THAT(ParseEdited("effect: reversible\n", "effect: read\nblocks_after_failure: true\n"),
              StatusIs(kInvalid, HasSubstr("blocks_after_failure: an action that only reads")));
}

// The first container with these lines.
absl::StatusOr<ActionDefinition> ParseWithSecrets(std::string_view lines) {
  return ParseEdited("    image: kubectl\n", Cat("    image: kubectl\n    secrets:\n", lines));
}

TEST(ActionLoaderTest, S2_65_ReadsSecretMounts) {
  absl::StatusOr<ActionDefinition> action = ParseWithSecrets(
      "      - {secret: \"${parameters.deployment}-key\", path: /keys}\n"
      "      - {secret: fixed, path: /etc/fixed}\n");

  ASSERT_OK(action);
  EXPECT_EQ(action->containers[0].secrets[0].secret, "${parameters.deployment}-key");
  EXPECT_EQ(action->containers[0].secrets[1].path, "/etc/fixed");
}

TEST(ActionLoaderTest, S2_65_RefusesSecretMountsThatCouldNotBe) {
  auto refused = [](std::string_view what) {
    return StatusIs(kInvalid, HasSubstr(std::string(what)));
  };
  EXPECT_THAT(ParseWithSecrets("      - {secret: fixed, path: keys}\n"),
              refused("secrets[0].path: got \"keys\", want an absolute folder"));
  EXPECT_THAT(ParseWithSecrets("      - {secret: fixed, path: /a/../b}\n"),
              refused("want an absolute folder"));
  EXPECT_THAT(ParseWithSecrets("      - {secret: fixed, path: \"/${parameters.deployment}\"}\n"),
              refused("want an absolute folder"));
  EXPECT_THAT(ParseWithSecrets("      - {secret: fixed, path: /tmp/keys}\n"),
              refused("secrets[0].path: \"/tmp/keys\" is in use"));
  EXPECT_THAT(ParseWithSecrets("      - {secret: fixed, path: /var/run/secrets}\n"),
              refused("\"/var/run/secrets\" is in use"));
  EXPECT_THAT(ParseWithSecrets("      - {secret: a, path: /k}\n      - {secret: b, path: /k}\n"),
              refused("secrets[1].path: used twice"));
  EXPECT_THAT(ParseWithSecrets("      - {secret: Fixed, path: /k}\n"),
              refused("secrets[0].secret: got \"Fixed\", want the name of a Secret"));
  EXPECT_THAT(ParseWithSecrets("      - {secret: \"${parameters.replicas}\", path: /k}\n"),
              refused("parameter \"replicas\" is not the name of an object"));
  EXPECT_THAT(ParseWithSecrets("      - {secret: \"${parameters.moons}\", path: /k}\n"),
              refused("parameter \"moons\" is not declared"));
  EXPECT_THAT(ParseWithSecrets("      - {secret: \"${captured.replicas}\", path: /k}\n"),
              refused("unknown reference to \"captured.replicas\""));
  EXPECT_THAT(ParseWithSecrets("      - {secret: fixed, path: /k, mode: 1}\n"),
              refused("secrets[0].mode: unknown key"));
}

TEST(ActionLoaderTest, AContainerMayDependOnAnOptionalParameter) {
  const ActionDefinition action = Shipped("PatchSecret");

  EXPECT_THAT(action.exactly_one_of, ElementsAre("patch_secret", "restore_from"));
  EXPECT_EQ(action.containers[0].when, "");
  EXPECT_EQ(action.containers[1].when, "patch_secret");
  EXPECT_EQ(action.containers[2].when, "restore_from");
}

TEST(ActionLoaderTest, RefusesAContainerThatDependsOnNothing) {
  EXPECT_THAT(
      ParseEdited("    image: kubectl\n", "    image: kubectl\n    when: replicas\n"),
      StatusIs(kInvalid, HasSubstr("containers[0].when: got \"replicas\", want an optional")));
  EXPECT_THAT(ParseEdited("    image: kubectl\n", "    image: kubectl\n    when: moons\n"),
              StatusIs(kInvalid, HasSubstr("containers[0].when: got \"moons\"")));
}

TEST(ActionLoaderTest, WhateverIsGivenSomethingRuns) {
  std::string text = ScaleDeploymentYaml();
  for (size_t at = 0; (at = text.find("    image: kubectl\n", at)) != text.npos; at += 10) {
    text.insert(at, "    when: note\n");
    at += 30;
  }
  text.replace(text.find("\ntarget:"), 0,
               "  - {name: note, type: string, description: Optional.}\n");

  EXPECT_THAT(ParseAction("a.yaml", text),
              StatusIs(kInvalid, HasSubstr("containers: want one that runs whichever parameters")));
}

TEST(ActionLoaderTest, RefusesAChoiceThatIsNone) {
  auto with = [](std::string_view names) {
    return ParseEdited("\ntarget:", Cat("\nexactly_one_of: [", names, "]\ntarget:"));
  };
  EXPECT_THAT(
      with("replicas, moons"),
      StatusIs(kInvalid, AllOf(HasSubstr("exactly_one_of: parameter \"moons\" is not declared"),
                               HasSubstr("parameter \"replicas\" always has a value"))));
  EXPECT_THAT(with("replicas"), StatusIs(kInvalid, HasSubstr("want at least two, each once")));
}

TEST(ActionLoaderTest, ARollbackMayDependOnWhatWasCaptured) {
  EXPECT_EQ(Shipped("CordonNode").rollback->when.at("unschedulable"), "false");
  EXPECT_THAT(ParseEdited("rollback:\n", "rollback:\n  when: {moons: \"1\"}\n"),
              StatusIs(kInvalid, HasSubstr("rollback.when: \"moons\" is not captured")));
}

TEST(ActionLoaderTest, RightsMayBeLimitedToTheActionsNamespace) {
  EXPECT_EQ(Shipped("PatchSecret").rbac[1].scope, Scope::kActions);
}

}  // namespace
}  // namespace capstan::catalog
