// What every PolicyEngine promises, shown on the Rego engine.
#include "worker/policy/rego_policy_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "core/ids.h"
#include "tests/worker/policy/policy_directory.h"

namespace capstan::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// The decision of one required bundle with these rules.
Decision Decide(const std::string& rules, const PolicyInput& input = ScaleInput(),
                const RegoLimits& limits = {}) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", rules);
  PolicyStore::Options options = StoreOptions(directory, {"a"});
  options.limits = limits;
  return Policies(options).Evaluate(input);
}

TEST(RegoPolicyEngineTest, S2_31_AnAllowCarriesWhatAReplayNeeds) {
  const Decision decision = Decide(kAllow);

  EXPECT_TRUE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kNone);
  EXPECT_EQ(decision.bundle_digest.size(), 64u);
  EXPECT_EQ(decision.input_json, ToJson(ScaleInput()).dump());
  EXPECT_EQ(decision.input_sha256, Sha256Hex(decision.input_json));
  EXPECT_GT(decision.took, absl::ZeroDuration());
}

TEST(RegoPolicyEngineTest, S2_31_ADenyCarriesTheRule) {
  const Decision decision = Decide(kDeny);

  EXPECT_FALSE(decision.allow);
  EXPECT_THAT(decision.violations, ElementsAre(Violation{"a/always", "denied"}));
  EXPECT_EQ(decision.error, Decision::Error::kNone);
}

TEST(RegoPolicyEngineTest, S2_32_ADenyRuleThatErrorsDenies) {
  const Decision decision = Decide(
      R"(violations contains {"id": "a/x", "message": "m"} if 10 / (input.parameters.replicas - 3) > 1)");

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kEvaluation);
  EXPECT_THAT(decision.error_message, HasSubstr("divide by zero"));
  EXPECT_TRUE(IsPolicyError(decision));
}

TEST(RegoPolicyEngineTest, S2_32_UndefinedViolationsDeny) {
  const Decision decision = Decide("violations := {v} if { v := input.missing }");

  EXPECT_FALSE(decision.allow);
  EXPECT_THAT(Ids(decision), ElementsAre("capstan/malformed-bundle"));
}

TEST(RegoPolicyEngineTest, S2_32_ASlowPolicyDeniesAfterThreeTries) {
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
  EXPECT_GE(decision.took, 3 * limits.timeout);
}

TEST(RegoPolicyEngineTest, S2_32_AHugeInputDenies) {
  PolicyInput input = ScaleInput();
  input.facts["blob"] = std::string(RegoLimits{}.max_input_bytes, 'x');

  const Decision decision = Decide(kAllow, input);

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kBadInput);
}

TEST(RegoPolicyEngineTest, S2_32_AnInputThatIsNotTextDenies) {
  PolicyInput input = ScaleInput();
  input.caller = "\xff\xfe";

  const Decision decision = Decide(kAllow, input);

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kBadInput);
}

TEST(RegoPolicyEngineTest, S2_32_AHugeResultDenies) {
  PolicyInput input = ScaleInput();
  input.facts["text"] = std::string(20000, 'x');
  input.facts["n"] = std::vector<int>(100, 0);

  const Decision decision = Decide(R"(violations := set()

warnings contains sprintf("%d %s", [i, input.facts.text]) if some i, _ in input.facts.n)",
                                   input, {.timeout = absl::Seconds(30)});

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kEvaluation);
}

TEST(RegoPolicyEngineTest, ALargeSubjectOfARegularExpressionIsHandled) {
  PolicyInput input = ScaleInput();
  input.facts["text"] = std::string(200000, 'a');

  const Decision decision = Decide(
      R"(violations contains {"id": "a/x", "message": "m"} if regex.match("^(a+)+$b", input.facts.text))",
      input, {.timeout = absl::Seconds(30)});

  EXPECT_TRUE(decision.allow);
}

TEST(RegoPolicyEngineTest, EvaluationsDoNotSeeEachOther) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", R"(violations contains {"id": "a/x", "message": input.caller})");
  Policies policies(directory, {"a"});
  std::atomic<int> mixed = 0;

  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      PolicyInput input = ScaleInput();
      input.caller = "caller " + std::to_string(i);
      for (int n = 0; n < 50; ++n) {
        const Decision decision = policies.Evaluate(input);
        if (decision.error == Decision::Error::kNone &&
            decision.violations.at(0).message != input.caller)
          ++mixed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(mixed, 0);
}

}  // namespace
}  // namespace capstan::policy
