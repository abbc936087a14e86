// How a whole Job fails, from the cluster to the words for a person.
#include <gmock/gmock.h>

#include "tests/support/status_matchers.h"
#include "tests/worker/kubernetes/cluster_fixture.h"
#include "worker/kubernetes/outcome.h"

namespace capstan::kubernetes {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class JobFailureTest : public ClusterTest {
 protected:
  static Json JobThatRuns(const std::vector<std::string>& argv) {
    Json job = RenderedJob();
    Json& container = job["spec"]["template"]["spec"]["containers"][0];
    container["command"] = argv;
    container["terminationMessagePolicy"] = "FallbackToLogsOnError";
    return job;
  }
  static std::vector<std::string> Restart() {
    return {"capstan-action",
            "restart-deployment",
            "--namespace=shop",
            "--at=2026-01-02T03:04:05Z",
            "--",
            "web"};
  }
  JobRef Launch(const Json& job) {
    const JobRef ref = launcher_->CreateSuspended(job.dump(), kExecution, kHash).value().ref;
    EXPECT_EQ(launcher_->Arm(ref).value(), ArmResult::kArmed);
    return ref;
  }
  JobOutcome Outcome(const JobRef& ref) {
    return OutcomeOf(launcher_->Observe(ref).value(), launcher_->ReadEvents(ref).value());
  }
};

TEST_F(JobFailureTest, S2_48_AnAccountWithoutTheRightLacksItsRole) {
  sim_->AddDeployment("shop", "web", 1);
  sim_->ForbidPods("patch", "deployments");

  const JobRef ref = Launch(JobThatRuns(Restart()));
  ASSERT_TRUE(WaitForEnd(kName));

  const JobOutcome outcome = Outcome(ref);
  EXPECT_EQ(outcome.failure, JobFailure::kRoleMissing);
  EXPECT_THAT(outcome.message, AllOf(HasSubstr("was refused before it reported any change"),
                                     HasSubstr("cannot patch resource \"deployments\"")));
}

TEST_F(JobFailureTest, S2_48_ADrainThatIsRefusedPartWaySaysSo) {
  sim_->AddPod("shop", "db-0",
               {.node = "kubesim-node", .owner_kind = "StatefulSet", .owner_name = "db"});
  sim_->ForbidPods("create", "pods/eviction");

  const JobRef ref = Launch(JobThatRuns({"kubectl", "drain", "--force", "--", "kubesim-node"}));
  ASSERT_TRUE(WaitForEnd(kName));

  const JobOutcome outcome = Outcome(ref);
  EXPECT_EQ(outcome.failure, JobFailure::kForbidden);
  EXPECT_THAT(outcome.message,
              AllOf(HasSubstr("after a part of the action was done"), HasSubstr("pods/eviction")));
}

TEST_F(JobFailureTest, S2_65_AMissingSecretIsNamedWhileThePodWaitsForIt) {
  Json job = JobThatRuns({"true"});
  job["spec"]["template"]["spec"]["volumes"] =
      Json::array({{{"name", "login"}, {"secret", {{"secretName", "registry-login"}}}}});

  const JobRef ref = Launch(job);

  JobOutcome outcome;
  ASSERT_TRUE(sim_->WaitFor([&] {
    outcome = Outcome(ref);
    return outcome.waiting_reason == "FailedMount";
  }));
  EXPECT_EQ(outcome.waiting_failure, JobFailure::kConfiguration);
  EXPECT_THAT(outcome.waiting_message, HasSubstr("secret \"registry-login\" not found"));
}

}  // namespace
}  // namespace capstan::kubernetes
