#include "worker/phases/claude_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "core/text.h"
#include "tests/support/model_stub/model_stub.h"
#include "tests/support/temporary_directory.h"
#include "tests/worker/phases/phase_fixture.h"

namespace capstan::phases {
namespace {

using ::capstan::testing::ModelStub;
using ::capstan::testing::StubReply;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kSession[] = "0198c0de-0000-7000-8000-000000000001";

// Of the whole machine, by their arguments.
int ProcessesWith(const std::string& text) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    const std::string line((std::istreambuf_iterator<char>(file)), {});
    if (line.find(text) != std::string::npos) ++count;
  }
  return count;
}

StubReply Answer(const std::string& status) {
  return {.tool_uses = {{"StructuredOutput", {{"status", status}}}}};
}

class ClaudeEngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* program = std::getenv("CAPSTAN_CLAUDE");
    ASSERT_NE(program, nullptr) << "run by tests/support/model_stub/claude_cli.sh run";
    process::Options process_options;
    process_options.supervisor = CAPSTAN_SUPERVISOR;
    process_options.grace = absl::Seconds(1);
    auto runner = process::MakeRunner(process_options);
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
    options_.program = program;
    options_.base_url = stub_->Url();
    options_.api_key_file = keys_.Write("key", "sk-secret\n");
    options_.scratch = scratch_.path();
    request_.session = kSession;
    request_.model = "standard";
    request_.prompt = "Greet the world in hello.txt.";
    request_.schema = kAnswerSchema;
    request_.workspace = workspace_.path();
    request_.tools = {"Write", "Bash"};
    request_.timeout = absl::Seconds(60);
  }

  PhaseResult Run() {
    return ClaudeEngine(options_, models_, *runner_, clock_)
        .Run(request_, listener_, stop_.get_token());
  }

  StubReply Write(const std::string& file, const std::string& text) const {
    return {.text = "I write it.",
            .tool_uses = {
                {"Write", {{"file_path", workspace_.path() + "/" + file}, {"content", text}}}}};
  }
  std::string Content(const std::string& file) const {
    std::ifstream stream(workspace_.path() + "/" + file);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  StubReply Error(int status, const std::string& type) const {
    StubReply reply;
    reply.status = status;
    reply.error_type = type;
    return reply;
  }

  std::unique_ptr<ModelStub> stub_ = StartStub();
  const ModelTable models_ = ShippedModels();
  testing::TemporaryDirectory workspace_;
  testing::TemporaryDirectory scratch_;
  testing::TemporaryDirectory keys_;
  SystemClock clock_;
  std::unique_ptr<process::Runner> runner_;
  ClaudeOptions options_;
  PhaseRequest request_;
  Listener listener_;
  std::stop_source stop_;
};

TEST_F(ClaudeEngineTest, S4_19_AToolCallChangesTheWorkspaceAndTheAnswerFitsTheSchema) {
  stub_->Push(Write("hello.txt", "hello world\n"));
  stub_->Push(Answer("complete"));

  const PhaseResult result = Run();

  ASSERT_EQ(result.error, PhaseError::kNone) << result.message;
  EXPECT_EQ(result.answer, R"({"status":"complete"})");
  EXPECT_EQ(Content("hello.txt"), "hello world\n");
  EXPECT_EQ(listener_.text, "I write it.");
  EXPECT_THAT(listener_.calls, ElementsAre("Write", "StructuredOutput"));
  EXPECT_THAT(listener_.results[0], HasSubstr("Write: File created"));
  EXPECT_TRUE(std::filesystem::is_empty(scratch_.path()));
}

TEST_F(ClaudeEngineTest, TheKeyReachesTheProviderAndNoOtherSecretIsInSight) {
  stub_->Push({.tool_uses = {{"Bash", {{"command", "env; cat /proc/$PPID/cmdline"}}}}});
  stub_->Push(Answer("complete"));

  const PhaseResult result = Run();

  ASSERT_EQ(result.error, PhaseError::kNone) << result.message;
  EXPECT_EQ(stub_->Requests()[0].headers["x-api-key"], "sk-secret");
  EXPECT_THAT(listener_.results, Each(Not(HasSubstr("sk-secret"))));
  EXPECT_THAT(listener_.results[0], HasSubstr("CLAUDE"));
}

