// `capstan policy`, against a server in this process and the real capstan-policy-check.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/commands.h"
#include "cli/line_filter.h"
#include "tests/cli/fake_server.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace capstan::cli {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kExecution[] = "executions/7d444840-9dc0-11d1-b245-5ffdce74fad2";
constexpr char kAllowed[] =
    R"({"allow":true,"error":"","obligations":[],"requires_approval":false,"violations":[],"warnings":[]})";

class PolicyCommandsTest : public ::testing::Test {
 protected:
  PolicyCommandsTest() {
    WriteRules(
        "violations contains {\"id\": \"limits/replicas\", \"message\": \"too many\"} if "
        "input.parameters.replicas > 10");
  }

  void WriteRules(const std::string& rules) {
    directory_.Write("rules/limits/limits.rego",
                     "package capstan.safety.rules.limits\n\nimport rego.v1\n\n" + rules + "\n");
  }
  std::string rules() const { return directory_.path() + "/rules"; }
  // A program that stands in for capstan-policy-check.
  std::string Script(const std::string& commands) {
    const std::string path = directory_.Write("script", "#!/bin/sh\n" + commands + "\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }

  void Store(int number, int replicas, const std::string& result = kAllowed,
             const std::string& digest = "old") {
    v1::StoredPolicyDecision& stored = server_.admin.decisions.emplace_back();
    stored.set_execution(kExecution);
    stored.set_number(number);
    stored.set_bundle_digest(digest);
    stored.set_input_json("{\"action\":\"ScaleDeployment\",\n\"parameters\":{\"replicas\":" +
                          std::to_string(replicas) + "}}");
    stored.set_result_json(result);
  }

  int Command(std::vector<std::string> arguments) {
    Environment environment{.in = in_,
                            .out = out_,
                            .err = err_,
                            .variables = {{"CAPSTAN_ADDRESS", server_.address}},
                            .clock = clock_,
                            .stop = stop_.get_token()};
    arguments.insert(arguments.begin(), "policy");
    return cli::Run(arguments, environment);
  }
  int Replay(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"replay", "--bundle", rules(), "--check-program",
                                          CAPSTAN_POLICY_CHECK};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Command(arguments);
  }
  int ReplayBy(const std::string& program) {
    return Command({"replay", "--bundle", rules(), "--check-program", program});
  }
  int ExplainDecision(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"explain-decision", kExecution,
                                          "--bundle",         rules(),
                                          "--check-program",  CAPSTAN_POLICY_CHECK};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Command(arguments);
  }
  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }

  FakeServer server_;
  SystemClock clock_;
  std::istringstream in_;
  std::ostringstream out_, err_;
  std::stop_source stop_;
  const testing::TemporaryDirectory directory_;
};

TEST_F(PolicyCommandsTest, AReplayWithoutFlipsEndsWithCode0) {
  Store(1, 3);
  Store(2, 5);

  EXPECT_EQ(Replay(), 0) << err();
  EXPECT_EQ(out(), "2 decisions replayed, 0 flip\n");
}

TEST_F(PolicyCommandsTest, AReplayThatFindsFlipsListsThemAndEndsWithCode1) {
  Store(1, 3);
  Store(2, 50);

  EXPECT_EQ(Replay(), 1) << err();
  EXPECT_THAT(out(), HasSubstr("allow -> deny"));
  EXPECT_THAT(out(), HasSubstr("limits/replicas: too many"));
  EXPECT_THAT(out(), EndsWith("2 decisions replayed, 1 flips: 1 allow -> deny\n"));
}

TEST_F(PolicyCommandsTest, AReplayGoesBackAsFarAsItIsTold) {
  const absl::Time before = clock_.Now();
  EXPECT_EQ(Replay({"--since", "2d"}), 0) << err();
  EXPECT_EQ(Replay(), 0) << err();

  ASSERT_THAT(server_.admin.decisions_asked, SizeIs(2));
  EXPECT_NEAR(server_.admin.decisions_asked[0].since().seconds(),
              absl::ToUnixSeconds(before - absl::Hours(48)), 60);
  EXPECT_NEAR(server_.admin.decisions_asked[1].since().seconds(),
              absl::ToUnixSeconds(before - absl::Hours(7 * 24)), 60);
  EXPECT_EQ(Replay({"--since", "yesterday"}), 2);
  EXPECT_THAT(err(), HasSubstr("--since: got \"yesterday\", want a duration such as 7d"));
}

TEST_F(PolicyCommandsTest, RulesThatDoNotCompileAreAUsageErrorWithTheirLine) {
  WriteRules("violations contains {");
  Store(1, 3);

  EXPECT_EQ(Replay(), 2);
  EXPECT_THAT(err(), HasSubstr("limits/limits.rego"));
  EXPECT_THAT(out(), IsEmpty());
}

