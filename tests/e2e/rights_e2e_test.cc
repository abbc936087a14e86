// What is taken from an action on a real Kubernetes, its account, a right, a Secret, is said by
// name. Those that need time are started before the first test, at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/e2e/action_cases.h"
#include "tests/e2e/held_calls.h"

namespace capstan::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using v1::Execution;
using v1::ExecutionEvent;

constexpr char kOfClusterRole[] = "delete clusterrolebinding capstan-actions:kubernetes-executor-";

class RightsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    Install();
    MakeTargets();
    system_ = MakeSystem().release();
    server_ = new Server(system_->StartServer());
    worker_ = system_->StartWorker({}, {"--jobs.start_deadline=15s"}).release();
    Kubectl("-n capstan-actions delete serviceaccount kubernetes-executor-scale-deployment");
    Kubectl(absl::StrCat(kOfClusterRole, "patch-config-map"));
    for (const char* action : {"ScaleDeployment", "PatchConfigMap"}) {
      names_[action] = *Submit(*server_, Request(action, CaseOf(action).parameters));
    }
    names_["absent"] = *Submit(*server_, PatchBy("absent"));
    names_["DrainNode"] = *Submit(
        *server_, Request("DrainNode", absl::StrCat(R"({"node": ")", kDrainCancelled, R"("})")));
  }

  static void TearDownTestSuite() {
    Install();  // gives everything back
    delete worker_;
    delete server_;
    delete system_;
  }

  static v1::ExecuteActionRequest PatchBy(const std::string& secret) {
    return Request("PatchSecret", absl::StrCat(R"({"namespace": "actions-e2e", "secret":
        "database", "patch_secret": ")",
                                               secret, R"("})"));
  }

  static inline System* system_ = nullptr;
  static inline Server* server_ = nullptr;
  static inline Process* worker_ = nullptr;
  static inline std::map<std::string, std::string> names_;  // of executions
};

TEST_F(RightsTest, S2_48_ARightThatIsTakenAwayMeanwhileEndsAnActionPartOfWhichIsDone) {
  const std::string job = JobOf(names_["DrainNode"]);
  WatchUntil(*server_, names_["DrainNode"], ExecutionEvent::kJobArmed);
  WaitForLog(job, "disruption budget");

  Kubectl(absl::StrCat(kOfClusterRole, "drain-node-cluster"));
  const Streamed run = Watch(*server_, names_["DrainNode"]);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_FORBIDDEN)
      << run.End().DebugString();
  EXPECT_THAT(run.End().message(),
              AllOf(HasSubstr("was refused after a part of the action was done"),
                    HasSubstr("kubernetes-executor-drain-node"), HasSubstr("eviction")));
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_POSSIBLE);
}

TEST_F(RightsTest, S2_48_AMissingRoleEndsTheActionBeforeItReportsAChange) {
  const Streamed run = Watch(*server_, names_["PatchConfigMap"]);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_ROLE_MISSING)
      << run.End().DebugString();
  EXPECT_THAT(run.End().message(), AllOf(HasSubstr("was refused before it reported any change"),
                                         HasSubstr("kubernetes-executor-patch-config-map")));
  EXPECT_EQ(Look(CaseOf("PatchConfigMap")), CaseOf("PatchConfigMap").before);
}

TEST_F(RightsTest, S2_48_F9_AMissingAccountIsNamedAndNoPodIsMade) {
  const Streamed run = Watch(*server_, names_["ScaleDeployment"]);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_ACCOUNT_MISSING)
      << run.End().DebugString();
  EXPECT_THAT(run.End().message(), AllOf(HasSubstr("the action's ServiceAccount does not exist"),
                                         HasSubstr("kubernetes-executor-scale-deployment")));
  EXPECT_EQ(PodsCreatedFor(JobOf(run.snapshot->name())), 0);
}

// PatchSecret declares the Secret with its patch as a mount.
TEST_F(RightsTest, S2_65_ASecretThatIsMountedAndMissingIsNamedWithinTheStartDeadline) {
  const Streamed run = Watch(*server_, names_["absent"]);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_CONFIGURATION)
      << run.End().DebugString();
  EXPECT_THAT(run.End().message(),
              AllOf(HasSubstr("did not start within 15s"), HasSubstr("FailedMount"),
                    HasSubstr("secret \"absent\" not found")));
  EXPECT_EQ(Look(CaseOf("PatchSecret")), CaseOf("PatchSecret").before);
}

// It has no postcondition, since the worker never reads Secrets: its own Job checks.
TEST_F(RightsTest, APatchOfASecretThatSomebodyElseChangesMeanwhileFailsAndLeavesThatChange) {
  HeldCalls writes({.which = absl::StrCat(kWritesOfActions,
                                          " && request.resource.resource == 'secrets' && "
                                          "request.namespace == 'actions-e2e'"),
                    .seconds = 5,
                    .done_then = true});
  Kubectl("-n actions-e2e create secret generic other --from-literal=password=old");
  v1::ExecuteActionRequest request = PatchBy("new-password");
  (*request.mutable_parameters()->mutable_fields())["secret"].set_string_value("other");
  const std::string name = *Submit(*server_, request);
  writes.WaitForOne();

  Kubectl("-n actions-e2e patch secret other -p '{\"stringData\": {\"password\": \"theirs\"}}'");
  const Streamed run = Watch(*server_, name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_JOB_FAILED)
      << run.End().DebugString();
  EXPECT_THAT(run.End().message(), HasSubstr("secret actions-e2e/other changed since it was read"));
  EXPECT_EQ(Kubectl("-n actions-e2e get secret other -o jsonpath='{.data.password}' | base64 -d"),
            "theirs");
}

}  // namespace
}  // namespace capstan::testing
