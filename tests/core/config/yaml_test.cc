#include "core/config/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capstan/config/v1/server_config.pb.h"
#include "capstan/config/v1/worker_config.pb.h"
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

}  // namespace
}  // namespace capstan::config
