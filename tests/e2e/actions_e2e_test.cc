// Each of the ten actions on a real Kubernetes, to a good end and back. All of them run at once,
// started before the first test; each test looks at one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "absl/strings/str_cat.h"
#include "tests/e2e/action_cases.h"

namespace capstan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using v1::Execution;

struct ThereAndBack {
  std::string before;
  Streamed run;
  std::string after;
  std::string log;
  std::optional<Streamed> rollback;  // where there is an inverse
  std::string undone;
};

class ActionsTest : public ActionCasesTest {
 protected:
  static void SetUpTestSuite() {
    server();  // started before the runs are
    for (const ClusterCase& action : TheTenActions()) {
      runs_[action.action] = std::async(std::launch::async, [&action] { return Run(action); });
    }
  }

  static void TearDownTestSuite() { runs_.clear(); }

  static ThereAndBack Run(const ClusterCase& action) {
    ThereAndBack result;
    result.before = Look(action);
    result.run = Execute(server(), Request(action.action, action.parameters));
    result.after = Look(action);
    result.log = ReadLog(server(), result.run.snapshot->name());
    if (action.has_inverse) result.rollback = RollBack(server(), result.run.snapshot->name());
    result.undone = Look(action);
    return result;
  }

  // The action came to a good end by one pod, changed what it should, and its inverse restored it.
  static const ThereAndBack& Succeeded(const std::string& name) {
    const ClusterCase& action = CaseOf(name);
    static auto* const kResults = new std::map<std::string, ThereAndBack>();
    if (!kResults->contains(name)) (*kResults)[name] = runs_.at(name).get();
    const ThereAndBack& result = kResults->at(name);
    EXPECT_EQ(result.run.End().to(), Execution::STATE_SUCCEEDED) << result.run.End().DebugString();
    const std::string job = JobOf(result.run.snapshot->name());
    EXPECT_EQ(CountAudit("create", "jobs", job), 1);
    EXPECT_EQ(PodsCreatedFor(job), 1);
    if (name != "DeletePod") {
      EXPECT_EQ(result.before, action.before);
      EXPECT_EQ(result.after, action.after);
    } else {
      EXPECT_NE(result.after, result.before);
    }
    if (!action.has_inverse) return result;
    if (!result.rollback->status.ok()) {
      ADD_FAILURE() << "no way back: " << result.rollback->status.error_message();
      return result;
    }
    EXPECT_EQ(result.rollback->End().to(), Execution::STATE_SUCCEEDED)
        << result.rollback->End().DebugString();
    EXPECT_EQ(result.rollback->snapshot->rollback_of(), result.run.snapshot->name());
    EXPECT_EQ(result.undone, result.before);
    return result;
  }

  static const google::protobuf::Map<std::string, google::protobuf::Value>& After(
      const ThereAndBack& result) {
    return result.run.End().outcome().resources(0).after().fields();
  }

  static inline std::map<std::string, std::future<ThereAndBack>> runs_;
};

TEST_F(ActionsTest, S2_55_ScaleDeploymentThereAndBack) {
  const ThereAndBack& result = Succeeded("ScaleDeployment");

  EXPECT_THAT(result.log, HasSubstr("deployment.apps/scale scaled"));
}

TEST_F(ActionsTest, RestartDeploymentReplacesThePodsOnceAndHasNoInverse) {
  const ThereAndBack& result = Succeeded("RestartDeployment");

  EXPECT_THAT(Kubectl("get deployment restart -n actions-e2e -o "
                      "jsonpath='{.spec.template.metadata.annotations}'"),
              HasSubstr("kubectl.kubernetes.io/restartedAt"));
  EXPECT_THAT(RollBack(server(), result.run.snapshot->name()).status.error_message(),
              HasSubstr("no recorded inverse"));
}

TEST_F(ActionsTest, DeletePodWaitsForTheReplacementAndHasNoInverse) {
  const ThereAndBack& result = Succeeded("DeletePod");

  EXPECT_EQ(result.run.End().outcome().resources(0).before().fields().at("uid").string_value(),
            result.before);
  EXPECT_THAT(RollBack(server(), result.run.snapshot->name()).status.error_message(),
              HasSubstr("no recorded inverse"));
}

TEST_F(ActionsTest, PatchConfigMapThereAndBackByteForByte) { Succeeded("PatchConfigMap"); }

TEST_F(ActionsTest, S2_65_PatchSecretThereAndBackWithoutAValueInLogsOrEvents) {
  const ThereAndBack& result = Succeeded("PatchSecret");

  std::string told = result.log;
  for (const auto& event : ListEvents(server(), result.run.snapshot->name())) {
    told += event.DebugString();
  }
  for (const char* value : {"canary-7c2a", "Y2FuYXJ5LTdjMmEtb2xk", "Y2FuYXJ5LTdjMmEtbmV3"}) {
    EXPECT_THAT(told, Not(HasSubstr(value)));
  }
  EXPECT_THAT(result.log, HasSubstr("password"));
}

TEST_F(ActionsTest, UpdateImageThereAndBack) { Succeeded("UpdateImage"); }

TEST_F(ActionsTest, CordonNodeThereAndBack) { Succeeded("CordonNode"); }

TEST_F(ActionsTest, DrainNodeEvictsThePodsAndItsInverseUncordons) {
  const ThereAndBack& result = Succeeded("DrainNode");

  EXPECT_THAT(result.log, HasSubstr(absl::StrCat("node/", kDrained, " drained")));
  EXPECT_EQ(After(result).at("pods").list_value().values_size(), 0);
  EXPECT_EQ(result.run.End()
                .outcome()
                .resources(0)
                .before()
                .fields()
                .at("pods")
                .list_value()
                .values_size(),
            2);
}

TEST_F(ActionsTest, UncordonNodeThereAndBack) { Succeeded("UncordonNode"); }

TEST_F(ActionsTest, RolloutStatusSaysHowFarItIsAndChangesNothing) {
  const ThereAndBack& result = Succeeded("RolloutStatus");

  EXPECT_THAT(result.log, HasSubstr("successfully rolled out"));
  EXPECT_EQ(After(result).at("updated_replicas").number_value(), 1);
  EXPECT_EQ(After(result).at("available_replicas").number_value(), 1);
}

}  // namespace
}  // namespace capstan::testing
