// What every PolicyEngine promises. A test program instantiates the suite with its engine.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/ids.h"
#include "tests/worker/policy/policy_directory.h"

namespace capstan::policy {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// An engine and all that it needs.
class EngineUnderTest {
 public:
  virtual ~EngineUnderTest() = default;
  virtual Decision Evaluate(const PolicyInput& input) = 0;
};

// Makes an engine that has the bundles of the directory.
using MakeEngine = std::function<std::unique_ptr<EngineUnderTest>(
    const PolicyDirectory& directory, const std::vector<std::string>& required,
    const RegoLimits& limits)>;

class PolicyEngineContract : public ::testing::TestWithParam<MakeEngine> {
 protected:
  // The decision of one required bundle with these rules.
  static Decision Decide(const std::string& rules, const PolicyInput& input = ScaleInput(),
                         const RegoLimits& limits = {}) {
    const PolicyDirectory directory;
    directory.WriteBundle("a", rules);
    return GetParam()(directory, {"a"}, limits)->Evaluate(input);
  }
};

TEST_P(PolicyEngineContract, S2_31_AnAllowCarriesWhatAReplayNeeds) {
  const Decision decision = Decide(kAllow);

  EXPECT_TRUE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kNone);
  EXPECT_EQ(decision.bundle_digest.size(), 64u);
  EXPECT_EQ(decision.input_json, ToJson(ScaleInput()).dump());
  EXPECT_EQ(decision.input_sha256, Sha256Hex(decision.input_json));
  EXPECT_GT(decision.took, absl::ZeroDuration());
}

TEST_P(PolicyEngineContract, S2_31_ADenyCarriesTheRule) {
  const Decision decision = Decide(kDeny);

  EXPECT_FALSE(decision.allow);
  EXPECT_THAT(decision.violations, ElementsAre(Violation{"a/always", "denied"}));
  EXPECT_EQ(decision.error, Decision::Error::kNone);
}

TEST_P(PolicyEngineContract, S2_32_ADenyRuleThatErrorsDenies) {
  const Decision decision = Decide(
      R"(violations contains {"id": "a/x", "message": "m"} if 10 / (input.parameters.replicas - 3) > 1)");

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kEvaluation);
  EXPECT_THAT(decision.error_message, HasSubstr("divide by zero"));
  EXPECT_TRUE(IsPolicyError(decision));
}

// OPA alone would take the failing builtin for undefined, and the rule would not deny.
TEST_P(PolicyEngineContract, S2_32_ABuiltinThatFailsDenies) {
  const Decision decision =
      Decide(R"(violations contains {"id": "a/x", "message": "m"} if to_number(input.caller) > 1)");

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kEvaluation);
}

TEST_P(PolicyEngineContract, S2_32_TwoValuesForOneRuleDeny) {
  const Decision decision = Decide(
      "violations := set() if true\n\nviolations := {1} if input.action == \"ScaleDeployment\"");

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kEvaluation);
}

TEST_P(PolicyEngineContract, S2_32_ARequiredBundleThatIsMissingDenies) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);

  const Decision decision = GetParam()(directory, {"a", "b"}, {})->Evaluate(ScaleInput());

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kUnavailable);
  EXPECT_THAT(decision.error_message, HasSubstr("b"));
}

TEST_P(PolicyEngineContract, S2_37_AnApprovalObligationIsRead) {
  const Decision decision = Decide(std::string(kAllow) + R"(
obligations contains {"type": "approval", "quorum": 2, "groups": ["leads"], "timeout_seconds": 60})");

  EXPECT_TRUE(decision.allow);
  EXPECT_TRUE(decision.requires_approval);
  EXPECT_THAT(decision.approvals,
              ElementsAre(ApprovalObligation{2, {"leads"}, absl::Seconds(60), ""}));
}

TEST_P(PolicyEngineContract, S2_37_AnObligationThatNobodyCanMeetDenies) {
  const Decision decision = Decide(
      std::string(kAllow) + "\nobligations contains {\"type\": \"approval\", \"quorum\": 0}");

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kBadResult);
}

TEST_P(PolicyEngineContract, S2_32_UndefinedViolationsDeny) {
  const Decision decision = Decide("violations := {v} if { v := input.missing }");

  EXPECT_FALSE(decision.allow);
  EXPECT_THAT(Ids(decision), ElementsAre("capstan/malformed-bundle"));
}

TEST_P(PolicyEngineContract, S2_32_ASlowPolicyDenies) {
  RegoLimits limits;
  limits.timeout = absl::Milliseconds(20);
  PolicyInput input = ScaleInput();
  input.facts["n"] = std::vector<int>(1000, 1);

  const Decision decision = Decide(R"(violations contains {"id": "a/x", "message": "m"} if {
	some a in input.facts.n
	some b in input.facts.n
	some c in input.facts.n
	a + b + c == 0
})",
                                   input, limits);

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kTimeout);
  EXPECT_GE(decision.took, limits.timeout);
  EXPECT_TRUE(IsPolicyError(decision));
}

TEST_P(PolicyEngineContract, S2_32_AHugeInputDenies) {
  PolicyInput input = ScaleInput();
  input.facts["blob"] = std::string(RegoLimits{}.max_input_bytes, 'x');

  const Decision decision = Decide(kAllow, input);

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kBadInput);
}

TEST_P(PolicyEngineContract, S2_32_AnInputThatIsNotTextDenies) {
  PolicyInput input = ScaleInput();
  input.caller = "\xff\xfe";

  const Decision decision = Decide(kAllow, input);

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kBadInput);
}

TEST_P(PolicyEngineContract, S2_32_AHugeResultDenies) {
  PolicyInput input = ScaleInput();
  input.facts["text"] = std::string(20000, 'x');
  input.facts["n"] = std::vector<int>(100, 0);

  const Decision decision = Decide(R"(violations := set()

warnings contains sprintf("%d %s", [i, input.facts.text]) if some i, _ in input.facts.n)",
                                   input, {.timeout = absl::Seconds(30)});

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kEvaluation);
}

TEST_P(PolicyEngineContract, ALargeSubjectOfARegularExpressionIsHandled) {
  PolicyInput input = ScaleInput();
  input.facts["text"] = std::string(200000, 'a');

  const Decision decision = Decide(
      R"(violations contains {"id": "a/x", "message": "m"} if regex.match("^(a+)+$b", input.facts.text))",
      input, {.timeout = absl::Seconds(30)});

  EXPECT_TRUE(decision.allow);
}

TEST_P(PolicyEngineContract, EvaluationsDoNotSeeEachOther) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", R"(violations contains {"id": "a/x", "message": input.caller})");
  const std::unique_ptr<EngineUnderTest> engine = GetParam()(directory, {"a"}, {});
  std::atomic<int> mixed = 0;

  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      PolicyInput input = ScaleInput();
      input.caller = "caller " + std::to_string(i);
      for (int n = 0; n < 50; ++n) {
        const Decision decision = engine->Evaluate(input);
        if (decision.error == Decision::Error::kNone &&
            decision.violations.at(0).message != input.caller)
          ++mixed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(mixed, 0);
}

}  // namespace capstan::policy
