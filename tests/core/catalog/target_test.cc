#include "core/catalog/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/catalog/fixtures.h"
#include "tests/support/status_matchers.h"

namespace capstan::catalog {
namespace {

using ::capstan::testing::StatusIs;

const ExecutionId kExecution = *ExecutionId::Parse("01932b5c-7d1e-7f00-8a00-0123456789ab");

TypedParameters Parameters() {
  return *ValidateParameters(
      ScaleDeployment(), ParseStruct(R"({"deployment":"web","namespace":"shop","replicas":3})"));
}

TEST(TargetTest, S2_1_TheTargetIsDerivedFromTheParameters) {
  v1::Target target = TargetOf(ScaleDeployment(), Parameters());

  EXPECT_EQ(target.api_version(), "apps/v1");
  EXPECT_EQ(target.kind(), "Deployment");
  EXPECT_EQ(target.namespace_(), "shop");
  EXPECT_EQ(target.name(), "web");
  EXPECT_EQ(target.uid(), "");
}

TEST(TargetTest, CapturesTheNamedFacts) {
  absl::StatusOr<google::protobuf::Struct> captured = Capture(
      ScaleDeployment(), {},
      ParseStruct(R"({"deployment":{"replicas":1,"paused":false,"hpa":{"present":true}}})"));

  ASSERT_OK(captured);
  EXPECT_EQ(captured->DebugString(),
            ParseStruct(R"({"replicas":1,"autoscaled":true})").DebugString());
}

TEST(TargetTest, AParameterInAPathIsOneKeyWhateverItHolds) {
  const ActionDefinition action = Shipped("UpdateImage");
  const auto facts = ParseStruct(R"({"deployment":{"revision":"4","images":{"a.b":"web:1"}}})");

  EXPECT_EQ(Capture(action, ParseStruct(R"({"container":"a.b"})"), facts)->DebugString(),
            ParseStruct(R"({"image":"web:1","revision":"4"})").DebugString());
  EXPECT_THAT(
      Capture(action, ParseStruct(R"({"container":"c"})"), facts),
      StatusIs(absl::StatusCode::kFailedPrecondition, "the facts have no deployment.images.c"));
}

TEST(TargetTest, AFactThatIsNotThereIsNamed) {
  EXPECT_THAT(
      Capture(ScaleDeployment(), {}, ParseStruct(R"({"deployment":{"hpa":{"present":true}}})")),
      StatusIs(absl::StatusCode::kFailedPrecondition, "the facts have no deployment.replicas"));
  EXPECT_THAT(Capture(ScaleDeployment(), {}, ParseStruct(R"({"deployment":7})")),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(TargetTest, S2_45_TheRollbackPutsBackWhatWasCaptured) {
  v1::RollbackPlan plan =
      RollbackOf(ScaleDeployment(), Parameters(), ParseStruct(R"({"replicas":1})"), kExecution);

  EXPECT_EQ(plan.action(), "ScaleDeployment");
  EXPECT_EQ(plan.parameters().DebugString(),
            ParseStruct(R"({"deployment":"web","namespace":"shop","replicas":1})").DebugString());
}

TEST(TargetTest, ARollbackTextWithMoreThanAReferenceIsText) {
  ActionDefinition action = ScaleDeployment();
  action.rollback->parameters = {{"note", "${parameters.deployment} had ${captured.replicas}"}};

  v1::RollbackPlan plan =
      RollbackOf(action, Parameters(), ParseStruct(R"({"replicas":1})"), kExecution);

  EXPECT_EQ(plan.parameters().fields().at("note").string_value(), "web had 1");
}

TEST(TargetTest, WithoutARollbackThePlanIsEmpty) {
  ActionDefinition action = ScaleDeployment();
  action.rollback.reset();

  EXPECT_EQ(RollbackOf(action, Parameters(), {}, kExecution).action(), "");
}

std::string InverseOfNodeAction(std::string_view name, std::string_view captured) {
  return RollbackOf(Shipped(name), {{"node", "n1"}}, ParseStruct(captured), kExecution).action();
}

TEST(TargetTest, S2_45_ACordonIsUndoneOnlyWhenTheNodeWasSchedulable) {
  EXPECT_EQ(InverseOfNodeAction("CordonNode", R"({"unschedulable":false})"), "UncordonNode");
  EXPECT_EQ(InverseOfNodeAction("CordonNode", R"({"unschedulable":true})"), "");
  EXPECT_EQ(InverseOfNodeAction("CordonNode", "{}"), "");
  EXPECT_EQ(InverseOfNodeAction("UncordonNode", R"({"unschedulable":true})"), "CordonNode");
  EXPECT_EQ(InverseOfNodeAction("UncordonNode", R"({"unschedulable":false})"), "");
  EXPECT_EQ(InverseOfNodeAction("DrainNode", R"({"unschedulable":false,"pods":[]})"),
            "UncordonNode");
}

TEST(TargetTest, S2_45_WithoutAPatchThatFitsAConfigMapCannotBePutBack) {
  const ActionDefinition action = Shipped("PatchConfigMap");
  const TypedParameters parameters = {
      {"configmap", "settings"}, {"namespace", "shop"}, {"patch", "[]"}};

  EXPECT_EQ(
      RollbackOf(action, parameters, ParseStruct(R"({"restore_patch":""})"), kExecution).action(),
      "");
  EXPECT_EQ(RollbackOf(action, parameters, ParseStruct(R"({"restore_patch":"[1]"})"), kExecution)
                .parameters()
                .fields()
                .at("patch")
                .string_value(),
            "[1]");
}

TEST(TargetTest, S2_45_ASecretIsRestoredFromTheBackupOfItsExecution) {
  v1::RollbackPlan plan = RollbackOf(
      Shipped("PatchSecret"),
      {{"secret", "db"}, {"namespace", "shop"}, {"patch_secret", "change-7"}}, {}, kExecution);

  EXPECT_EQ(plan.action(), "PatchSecret");
  EXPECT_EQ(plan.parameters().DebugString(), ParseStruct(R"({"secret":"db","namespace":"shop",
                            "restore_from":"capstan-backup-01932b5c-7d1e-7f00-8a00-0123456789ab"})")
                                                 .DebugString());
}

TEST(TargetTest, ALargeNumberIsNotWrittenWithAnExponent) {
  google::protobuf::Value value;
  value.set_number_value(123456789);
  EXPECT_EQ(ToText(value), "123456789");
  value.set_number_value(0.5);
  EXPECT_EQ(ToText(value), "0.5");
  value.set_bool_value(true);
  EXPECT_EQ(ToText(value), "true");
  value.mutable_list_value();
  EXPECT_EQ(ToText(value), "");
}

}  // namespace
}  // namespace capstan::catalog