TEST_F(ClaudeEngineTest, S1_28_UsageIsWhatTheProviderBilled) {
  StubReply write = Write("hello.txt", "hello");
  write.usage = {100, 20, 5, 7};
  stub_->Push(write);
  stub_->Push(Answer("complete"));

  const PhaseResult result = Run();

  ASSERT_THAT(result.usage, SizeIs(1));
  const testing::StubUsage billed = stub_->Billed();
  EXPECT_EQ(Only(result.usage).model, "claude-sonnet-4-5");
  EXPECT_EQ(Only(result.usage).effective_input(),
            billed.input + billed.cache_creation + billed.cache_read);
  EXPECT_EQ(Only(result.usage).output_tokens, billed.output);
  EXPECT_GT(Only(result.usage).cost_microusd, 0);
  EXPECT_EQ(Only(result.usage).turns, 2);
  EXPECT_FALSE(Only(result.usage).is_upper_bound);
}

TEST_F(ClaudeEngineTest, S1_10_ThinkingIsARequestParameterAndNoPrompt) {
  request_.thinking_tokens = 2048;
  request_.system_prompt = "You greet.";
  stub_->Push(Answer("complete"));

  const PhaseResult result = Run();

  ASSERT_EQ(result.error, PhaseError::kNone) << result.message;
  const nlohmann::json body = stub_->Requests()[0].body;
  EXPECT_EQ(body["thinking"]["budget_tokens"], 2048);
  EXPECT_THAT(body["system"].dump(), HasSubstr("You greet."));
  EXPECT_THAT(body["system"].dump(), Not(HasSubstr("2048")));
}

TEST_F(ClaudeEngineTest, AConversationGoesOnInANewHomeAndIsBilledOnce) {
  stub_->Push(Answer("blocked"));
  stub_->Push(Answer("complete"));
  request_.session_state = Run().session_state;
  request_.resume = true;
  request_.prompt = "And now?";

  const PhaseResult second = Run();

  ASSERT_EQ(second.error, PhaseError::kNone) << second.message;
  EXPECT_EQ(second.answer, R"({"status":"complete"})");
  EXPECT_THAT(stub_->Requests()[1].body["messages"].dump(),
              AllOf(HasSubstr("Greet the world"), HasSubstr("And now?")));
  EXPECT_EQ(Only(second.usage).input_tokens, 10);
  EXPECT_EQ(Only(second.usage).output_tokens, 5);
  EXPECT_THAT(second.session_state, Not(IsEmpty()));
}

TEST_F(ClaudeEngineTest, S4_17_WithoutResumeNothingOfAnOldSessionIsSent) {
  stub_->Push(Answer("blocked"));
  stub_->Push(Answer("complete"));
  request_.session_state = Run().session_state;
  request_.prompt = "Anew.";

  const PhaseResult second = Run();

  ASSERT_EQ(second.error, PhaseError::kNone) << second.message;
  EXPECT_THAT(stub_->Requests()[1].body["messages"].dump(), Not(HasSubstr("Greet the world")));
}

TEST_F(ClaudeEngineTest, S1_15_TextIsNoAnswerWhereASchemaIsAskedFor) {
  stub_->SetDefault({.text = "phase_complete: true"});

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kNoAnswer);
  EXPECT_THAT(result.answer, IsEmpty());
  EXPECT_THAT(stub_->Requests(), SizeIs(2));
  EXPECT_EQ(Only(result.usage).output_tokens, stub_->Billed().output);
}

TEST_F(ClaudeEngineTest, AnAnswerThatNeverFitsTheSchemaIsNone) {
  stub_->SetDefault({.tool_uses = {{"StructuredOutput", {{"state", "done"}}}}});

  EXPECT_EQ(Run().error, PhaseError::kNoAnswer);
}

