// capstan-policy-check --replay: decisions as the worker stores them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "tests/worker/policy/policy_directory.h"

namespace capstan::policy {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// What the program says to these inputs, one a line.
std::string Replay(const PolicyDirectory& directory, const std::string& inputs) {
  const std::string file = directory.path() + "/.inputs";  // passed over by the reader of bundles
  std::ofstream(file) << inputs;
  FILE* output = popen(
      absl::StrCat(CAPSTAN_POLICY_CHECK, " --replay ", directory.path(), " < ", file).c_str(), "r");
  std::string text;
  std::array<char, 4096> chunk;
  for (std::size_t count; (count = fread(chunk.data(), 1, chunk.size(), output)) > 0;)
    text.append(chunk.data(), count);
  EXPECT_EQ(pclose(output), 0);
  return text;
}

TEST(ReplayTest, ADecisionIsWhatTheEngineStoresForTheSameInput) {
  const PolicyDirectory directory;
  directory.WriteBundle("a",
                        R"(violations contains {"id": "a/x", "message": "no \"x\""} if input.dry_run
obligations contains {"type": "approval", "quorum": 2})");
  SystemClock clock;
  const auto store = PolicyStore::Create({.directory = directory.path(),
                                          .required_bundles = {},
                                          .check_program = CAPSTAN_POLICY_CHECK,
                                          .limits = {}},
                                         clock, [](PolicyReload, const PolicyStatus&) {});
  ASSERT_OK(store);
  RegoPolicyEngine engine(**store, clock);
  PolicyInput asked, dry;
  asked.action = dry.action = "ScaleDeployment";
  dry.dry_run = true;
  const Decision first = engine.Evaluate(asked), second = engine.Evaluate(dry);

  const std::string lines =
      Replay(directory, absl::StrCat(first.input_json, "\n", second.input_json, "\n"));

  EXPECT_EQ(lines, absl::StrCat("{\"bundle_digest\":\"", first.bundle_digest,
                                "\",\"result\":", ResultJson(first), "}\n{\"bundle_digest\":\"",
                                second.bundle_digest, "\",\"result\":", ResultJson(second), "}\n"));
  EXPECT_TRUE(first.allow);
  EXPECT_FALSE(second.allow);
}

TEST(ReplayTest, AnInputThatIsNoJsonIsDeniedLikeAnyOtherError) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", "violations contains {\"id\": \"a/x\", \"message\": \"m\"} if false");

  EXPECT_THAT(Replay(directory, "{\n"), HasSubstr("capstan/policy-bad_input"));
}

TEST(ReplayTest, AResultHasTheFieldsThatAreStored) {
  Decision decision;
  ReadDecision(R"({"allow":true,"violations":[],"requires_approval":false,"warnings":["w"],
                   "obligations":[{"type":"approval","quorum":2}]})",
               decision);

  EXPECT_EQ(ResultJson(decision),
            R"({"allow":true,"error":"","obligations":[{"quorum":2,"type":"approval"}],)"
            R"("requires_approval":true,"violations":[],"warnings":["w"]})");
  Deny(decision, Decision::Error::kTimeout, "too slow");
  EXPECT_THAT(ResultJson(decision), StartsWith(R"({"allow":false,"error":"too slow")"));
}

TEST(ReplayTest, ApprovalsByDifferentGroupsAtOnceAreADenial) {
  Decision decision;
  ReadDecision(
      R"({"allow":true,"violations":[],"requires_approval":true,"warnings":[],"obligations":[
                   {"type":"approval","quorum":1,"groups":["a"]},{"type":"approval","quorum":1,"groups":["b"]}]})",
      decision);

  EXPECT_FALSE(decision.allow);
  EXPECT_THAT(decision.error_message, HasSubstr("different groups"));
}

}  // namespace
}  // namespace capstan::policy
