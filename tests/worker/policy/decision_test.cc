#include "worker/policy/decision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

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
      "requires_approval":false,"warnings":["careful"],"obligations":[{"type":"approval","quorum":2,
      "groups":["sre","leads"],"timeout_seconds":60,"reason":"because"}]})");

  EXPECT_FALSE(decision.allow);
  EXPECT_THAT(decision.violations, testing::ElementsAre(Violation{"b/r", "no"}));
  EXPECT_TRUE(decision.requires_approval);
  EXPECT_THAT(decision.warnings, testing::ElementsAre("careful"));
  EXPECT_THAT(decision.approvals, testing::ElementsAre(ApprovalObligation{
                                      2, {"sre", "leads"}, absl::Seconds(60), "because"}));
  EXPECT_THAT(decision.obligations_json, HasSubstr(R"("groups":["sre","leads"])"));
  EXPECT_EQ(decision.error, Decision::Error::kNone);
  EXPECT_FALSE(IsPolicyError(decision));
}

// An allow with these obligations.
Decision WithObligations(const std::string& obligations, bool requires_approval = false) {
  return Read(R"({"allow":true,"violations":[],"warnings":[],"requires_approval":)" +
              std::string(requires_approval ? "true" : "false") + R"(,"obligations":)" +
              obligations + "}");
}

TEST(DecisionTest, S2_37_AnApprovalWithoutAnObligationIsOneOfAnybodyWithinAnHour) {
  const Decision decision = WithObligations("[]", /*requires_approval=*/true);

  EXPECT_TRUE(decision.allow);
  EXPECT_TRUE(decision.requires_approval);
  EXPECT_THAT(decision.approvals,
              testing::ElementsAre(ApprovalObligation{1, {}, absl::Hours(1), ""}));
}

TEST(DecisionTest, S2_37_AnApprovalObligationAsksForAnApproval) {
  const Decision decision = WithObligations(R"([{"type":"approval","quorum":1}])");

  EXPECT_TRUE(decision.allow);
  EXPECT_TRUE(decision.requires_approval);
  EXPECT_THAT(decision.approvals,
              testing::ElementsAre(ApprovalObligation{1, {}, absl::Hours(1), ""}));
}

TEST(DecisionTest, S2_37_EveryApprovalObligationCounts) {
  const Decision decision = WithObligations(
      R"([{"type":"approval","quorum":1},{"type":"approval","quorum":2.0,"groups":["leads"]}])");

  EXPECT_THAT(decision.approvals,
              testing::ElementsAre(ApprovalObligation{1, {}, absl::Hours(1), ""},
                                   ApprovalObligation{2, {"leads"}, absl::Hours(1), ""}));
}

class OddObligationTest : public ::testing::TestWithParam<const char*> {};

TEST_P(OddObligationTest, S2_37_Denies) {
  const Decision decision = WithObligations(GetParam(), /*requires_approval=*/true);

  EXPECT_FALSE(decision.allow);
  EXPECT_FALSE(decision.requires_approval);
  EXPECT_THAT(decision.approvals, testing::IsEmpty());
  EXPECT_EQ(decision.error, Decision::Error::kBadResult);
}

INSTANTIATE_TEST_SUITE_P(
    Obligations, OddObligationTest,
    ::testing::Values(
        "[{}]", R"([{"notify":"oncall"}])", R"([{"type":"notify"}])", R"([{"type":""}])",
        R"([{"type":1,"quorum":1}])", R"([{"type":"Approval","quorum":1}])", R"([{"quorum":1}])",
        R"([{"type":"approval"}])", R"([{"type":"approval","quorum":0}])",
        R"([{"type":"approval","quorum":-1}])", R"([{"type":"approval","quorum":1.5}])",
        R"([{"type":"approval","quorum":"2"}])", R"([{"type":"approval","quorum":null}])",
        R"([{"type":"approval","quorum":1e9}])",
        R"([{"type":"approval","quorum":1,"groups":"sre"}])",
        R"([{"type":"approval","quorum":1,"groups":[""]}])",
        R"([{"type":"approval","quorum":1,"groups":[1]}])",
        R"([{"type":"approval","quorum":1,"group":["sre"]}])",
        R"([{"type":"approval","quorum":1,"timeout_seconds":0}])",
        R"([{"type":"approval","quorum":1,"timeout_seconds":604801}])",
        R"([{"type":"approval","quorum":1,"timeout_seconds":"60"}])",
        R"([{"type":"approval","quorum":1,"reason":1}])",
        R"([{"type":"approval","quorum":1},{"type":"approval"}])"));

TEST(DecisionTest, S2_37_MoreObligationsThanCanBeMetDeny) {
  nlohmann::json obligations = nlohmann::json::array();
  for (int quorum = 1; quorum <= 33; ++quorum) {
    obligations.push_back({{"type", "approval"}, {"quorum", quorum}});
  }

  EXPECT_EQ(WithObligations(obligations.dump()).error, Decision::Error::kBadResult);
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
  decision.approvals.emplace_back();
  decision.warnings = {"w"};
  decision.obligations_json = R"([{}])";

  Deny(decision, Decision::Error::kTimeout, "too slow");

  EXPECT_FALSE(decision.allow);
  EXPECT_FALSE(decision.requires_approval);
  EXPECT_THAT(decision.approvals, testing::IsEmpty());
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
