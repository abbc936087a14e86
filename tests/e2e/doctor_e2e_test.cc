// The doctor on a real cluster: nothing to find where the manifests were applied, and what is
// missing named where it was taken away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/api_client.h"
#include "tests/e2e/cluster_under_test.h"
#include "worker/doctor/doctor.h"

namespace capstan::testing {
namespace {

using ::testing::HasSubstr;

doctor::Report Examine() {
  const auto client = ConnectToCluster();
  return doctor::Examine(*client, *catalog::Catalog::Load("catalog/actions"), {});
}

TEST(DoctorE2eTest, S2_48_FindsNothingWhereTheManifestsWereAppliedAndNamesWhatIsTakenAway) {
  Install();
  const doctor::Report well = Examine();
  EXPECT_TRUE(well.ok()) << well.Text();

  Kubectl("delete serviceaccount kubernetes-executor-drain-node -n capstan-actions");
  Kubectl(
      "delete clusterrolebinding "
      "capstan-actions:kubernetes-executor-cordon-node-cluster");
  const doctor::Report ill = Examine();
  Install();

  EXPECT_FALSE(ill.ok());
  EXPECT_THAT(ill.ToJson(), HasSubstr("missing_account"));
  EXPECT_THAT(ill.ToJson(), HasSubstr("missing_role"));
  EXPECT_TRUE(Examine().ok()) << "after the manifests were applied again";
}

}  // namespace
}  // namespace capstan::testing
