#include "core/catalog/parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/text.h"
#include "tests/core/catalog/fixtures.h"
#include "tests/support/status_matchers.h"

namespace capstan::catalog {
namespace {

using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

absl::StatusOr<TypedParameters> Validate(std::string_view json) {
  return ValidateParameters(ScaleDeployment(), ParseStruct(json));
}

absl::StatusOr<TypedParameters> ValidateReplicas(std::string_view json_value) {
  return Validate(Cat(R"({"deployment":"web","namespace":"shop","replicas":)", json_value, "}"));
}

TEST(ParametersTest, AcceptsWhatTheDefinitionAsksFor) {
  EXPECT_THAT(Validate(R"({"deployment":"web","namespace":"shop","replicas":3})"),
              IsOkAndHolds(UnorderedElementsAre(Pair("deployment", ParameterValue("web")),
                                                Pair("namespace", ParameterValue("shop")),
                                                Pair("replicas", ParameterValue(int64_t{3})))));
}

TEST(ParametersTest, S2_8_BoundsAreIncluded) {
  EXPECT_OK(ValidateReplicas("0"));
  EXPECT_OK(ValidateReplicas("1000"));
}

TEST(ParametersTest, S2_8_AMissingParameterIsNamed) {
  EXPECT_THAT(
      Validate(R"({"deployment":"web","namespace":"shop"})"),
      StatusIs(kInvalid,
               "parameters.replicas: got nothing, want an integer from 0 to 1000: it is missing"));
}

TEST(ParametersTest, S2_8_AnIntegerMayBeWrittenWithAFraction) {
  EXPECT_OK(ValidateReplicas("3.0"));
}

TEST(ParametersTest, S2_8_ATextIsNotAnInteger) {
  EXPECT_THAT(
      ValidateReplicas("\"3\""),
      StatusIs(kInvalid,
               "parameters.replicas: got \"3\" (a string), want an integer from 0 to 1000: it is "
               "not an integer"));
}

TEST(ParametersTest, S2_8_AFractionIsNotAnInteger) {
  EXPECT_THAT(ValidateReplicas("2.5"),
              StatusIs(kInvalid,
                       HasSubstr("got 2.5, want an integer from 0 to 1000: it is not an integer")));
}

TEST(ParametersTest, S2_8_ANegativeNumberIsCalledSo) {
  EXPECT_THAT(
      ValidateReplicas("-1"),
      StatusIs(kInvalid,
               "parameters.replicas: got -1, want an integer from 0 to 1000: it is negative"));
}

TEST(ParametersTest, S2_8_ATooLargeNumberIsCalledSo) {
  EXPECT_THAT(
      ValidateReplicas("1001"),
      StatusIs(kInvalid,
               "parameters.replicas: got 1001, want an integer from 0 to 1000: it is too large"));
  EXPECT_THAT(ValidateReplicas("1e300"), StatusIs(kInvalid, HasSubstr("it is too large")));
}

TEST(ParametersTest, S2_8_OtherKindsAreNotIntegers) {
  EXPECT_THAT(ValidateReplicas("null"), StatusIs(kInvalid, HasSubstr("got null, want")));
  EXPECT_THAT(ValidateReplicas("true"), StatusIs(kInvalid, HasSubstr("got true, want")));
  EXPECT_THAT(ValidateReplicas("[3]"), StatusIs(kInvalid, HasSubstr("got a list, want")));
  EXPECT_THAT(ValidateReplicas("{}"), StatusIs(kInvalid, HasSubstr("got an object, want")));
}

TEST(ParametersTest, S2_8_ABadNameIsShownAndExplained) {
  EXPECT_THAT(
      Validate(R"({"deployment":"web","namespace":"Shop_1","replicas":3})"),
      StatusIs(kInvalid, HasSubstr("parameters.namespace: got \"Shop_1\", want a DNS label")));
  EXPECT_THAT(
      Validate(R"({"deployment":"--all","namespace":"shop","replicas":3})"),
      StatusIs(kInvalid, HasSubstr("parameters.deployment: got \"--all\", want a DNS subdomain")));
  EXPECT_THAT(Validate(R"({"deployment":7,"namespace":"shop","replicas":3})"),
              StatusIs(kInvalid, HasSubstr("parameters.deployment: got 7, want a DNS subdomain")));
}

TEST(ParametersTest, S2_64_AnUndeclaredParameterIsNamedAndItsValueIsNot) {
  EXPECT_THAT(
      Validate(R"({"deployment":"web","namespace":"shop","replicas":3,"token":"hunter2"})"),
      StatusIs(
          kInvalid,
          AllOf(HasSubstr("parameters.token: got a parameter that ScaleDeployment does not have, "
                          "want one of: deployment, namespace, replicas"),
                Not(HasSubstr("hunter2")))));
}

TEST(ParametersTest, ReportsEveryViolationWithItsField) {
  ParameterCheck check = CheckParameters(
      ScaleDeployment(), ParseStruct(R"({"deployment":"Web","replicas":-1,"x":1})"));

  EXPECT_THAT(check.violations, ElementsAre(Field(&FieldViolation::field, "parameters.deployment"),
                                            Field(&FieldViolation::field, "parameters.namespace"),
                                            Field(&FieldViolation::field, "parameters.replicas"),
                                            Field(&FieldViolation::field, "parameters.x")));
}

TEST(ParametersTest, ReportsABoundedNumberOfViolations) {
  google::protobuf::Struct many;
  for (int i = 0; i < 100; ++i) (*many.mutable_fields())[Cat("x", i)].set_bool_value(true);

  EXPECT_EQ(CheckParameters(ScaleDeployment(), many).violations.size(), kMaxViolations);
}

TEST(ParametersTest, ShowsOnlyTheBeginningOfALongValue) {
  absl::Status status = Validate(Cat(R"({"deployment":")", std::string(10000, 'A'),
                                     R"(","namespace":"shop","replicas":3})"))
                            .status();

