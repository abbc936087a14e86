#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/worker/phases/phase_fixture.h"
#include "worker/phases/claude_engine.h"

namespace capstan::phases {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ClaudeArgumentsTest : public ::testing::Test {
 protected:
  ClaudeArgumentsTest() {
    options_.program = "claude";
    request_.session = "0198c0de-0000-7000-8000-000000000001";
    request_.workspace = "/workspace";
    request_.prompt = "the prompt";
  }
  absl::StatusOr<std::vector<std::string>> Arguments() {
    return ClaudeArguments(options_, request_, *models_.Find("fast"));
  }
  // What stands behind an option; "" without it.
  std::string After(const std::string& option) {
    const std::vector<std::string> argv = Arguments().value();
    auto found = std::find(argv.begin(), argv.end(), option);
    return found == argv.end() || found + 1 == argv.end() ? "" : *(found + 1);
  }

  const ModelTable models_ = ShippedModels();
  ClaudeOptions options_;
  PhaseRequest request_;
};

TEST_F(ClaudeArgumentsTest, S1_29_TheLeastIsThisAndNoSettingsAreAmbient) {
  EXPECT_THAT(
      Arguments().value(),
      ElementsAre("claude", "-p", "--output-format", "stream-json", "--verbose",
                  "--include-partial-messages", "--model", "claude-haiku-4-5", "--max-turns", "50",
                  "--session-id", "0198c0de-0000-7000-8000-000000000001", "--setting-sources", "",
                  "--strict-mcp-config", "--permission-mode", "dontAsk", "--tools", ""));
}

TEST_F(ClaudeArgumentsTest, S4_41_OnlyAResumeNamesAnOldSession) {
  request_.session_state = "{}";
  EXPECT_THAT(Arguments().value(), Not(Contains("--resume")));

  request_.resume = true;
  EXPECT_EQ(After("--resume"), request_.session);
  EXPECT_THAT(Arguments().value(), Not(Contains("--session-id")));
}

TEST_F(ClaudeArgumentsTest, AToolIsGivenByNameAndAllowedWithItsLimits) {
  request_.tools = {"Read", "Bash(git *)"};

  EXPECT_EQ(After("--tools"), "Read,Bash");
  EXPECT_EQ(After("--allowedTools"), "Read,Bash(git *)");
}

TEST_F(ClaudeArgumentsTest, MoneyIsGivenInDollars) {
  request_.max_cost_microusd = 1'234'567;

  EXPECT_EQ(After("--max-budget-usd"), "1.234567");
}

TEST_F(ClaudeArgumentsTest, ThePromptAndTheKeyAreInNoArgument) {
  options_.api_key_file = "/secrets/key";

  const auto argv = Arguments().value();

  EXPECT_THAT(argv, Not(Contains(HasSubstr("the prompt"))));
  EXPECT_THAT(argv, Not(Contains(HasSubstr("/secrets/key"))));
  EXPECT_THAT(After("--settings"), HasSubstr("apiKeyHelper"));
}

TEST_F(ClaudeArgumentsTest, FieldsThatTheCliDoesNotTakeAreNamed) {
  request_.session = "../../etc";
  EXPECT_THAT(Arguments(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("session: got")));
  request_.session = "0198c0de-0000-7000-8000-000000000001";
  request_.tools = {"Read,Bash"};
  EXPECT_THAT(Arguments(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tools: got")));
  request_.tools = {"--mcp-config"};
  EXPECT_THAT(Arguments(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tools: got")));
  request_.tools.clear();
  request_.max_turns = 0;
  EXPECT_THAT(Arguments(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_turns")));
  request_.max_turns = 1;
  request_.system_prompt.assign(200'000, 'x');
  EXPECT_THAT(Arguments(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("system_prompt")));
  request_.system_prompt.clear();
  request_.schema = "{";
  EXPECT_THAT(Arguments(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("schema")));
  request_.schema.clear();
  request_.workspace = "relative";
  EXPECT_THAT(Arguments(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("workspace")));
}

}  // namespace
}  // namespace capstan::phases
