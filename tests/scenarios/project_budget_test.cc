// Budgets of projects on the whole system: workers that reserve and settle beside each other, one
// that is killed in the middle of a model's turn, operators who raise the budget.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "absl/strings/str_cat.h"
#include "tests/scenarios/tasks.h"

namespace capstan::testing {
namespace {

using ::testing::HasSubstr;
using v1::Execution;
using v1::ExecutionEvent;

constexpr char kWorkflow[] = R"(
name: costly
steps:
  - name: implement
    llm:
      prompt: "Go {{ITERATION}}."
      schema: '{"type":"object","required":["status"],"properties":{"status":{"enum":["complete","continue"]},"reason":{"type":"string"}}}'
      max_cost_microusd: 50
)";

// Two iterations, of 40 each.
constexpr char kScript[] = R"(
replies:
  - {iteration: 1, answer: {status: continue, reason: more}, needs_microusd: 40, usage: {model: m, cost_microusd: 40}}
default: {answer: {status: complete}, needs_microusd: 40, usage: {model: m, cost_microusd: 40}}
)";

class ProjectBudgetTest : public ::testing::Test {
 protected:
  ProjectBudgetTest() : system_(System::Make(NamedCallers())), server_(system_->StartServer()) {
    room_.SetScript(kScript);
    PutWorkflow(server_, kWorkflow);
  }

  static SystemOptions NamedCallers() {
    SystemOptions options;
    options.named_callers = true;
    return options;
  }

  void StartWorker() { workers_.push_back(system_->StartWorker({}, room_.WorkerFlags())); }