  EXPECT_LT(status.message().size(), 400u);
}

TEST(ParametersTest, RefusesParametersAboveTheSizeLimit) {
  EXPECT_THAT(Validate(Cat(R"({"deployment":")", std::string(kMaxParameterBytes, 'a'), "\"}")),
              StatusIs(kInvalid, HasSubstr("bytes, want at most 262144")));
}

TEST(ParametersTest, FillsInDefaults) {
  ActionDefinition action =
      *ParseEdited("    max: 1000\n    required: true\n", "    max: 1000\n    default: 2\n");

  EXPECT_THAT(ValidateParameters(action, ParseStruct(R"({"deployment":"web","namespace":"shop"})")),
              IsOkAndHolds(::testing::Contains(Pair("replicas", ParameterValue(int64_t{2})))));
}

TEST(ParametersTest, ChecksBooleansAndFreeText) {
  ActionDefinition action;
  action.name = "Any";
  action.parameters.resize(2);
  action.parameters[0].name = "flag";
  action.parameters[0].type = ParameterType::kBoolean;
  action.parameters[1].name = "text";

  EXPECT_OK(ValidateParameters(action, ParseStruct(R"({"flag":true,"text":"any; $thing"})")));
  EXPECT_THAT(ValidateParameters(action, ParseStruct(R"({"flag":"true"})")),
              StatusIs(kInvalid,
                       HasSubstr("parameters.flag: got \"true\" (a string), want true or false")));
  EXPECT_THAT(ValidateParameters(action, ParseStruct(R"({"text":"a\u0000b"})")),
              StatusIs(kInvalid, HasSubstr("parameters.text: got \"a\\x00")));
}

TEST(ParametersTest, ValuesBecomeTextAndJson) {
  TypedParameters parameters = {{"a", int64_t{7}}, {"b", true}, {"c", "x"}};

  EXPECT_EQ(ToText(parameters.at("a")), "7");
  EXPECT_EQ(ToText(parameters.at("b")), "true");
  EXPECT_EQ(ToText(parameters.at("c")), "x");
  EXPECT_EQ(ToStruct(parameters).DebugString(),
            ParseStruct(R"({"a":7,"b":true,"c":"x"})").DebugString());
}

TEST(ParametersTest, S2_12_WithoutATimeoutTheDefaultHolds) {
  EXPECT_THAT(ValidateTimeout(ScaleDeployment(), absl::ZeroDuration()),
              IsOkAndHolds(absl::Minutes(5)));
}

TEST(ParametersTest, S2_12_ATimeoutIsBetweenASecondAndTheMaximum) {
  EXPECT_THAT(ValidateTimeout(ScaleDeployment(), absl::Minutes(15)),
              IsOkAndHolds(absl::Minutes(15)));
  EXPECT_THAT(ValidateTimeout(ScaleDeployment(), absl::Milliseconds(1500)),
              IsOkAndHolds(absl::Seconds(2)));
  EXPECT_THAT(ValidateTimeout(ScaleDeployment(), absl::Seconds(901)),
              StatusIs(kInvalid, "timeout: got 15m1s, want 1s to 15m"));
  EXPECT_THAT(ValidateTimeout(ScaleDeployment(), absl::Milliseconds(1)), StatusIs(kInvalid));
  EXPECT_THAT(ValidateTimeout(ScaleDeployment(), absl::Seconds(-1)),
              StatusIs(kInvalid, HasSubstr("timeout: got -1s")));
}

}  // namespace
}  // namespace capstan::catalog
