// What a step submits, before it is stored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/redact.h"
#include "worker/task/step_kind.h"

namespace capstan::worker {
namespace {

using ::testing::HasSubstr;
using v1::Execution;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

catalog::ParameterDefinition ParameterOf(const std::string& name, catalog::ParameterType type) {
  catalog::ParameterDefinition parameter;
  parameter.name = name;
  parameter.type = type;
  parameter.required = name == "deployment";
  parameter.min = 0;
  parameter.max = 1000;
  return parameter;
}

catalog::Catalog CatalogOfScale() {
  catalog::ActionDefinition scale;
  scale.name = "ScaleDeployment";
  scale.parameters = {ParameterOf("deployment", catalog::ParameterType::kString),
                      ParameterOf("replicas", catalog::ParameterType::kInteger),
                      ParameterOf("force", catalog::ParameterType::kBoolean)};
  scale.target = {"apps/v1", "Deployment", "default", "${parameters.deployment}"};
  scale.default_timeout = absl::Minutes(5);
  scale.max_timeout = absl::Minutes(30);
  return *catalog::Catalog::Make({scale});
}

class ActionStepTest : public ::testing::Test {
 protected:
  ActionStepTest() {
    v1::WorkflowStep first;
    first.set_name("first");
    *workflow_->add_steps() = first;
    step_ = workflow_->add_steps();
    step_->set_name("scale");
    step_->mutable_action()->set_action("ScaleDeployment");
    Parameters()["deployment"].set_string_value("web");
    context_.id = ExecutionId::Make(kNow);
    context_.request.set_caller("alice");
    context_.request.set_priority(2);
    (*context_.request.mutable_labels())["team"] = "shop";
    context_.workflow = workflow_;
    context_.definition = step_;
    context_.run = {.step = "scale", .attempt = 2, .iteration = 1, .timeout = absl::Minutes(10)};
    context_.values.variables["COUNT"] = "3";
    context_.correlation_id = "c0ffee";
    context_.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  }
  google::protobuf::Map<std::string, google::protobuf::Value>& Parameters() {
    return *step_->mutable_action()->mutable_parameters()->mutable_fields();
  }
  StepResult Work() {
    IterationTranscript transcript(*transcript_, redactor_, "scale", 2, 1);
    return MakeActionStep(catalog_, redactor_, [] { return kNow; })->Work(context_, transcript, {});
  }
  // Of what it would submit.
  v1::ExecutionEvent Event(const StepResult& result) {
    v1::ExecutionEvent event;
    EXPECT_TRUE(result.child.has_value()) << result.ended.message;
    if (result.child.has_value()) {
      EXPECT_TRUE(event.ParseFromString(result.child->execution.accepted));
    }
    return event;
  }
  // The message of a step that submits nothing.
  std::string Refusal() {
    const StepResult result = Work();
    EXPECT_FALSE(result.child.has_value());
    EXPECT_EQ(result.ended.reason, Execution::FAILURE_REASON_CONFIGURATION);
    EXPECT_FALSE(result.ended.transient);
    return result.ended.message;
  }

