// What a replay makes of stored decisions.
#include "cli/policy_replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace capstan::cli {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Document = nlohmann::json;

constexpr char kExecution[] = "executions/7d444840-9dc0-11d1-b245-5ffdce74fad2";

Document Allow() {
  return {{"allow", true},
          {"violations", Document::array()},
          {"requires_approval", false},
          {"obligations", Document::array()},
          {"warnings", Document::array()},
          {"error", ""}};
}
Document AllowWithApproval(int quorum) {
  Document result = Allow();
  result["requires_approval"] = true;
  result["obligations"] = {{{"type", "approval"}, {"quorum", quorum}}};
  return result;
}
Document Deny(const std::string& id, const std::string& message = "no") {
  Document result = Allow();
  result["allow"] = false;
  result["violations"] = {{{"id", id}, {"message", message}}};
  return result;
}
v1::StoredPolicyDecision Stored(const Document& result, const std::string& digest = "old") {
  v1::StoredPolicyDecision stored;
  stored.set_execution(kExecution);
  stored.set_number(2);
  stored.mutable_time()->set_seconds(1800000000);
  stored.set_bundle_digest(digest);
  stored.set_input_json(R"({"action":"ScaleDeployment"})");
  stored.set_result_json(result.dump());
  return stored;
}
ReplayReport ReportOf(const std::vector<std::pair<Document, Document>>& pairs) {
  ReplayReport report;
  for (const auto& [stored, replayed] : pairs)
    EXPECT_OK(report.Add(Stored(stored), {"new", replayed}));
  return report;
}

TEST(PolicyReplay, EveryKindOfFlipIsTold) {
  EXPECT_EQ(Compare(Allow(), Deny("a/x")), Flip::kAllowToDeny);
  EXPECT_EQ(Compare(Deny("a/x"), Allow()), Flip::kDenyToAllow);
  EXPECT_EQ(Compare(Deny("a/x"), AllowWithApproval(1)), Flip::kDenyToAllow);
  EXPECT_EQ(Compare(Allow(), AllowWithApproval(1)), Flip::kApprovalAdded);
  EXPECT_EQ(Compare(AllowWithApproval(1), Allow()), Flip::kApprovalRemoved);
  EXPECT_EQ(Compare(AllowWithApproval(1), AllowWithApproval(2)), Flip::kApprovalChanged);
  EXPECT_EQ(Compare(Deny("a/x"), Deny("a/y")), Flip::kViolationsChanged);
}

TEST(PolicyReplay, OtherWordsAndWarningsAreNoFlip) {
  Document warned = Allow();
  warned["warnings"] = {"mind the gap"};

  EXPECT_EQ(Compare(Allow(), Allow()), Flip::kNone);
  EXPECT_EQ(Compare(Allow(), warned), Flip::kNone);
  EXPECT_EQ(Compare(Deny("a/x", "no"), Deny("a/x", "never")), Flip::kNone);
}

TEST(PolicyReplay, ADecisionWithoutTheAgreedFieldsIsADenial) {
  EXPECT_EQ(Compare(Document::object(), Allow()), Flip::kDenyToAllow);
  EXPECT_EQ(Compare({{"allow", "true"}}, Deny("a/x")), Flip::kViolationsChanged);
}

TEST(PolicyReplay, TheReportListsFlipsAndCountsThem) {
  const ReplayReport report = ReportOf({{Allow(), Allow()},
                                        {Allow(), Deny("a/x", "too\nmany")},
                                        {Allow(), Deny("a/y")},
                                        {Allow(), AllowWithApproval(2)}});

  EXPECT_FALSE(report.clean());
  EXPECT_THAT(report.Text(), StartsWith("EXECUTION "));
  EXPECT_THAT(report.Text(),
              HasSubstr("2027-01-15T08:00:00.000Z  ScaleDeployment  allow -> deny "));
  EXPECT_THAT(report.Text(), HasSubstr("a/x: too many"));
  EXPECT_THAT(report.Text(), HasSubstr("approval added"));
  EXPECT_THAT(report.Text(),
              EndsWith("\n4 decisions replayed, 3 flip: 2 allow -> deny, 1 approval added\n"));
}

TEST(PolicyReplay, AReportWithoutFlipsIsOneLine) {
  const ReplayReport report = ReportOf({{Allow(), Allow()}});

  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.Text(), "1 decision replayed, 0 flip\n");
}

TEST(PolicyReplay, TheReportIsAlsoJson) {
  const Document report = Document::parse(ReportOf({{Allow(), Deny("a/x")}}).Json());

  EXPECT_EQ(report["bundle_digest"], "new");
  EXPECT_EQ(report["decisions"], 1);
  EXPECT_EQ(report["counts"]["allow_to_deny"], 1);
  EXPECT_EQ(report["counts"]["deny_to_allow"], 0);
  EXPECT_EQ(report["flips"][0]["execution"], kExecution);
  EXPECT_EQ(report["flips"][0]["number"], 2);
  EXPECT_EQ(report["flips"][0]["flip"], "allow_to_deny");
  EXPECT_EQ(report["flips"][0]["stored"], Allow());
  EXPECT_EQ(report["flips"][0]["replayed"], Deny("a/x"));
}

TEST(PolicyReplay, AStoredResultThatIsNoJsonIsNamed) {
  ReplayReport report;
  v1::StoredPolicyDecision stored = Stored(Allow());
  stored.set_result_json("{");

  EXPECT_THAT(report.Add(stored, {"new", Allow()}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(kExecution), HasSubstr("decision 2"))));
}

TEST(PolicyReplay, AnExplanationSaysWhetherResultAndRulesAgree) {
  const auto same = Explain(Stored(Allow()), {"old", Allow()});
  const auto other = Explain(Stored(Deny("a/x", "no")), {"new", Deny("a/x", "never")});
  const auto flipped = Explain(Stored(Allow()), {"new", Deny("a/x", "never")});

  ASSERT_OK(same);
  EXPECT_TRUE(same->same_rules && same->same_result);
  EXPECT_THAT(same->text, EndsWith("rules: the same\nresult: the same\n"));
  ASSERT_OK(other);
  EXPECT_FALSE(other->same_rules || other->same_result);
  EXPECT_THAT(other->text, EndsWith("rules: others\nresult: the same verdict in other words\n"));
  ASSERT_OK(flipped);
  EXPECT_THAT(flipped->text, HasSubstr("stored: allow  (rules old)"));
  EXPECT_THAT(flipped->text, HasSubstr("replayed: deny  (rules new)\n  a/x: never\n"));
  EXPECT_EQ(Document::parse(flipped->json)["flip"], "allow_to_deny");
}

TEST(PolicyReplay, AnAnswerHasADigestAndAResult) {
  EXPECT_OK(ParseReplayed(R"({"bundle_digest":"d","result":{"allow":true}})"));
  for (const char* line : {"", "ok", "[]", "{}", R"({"result":true})"})
    EXPECT_THAT(ParseReplayed(line), Not(::capstan::testing::IsOk())) << line;
}

}  // namespace
}  // namespace capstan::cli