TEST_F(ClaudeEngineTest, WithoutASchemaTheLastTextIsTheAnswer) {
  request_.schema.clear();
  stub_->Push({.text = "Hello."});

  const PhaseResult result = Run();

  ASSERT_EQ(result.error, PhaseError::kNone) << result.message;
  EXPECT_EQ(result.answer, "Hello.");
}

TEST_F(ClaudeEngineTest, TheTurnsOfACallAreLimited) {
  request_.max_turns = 3;
  stub_->SetDefault({.tool_uses = {{"Bash", {{"command", "echo again"}}}}});

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kMaxTurns);
  EXPECT_THAT(stub_->Requests(), SizeIs(3));
  EXPECT_EQ(Only(result.usage).output_tokens, stub_->Billed().output);
}

TEST_F(ClaudeEngineTest, TheBudgetEndsTheCallAndWhatWasSpentIsTold) {
  request_.max_cost_microusd = 1000;
  StubReply costly = {.tool_uses = {{"Bash", {{"command", "echo again"}}}}};
  costly.usage = {1000, 100, 0, 0};
  stub_->SetDefault(costly);

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kBudget);
  EXPECT_THAT(stub_->Requests(), SizeIs(1));
  EXPECT_EQ(Only(result.usage).cost_microusd, 4500);
}

TEST_F(ClaudeEngineTest, AnOverloadedProviderIsAskedFiveTimesInAll) {
  stub_->SetDefault(Error(529, "overloaded_error"));

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kTransient);
  EXPECT_THAT(stub_->Requests(), SizeIs(5));
  EXPECT_THAT(listener_.retries, Each(PhaseError::kTransient));
  EXPECT_THAT(listener_.retries, SizeIs(4));
  EXPECT_THAT(result.usage, IsEmpty());
}

TEST_F(ClaudeEngineTest, AKeyThatIsRefusedEndsTheCallSoon) {
  stub_->SetDefault(Error(401, "authentication_error"));

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kAuthentication) << result.message;
  EXPECT_LE(stub_->Requests().size(), 4u);
}

TEST_F(ClaudeEngineTest, ARequestThatTheProviderRefusesIsTyped) {
  stub_->SetDefault(Error(400, "invalid_request_error"));

  EXPECT_EQ(Run().error, PhaseError::kInvalidRequest);
}

TEST_F(ClaudeEngineTest, AStreamThatIsAlwaysCutIsNoAnswerAndEachTryIsCountedAtItsMost) {
  stub_->SetDefault({.text = "Hello, this is cut.", .cut_after = 4});

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kTransient) << result.message;
  EXPECT_THAT(result.answer, IsEmpty());
  EXPECT_THAT(stub_->Requests(), SizeIs(5));
  EXPECT_TRUE(Only(result.usage).is_upper_bound);
  EXPECT_GE(Only(result.usage).effective_input(), stub_->Billed().input);
  EXPECT_GE(Only(result.usage).output_tokens, stub_->Billed().output);
}

TEST_F(ClaudeEngineTest, AStreamThatIsCutOnceIsAskedAgainAndBothAreCounted) {
  stub_->Push({.text = "Hello, this is cut.", .usage = {100, 50, 0, 0}, .cut_after = 4});
  stub_->Push(Answer("complete"));

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kNone) << result.message;
  EXPECT_TRUE(Only(result.usage).is_upper_bound);
  EXPECT_GE(Only(result.usage).output_tokens, stub_->Billed().output);
}

