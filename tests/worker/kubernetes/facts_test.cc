#include "worker/kubernetes/facts.h"

#include <gmock/gmock.h>

#include "tests/support/status_matchers.h"
#include "tests/worker/kubernetes/cluster_fixture.h"

namespace capstan::kubernetes {
namespace {

using ::capstan::kubesim::FaultKind;
using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;

class FactsTest : public ClusterTest {
 protected:
  FactsTest() {
    sim_->AddNamespace("shop", {{"team", "web"}});
    sim_->AddDeployment("shop", "web", 2, {{"tier", "front"}});
  }
  Json Facts(const std::string& name_space, const std::string& name) {
    return ReadDeploymentFacts(*client_, name_space, name).value();
  }
};

TEST_F(FactsTest, ADeploymentIsDescribed) {
  sim_->WaitFor([&] { return Facts("shop", "web")["status"]["ready_replicas"] == 2; });

  const Json facts = Facts("shop", "web");

  const Json stored = sim_->Get("deployments", "shop", "web");
  EXPECT_EQ(facts["found"], true);
  EXPECT_EQ(facts["uid"], stored["metadata"]["uid"]);
  EXPECT_EQ(facts["resource_version"], stored["metadata"]["resourceVersion"]);
  EXPECT_EQ(facts["generation"], stored["metadata"]["generation"]);
  EXPECT_EQ(facts["labels"]["tier"], "front");
  EXPECT_EQ(facts["replicas"], 2);
  EXPECT_EQ(facts["paused"], false);
  EXPECT_EQ(facts["status"]["ready_replicas"], 2);
  EXPECT_EQ(facts["status"]["unavailable_replicas"], 0);
  EXPECT_EQ(facts["namespace_found"], true);
  EXPECT_EQ(facts["namespace_labels"]["team"], "web");
  EXPECT_EQ(facts["hpa"], (Json{{"present", false}}));
}

TEST_F(FactsTest, AnAutoscalerOfTheDeploymentIsFound) {
  sim_->AddDeployment("shop", "other", 1);
  sim_->AddHorizontalPodAutoscaler("shop", "web", 2, 10);

  const Json hpa = Facts("shop", "web")["hpa"];

  EXPECT_EQ(hpa["present"], true);
  EXPECT_EQ(hpa["min_replicas"], 2);
  EXPECT_EQ(hpa["max_replicas"], 10);
  EXPECT_EQ(Facts("shop", "other")["hpa"]["present"], false);
}

TEST_F(FactsTest, AMissingDeploymentIsAFactAndNoError) {
  const Json facts = Facts("shop", "nothing");

  EXPECT_EQ(facts["found"], false);
  EXPECT_EQ(facts["name"], "nothing");
  EXPECT_EQ(facts["namespace_found"], true);
  EXPECT_FALSE(facts.contains("replicas"));
}

TEST_F(FactsTest, AMissingNamespaceIsAFactAndNoError) {
  const Json facts = Facts("nowhere", "web");

  EXPECT_EQ(facts["found"], false);
  EXPECT_EQ(facts["namespace_found"], false);
}

class UnreadableFactsTest
    : public FactsTest,
      public ::testing::WithParamInterface<std::pair<const char*, const char*>> {};

TEST_P(UnreadableFactsTest, AReadThatFailsIsAnErrorAndNotAbsence) {
  Inject(GetParam().first, FaultKind::kStatus, -1, GetParam().second);

  EXPECT_THAT(ReadDeploymentFacts(*client_, "shop", "web"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(GetParam().second)));
}

INSTANTIATE_TEST_SUITE_P(All, UnreadableFactsTest,
                         ::testing::Values(std::pair{"get", "namespaces"},
                                           std::pair{"get", "deployments"},
                                           std::pair{"list", "horizontalpodautoscalers"}));

TEST_F(FactsTest, AReadThatIsForbiddenSaysWhat) {
  sim_->Forbid("list", "horizontalpodautoscalers");

  EXPECT_THAT(ReadDeploymentFacts(*client_, "shop", "web"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("horizontalpodautoscalers")));
}

}  // namespace
}  // namespace capstan::kubernetes
