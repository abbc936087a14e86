#include "tests/action_program/program_fixture.h"

namespace capstan::action_program {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RestartDeploymentTest : public ProgramTest {
 protected:
  RestartDeploymentTest() { sim_->AddDeployment("shop", "web", 2); }

  Result Restart(const std::string& at = "2026-01-02T03:04:05Z") {
    return Run({"restart-deployment", "--namespace=shop", "--at=" + at, "--", "web"});
  }
  std::string RestartedAt() {
    const Json deployment = sim_->Get("deployments", "shop", "web");
    return deployment["spec"]["template"]["metadata"]
        .value("annotations", Json::object())
        .value("kubectl.kubernetes.io/restartedAt", "");
  }
};

TEST_F(RestartDeploymentTest, SetsTheTimeOnThePodTemplate) {
  const Result result = Restart();

  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "deployment.apps/web restarted at 2026-01-02T03:04:05Z\n");
  EXPECT_EQ(RestartedAt(), "2026-01-02T03:04:05Z");
}

TEST_F(RestartDeploymentTest, TheSameTimeAgainChangesNothing) {
  Restart();

  const Result again = Restart();

  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("unchanged"));
  EXPECT_EQ(sim_->CountCalls("patch", "deployments"), 1);
}

TEST_F(RestartDeploymentTest, ALaterTimeRestartsAgain) {
  Restart();

  EXPECT_EQ(Restart("2026-01-02T03:04:06Z").code, 0);

  EXPECT_EQ(RestartedAt(), "2026-01-02T03:04:06Z");
}

TEST_F(RestartDeploymentTest, APausedDeploymentIsRefused) {
  ASSERT_OK(sim_->PatchExternally("deployments", "shop", "web", {{"spec", {{"paused", true}}}}));

  const Result result = Restart();

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("deployment shop/web is paused"));
  EXPECT_THAT(RestartedAt(), IsEmpty());
}

TEST_F(RestartDeploymentTest, AMissingDeploymentIsNamed) {
  const Result result =
      Run({"restart-deployment", "--namespace=shop", "--at=2026-01-02T03:04:05Z", "--", "absent"});

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("Error from server (NotFound)"), HasSubstr("\"absent\""),
                                HasSubstr("shop/absent")));
}

TEST_F(RestartDeploymentTest, S2_48_AMissingRightNamesVerbAndResource) {
  sim_->Forbid("patch", "deployments");

  const Result result = Restart();

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("Error from server (Forbidden)"),
                                HasSubstr("cannot patch"), HasSubstr("resource \"deployments\"")));
}

TEST_F(RestartDeploymentTest, TransientErrorsAreTriedAgain) {
  kubesim::Fault fault;
  fault.verb = "get";
  fault.resource = "deployments";
  fault.code = 503;
  fault.count = 2;
  sim_->InjectFault(fault);
  LoseReply("patch", "deployments");

  const Result result = Restart();

  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(RestartedAt(), "2026-01-02T03:04:05Z");
}

TEST_F(RestartDeploymentTest, AClusterThatKeepsFailingIsAnError) {
  kubesim::Fault fault;
  fault.resource = "deployments";
  fault.code = 500;
  fault.count = -1;
  sim_->InjectFault(fault);

  const Result result = Restart();

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("get deployments shop/web"));
}

}  // namespace
}  // namespace capstan::action_program