TEST_F(ClaudeEngineTest, AStopEndsItsToolsTooAndCountsTheMost) {
  // A tool that leaves its session and says by a call of the stub that it runs.
  stub_->Push({.tool_uses = {{"Bash",
                              {{"command", Cat("setsid sleep 61.73501 & curl -s -d '{}' ",
                                               stub_->Url(), "/v1/messages; sleep 62.73501")}}}}});
  std::thread stopping([this] {
    stub_->WaitForRequests(2);
    stop_.request_stop();
  });

  const PhaseResult result = Run();
  stopping.join();

  EXPECT_EQ(result.error, PhaseError::kStopped);
  EXPECT_THAT(stub_->Requests(), SizeIs(2));
  EXPECT_TRUE(Only(result.usage).is_upper_bound);
  EXPECT_GE(Only(result.usage).output_tokens, stub_->Billed().output);
  EXPECT_EQ(ProcessesWith("73501"), 0);
  EXPECT_TRUE(std::filesystem::is_empty(scratch_.path()));
}

TEST_F(ClaudeEngineTest, AStopDuringACallHangsUp) {
  stub_->Push({.text = "Hello, this is slow.", .stall_after = 4});
  listener_.stop_at_text = &stop_;

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kStopped);
  EXPECT_EQ(Only(result.usage).output_tokens, 64'000);
  EXPECT_EQ(Only(result.usage).input_tokens, 10);
  EXPECT_TRUE(stub_->WaitForHangUps(1));
}

TEST_F(ClaudeEngineTest, ACliThatIsKilledIsNoAnswer) {
  stub_->Push({.tool_uses = {{"Bash", {{"command", "kill -9 $PPID; sleep 60"}}}}});

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kProcess)
      << result.message << ::testing::PrintToString(listener_.results);
  EXPECT_TRUE(Only(result.usage).is_upper_bound);
}

TEST_F(ClaudeEngineTest, AToolThatWasNotGivenDoesNotExist) {
  request_.tools = {"Read"};
  stub_->Push({.tool_uses = {{"Bash", {{"command", "touch " + workspace_.path() + "/made"}}}}});
  stub_->Push(Answer("blocked"));

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kNone) << result.message;
  EXPECT_FALSE(std::filesystem::exists(workspace_.path() + "/made"));
  EXPECT_THAT(listener_.results[0], HasSubstr("failed"));
}

TEST_F(ClaudeEngineTest, S4_29_WithoutToolsItHasNothingButItsAnswer) {
  request_.tools.clear();
  stub_->Push({.tool_uses = {{"Bash", {{"command", "touch " + workspace_.path() + "/made"}}}}});
  stub_->Push(Answer("complete"));

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kNone) << result.message;
  const nlohmann::json body = stub_->Requests()[0].body;
  std::vector<std::string> tools;
  for (const nlohmann::json& tool : body["tools"]) tools.push_back(tool["name"].get<std::string>());
  EXPECT_THAT(tools, ElementsAre("StructuredOutput"));
  EXPECT_FALSE(std::filesystem::exists(workspace_.path() + "/made"));
}

TEST_F(ClaudeEngineTest, SettingsInTheWorkspaceAreNotObeyed) {
  workspace_.Write(".claude/settings.json",
                   R"({"hooks":{"SessionStart":[{"hooks":[{"type":"command","command":"touch )" +
                       workspace_.path() + R"(/hooked"}]}]}})");
  stub_->Push(Answer("complete"));

  ASSERT_EQ(Run().error, PhaseError::kNone);
  EXPECT_FALSE(std::filesystem::exists(workspace_.path() + "/hooked"));
}

TEST_F(ClaudeEngineTest, WhatTheCliDoesNotTakeIsRefusedBeforeItRuns) {
  request_.session = "not-a-uuid";
  EXPECT_EQ(Run().error, PhaseError::kInvalidRequest);
  request_.session = kSession;
  request_.tools = {"--dangerously-skip-permissions"};
  EXPECT_EQ(Run().error, PhaseError::kInvalidRequest);
  request_.tools = {"Read"};
  request_.resume = true;
  EXPECT_EQ(Run().error, PhaseError::kInvalidRequest);
  EXPECT_THAT(stub_->Requests(), IsEmpty());
}

TEST_F(ClaudeEngineTest, ACliThatIsNotThereIsTyped) {
  options_.program = "/nowhere/claude";

  EXPECT_EQ(Run().error, PhaseError::kProcess);
}

}  // namespace
}  // namespace capstan::phases
