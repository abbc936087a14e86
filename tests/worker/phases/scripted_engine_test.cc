#include "worker/phases/scripted_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>

#include "tests/support/temporary_directory.h"
#include "tests/worker/phases/phase_fixture.h"

namespace capstan::phases {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ScriptedEngineTest : public ::testing::Test {
 protected:
  PhaseResult Run(const std::string& script) {
    request_.step = "build";
    request_.workspace = workspace_.path();
    return ScriptedEngine(Script::Parse("s.yaml", script).value(), clock_)
        .Run(request_, listener_, stop_.get_token());
  }

  testing::TemporaryDirectory workspace_;
  testing::TemporaryDirectory outside_;
  SleepingClock clock_;
  PhaseRequest request_;
  Listener listener_;
  std::stop_source stop_;
};

TEST_F(ScriptedEngineTest, S4_19_ACannedAnswerNeedsNoModel) {
  const PhaseResult result = Run(R"(default:
  text: [I look., " I write."]
  files: [{path: src/a.txt, content: hello}]
  answer: {status: complete}
)");

  ASSERT_EQ(result.error, PhaseError::kNone) << result.message;
  EXPECT_EQ(result.answer, R"({"status":"complete"})");
  EXPECT_EQ(listener_.text, "I look. I write.");
  EXPECT_THAT(listener_.calls, ElementsAre("Write"));
  EXPECT_THAT(listener_.results, ElementsAre("Write: written"));
  std::ifstream file(workspace_.path() + "/src/a.txt");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "hello");
}

TEST_F(ScriptedEngineTest, AScriptedErrorKeepsItsUsage) {
  const PhaseResult result = Run(R"(default:
  error: rate_limited
  message: come back later
  retry_after: 30s
  usage: {input_tokens: 3, cache_read_tokens: 4, output_tokens: 5, cost_microusd: 6}
)");

  EXPECT_EQ(result.error, PhaseError::kRateLimited);
  EXPECT_EQ(result.message, "come back later");
  EXPECT_EQ(result.retry_after, absl::Seconds(30));
  EXPECT_EQ(Only(result.usage).effective_input(), 7);
  EXPECT_EQ(Only(result.usage).cost_microusd, 6);
}

TEST_F(ScriptedEngineTest, S4_24_AReplyForWhichTooLittleMayBeSpentCostsNothing) {
  const char* script =
      "default: {answer: {status: complete}, needs_microusd: 40, usage: {cost_microusd: 40}}";
  request_.max_cost_microusd = 39;
  PhaseResult result = Run(script);
  EXPECT_EQ(result.error, PhaseError::kBudget);
  EXPECT_THAT(result.usage, IsEmpty());

  for (const std::int64_t enough : {40, 0}) {
    request_.max_cost_microusd = enough;
    EXPECT_EQ(Run(script).error, PhaseError::kNone) << enough;
  }
}

TEST_F(ScriptedEngineTest, AStepWithoutAReplyIsNamed) {
  const PhaseResult result = Run("replies: [{step: test, answer: a}]");

  EXPECT_EQ(result.error, PhaseError::kInvalidRequest);
  EXPECT_THAT(result.message, HasSubstr("got step build, iteration 1, attempt 1"));
}

TEST_F(ScriptedEngineTest, AReplyWithoutAnAnswerIsNoAnswer) {
  EXPECT_EQ(Run("default: {text: hm}").error, PhaseError::kNoAnswer);
}

TEST_F(ScriptedEngineTest, ALinkInTheWorkspaceLeadsNowhere) {
  std::filesystem::create_directory_symlink(outside_.path(), workspace_.path() + "/link");

  const PhaseResult result =
      Run("default: {files: [{path: link/a.txt, content: x}], answer: done}");

  EXPECT_EQ(result.error, PhaseError::kProcess);
  EXPECT_THAT(result.answer, IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(outside_.path()));
}

TEST_F(ScriptedEngineTest, AStopBetweenTextsKeepsTheFilesFromBeingWritten) {
  listener_.stop_at_text = &stop_;

  const PhaseResult result =
      Run("default: {text: [a, b], files: [{path: a.txt, content: x}], answer: done}");

  EXPECT_EQ(result.error, PhaseError::kStopped);
  EXPECT_EQ(listener_.text, "a");
  EXPECT_TRUE(std::filesystem::is_empty(workspace_.path()));
}

}  // namespace
}  // namespace capstan::phases
