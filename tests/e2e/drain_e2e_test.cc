// Drains and cordons of nodes whose pods have a disruption budget. The nodes are only played; the
// budgets, evictions and the drain's pod on the real node are not.
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
using v1::ExecutionEvent;

class DrainTest : public ActionCasesTest {
 protected:
  static void SetUpTestSuite() {
    for (const char* node : {kDrainedLater, kDrainCancelled}) {
      drains_[node] = *Submit(server(), On("DrainNode", node));
    }
    v1::ExecuteActionRequest short_one = On("DrainNode", kDrainTooLate);
    short_one.mutable_timeout()->set_seconds(12);
    drains_[kDrainTooLate] = *Submit(server(), short_one);
  }

  static v1::ExecuteActionRequest On(const std::string& action, const std::string& node) {
    return Request(action, absl::StrCat(R"({"node": ")", node, R"("})"));
  }

  // Waits until the drain, which began before the first test, has been refused an eviction by the
  // budget.
  static void WaitUntilRefused(const std::string& execution) {
    WatchUntil(server(), execution, ExecutionEvent::kJobArmed);
    WaitForLog(JobOf(execution), "disruption budget");
  }

  static std::string PodsOn(const std::string& node) {
    return Kubectl(absl::StrCat("get pods -A -o name --field-selector spec.nodeName=", node));
  }

  static std::string IsCordoned(const std::string& node) {
    return Kubectl(absl::StrCat("get node ", node, " -o jsonpath='{.spec.unschedulable}'"));
  }

  static inline std::map<std::string, std::string> drains_;  // executions, by node
};

TEST_F(DrainTest, ABudgetThatAllowsNoEvictionHoldsADrainUntilItAllowsThem) {
  const std::string name = drains_[kDrainedLater];
  WaitUntilRefused(name);
  EXPECT_THAT(PodsOn(kDrainedLater), HasSubstr("pod/later"));

  Apply(Budget("later", 2));
  const Streamed run = Watch(server(), name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  EXPECT_THAT(PodsOn(kDrainedLater), IsEmpty());
  EXPECT_EQ(IsCordoned(kDrainedLater), "true");
}

TEST_F(DrainTest, ABudgetThatNeverAllowsThemEndsTheDrainAtItsTimeoutWithTheReason) {
  const Streamed run = Watch(server(), drains_[kDrainTooLate]);

  EXPECT_EQ(run.End().to(), Execution::STATE_FAILED);
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_DEADLINE_EXCEEDED)
      << run.End().DebugString();
  EXPECT_THAT(ReadLog(server(), run.snapshot->name()), HasSubstr("disruption budget"));
  EXPECT_THAT(PodsOn(kDrainTooLate), HasSubstr("pod/late"));
  v1::GetExecutionRequest get;
  get.set_name(run.snapshot->name());
  v1::GetExecutionResponse got;
  grpc::ClientContext context;
  ASSERT_TRUE(server().executions->GetExecution(&context, get, &got).ok());
  bool warned = false;
  for (const auto& result : got.execution().condition_results()) {
    if (result.name() != "pdb_allows") continue;
    warned = true;
    EXPECT_FALSE(result.passed());
    EXPECT_THAT(result.message(), HasSubstr("actions-e2e/late"));
  }
  EXPECT_TRUE(warned);
}

TEST_F(DrainTest, ACancelledDrainLeavesThePodsAndItsOwnPodIsGone) {
  const std::string name = drains_[kDrainCancelled];
  WaitUntilRefused(name);

  ASSERT_TRUE(Cancel(server(), name, "enough").ok());
  const Streamed run = Watch(server(), name);

  EXPECT_EQ(run.End().to(), Execution::STATE_CANCELLED);
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_POSSIBLE);
  EXPECT_THAT(PodsOn(kDrainCancelled), HasSubstr("pod/cancelled"));
  EXPECT_THAT(Kubectl("-n capstan-actions get pods,jobs -o name"), Not(HasSubstr(JobOf(name))));
}

TEST_F(DrainTest, ACordonEvictsNothingWhateverTheBudgetSays) {
  const std::string pods = PodsOn(kCordonedWithBudget);

  const Streamed run = Execute(server(), On("CordonNode", kCordonedWithBudget));

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  EXPECT_EQ(IsCordoned(kCordonedWithBudget), "true");
  EXPECT_EQ(PodsOn(kCordonedWithBudget), pods);
  EXPECT_THAT(pods, HasSubstr("pod/cordoned"));
}

TEST_F(DrainTest, ADrainOfTheOnlyRealNodeNeverStartsInsteadOfEvictingItself) {
  const auto system = MakeSystem();
  Server server = system->StartServer();
  const auto worker = system->StartWorker({}, {"--jobs.start_deadline=5s"});

  const Streamed run = Execute(server, On("DrainNode", "node-1"));

  EXPECT_EQ(run.End().to(), Execution::STATE_FAILED);
  EXPECT_THAT(run.End().message(), HasSubstr("node")) << run.End().DebugString();
  EXPECT_THAT(IsCordoned("node-1"), IsEmpty());
}

}  // namespace
}  // namespace capstan::testing
