#include "worker/policy/bundle_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/status_matchers.h"
#include "tests/worker/policy/policy_directory.h"
#include "worker/policy/decision.h"

namespace capstan::policy {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

BundleFiles Read(const PolicyDirectory& directory) {
  return ReadBundleFiles(directory.path(), {}).value();
}

// The decision of one bundle with these rules.
Decision Decide(const std::string& rules, const std::string& input = "{}") {
  const PolicyDirectory directory;
  directory.WriteBundle("a", rules);
  const absl::StatusOr<RegoProgram> program = CompileBundles(Read(directory), {});
  EXPECT_OK(program);
  Decision decision;
  const absl::StatusOr<std::string> result = program->Evaluate(kDecisionRule, input);
  if (result.ok()) {
    ReadDecision(*result, decision);
  } else {
    Deny(decision, Decision::Error::kEvaluation, std::string(result.status().message()));
  }
  return decision;
}

TEST(BundleLoaderTest, ABundleWithoutViolationsAllows) {
  const Decision decision = Decide(kAllow);

  EXPECT_TRUE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kNone);
}

TEST(BundleLoaderTest, S2_31_TheViolationsOfAllBundlesAreGathered) {
  const PolicyDirectory directory;
  directory.WriteBundle("one", R"(violations contains {"id": "one/x", "message": "m1"})");
  directory.WriteBundle("two-words",
                        R"(violations contains {"id": "two-words/x", "message": "m2"})");
  directory.WriteBundle("three", kAllow);

  const absl::StatusOr<RegoProgram> program = CompileBundles(Read(directory), {});
  ASSERT_OK(program);
  Decision decision;
  ReadDecision(program->Evaluate(kDecisionRule, "{}").value(), decision);

  EXPECT_FALSE(decision.allow);
  EXPECT_THAT(Ids(decision), UnorderedElementsAre("one/x", "two-words/x"));
}

TEST(BundleLoaderTest, S2_31_ApprovalWarningsAndObligationsAreGathered) {
  const Decision decision = Decide(std::string(kAllow) + R"(
requires_approval if input.big
warnings contains "careful"
obligations contains {"type": "approval", "quorum": 2}
)",
                                   R"({"big": true})");

  EXPECT_TRUE(decision.allow);
  EXPECT_TRUE(decision.requires_approval);
  EXPECT_THAT(decision.warnings, ElementsAre("careful"));
  EXPECT_THAT(decision.approvals, ElementsAre(ApprovalObligation{2, {}, absl::Hours(1), ""}));
}

// Bundles that a careless author could write: each must deny, whatever it meant to say.
class OddBundleTest : public ::testing::TestWithParam<const char*> {};

TEST_P(OddBundleTest, S2_32_Denies) {
  EXPECT_FALSE(Decide(GetParam(), R"({"zero": 0, "text": "3"})").allow);
}

INSTANTIATE_TEST_SUITE_P(
    Bundles, OddBundleTest,
    ::testing::Values(
        // `violations` is not a set.
        "violations := true", "violations := false", "violations := null", "violations := 0",
        "violations := []", "violations := {}", R"(violations := "")", R"(violations := "none")",
        "violations if input.missing", "violations := x if { x := input.missing }",
        R"(violations["a"] := "b")", "violations.a := set()", "default violations := false",
        "violations(x) := x",
        // Its elements are not {id, message}.
        "violations contains true", "violations contains false", "violations contains null",
        R"(violations contains "no")", "violations contains {}",
        R"(violations contains {"id": "x"})", R"(violations contains {"message": "m"})",
        R"(violations contains {"id": 1, "message": "m"})",
        R"(violations contains {"id": "x", "message": ""})", "violations contains [1]",
        "violations := {1}",
        // A rule that errors.
        R"(violations contains {"id": "x", "message": "m"} if 1 / input.zero == 1)",
        R"(violations contains {"id": "x", "message": "m"} if to_number("a") > 1)",
        R"(violations contains {"id": "x", "message": "m"} if input.text * 2 > 1)",
        "violations contains v if {\n\tv := f(1)\n}\n\nf(x) := 1\n\nf(x) := 2",
        "violations := set() if true\n\nviolations := {1} if true",
        // Approval, warnings or obligations of the wrong kind.
        "violations := set()\n\nwarnings := true", "violations := set()\n\nwarnings contains 1",
        "violations := set()\n\nobligations := [1]",
        "violations := set()\n\nobligations contains \"x\"",
        "violations := set()\n\nrequires_approval if 1 / input.zero == 1"));