  const catalog::Catalog catalog_ = CatalogOfScale();
  const Redactor redactor_{{"hunter22"}};
  const std::shared_ptr<v1::Workflow> workflow_ = std::make_shared<v1::Workflow>();
  v1::WorkflowStep* step_ = nullptr;
  StepContext context_;
  const std::shared_ptr<Transcript> transcript_ = std::make_shared<Transcript>(
      1,
      [](std::int64_t, absl::Span<const storage::NewTranscriptEntry>) { return absl::OkStatus(); },
      [](absl::Duration, std::function<void()>) {});
};

TEST_F(ActionStepTest, ItIsTheCallersAndTheTaskIsItsParent) {
  const StepResult result = Work();

  const v1::ExecutionEvent event = Event(result);
  const v1::Accepted& accepted = event.accepted();
  EXPECT_EQ(result.ended.child, ExecutionName(result.child->id));
  EXPECT_EQ(result.ended.attempt, 2);
  EXPECT_EQ(event.correlation_id(), "c0ffee");
  EXPECT_EQ(accepted.traceparent(), context_.traceparent);
  EXPECT_EQ(accepted.caller(), "alice");
  EXPECT_EQ(accepted.priority(), 2);
  EXPECT_EQ(accepted.labels().at("team"), "shop");
  EXPECT_EQ(accepted.parent().name(), ExecutionName(context_.id));
  EXPECT_EQ(accepted.parent().step(), 2) << "its number in the workflow";
  EXPECT_TRUE(accepted.child());
  EXPECT_EQ(accepted.request_id(), "");
  EXPECT_EQ(accepted.target().name(), "web");
  EXPECT_EQ(accepted.timeout().seconds(), 300) << "what the action says";
  EXPECT_EQ(accepted.on_conflict(), Execution::ON_CONFLICT_WAIT);
  EXPECT_EQ(accepted.queue_deadline().seconds(), absl::ToUnixSeconds(kNow) + 600)
      << "it is launched in the step's time or not at all";
  const storage::NewExecution& row = result.child->execution;
  EXPECT_EQ(row.caller, "alice");
  EXPECT_EQ(row.action, "ScaleDeployment");
  EXPECT_EQ(row.parent_name, ExecutionName(context_.id));
  EXPECT_EQ(row.parent_step, 2);
  EXPECT_THAT(row.audit, HasSubstr("Deployment/default/web"));
}

TEST_F(ActionStepTest, ATextThatIsOneVariableBecomesWhatTheParameterIs) {
  context_.values.variables["YES"] = "true";
  Parameters()["deployment"].set_string_value("web-{{COUNT}}");
  Parameters()["replicas"].set_string_value(" {{COUNT}} ");
  Parameters()["force"].set_string_value("{{YES}}");

  const v1::ExecutionEvent event = Event(Work());

  const auto& parameters = event.accepted().parameters().fields();
  EXPECT_EQ(parameters.at("deployment").string_value(), "web-3");
  EXPECT_EQ(parameters.at("replicas").number_value(), 3);
  EXPECT_TRUE(parameters.at("force").bool_value());
}

TEST_F(ActionStepTest, ATextThatIsMoreThanOneVariableStaysAText) {
  Parameters()["replicas"].set_string_value("{{COUNT}}{{COUNT}}");

  EXPECT_THAT(Refusal(), HasSubstr("parameters.replicas: got \"33\""));
}

TEST_F(ActionStepTest, WhatTheActionDoesNotTakeIsNamedAllAtOnce) {
  Parameters()["replicas"].set_number_value(1001);
  Parameters()["color"].set_string_value("red");
  step_->mutable_action()->mutable_timeout()->set_seconds(7200);

  const std::string message = Refusal();

  EXPECT_THAT(message, HasSubstr("timeout: got 2h"));
  EXPECT_THAT(message, HasSubstr("parameters.replicas: got 1001"));
  EXPECT_THAT(message, HasSubstr("color"));
}

TEST_F(ActionStepTest, S1_14_AVariableThatIsNotResolvedIsNamed) {
  Parameters()["deployment"].set_string_value("{{NOBODY}}");

  EXPECT_THAT(Refusal(), HasSubstr("parameters.deployment: "));
  EXPECT_THAT(Work().ended.message, HasSubstr("NOBODY"));
}

TEST_F(ActionStepTest, ASecretIsNeitherSubmittedNorSaid) {
  context_.values.variables["COUNT"] = "hunter22";
  Parameters()["deployment"].set_string_value("web-{{COUNT}}");

  const std::string message = Refusal();

  EXPECT_THAT(message, HasSubstr("parameters.deployment: got something like a credential"));
  EXPECT_EQ(message.find("hunter22"), std::string::npos);
}

TEST_F(ActionStepTest, AnActionThatThisWorkerDoesNotKnowIsRefusedWithThoseThatItKnows) {
  step_->mutable_action()->set_action("GrowDeployment");

  EXPECT_THAT(Refusal(), HasSubstr("got \"GrowDeployment\", want one of: ScaleDeployment"));
}

}  // namespace
}  // namespace capstan::worker