  v1::RunTaskRequest OfShop() const {
    v1::RunTaskRequest request = Task("costly");
    request.set_project("shop");
    return request;
  }
  void SetBudget(std::int64_t limit) {
    grpc::ClientContext context;
    v1::SetProjectBudgetRequest request;
    request.set_project("shop");
    request.set_monthly_limit_microusd(limit);
    request.set_reason("for this test");
    v1::SetProjectBudgetResponse response;
    const grpc::Status status = server_.admin->SetProjectBudget(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  v1::ProjectBudget Shop() {
    grpc::ClientContext context;
    v1::ListProjectBudgetsResponse response;
    const grpc::Status status =
        server_.admin->ListProjectBudgets(&context, v1::ListProjectBudgetsRequest(), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.budgets_size() == 1 ? response.budgets(0) : v1::ProjectBudget();
  }
  // Until it waits for the budget, or has ended without.
  bool HasToWait(const std::string& name) {
    bool waits = false;
    WatchUntil(server_, name, [&](const ExecutionEvent& event) {
      waits = event.state_changed().block_reason() == Execution::BLOCK_REASON_BUDGET;
      return waits || event.state_changed().has_outcome();
    });
    return waits;
  }
  std::int64_t Billed(const std::vector<std::string>& names) {
    std::int64_t billed = 0;
    for (const std::string& name : names) billed += Get(server_, name).usage().cost_microusd();
    return billed;
  }

  TaskRoom room_;
  std::unique_ptr<System> system_;
  Server server_;
  std::vector<std::unique_ptr<Process>> workers_;
};

TEST_F(ProjectBudgetTest, S4_24_TwentyTasksOfTwoWorkersNeverGoBeyondTheBudgetAndGoOnWithMore) {
  constexpr std::int64_t kLimit = 500;
  SetBudget(kLimit);
  StartWorker();
  StartWorker();
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i) names.push_back(*Submit(server_, OfShop(), "alice"));

  // 12 iterations can be paid for, and what is left then is less than one more needs.
  int waited = 0;
  for (const std::string& name : names) waited += HasToWait(name) ? 1 : 0;

  EXPECT_GE(waited, 20 - 6);
  EXPECT_LE(Billed(names), kLimit);
  EXPECT_LE(Shop().spent_microusd() + Shop().reserved_microusd(), kLimit);
  SetBudget(20 * 80);
  for (const Streamed& run : WatchAll(server_, names))
    EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_EQ(Billed(names), 20 * 80);
  EXPECT_EQ(Shop().spent_microusd(), 20 * 80);
  EXPECT_EQ(Shop().reserved_microusd(), 0);
  EXPECT_FALSE(Shop().is_upper_bound());
}

TEST_F(ProjectBudgetTest, S4_24_ATaskThatWaitsSaysForWhatAndHoldsNothing) {
  SetBudget(40);
  StartWorker();
  const std::string first = *Submit(server_, OfShop(), "alice");
  WaitBlocked(server_, first, Execution::BLOCK_REASON_BUDGET);

  const Execution task = Get(server_, first);
  EXPECT_EQ(task.project(), "shop");
  EXPECT_THAT(task.message(), HasSubstr("of the budget of project shop"));
  const auto explained = Explain(server_, first);
  ASSERT_TRUE(explained.ok()) << explained.status();
  ASSERT_EQ(explained->reasons_size(), 1);
  EXPECT_EQ(explained->reasons(0).code(), "BUDGET");
  EXPECT_THAT(explained->reasons(0).message(),
              HasSubstr("$0.0000, $0.0000 is spent and $0.00 reserved"));
  EXPECT_THAT(explained->reasons(0).clears(), HasSubstr("capstan budget set shop AMOUNT"));
  EXPECT_TRUE(explained->has_next_time()) << "the month ends";
  EXPECT_EQ(Shop().spent_microusd(), 40);
}

TEST_F(ProjectBudgetTest, I7_WhatAKilledWorkerHadReservedIsChargedAndNeverGoesBeyondTheBudget) {
  room_.SetScript(R"(
replies:
  - {attempt: 1, text: ["begun\n"], hold: true}
default: {answer: {status: complete}, usage: {model: m, input_tokens: 1, cost_microusd: 40}}
)");
  SetBudget(100);
  StartWorker();
  const std::string name = *Submit(server_, OfShop(), "alice");
  WatchUntil(server_, name, [](const ExecutionEvent& event) { return event.has_step_started(); });
  EXPECT_EQ(Shop().reserved_microusd(), 50);

  workers_.front()->Signal(SIGKILL);
  StartWorker();

  const Streamed run = Watch(server_, name);
  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_EQ(Shop().spent_microusd(), 50 + 40) << "the lost turn may have cost all that it had";
  EXPECT_EQ(Shop().spent_microusd(), Billed({name}));
  EXPECT_TRUE(Shop().is_upper_bound());
  EXPECT_EQ(Shop().reserved_microusd(), 0);
}

TEST_F(ProjectBudgetTest, S4_24_AnOverrideGoesOnBeyondTheBudgetOnRecord) {
  SetBudget(40);
  StartWorker();
  v1::RunTaskRequest request = OfShop();
  request.set_budget_override("the shop is down");

  const Streamed run = RunToEnd(server_, request, "alice");

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  int warned = 0, beyond = 0;
  for (const ExecutionEvent& event : run.events) {
    if (!event.has_budget_warning()) continue;
    EXPECT_EQ(event.budget_warning().project(), "shop");
    (event.budget_warning().overridden() ? beyond : warned) += 1;
  }
  EXPECT_EQ(warned, 1) << "four fifths are spent";
  EXPECT_EQ(beyond, 1);
  EXPECT_EQ(Shop().spent_microusd(), 80);
  EXPECT_EQ(run.snapshot->project(), "shop");
}

TEST_F(ProjectBudgetTest, S4_24_ARetryIsChargedToTheSameProject) {
  room_.SetScript("default: {error: no_answer, usage: {model: m, cost_microusd: 1}}");
  StartWorker();
  const Streamed failed = RunToEnd(server_, OfShop(), "alice");
  ASSERT_EQ(failed.End().to(), Execution::STATE_FAILED);
  workers_.clear();
  room_.SetScript(kScript);
  StartWorker();

  const auto retried = Retry(server_, failed.snapshot->name());

  ASSERT_TRUE(retried.ok()) << retried.status();
  EXPECT_EQ(Watch(server_, *retried).End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(Get(server_, *retried).project(), "shop");
  EXPECT_GE(Shop().spent_microusd(), 80);
}

}  // namespace
}  // namespace capstan::testing