TEST(BundleLoaderTest, S2_32_ApprovalThatIsNotABooleanIsAsked) {
  EXPECT_TRUE(Decide("violations := set()\n\nrequires_approval := \"no\"").requires_approval);
  EXPECT_TRUE(Decide("violations := set()\n\nrequires_approval := null").requires_approval);
  EXPECT_FALSE(Decide("violations := set()\n\nrequires_approval := false").requires_approval);
}

TEST(BundleLoaderTest, S2_32_ABundleThatBreaksARuleIsRefusedWithItsName) {
  const PolicyDirectory package, version, silent, parent, test_package;
  package.Write("a/x.rego", PolicyDirectory::Module("b", kAllow));
  version.Write("a/x.rego", std::string("package capstan.safety.rules.a\n") + kAllow);
  silent.WriteBundle("a", "other contains 1");
  parent.Write("a/x.rego",
               "package capstan.safety\nimport rego.v1\nviolations contains 1 if false");
  test_package.WriteBundle("a", kAllow);
  test_package.Write("a/x_test.rego", PolicyDirectory::Module("a", "test_x := true"));

  const auto refused = [](const char* why) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why));
  };
  EXPECT_THAT(CompileBundles(Read(package), {}),
              refused("a/x.rego: package is capstan.safety.rules.b"));
  EXPECT_THAT(CompileBundles(Read(version), {}), refused("a/x.rego: lacks `import rego.v1`"));
  EXPECT_THAT(CompileBundles(Read(silent), {}), refused("bundle a: no file declares `violations`"));
  EXPECT_THAT(CompileBundles(Read(parent), {}), refused("package is capstan.safety,"));
  EXPECT_THAT(CompileBundles(Read(test_package), {}), refused("want capstan.safety.rules.a_test"));
}

TEST(BundleLoaderTest, TestsTakeNoPartInADecision) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  directory.WriteTests("a", "violations contains {\"id\": \"t\", \"message\": \"t\"}");

  const absl::StatusOr<RegoProgram> program = CompileBundles(Read(directory), {});

  ASSERT_OK(program);
  EXPECT_THAT(program->Evaluate(kDecisionRule, "{}").value(), HasSubstr(R"("allow":true)"));
}

TEST(BundleLoaderTest, S2_33_TestsThatAreNotTrueFailTheBundle) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  directory.WriteTests("a", R"(
test_good if true
test_undefined if input.missing
test_false := false
test_number := 1
test_error if 1 / 0 == 1
)");

  EXPECT_THAT(
      TestBundles(Read(directory), {}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("test_undefined"), HasSubstr("test_false"), HasSubstr("test_number"),
                     HasSubstr("test_error"), Not(HasSubstr("test_good")))));
}

TEST(BundleLoaderTest, TestsThatAreTruePass) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", R"(violations contains {"id": "a/x", "message": "m"} if input.x)");
  directory.WriteTests("a", R"(
test_denies if count(data.capstan.safety.rules.a.violations) == 1 with input as {"x": true}
test_allows if count(data.capstan.safety.rules.a.violations) == 0 with input as {}
)");

  EXPECT_OK(TestBundles(Read(directory), {}));
}

// A policy that denies, damaged in 200 ways: nothing that still compiles may allow.
TEST(BundleLoaderTest, S2_32_TwoHundredDamagedBundlesAllowNothing) {
  const std::string good = PolicyDirectory::Module("a", kDeny);
  std::mt19937 random(1);
  int allowed = 0;
  for (int i = 0; i < 200; ++i) {
    std::string damaged = good;
    const std::size_t at = random() % damaged.size();
    switch (i % 3) {
      case 0:
        damaged.resize(at);
        break;
      case 1:
        damaged[at] = static_cast<char>(random() % 256);
        break;
      default:
        damaged.erase(at, 1 + random() % 8);
    }
    const PolicyDirectory directory;
    directory.Write("a/rules.rego", damaged);
    const absl::StatusOr<RegoProgram> program = CompileBundles(Read(directory), {});
    if (!program.ok()) continue;
    const absl::StatusOr<std::string> result = program->Evaluate(kDecisionRule, "{}");
    Decision decision;
    if (result.ok()) ReadDecision(*result, decision);
    if (decision.allow) ++allowed;
  }

  EXPECT_EQ(allowed, 0);
}

}  // namespace
}  // namespace capstan::policy