TEST_F(PolicyCommandsTest, BadRulesAreToldWithNothingToDecide) {
  WriteRules("violations contains {");

  EXPECT_EQ(Replay(), 2);
  EXPECT_THAT(err(), HasSubstr("limits/limits.rego"));
}

TEST_F(PolicyCommandsTest, ARequiredBundleThatIsMissingIsNamed) {
  Store(1, 3);

  EXPECT_EQ(Replay({"--required", "limits,windows"}), 2);
  EXPECT_THAT(err(), HasSubstr("missing or empty: windows"));
}

TEST_F(PolicyCommandsTest, AReplayIsJsonWhenAsked) {
  Store(1, 50);

  EXPECT_EQ(Replay({"-o", "json"}), 1) << err();
  const auto report = nlohmann::json::parse(out());
  EXPECT_EQ(report["counts"]["allow_to_deny"], 1);
  EXPECT_THAT(report["bundle_digest"].get<std::string>(), SizeIs(64));
}

TEST_F(PolicyCommandsTest, ADecisionThatIsTheSameByTheSameRulesEndsWithCode0) {
  Store(1, 3);
  ASSERT_EQ(ExplainDecision({"-o", "json"}), 1);  // by the digest
  const std::string digest = nlohmann::json::parse(out())["replayed"]["bundle_digest"];
  server_.admin.decisions.clear();
  Store(1, 3, kAllowed, digest);
  out_.str("");

  EXPECT_EQ(ExplainDecision(), 0) << err();
  EXPECT_THAT(out(), EndsWith("rules: the same\nresult: the same\n"));
}

TEST_F(PolicyCommandsTest, TheLastDecisionIsExplainedUnlessANumberIsGiven) {
  Store(1, 50);
  Store(2, 3);

  EXPECT_EQ(ExplainDecision(), 1);
  EXPECT_THAT(out(), HasSubstr("decision 2"));
  EXPECT_EQ(ExplainDecision({"--number", "1"}), 1);
  EXPECT_THAT(out(), HasSubstr("replayed: deny"));
  EXPECT_EQ(server_.admin.decisions_asked[0].execution(), kExecution);
  EXPECT_EQ(ExplainDecision({"--number", "3"}), 64 + grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(err(), HasSubstr("has no decision 3"));
}

TEST_F(PolicyCommandsTest, AProgramThatCannotBeRunIsNamed) {
  EXPECT_EQ(ReplayBy("/nowhere/check"), 2);
  EXPECT_THAT(err(), HasSubstr("/nowhere/check: No such file"));
  EXPECT_EQ(ReplayBy("no-such-check"), 2);
  EXPECT_THAT(err(), HasSubstr("no-such-check: not beside this program and not on PATH"));
}

TEST_F(PolicyCommandsTest, AChildThatDiesIsTold) {
  Store(1, 3);

  EXPECT_EQ(ReplayBy(Script("kill -SEGV $$")), 2);
  EXPECT_THAT(err(), HasSubstr("it died of signal 11"));
}

TEST_F(PolicyCommandsTest, ControlCEndsAReplayThatHangs) {
  Store(1, 3);
  stop_.request_stop();

  const auto filter = LineFilter::Start(Script("exec tail -f /dev/null"), {}, absl::Hours(1));
  ASSERT_OK(filter);
  EXPECT_THAT((*filter)->Ask({"{}"}, stop_.get_token()), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(PolicyCommandsTest, AChildThatIsSilentForTooLongIsGivenUp) {
  const auto filter =
      LineFilter::Start(Script("exec tail -f /dev/null"), {}, absl::Milliseconds(10));
  ASSERT_OK(filter);
  EXPECT_THAT((*filter)->Ask({"{}"}, {}), StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(PolicyCommandsTest, AChildThatOnlyClosesItsOutputIsGivenUp) {
  const auto filter =
      LineFilter::Start(Script("exec tail -f /dev/null >&-"), {}, absl::Milliseconds(10));
  ASSERT_OK(filter);
  EXPECT_THAT((*filter)->Ask({"{}"}, {}), StatusIs(absl::StatusCode::kFailedPrecondition));
}

// More than pipes and sockets hold, in both directions at once.
TEST_F(PolicyCommandsTest, ManyLargeLinesGoThroughAChild) {
  const std::string line = "{" + std::string(100'000, 'x') + "}";
  const std::vector<std::string> lines(100, line);
  const auto filter = LineFilter::Start("/bin/cat", {}, absl::Minutes(1));
  ASSERT_OK(filter);

  const auto first = (*filter)->Ask(lines, {});
  const auto second = (*filter)->Ask({"{}"}, {});

  ASSERT_OK(first);
  EXPECT_EQ(*first, lines);
  ASSERT_OK(second);
  EXPECT_THAT(*second, ElementsAre("{}"));
  EXPECT_OK((*filter)->Finish({}));
}

}  // namespace
}  // namespace capstan::cli
