#include "core/config/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capstan/config/v1/server_config.pb.h"
#include "capstan/config/v1/worker_config.pb.h"
#include "capstan/v1/workflow.pb.h"
#include "tests/support/status_matchers.h"

namespace capstan::config {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

absl::Status Merge(std::string_view yaml, google::protobuf::Message& config) {
  return MergeYaml(yaml, "worker.yaml", config);
}

absl::Status MergeAlone(std::string_view yaml) {
  v1::WorkerConfig config;
  return Merge(yaml, config);
}

TEST(YamlTest, ReadsEveryKindOfField) {
  v1::WorkerConfig config;

  ASSERT_OK(Merge(R"(
catalog_dir: /srv/catalog
threads: 7
lease:
  ttl: 1m30s
kubernetes:
  in_cluster: true
  qps: 12.5
  runner_images:
    kubectl: registry/kubectl:1.34
    helm: registry/helm@sha256:00
policy:
  required_bundles: [one, two]
)",
                  config));

  EXPECT_EQ(config.catalog_dir(), "/srv/catalog");
  EXPECT_EQ(config.threads(), 7u);
  EXPECT_EQ(config.lease().ttl().seconds(), 90);
  EXPECT_TRUE(config.kubernetes().in_cluster());
  EXPECT_EQ(config.kubernetes().qps(), 12.5);
  EXPECT_THAT(config.kubernetes().runner_images(),
              UnorderedElementsAre(Pair("kubectl", "registry/kubectl:1.34"),
                                   Pair("helm", "registry/helm@sha256:00")));
  EXPECT_THAT(config.policy().required_bundles(), ElementsAre("one", "two"));
}

TEST(YamlTest, LeavesFieldsThatAreNotNamed) {
  v1::WorkerConfig config;
  config.set_threads(4);
  config.mutable_lease()->mutable_ttl()->set_seconds(15);

  ASSERT_OK(Merge("lease:\n  heartbeat: 500ms\n", config));

  EXPECT_EQ(config.threads(), 4u);
  EXPECT_EQ(config.lease().ttl().seconds(), 15);
  EXPECT_EQ(config.lease().heartbeat().nanos(), 500'000'000);
}

TEST(YamlTest, ReplacesListsAndMapsAsAWhole) {
  v1::WorkerConfig config;
  config.mutable_policy()->add_required_bundles("old");
  (*config.mutable_kubernetes()->mutable_runner_images())["old"] = "image:1";

  ASSERT_OK(
      Merge("policy: {required_bundles: [new]}\nkubernetes: {runner_images: {a: b:1}}", config));

  EXPECT_THAT(config.policy().required_bundles(), ElementsAre("new"));
  EXPECT_THAT(config.kubernetes().runner_images(), UnorderedElementsAre(Pair("a", "b:1")));
}

TEST(YamlTest, TakesAnEmptyFileAndAFileOfComments) {
  EXPECT_OK(MergeAlone(""));
  EXPECT_OK(MergeAlone("# nothing yet\n"));
}

struct Refused {
  const char* name;
  const char* yaml;
  const char* message;
};

class YamlRefusesTest : public ::testing::TestWithParam<Refused> {};

