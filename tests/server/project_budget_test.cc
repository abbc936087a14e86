// Budgets of projects as operators set and read them.
#include "absl/strings/str_cat.h"
#include "tests/server/operator_fixture.h"

namespace capstan::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ProjectBudgetTest : public OperatorTest {
 protected:
  grpc::Status Set(const v1::SetProjectBudgetRequest& request,
                   v1::SetProjectBudgetResponse& response) {
    return Call(server().admin(), &v1::AdminService::Stub::SetProjectBudget, request, response,
                "ann");
  }
  v1::ListProjectBudgetsResponse List() {
    v1::ListProjectBudgetsResponse response;
    EXPECT_TRUE(Call(server().admin(), &v1::AdminService::Stub::ListProjectBudgets,
                     v1::ListProjectBudgetsRequest(), response)
                    .ok());
    return response;
  }

  // RunTask as far as its first message.
  v1::Execution Run(const v1::RunTaskRequest& request) {
    grpc::ClientContext context;
    context.AddMetadata("capstan-caller", "bob");
    const auto reader = server().executions().RunTask(&context, request);
    v1::RunTaskResponse response;
    EXPECT_TRUE(reader->Read(&response)) << reader->Finish().error_message();
    return response.update().snapshot();
  }
  void PutWorkflow() {
    v1::PutWorkflowRequest request;
    request.set_yaml("name: tiny\nsteps:\n  - {name: look, command: {argv: [\"true\"]}}\n");
    v1::PutWorkflowResponse response;
    const grpc::Status status =
        Call(server().catalog(), &v1::CatalogService::Stub::PutWorkflow, request, response, "ann");
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
};

TEST_F(ProjectBudgetTest, S4_24_ABudgetIsSetAuditedAndListed) {
  v1::SetProjectBudgetRequest request;
  v1::SetProjectBudgetResponse response;
  request.set_project("shop");
  request.set_monthly_limit_microusd(2'500'000);
  request.set_reason("as agreed");

  ASSERT_TRUE(Set(request, response).ok());

  EXPECT_EQ(response.budget().project(), "shop");
  EXPECT_EQ(response.budget().monthly_limit_microusd(), 2'500'000);
  EXPECT_THAT(response.budget().month(), SizeIs(7));
  EXPECT_EQ(response.budget().spent_microusd(), 0);
  const v1::ListProjectBudgetsResponse listed = List();
  ASSERT_THAT(listed.budgets(), SizeIs(1));
  EXPECT_EQ(listed.budgets(0).ShortDebugString(), response.budget().ShortDebugString());
  EXPECT_THAT(Sql("SELECT string_agg(body, '') FROM audit"),
              AllOf(HasSubstr("set_project_budget"), HasSubstr("ann"), HasSubstr("2500000"),
                    HasSubstr("as agreed")));

  request.set_monthly_limit_microusd(0);
  ASSERT_TRUE(Set(request, response).ok());
  EXPECT_THAT(List().budgets(), SizeIs(0)) << "it has no limit, and spent nothing";
}

TEST_F(ProjectBudgetTest, ABudgetHasAProjectAnAmountAndAReason) {
  v1::SetProjectBudgetRequest request;
  v1::SetProjectBudgetResponse response;
  request.set_project("Shop");
  request.set_monthly_limit_microusd(-1);
  EXPECT_THAT(Set(request, response).error_message(),
              AllOf(HasSubstr("project: got \"Shop\", want [a-z0-9][a-z0-9._-]{0,62}"),
                    HasSubstr("monthly_limit_microusd: got -1, want 0 or more")));

  request.set_project("shop");
  request.set_monthly_limit_microusd(1);
  EXPECT_THAT(Set(request, response).error_message(), HasSubstr("reason: got nothing"));
  EXPECT_THAT(List().budgets(), SizeIs(0));
}

TEST_F(ProjectBudgetTest, S4_24_ATaskKeepsItsProjectAndAnOverrideIsAudited) {
  PutWorkflow();
  v1::RunTaskRequest request;
  request.set_workflow("tiny");
  request.mutable_task()->set_title("Look");
  request.set_project("shop");
  request.set_budget_override("the shop is down");

  const v1::Execution execution = Run(request);

  EXPECT_EQ(execution.project(), "shop");
  EXPECT_EQ(Get(execution.name()).project(), "shop");
  EXPECT_THAT(Sql("SELECT string_agg(body, '') FROM audit"),
              AllOf(HasSubstr("\"project\":\"shop\""), HasSubstr("the shop is down")));
}

}  // namespace
}  // namespace capstan::server
