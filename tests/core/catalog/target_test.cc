#include "core/catalog/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/catalog/fixtures.h"
#include "tests/support/status_matchers.h"

namespace capstan::catalog {
namespace {

using ::capstan::testing::StatusIs;

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
  absl::StatusOr<google::protobuf::Struct> captured =
      Capture(ScaleDeployment(), ParseStruct(R"({"deployment":{"replicas":1,"paused":false}})"));

  ASSERT_OK(captured);
  EXPECT_EQ(captured->DebugString(), ParseStruct(R"({"replicas":1})").DebugString());
}

TEST(TargetTest, AFactThatIsNotThereIsNamed) {
  EXPECT_THAT(
      Capture(ScaleDeployment(), ParseStruct(R"({"deployment":{"found":false}})")),
      StatusIs(absl::StatusCode::kFailedPrecondition, "the facts have no deployment.replicas"));
  EXPECT_THAT(Capture(ScaleDeployment(), ParseStruct(R"({"deployment":7})")),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(TargetTest, S2_45_TheRollbackPutsBackWhatWasCaptured) {
  v1::RollbackPlan plan =
      RollbackOf(ScaleDeployment(), Parameters(), ParseStruct(R"({"replicas":1})"));

  EXPECT_EQ(plan.action(), "ScaleDeployment");
  EXPECT_EQ(plan.parameters().DebugString(),
            ParseStruct(R"({"deployment":"web","namespace":"shop","replicas":1})").DebugString());
}

TEST(TargetTest, ARollbackTextWithMoreThanAReferenceIsText) {
  ActionDefinition action = ScaleDeployment();
  action.rollback->parameters = {{"note", "${parameters.deployment} had ${captured.replicas}"}};

  v1::RollbackPlan plan = RollbackOf(action, Parameters(), ParseStruct(R"({"replicas":1})"));

  EXPECT_EQ(plan.parameters().fields().at("note").string_value(), "web had 1");
}

TEST(TargetTest, WithoutARollbackThePlanIsEmpty) {
  ActionDefinition action = ScaleDeployment();
  action.rollback.reset();

  EXPECT_EQ(RollbackOf(action, Parameters(), {}).action(), "");
}

}  // namespace
}  // namespace capstan::catalog
