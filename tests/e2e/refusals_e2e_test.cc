// What must not happen on a real Kubernetes: dry runs, policy's denials, and preconditions that do
// not hold leave the cluster as it was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/e2e/action_cases.h"

namespace capstan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using v1::Execution;

using RefusalsTest = ActionCasesTest;

class DryRunTest : public RefusalsTest, public ::testing::WithParamInterface<ClusterCase> {};

TEST_P(DryRunTest, S2_36_ReturnsAPlanThatTheClusterWouldTakeAndChangesNothing) {
  const std::string before = Look(GetParam());
  v1::ExecuteActionRequest request = Request(GetParam().action, GetParam().parameters);
  request.set_dry_run(true);

  const Streamed run = Execute(server(), request);

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  const v1::Plan& plan = run.End().outcome().plan();
  EXPECT_THAT(plan.rendered_job(), HasSubstr(JobOf(run.snapshot->name())));
  EXPECT_THAT(plan.dry_run_error(), IsEmpty());
  EXPECT_EQ(plan.has_rollback(), GetParam().has_inverse);
  EXPECT_EQ(CountAudit("create", "jobs", JobOf(run.snapshot->name())), 0);
  EXPECT_EQ(Look(GetParam()), before);
}

INSTANTIATE_TEST_SUITE_P(TheTen, DryRunTest, ::testing::ValuesIn(TheTenActions()), NameOf);

struct Refusal {
  std::string name;  // of the test
  std::string action;
  std::string parameters;
  std::string because;  // in the message
};

std::string TestName(const ::testing::TestParamInfo<Refusal>& info) { return info.param.name; }

class DeniedTest : public RefusalsTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(DeniedTest, S2_24_PolicyDeniesItByItsRuleAndNothingReachesTheCluster) {
  const Streamed run = Execute(server(), Request(GetParam().action, GetParam().parameters));

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_POLICY_DENIED)
      << run.End().DebugString();
  EXPECT_THAT(run.End().message(), HasSubstr(GetParam().because));
  EXPECT_EQ(CountAudit("create", "jobs", JobOf(run.snapshot->name())), 0);
}

std::vector<Refusal> Denied() {
  const std::string deployment = R"({"namespace": "kube-system", "deployment": "dns")";
  const std::string node = absl::StrCat(R"({"node": ")", kControlPlane, R"("})");
  const std::string protected_one = "namespace-restrictions/protected-namespace";
  const std::string control_plane = "node-safety/control-plane";
  return {
      {"ScaleDeployment", "ScaleDeployment", deployment + R"(, "replicas": 0})", protected_one},
      {"RestartDeployment", "RestartDeployment", deployment + "}", protected_one},
      {"DeletePod", "DeletePod", R"({"namespace": "kube-system", "pod": "dns-0"})", protected_one},
      {"PatchConfigMap", "PatchConfigMap",
       R"({"namespace": "kube-system", "configmap": "extension-apiserver-authentication",
           "patch": "[{\"op\": \"add\", \"path\": \"/data/x\", \"value\": \"y\"}]"})",
       protected_one},
      {"PatchSecret", "PatchSecret",
       R"({"namespace": "kube-system", "secret": "token", "patch_secret": "new-password"})",
       protected_one},
      {"UpdateImage", "UpdateImage",
       deployment + R"(, "container": "dns", "image": "example.com/dns:1"})", protected_one},
      {"CordonNode", "CordonNode", node, control_plane},
      {"DrainNode", "DrainNode", node, control_plane},
      {"UncordonNode", "UncordonNode", node, control_plane},
      {"RolloutStatus", "RolloutStatus", deployment + "}", protected_one},
      {"PatchSecretOfTheActionsNamespace", "PatchSecret",
       R"({"namespace": "capstan-actions", "secret": "new-password",
           "patch_secret": "new-password"})",
       "namespace-restrictions/executor-namespace"},
      {"ScaleDeploymentTooFar", "ScaleDeployment",
       R"({"namespace": "actions-e2e", "deployment": "scale", "replicas": 111})",
       "resource-limits/too-many-replicas"},
  };
}

INSTANTIATE_TEST_SUITE_P(TheTen, DeniedTest, ::testing::ValuesIn(Denied()), TestName);

class PreconditionTest : public RefusalsTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(PreconditionTest, ARequiredOneDoesNotHoldAndNothingReachesTheCluster) {
  const Streamed run = Execute(server(), Request(GetParam().action, GetParam().parameters));

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED)
      << run.End().DebugString();
  EXPECT_THAT(run.End().message(), HasSubstr(GetParam().because));
  EXPECT_EQ(CountAudit("create", "jobs", JobOf(run.snapshot->name())), 0);
}

std::vector<Refusal> Preconditions() {
  const std::string none = R"({"namespace": "actions-e2e", "deployment": "none")";
  const std::string no_node = R"({"node": "none"})";
  const std::string is_not_there = "does not exist";
  const std::string patch =
      R"("patch": "[{\"op\": \"add\", \"path\": \"/data/x\", \"value\": \"y\"}]"})";
  return {
      {"ScaleDeployment", "ScaleDeployment", none + R"(, "replicas": 2})", is_not_there},
      {"RestartDeployment", "RestartDeployment", none + "}", is_not_there},
      {"DeletePod", "DeletePod", R"({"namespace": "actions-e2e", "pod": "none"})", is_not_there},
      {"DeletePodOfNoController", "DeletePod", R"({"namespace": "actions-e2e", "pod": "alone"})",
       "managed_by_controller"},
      {"PatchConfigMap", "PatchConfigMap",
       R"({"namespace": "actions-e2e", "configmap": "none", )" + patch, is_not_there},
      {"PatchConfigMapThatIsImmutable", "PatchConfigMap",
       R"({"namespace": "actions-e2e", "configmap": "fixed", )" + patch,
       "config_map_not_immutable"},
      {"UpdateImage", "UpdateImage",
       none + R"(, "container": "web", "image": "example.com/web:1"})", is_not_there},
      {"UpdateImageOfNoContainer", "UpdateImage",
       R"({"namespace": "actions-e2e", "deployment": "update", "container": "none",
           "image": "example.com/web:1"})",
       "container_exists"},
      {"CordonNode", "CordonNode", no_node, is_not_there},
      {"DrainNode", "DrainNode", no_node, is_not_there},
      {"UncordonNode", "UncordonNode", no_node, is_not_there},
      {"RolloutStatus", "RolloutStatus", none + "}", is_not_there},
  };
}

INSTANTIATE_TEST_SUITE_P(TheTen, PreconditionTest, ::testing::ValuesIn(Preconditions()), TestName);

TEST_F(RefusalsTest, S2_64_AnUndeclaredParameterIsRefusedByNameAndItsValueIsNotRepeated) {
  v1::ExecuteActionRequest request = Scale(2, kTargets, "scale");
  (*request.mutable_parameters()->mutable_fields())["shell"].set_string_value("canary-51f0");

  const Streamed run = Execute(server(), request);

  EXPECT_EQ(run.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(run.status.error_message(), HasSubstr("shell"));
  EXPECT_THAT(server().process->Log(), Not(HasSubstr("canary-51f0")));
  EXPECT_THAT(run.status.error_details(), Not(HasSubstr("canary-51f0")));
}

}  // namespace
}  // namespace capstan::testing
