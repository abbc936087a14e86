#include "worker/phases/claude_result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/phases/phase_fixture.h"

namespace capstan::phases {
namespace {

using process::Result;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ClaudeResultTest : public ::testing::Test {
 protected:
  ClaudeResultTest() { request_.schema = kAnswerSchema; }

  PhaseResult Judge(const std::string& output, ClaudeEnd end = ClaudeEnd::kItself) {
    StreamJson stream(listener_);
    stream.Add(output);
    stream.End();
    return JudgeClaude(stream, process_, stderr_, request_, *models_.Find("fast"), models_, end);
  }
  // The exit code says nothing: with any of them the result is the same.
  PhaseError ErrorOf(const std::string& result_fields) {
    process_.end = Result::End::kExited;
    process_.exit_code = 1;
    return Judge(R"({"type":"result",)" + result_fields + "}").error;
  }

  const ModelTable models_ = ShippedModels();
  Listener listener_;
  PhaseRequest request_;
  Result process_;
  std::string stderr_;
};

constexpr char kStarted[] =
    R"({"type":"stream_event","event":{"type":"message_start","message":{"model":"claude-haiku-4-5","usage":{"input_tokens":100}}}}
)";

TEST_F(ClaudeResultTest, I11_AFullWorkspaceIsNoAnswerWhateverItSaid) {
  process_.end = Result::End::kDiskLimit;
  process_.message = "the workspace holds 60 MiB";

  const PhaseResult result = Judge(
      R"({"type":"result","subtype":"success","is_error":false,"structured_output":{"status":"x"}})");

  EXPECT_EQ(result.error, PhaseError::kDiskLimit);
  EXPECT_EQ(result.message, "the workspace holds 60 MiB");
}

TEST_F(ClaudeResultTest, S1_26_S4_44_WhatItLeftBehindIsSaid) {
  process_.orphans = {{7, "node /opt/mcp-server/index.js"}};
  process_.peak_memory_bytes = 612'000'000;

  const PhaseResult result = Judge("");

  EXPECT_THAT(result.warnings,
              ElementsAre(HasSubstr("an MCP server"), HasSubstr("used 612 MB of memory")));
}

TEST_F(ClaudeResultTest, EachWayToEndHasItsType) {
  EXPECT_EQ(ErrorOf(R"("subtype":"success","is_error":false,"structured_output":{"status":"x"})"),
            PhaseError::kNone);
  EXPECT_EQ(ErrorOf(R"("subtype":"success","is_error":false,"result":"done")"),
            PhaseError::kNoAnswer);
  EXPECT_EQ(ErrorOf(R"("subtype":"error_max_structured_output_retries","is_error":true)"),
            PhaseError::kNoAnswer);
  EXPECT_EQ(ErrorOf(R"("subtype":"error_max_turns","is_error":true)"), PhaseError::kMaxTurns);
  EXPECT_EQ(ErrorOf(R"("subtype":"error_max_budget_usd","is_error":true)"), PhaseError::kBudget);
  EXPECT_EQ(ErrorOf(R"("subtype":"success","is_error":true,"api_error_status":529)"),
            PhaseError::kTransient);
  EXPECT_EQ(ErrorOf(R"("subtype":"success","is_error":true,"api_error_status":429)"),
            PhaseError::kRateLimited);
  EXPECT_EQ(ErrorOf(R"("subtype":"success","is_error":true,"api_error_status":401)"),
            PhaseError::kAuthentication);
  EXPECT_EQ(ErrorOf(R"("subtype":"success","is_error":true,"api_error_status":null)"),
            PhaseError::kTransient);
  EXPECT_EQ(ErrorOf(R"("subtype":"success","is_error":true,"result":"Prompt is too long")"),
            PhaseError::kContextOverflow);
  EXPECT_EQ(ErrorOf(R"("subtype":"success","is_error":false,"stop_reason":"refusal")"),
            PhaseError::kRefused);
}

TEST_F(ClaudeResultTest, AResultThatDoesNotSayWhetherItIsAnErrorIsOne) {
  EXPECT_NE(ErrorOf(R"("structured_output":{"status":"complete"})"), PhaseError::kNone);
}

TEST_F(ClaudeResultTest, WithoutAResultLineTheEndOfTheProcessDecides) {
  process_.end = Result::End::kExited;
  process_.exit_code = 0;
  EXPECT_EQ(Judge(kStarted).error, PhaseError::kTruncated);
  process_.exit_code = 1;
  EXPECT_EQ(Judge(kStarted).error, PhaseError::kProcess);
  process_.end = Result::End::kSignalled;
  EXPECT_EQ(Judge(kStarted).error, PhaseError::kProcess);
  process_.end = Result::End::kOutOfMemory;
  EXPECT_EQ(Judge(kStarted).error, PhaseError::kProcess);
  process_.end = Result::End::kTimedOut;
  EXPECT_EQ(Judge(kStarted).error, PhaseError::kTimedOut);
  process_.end = Result::End::kStopped;
  EXPECT_EQ(Judge(kStarted).error, PhaseError::kStopped);
  EXPECT_EQ(Judge(kStarted, ClaudeEnd::kStalled).error, PhaseError::kStalled);
  EXPECT_EQ(Judge(kStarted, ClaudeEnd::kKeyRefused).error, PhaseError::kAuthentication);
}

TEST_F(ClaudeResultTest, PlainTextBeforeAnythingElseIsARefusalOfTheRequest) {
  process_.end = Result::End::kExited;
  process_.exit_code = 1;
  stderr_ = "Error: --json-schema is invalid";

  const PhaseResult result = Judge("");

  EXPECT_EQ(result.error, PhaseError::kInvalidRequest);
  EXPECT_THAT(result.message, HasSubstr("--json-schema is invalid"));
  EXPECT_THAT(result.usage, IsEmpty());
}

TEST_F(ClaudeResultTest, AStopIsAStopEvenWhenAResultCame) {
  process_.end = Result::End::kStopped;

  const PhaseResult result =
      Judge(R"({"type":"result","is_error":false,"structured_output":{"status":"complete"},)"
            R"("modelUsage":{"claude-haiku-4-5":{"inputTokens":5,"costUSD":0.000005}}})");

  EXPECT_EQ(result.error, PhaseError::kStopped);
  EXPECT_THAT(result.answer, IsEmpty());
  EXPECT_EQ(Only(result.usage).input_tokens, 5);
}

TEST_F(ClaudeResultTest, UsageIsThatOfEachModelAndNeverTheSumThatIsTooLow) {
  process_.end = Result::End::kExited;

  const PhaseResult result =
      Judge(R"({"type":"result","subtype":"error_max_budget_usd","is_error":true,)"
            R"("usage":{"input_tokens":0},"modelUsage":{)"
            R"("claude-sonnet-4-5-20250929":{"inputTokens":10,"outputTokens":20,)"
            R"("cacheReadInputTokens":30,"cacheCreationInputTokens":40,"costUSD":0.0123},)"
            R"("claude-haiku-4-5":{"inputTokens":1,"costUSD":0.0000011}}})");

  ASSERT_EQ(result.usage.size(), 2u);
  EXPECT_EQ(result.usage[0].model, "claude-haiku-4-5");
  EXPECT_EQ(result.usage[0].cost_microusd, 2);
  EXPECT_EQ(result.usage[1].model, "claude-sonnet-4-5");
  EXPECT_EQ(result.usage[1].effective_input(), 80);
  EXPECT_EQ(result.usage[1].output_tokens, 20);
  EXPECT_EQ(result.usage[1].cost_microusd, 12'300);
}

TEST_F(ClaudeResultTest, ACallThatWasCutOffIsCountedAtItsMost) {
  process_.end = Result::End::kSignalled;

  const PhaseResult known = Judge(kStarted);
  const PhaseResult unknown = Judge(R"({"type":"system","subtype":"init"})");

  EXPECT_TRUE(Only(known.usage).is_upper_bound);
  EXPECT_EQ(Only(known.usage).input_tokens, 100);
  EXPECT_EQ(Only(known.usage).output_tokens, 64'000);
  EXPECT_EQ(Only(known.usage).cost_microusd, 100 + 64'000 * 5);
  EXPECT_EQ(Only(unknown.usage).effective_input(), 200'000);
}

}  // namespace
}  // namespace capstan::phases
