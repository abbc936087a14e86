#include "worker/policy/decision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace capstan::policy {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kAllowed[] =
    R"({"allow":true,"violations":[],"requires_approval":false,"warnings":[],"obligations":[]})";

Decision Read(std::string_view json) {
  Decision decision;
  ReadDecision(json, decision);
  return decision;
}

TEST(DecisionTest, S2_31_AnAllowIsRead) {
  const Decision decision = Read(kAllowed);

  EXPECT_TRUE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kNone);
}

TEST(DecisionTest, S2_31_EverythingTheRulesSayIsRead) {
  const Decision decision =
      Read(R"({"allow":false,"violations":[{"id":"b/r","message":"no","severity":"high"}],
      "requires_approval":true,"warnings":["careful"],"obligations":[{"notify":"oncall"}]})");

  EXPECT_FALSE(decision.allow);
  EXPECT_THAT(decision.violations, testing::ElementsAre(Violation{"b/r", "no"}));
  EXPECT_TRUE(decision.requires_approval);
  EXPECT_THAT(decision.warnings, testing::ElementsAre("careful"));
  EXPECT_EQ(decision.obligations_json, R"([{"notify":"oncall"}])");
  EXPECT_EQ(decision.error, Decision::Error::kNone);
  EXPECT_FALSE(IsPolicyError(decision));
}

TEST(DecisionTest, S2_31_AViolationDeniesWhateverAllowSays) {
  const Decision decision = Read(R"({"allow":true,"violations":[{"id":"b/r","message":"no"}],
      "requires_approval":false,"warnings":[],"obligations":[]})");

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kNone);
}

// Results that no correct policy gives. None may allow, and each says that the policy is at fault.
class OddDecisionTest : public ::testing::TestWithParam<const char*> {};

TEST_P(OddDecisionTest, S2_32_Denies) {
  const Decision decision = Read(GetParam());

  EXPECT_FALSE(decision.allow);
  EXPECT_FALSE(decision.requires_approval);
  EXPECT_THAT(decision.violations, SizeIs(1));
  EXPECT_EQ(decision.error, Decision::Error::kBadResult);
  EXPECT_THAT(decision.error_message, Not(testing::IsEmpty()));
  EXPECT_TRUE(IsPolicyError(decision));
}

#define REST R"("violations":[],"requires_approval":false,"warnings":[],"obligations":[])"
#define WITH_VIOLATIONS(v) \
  R"({"allow":true,"violations":)" v R"(,"requires_approval":false,"warnings":[],"obligations":[]})"

INSTANTIATE_TEST_SUITE_P(
    FiftyOddResults, OddDecisionTest,
    ::testing::Values(
        // Not an object.
        "", " ", "true", "false", "null", "0", "1", R"("allow")", R"("true")", "[]", "[true]",
        R"([{"allow":true}])", "{", "{}{}", R"({"allow":true)", "\xff\xfe", "NaN", "undefined",
        // Allow is not a boolean.
        "{}", "{" REST "}", R"({"allow":null,)" REST "}", R"({"allow":1,)" REST "}",
        R"({"allow":0,)" REST "}", R"({"allow":"true",)" REST "}", R"({"allow":"false",)" REST "}",
        R"({"allow":[],)" REST "}", R"({"allow":[true],)" REST "}", R"({"allow":{},)" REST "}",
        R"({"allow":{"value":true},)" REST "}", R"({"Allow":true,)" REST "}",
        R"({"allowed":true,)" REST "}", R"({"result":{"allow":true,)" REST "}}",
        // Denied without a reason.
        R"({"allow":false,)" REST "}",
        // Violations are not an array of {id, message}.
        R"({"allow":true,"requires_approval":false,"warnings":[],"obligations":[]})",
        WITH_VIOLATIONS("null"), WITH_VIOLATIONS("true"), WITH_VIOLATIONS("0"),
        WITH_VIOLATIONS(R"("")"), WITH_VIOLATIONS("{}"), WITH_VIOLATIONS("[null]"),
        WITH_VIOLATIONS("[false]"), WITH_VIOLATIONS(R"(["no"])"), WITH_VIOLATIONS("[{}]"),
        WITH_VIOLATIONS(R"([{"id":"a"}])"), WITH_VIOLATIONS(R"([{"message":"m"}])"),
        WITH_VIOLATIONS(R"([{"id":"","message":"m"}])"),
        WITH_VIOLATIONS(R"([{"id":"a","message":""}])"),
        WITH_VIOLATIONS(R"([{"id":1,"message":"m"}])"),
        WITH_VIOLATIONS(R"([{"id":"a","message":["m"]}])"),
        WITH_VIOLATIONS(R"([{"id":"a","message":"m"},null])"),
        // The rest has the wrong type.
        R"({"allow":true,"violations":[],"requires_approval":null,"warnings":[],"obligations":[]})",
        R"({"allow":true,"violations":[],"requires_approval":"false","warnings":[],"obligations":[]})",
        R"({"allow":true,"violations":[],"warnings":[],"obligations":[]})",
        R"({"allow":true,"violations":[],"requires_approval":false,"obligations":[]})",
        R"({"allow":true,"violations":[],"requires_approval":false,"warnings":[1],"obligations":[]})",
        R"({"allow":true,"violations":[],"requires_approval":false,"warnings":"","obligations":[]})",
        R"({"allow":true,"violations":[],"requires_approval":false,"warnings":[]})",
        R"({"allow":true,"violations":[],"requires_approval":false,"warnings":[],"obligations":{}})",
        R"({"allow":true,"violations":[],"requires_approval":false,"warnings":[],"obligations":["x"]})"));

TEST(DecisionTest, ADenyByTheEngineForgetsWhatTheRulesSaid) {
  Decision decision = Read(kAllowed);
  decision.requires_approval = true;
  decision.warnings = {"w"};
  decision.obligations_json = R"([{}])";

  Deny(decision, Decision::Error::kTimeout, "too slow");

  EXPECT_FALSE(decision.allow);
  EXPECT_FALSE(decision.requires_approval);
  EXPECT_THAT(decision.warnings, testing::IsEmpty());
  EXPECT_EQ(decision.obligations_json, "[]");
  EXPECT_THAT(decision.violations,
              testing::ElementsAre(Violation{"capstan/policy-timeout", "too slow"}));
  EXPECT_TRUE(IsPolicyError(decision));
}

TEST(DecisionTest, AMissingBundleIsADenialAndNotAnError) {
  Decision decision;

  Deny(decision, Decision::Error::kUnavailable, "bundle x is missing");

  EXPECT_FALSE(IsPolicyError(decision));
  EXPECT_THAT(decision.error_message, HasSubstr("bundle x"));
}

}  // namespace
}  // namespace capstan::policy