TEST_P(YamlRefusesTest, AndNamesThePlace) {
  EXPECT_THAT(MergeAlone(GetParam().yaml), StatusIs(kInvalid, HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Input, YamlRefusesTest,
    ::testing::Values(
        Refused{"UnknownKey", "threads: 4\nthread: 4\n", "worker.yaml:2: thread: unknown key"},
        Refused{"UnknownKeyInASection", "lease:\n  tll: 15s\n",
                "worker.yaml:2: lease.tll: unknown key"},
        Refused{"RepeatedKey", "threads: 4\nthreads: 5\n", "worker.yaml:2: threads: written twice"},
        Refused{"RepeatedMapKey", "kubernetes:\n  runner_images:\n    a: b\n    a: c\n",
                "worker.yaml:4: kubernetes.runner_images.a: written twice"},
        Refused{"DurationWithoutUnit", "lease:\n  ttl: 15\n",
                "worker.yaml:2: lease.ttl: got \"15\", want a duration such as"},
        Refused{"NegativeDuration", "drain_timeout: -1s",
                "worker.yaml:1: drain_timeout: got \"-1s\", want a duration"},
        Refused{"EndlessDuration", "drain_timeout: inf", "got \"inf\", want a duration"},
        Refused{"TextForANumber", "threads: many", "threads: got \"many\", want a whole number"},
        Refused{"QuotedNumber", "threads: \"4\"",
                "threads: got the text \"4\", want a whole number"},
        Refused{"NegativeNumber", "threads: -1", "threads: got \"-1\", want a whole number"},
        Refused{"NumberTooLarge", "threads: 4294967296", "want a whole number from 0 to"},
        Refused{"YesForTrue", "kubernetes:\n  in_cluster: yes\n",
                "worker.yaml:2: kubernetes.in_cluster: got \"yes\", want true or false"},
        Refused{"NothingForText", "catalog_dir:\n", "catalog_dir: got nothing, want text"},
        Refused{"ListForText", "catalog_dir: [a]", "catalog_dir: got a list, want text"},
        Refused{"TextForASection", "lease: 15s", "lease: got \"15s\", want keys with values"},
        Refused{"NothingForASection", "threads: 1\nlease:\n", "lease: got nothing, want keys"},
        Refused{"TextForAList", "policy:\n  required_bundles: one\n",
                "policy.required_bundles: got \"one\", want a list"},
        Refused{"ListOfLists", "policy:\n  required_bundles: [[a]]\n", "want a list of texts"},
        Refused{"ListAsDocument", "- threads\n", "the document: got a list, want keys"},
        Refused{"TwoDocuments", "threads: 1\n---\nthreads: 2\n", "got 2 YAML documents, want one"},
        Refused{"NotYaml", "threads: 1\n  lease: [\n", "not YAML"}),
    [](const auto& info) { return info.param.name; });

TEST(SetFromTextTest, ReadsListsAndMapsAsVariablesSpellThem) {
  v1::WorkerConfig config;
  v1::PolicyConfig& policy = *config.mutable_policy();
  v1::KubernetesConfig& kubernetes = *config.mutable_kubernetes();
  const auto* bundles = policy.GetDescriptor()->FindFieldByName("required_bundles");
  const auto* images = kubernetes.GetDescriptor()->FindFieldByName("runner_images");

  ASSERT_OK(SetFromText("one, two,", *bundles, policy));
  ASSERT_OK(SetFromText("kubectl=r/kubectl:1=2, helm=r/helm:3", *images, kubernetes));

  EXPECT_THAT(policy.required_bundles(), ElementsAre("one", "two"));
  EXPECT_THAT(kubernetes.runner_images(),
              UnorderedElementsAre(Pair("kubectl", "r/kubectl:1=2"), Pair("helm", "r/helm:3")));
}

TEST(SetFromTextTest, RefusesAMapEntryWithoutAValue) {
  v1::KubernetesConfig kubernetes;
  const auto* images = kubernetes.GetDescriptor()->FindFieldByName("runner_images");

  EXPECT_THAT(SetFromText("kubectl", *images, kubernetes),
              StatusIs(kInvalid, HasSubstr("want key=value")));
  EXPECT_THAT(SetFromText("a=1,a=2", *images, kubernetes), StatusIs(kInvalid, HasSubstr("twice")));
}

YamlFindings ReadWorkflow(std::string_view yaml, capstan::v1::Workflow& workflow) {
  return ReadYaml(yaml, "w.yaml", workflow);
}

std::vector<std::string> ErrorsOf(std::string_view yaml) {
  capstan::v1::Workflow workflow;
  return ReadWorkflow(yaml, workflow).errors;
}

TEST(ReadYamlTest, ReadsListsOfMessagesOneofsEnumsAndNumbers) {
  capstan::v1::Workflow workflow;

  const YamlFindings findings = ReadWorkflow(R"(
name: small
cleanup: on_success
max_retries: -3
max_cost_microusd: 5000000000
steps:
  - name: build
    command: {argv: [make, all], success_codes: [0, 2]}
    checks:
      - {name: lint, command: lint, on_failure: warn, timeout: 90s}
  - name: done
    gate: {kind: human}
    gate_only: {}
)",
                                             workflow);

  EXPECT_THAT(findings.errors, ElementsAre());
  EXPECT_EQ(workflow.cleanup(), capstan::v1::Workflow::CLEANUP_ON_SUCCESS);
  EXPECT_EQ(workflow.max_retries(), -3);
  EXPECT_EQ(workflow.max_cost_microusd(), 5'000'000'000);
  ASSERT_EQ(workflow.steps_size(), 2);
  EXPECT_THAT(workflow.steps(0).command().argv(), ElementsAre("make", "all"));
  EXPECT_THAT(workflow.steps(0).command().success_codes(), ElementsAre(0, 2));
  EXPECT_EQ(workflow.steps(0).checks(0).on_failure(), capstan::v1::QualityCheck::ON_FAILURE_WARN);
  EXPECT_EQ(workflow.steps(0).checks(0).timeout().seconds(), 90);
  EXPECT_EQ(workflow.steps(1).kind_case(), capstan::v1::WorkflowStep::kGateOnly);
}

TEST(ReadYamlTest, ReadsRecursiveMessagesAndAnyValue) {
  capstan::v1::Workflow workflow;

  const YamlFindings findings = ReadWorkflow(R"(
steps:
  - condition:
      all:
        - any: [{test: {field: A, op: in, value: [1.5, "1", true, ~, {k: v}]}}]
        - test: {field: B, op: eq, value: -7}
)",
                                             workflow);

  EXPECT_THAT(findings.errors, ElementsAre());
  const auto& all = workflow.steps(0).condition().all();
  const auto& list = all[0].any(0).test().value().list_value();
  EXPECT_EQ(list.values(0).number_value(), 1.5);
  EXPECT_EQ(list.values(1).string_value(), "1");
  EXPECT_TRUE(list.values(2).bool_value());
  EXPECT_TRUE(list.values(3).has_null_value());
  EXPECT_EQ(list.values(4).struct_value().fields().at("k").string_value(), "v");
  EXPECT_EQ(all[1].test().value().number_value(), -7);
}

TEST(ReadYamlTest, KnowsWhetherAnOptionalFieldIsWritten) {
  capstan::v1::Workflow workflow;

  ReadWorkflow("variables: [{name: A, text: '', default_value: ''}, {name: B, text: b}]", workflow);

  EXPECT_TRUE(workflow.variables(0).has_default_value());
  EXPECT_TRUE(workflow.variables(0).has_text());
  EXPECT_FALSE(workflow.variables(1).has_default_value());
}

TEST(ReadYamlTest, AFileMayBeNamedInPlaceOfAText) {
  capstan::v1::Workflow workflow;

  const YamlFindings findings =
      ReadWorkflow("steps:\n  - llm:\n      prompt_file: spec.md\n", workflow);

  EXPECT_THAT(findings.errors, ElementsAre());
  EXPECT_EQ(workflow.steps(0).llm().prompt(), "spec.md");
  EXPECT_THAT(findings.lines, ::testing::Contains(Pair("steps[0].llm.prompt_file", 3)));
}

TEST(ReadYamlTest, FindsEveryErrorAtOnceWithItsLine) {
  EXPECT_THAT(
      ErrorsOf("name: a\ncolour: red\nsteps:\n  - nam: b\n  - llm: {}\n    command: {}\n"
               "  - {gate: {kind: ai}}\nmax_retries: many\n"),
      ElementsAre("w.yaml:2: colour: unknown key", "w.yaml:4: steps[0].nam: unknown key",
                  "w.yaml:6: steps[1].command: got llm too, want only one of them",
                  "w.yaml:7: steps[2].gate.kind: got \"ai\", want one of auto, human, skip, model",
                  "w.yaml:8: max_retries: got \"many\", want a whole number from "
                  "-2147483648 to 2147483647"));
}

TEST(ReadYamlTest, RefusesATextAndAFileForTheSameField) {
  EXPECT_THAT(ErrorsOf("steps: [{llm: {prompt: a, prompt_file: b}}]"),
              ElementsAre(HasSubstr("prompt_file: got prompt too, want only one of them")));
}

TEST(ReadYamlTest, RefusesADocumentThatNamesItself) {
  EXPECT_THAT(ErrorsOf("steps: [{condition: {test: {value: &a [*a]}}}]"),
              ElementsAre(HasSubstr("got more levels, want at most 64")));
}

TEST(ReadYamlTest, RefusesADocumentThatGrowsByAliases) {
  std::string yaml =
      "steps:\n  - condition: {test: {value: {a0: &a0 [x, x, x, x, x, x, x, x, x, x]";
  for (int i = 1; i < 8; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    yaml += ", a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int item = 1; item < 10; ++item) yaml += ", " + before;
    yaml += "]";
  }

  EXPECT_THAT(ErrorsOf(yaml + "}}}\n"),
              ElementsAre(HasSubstr("got more values, want at most 100000")));
}

TEST(YamlTest, ConfigurationDoesNotTakeFileKeys) {
  EXPECT_THAT(MergeAlone("catalog_dir_file: a"), StatusIs(kInvalid, HasSubstr("unknown key")));
}

}  // namespace
}  // namespace capstan::config
