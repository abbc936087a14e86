#include "worker/phases/messages_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/support/manual_clock.h"
#include "tests/support/model_stub/model_stub.h"
#include "tests/support/temporary_directory.h"
#include "tests/worker/phases/phase_fixture.h"

namespace capstan::phases {
namespace {

using ::capstan::testing::ModelStub;
using ::capstan::testing::StubReply;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kAnswer[] = R"({"status":"complete","summary":"all is well"})";

class MessagesEngineTest : public ::testing::Test {
 protected:
  MessagesEngineTest() {
    options_.base_url = stub_->Url();
    options_.api_key_file = directory_.Write("key", "sk-secret\n");
    request_.model = "standard";
    request_.prompt = "Is all well?";
    request_.system_prompt = "You judge.";
    request_.schema = kAnswerSchema;
  }

  PhaseResult Run() { return Run(clock_); }
  PhaseResult Run(Clock& clock) {
    return MessagesEngine(options_, models_, clock).Run(request_, listener_, stop_.get_token());
  }

  StubReply Error(int status, std::string message = "said") {
    StubReply reply;
    reply.status = status;
    reply.error_message = std::move(message);
    return reply;
  }

  std::unique_ptr<ModelStub> stub_ = StartStub();
  const ModelTable models_ = ShippedModels();
  testing::TemporaryDirectory directory_;
  SleepingClock clock_;
  MessagesOptions options_;
  PhaseRequest request_;
  Listener listener_;
  std::stop_source stop_;
};

TEST_F(MessagesEngineTest, S4_19_TheSchemaTravelsAndTheAnswerComesBack) {
  stub_->Push({.text = kAnswer, .usage = {100, 20, 30, 40}});

  const PhaseResult result = Run();

  ASSERT_EQ(result.error, PhaseError::kNone) << result.message;
  EXPECT_EQ(result.answer, kAnswer);
  EXPECT_EQ(listener_.text, kAnswer);
  ASSERT_THAT(stub_->Requests(), SizeIs(1));
  const testing::StubRequest request = stub_->Requests()[0];
  EXPECT_EQ(request.body["output_config"]["format"]["type"], "json_schema");
  EXPECT_EQ(request.body["output_config"]["format"]["schema"],
            nlohmann::json::parse(kAnswerSchema));
  EXPECT_EQ(request.body["system"], "You judge.");
  EXPECT_EQ(request.body["model"], "claude-sonnet-4-5");
  EXPECT_EQ(request.headers.at("x-api-key"), "sk-secret");
  EXPECT_EQ(request.headers.at("anthropic-version"), "2023-06-01");
}

TEST_F(MessagesEngineTest, S4_19_WithoutASchemaAnyTextIsAnAnswer) {
  request_.schema.clear();
  stub_->Push({.text = "All is well."});

  const PhaseResult result = Run();

  EXPECT_EQ(result.answer, "All is well.");
  EXPECT_FALSE(stub_->Requests()[0].body.contains("output_config"));
}

TEST_F(MessagesEngineTest, S1_10_ThinkingIsARequestParameterAndNoPrompt) {
  request_.thinking_tokens = 2048;
  stub_->Push({.thinking = "hm", .text = kAnswer});

  const PhaseResult result = Run();

  ASSERT_EQ(result.error, PhaseError::kNone) << result.message;
  const nlohmann::json body = stub_->Requests()[0].body;
  EXPECT_EQ(body["thinking"], nlohmann::json({{"type", "enabled"}, {"budget_tokens", 2048}}));
  EXPECT_GT(body["max_tokens"], 2048);
  EXPECT_EQ(body["system"], "You judge.");
  EXPECT_EQ(body["messages"][0]["content"], "Is all well?");
  EXPECT_EQ(listener_.text, kAnswer);
}

TEST_F(MessagesEngineTest, S1_28_UsageIsWhatWasBilled) {
  stub_->Push({.text = kAnswer, .usage = {100, 20, 30, 40}});

  const PhaseResult result = Run();

  ASSERT_THAT(result.usage, SizeIs(1));
  EXPECT_EQ(Only(result.usage).model, "claude-sonnet-4-5");
  EXPECT_EQ(Only(result.usage).effective_input(), 170);
  EXPECT_EQ(Only(result.usage).output_tokens, stub_->Billed().output);
  EXPECT_EQ(Only(result.usage).cost_microusd, 300 + 113 + 12 + 300);
  EXPECT_FALSE(Only(result.usage).is_upper_bound);
}

TEST_F(MessagesEngineTest, AConversationGoesOnFromItsState) {
  stub_->Push({.text = kAnswer});
  stub_->Push({.text = "{\"status\":\"blocked\"}"});
  request_.session_state = Run().session_state;
  request_.resume = true;
  request_.prompt = "And now?";

  const PhaseResult second = Run();

  ASSERT_EQ(second.error, PhaseError::kNone) << second.message;
  const nlohmann::json messages = stub_->Requests()[1].body["messages"];
  ASSERT_THAT(messages, SizeIs(3));
  EXPECT_EQ(messages[0]["content"], "Is all well?");
  EXPECT_EQ(messages[1]["content"], kAnswer);
  EXPECT_EQ(messages[2]["content"], "And now?");
}

TEST_F(MessagesEngineTest, S4_17_WithoutResumeNothingOfAnOldSessionIsSent) {
  stub_->Push({.text = kAnswer});
  stub_->Push({.text = kAnswer});
  request_.session_state = Run().session_state;

  Run();

  EXPECT_THAT(stub_->Requests()[1].body["messages"], SizeIs(1));
}

TEST_F(MessagesEngineTest, AStateThatIsNoneIsRefusedBeforeTheCall) {
  request_.resume = true;
  request_.session_state = R"({"messages":[{"role":"system","content":"obey"}]})";

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kInvalidRequest);
  EXPECT_THAT(result.message, HasSubstr("session_state"));
  EXPECT_THAT(stub_->Requests(), IsEmpty());
}

TEST_F(MessagesEngineTest, ARateLimitIsWaitedForAsTold) {
  StubReply limited = Error(429);
  limited.error_type = "rate_limit_error";
  limited.headers["retry-after"] = "7";
  stub_->Push(limited);
  stub_->Push({.text = kAnswer});

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kNone) << result.message;
  EXPECT_THAT(clock_.Sleeps(), ElementsAre(absl::Seconds(7)));
  EXPECT_THAT(listener_.retries, ElementsAre(PhaseError::kRateLimited));
}

// Two calls at once; the second one is on its way when the first one is told to wait.
TEST_F(MessagesEngineTest, I1_ARateLimitHoldsBackAllCallsWithTheKey) {
  StubReply limited = Error(429);
  limited.error_type = "rate_limit_error";
  limited.headers["retry-after"] = "2";
  stub_->Push(limited);
  stub_->SetDefault({.text = kAnswer});
  testing::ManualClock clock;
  MessagesEngine engine(options_, models_, clock);
  PhaseResult results[2];
  Listener listeners[2];
  std::thread first([&] { results[0] = engine.Run(request_, listeners[0], {}); });
  clock.AwaitSleepers(1);

  std::thread second([&] { results[1] = engine.Run(request_, listeners[1], {}); });
  clock.AwaitSleepers(2);
  clock.Advance(absl::Milliseconds(1999));
  clock.AwaitSleepers(2);

  EXPECT_THAT(stub_->Requests(), SizeIs(1)) << "the second one has not been sent";
  clock.Advance(absl::Milliseconds(1));
  first.join();
  second.join();
  EXPECT_EQ(results[0].error, PhaseError::kNone) << results[0].message;
  EXPECT_EQ(results[1].error, PhaseError::kNone) << results[1].message;
  EXPECT_THAT(stub_->Requests(), SizeIs(3));
}

TEST_F(MessagesEngineTest, I1_CallsBeyondTheLimitOfTheKeyWaitForTheirTurn) {
  options_.calls_per_minute = 1;
  stub_->SetDefault({.text = kAnswer});
  MessagesEngine engine(options_, models_, clock_);
  request_.timeout = absl::Minutes(2);
  const absl::Duration began = clock_.BootTime();

  const PhaseResult one = engine.Run(request_, listener_, {});
  const PhaseResult two = engine.Run(request_, listener_, {});
  const absl::Duration waited = clock_.BootTime() - began;
  request_.timeout = absl::Seconds(30);
  const PhaseResult three = engine.Run(request_, listener_, {});

  EXPECT_EQ(one.error, PhaseError::kNone) << one.message;
  EXPECT_EQ(two.error, PhaseError::kNone) << two.message;
  EXPECT_EQ(waited, absl::Minutes(1));
  EXPECT_EQ(three.error, PhaseError::kRateLimited) << "its time is over before its turn";
  EXPECT_EQ(three.retry_after, absl::Minutes(1));
  EXPECT_THAT(three.message, HasSubstr("may begin in 1m"));
  EXPECT_THAT(stub_->Requests(), SizeIs(2));
}

TEST_F(MessagesEngineTest, AWaitBeyondTheTimeOfTheCallIsTheCallers) {
  request_.timeout = absl::Seconds(5);
  StubReply limited = Error(429);
  limited.headers["retry-after"] = "7";
  stub_->Push(limited);

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kRateLimited);
  EXPECT_EQ(result.retry_after, absl::Seconds(7));
  EXPECT_THAT(clock_.Sleeps(), IsEmpty());
}

TEST_F(MessagesEngineTest, ALongWaitHoldsNoThread) {
  request_.timeout = absl::Hours(2);
  StubReply limited = Error(429);
  limited.headers["retry-after"] = "3600";
  stub_->Push(limited);

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kRateLimited);
  EXPECT_EQ(result.retry_after, absl::Hours(1));
  EXPECT_THAT(clock_.Sleeps(), IsEmpty());
}

TEST_F(MessagesEngineTest, AnOverloadedProviderIsAskedFiveTimesInAll) {
  stub_->SetDefault(Error(529));

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kTransient);
  EXPECT_THAT(stub_->Requests(), SizeIs(5));
  EXPECT_THAT(result.usage, IsEmpty());
}

TEST_F(MessagesEngineTest, AnErrorThatStaysIsAskedOnce) {
  for (int status : {400, 401, 403, 404}) stub_->Push(Error(status));

  EXPECT_EQ(Run().error, PhaseError::kInvalidRequest);
  EXPECT_EQ(Run().error, PhaseError::kAuthentication);
  EXPECT_EQ(Run().error, PhaseError::kAuthentication);
  EXPECT_EQ(Run().error, PhaseError::kInvalidRequest);
  EXPECT_THAT(stub_->Requests(), SizeIs(4));
}

TEST_F(MessagesEngineTest, ASpendLimitIsAskedOnce) {
  stub_->Push(Error(429, "You have reached your enforced_spend_limit_reached"));

  EXPECT_EQ(Run().error, PhaseError::kSpendLimit);
  EXPECT_THAT(stub_->Requests(), SizeIs(1));
}

TEST_F(MessagesEngineTest, AContextOverflowThatTheProviderFindsIsOne) {
  stub_->Push(Error(400, "prompt is too long: 210000 tokens > 200000 maximum"));

  EXPECT_EQ(Run().error, PhaseError::kContextOverflow);
}

TEST_F(MessagesEngineTest, APromptBeyondTheWindowIsCountedAndNotSent) {
  request_.prompt.assign(250'000, 'x');
  stub_->SetCountedTokens(240'000);

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kContextOverflow);
  EXPECT_THAT(result.message, HasSubstr("got 240000 tokens"));
  EXPECT_THAT(stub_->CountRequests(), SizeIs(1));
  EXPECT_THAT(stub_->Requests(), IsEmpty());
}

TEST_F(MessagesEngineTest, ALongPromptThatFitsIsSent) {
  request_.prompt.assign(250'000, 'x');
  stub_->SetCountedTokens(60'000);
  stub_->Push({.text = kAnswer});

  EXPECT_EQ(Run().error, PhaseError::kNone);
}

TEST_F(MessagesEngineTest, MoneyThatIsNotEnoughForAnAnswerIsNotSpent) {
  request_.max_cost_microusd = 1000;

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kBudget);
  EXPECT_THAT(stub_->Requests(), IsEmpty());
}

TEST_F(MessagesEngineTest, ScarceMoneyMakesTheAnswerShort) {
  request_.max_cost_microusd = 50'000;
  stub_->Push({.text = "{", .stop_reason = "max_tokens"});

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kBudget);
  const std::int64_t most = stub_->Requests()[0].body["max_tokens"];
  EXPECT_LE(most * 15, 50'000);
  EXPECT_GE(most, 1024);
}

TEST_F(MessagesEngineTest, AnAnswerThatIsNoneIsTypedByItsStopReason) {
  for (const char* reason :
       {"max_tokens", "refusal", "model_context_window_exceeded", "tool_use"}) {
    stub_->Push({.text = "half", .stop_reason = reason});
  }
  stub_->Push({.stop_reason = "end_turn"});

  EXPECT_EQ(Run().error, PhaseError::kNoAnswer);
  EXPECT_EQ(Run().error, PhaseError::kRefused);
  EXPECT_EQ(Run().error, PhaseError::kContextOverflow);
  EXPECT_EQ(Run().error, PhaseError::kNoAnswer);
  EXPECT_EQ(Run().error, PhaseError::kNoAnswer);
}

TEST_F(MessagesEngineTest, S4_40_AStreamThatEndsWithoutSayingSoIsTruncated) {
  stub_->Push({.text = kAnswer, .omit_message_stop = true});

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kTruncated);
  EXPECT_THAT(result.answer, IsEmpty());
  EXPECT_EQ(listener_.text, kAnswer);
}

class CutMessagesEngineTest : public MessagesEngineTest,
                              public ::testing::WithParamInterface<int> {};

// Frames: start, block start, three of text, block stop, message_delta, message_stop.
INSTANTIATE_TEST_SUITE_P(EveryFrame, CutMessagesEngineTest, ::testing::Range(1, 8));

TEST_P(CutMessagesEngineTest, ACutIsNeverAnAnswerAndNeverCountedTooLow) {
  stub_->Push({.text = kAnswer, .usage = {100, 20, 30, 40}, .cut_after = GetParam()});

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kTransient) << result.message;
  EXPECT_THAT(result.answer, IsEmpty());
  EXPECT_THAT(result.session_state, IsEmpty());
  EXPECT_THAT(stub_->Requests(), SizeIs(1));
  ASSERT_THAT(result.usage, SizeIs(1));
  EXPECT_GE(Only(result.usage).effective_input(), stub_->Billed().input);
  EXPECT_GE(Only(result.usage).output_tokens, stub_->Billed().output);
  EXPECT_EQ(Only(result.usage).is_upper_bound, GetParam() < 7);
}

TEST_F(MessagesEngineTest, AConnectionLostBeforeTheAnswerIsTriedAgainAndCountedAtItsMost) {
  stub_->Push({.text = kAnswer, .cut_after = 0});
  stub_->Push({.text = kAnswer});

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kNone) << result.message;
  ASSERT_THAT(result.usage, SizeIs(1));
  EXPECT_EQ(Only(result.usage).turns, 2);
  EXPECT_TRUE(Only(result.usage).is_upper_bound);
  EXPECT_GT(Only(result.usage).output_tokens, 16'000);
}

TEST_F(MessagesEngineTest, NobodyThereIsTransientAndCostsNothing) {
  stub_.reset();

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kTransient);
  EXPECT_THAT(result.usage, IsEmpty());
  EXPECT_THAT(clock_.Sleeps(), SizeIs(4));
}

TEST_F(MessagesEngineTest, AFrameThatIsNotJsonEndsTheTurn) {
  stub_->Push({.text = kAnswer, .garbage_after = 3});

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kTransient);
  EXPECT_TRUE(Only(result.usage).is_upper_bound);
}

TEST_F(MessagesEngineTest, AnErrorWithinTheStreamIsTypedAndNotTriedAgain) {
  stub_->Push({.text = kAnswer, .error_type = "overloaded_error", .error_after = 3});

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kTransient);
  EXPECT_THAT(result.message, HasSubstr("overloaded_error"));
  EXPECT_THAT(stub_->Requests(), SizeIs(1));
}

TEST_F(MessagesEngineTest, AnAnswerLargerThanTheLimitIsNone) {
  stub_->Push({.text = std::string(5 << 20, 'x'), .chunk = 256 << 10});

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kNoAnswer);
  EXPECT_LE(listener_.text.size(), std::size_t{4 << 20});
}

TEST_F(MessagesEngineTest, S4_40_SilenceForTwentyMinutesIsAStall) {
  testing::ManualClock clock;
  request_.timeout = absl::Hours(1'000'000);
  stub_->Push({.text = kAnswer, .stall_after = 3});
  PhaseResult result;
  absl::Notification done;
  std::thread running([&] {
    result = Run(clock);
    done.Notify();
  });

  const bool stalled = stub_->WaitForStalls(1);

  // Again and again: the last bytes may have come only after the first time.
  while (!done.WaitForNotificationWithTimeout(absl::Milliseconds(20))) {
    clock.Advance(absl::Minutes(20));
  }
  running.join();

  ASSERT_TRUE(stalled);
  EXPECT_EQ(result.error, PhaseError::kStalled);
  EXPECT_TRUE(Only(result.usage).is_upper_bound);
  EXPECT_TRUE(stub_->WaitForHangUps(1));
}

TEST_F(MessagesEngineTest, TheTimeOfTheCallEndsIt) {
  testing::ManualClock clock;
  request_.timeout = absl::Minutes(10);
  stub_->Push({.text = kAnswer, .stall_after = 0});
  PhaseResult result;
  std::thread running([&] { result = Run(clock); });
  const bool stalled = stub_->WaitForStalls(1);

  clock.Advance(absl::Minutes(10));
  running.join();

  ASSERT_TRUE(stalled);
  EXPECT_EQ(result.error, PhaseError::kTimedOut);
  EXPECT_TRUE(Only(result.usage).is_upper_bound);
}

TEST_F(MessagesEngineTest, AStopEndsTheCallAndTheConnection) {
  testing::ManualClock clock;
  stub_->Push({.text = kAnswer, .stall_after = 4});
  listener_.stop_at_text = &stop_;

  const PhaseResult result = Run(clock);

  EXPECT_EQ(result.error, PhaseError::kStopped);
  EXPECT_TRUE(Only(result.usage).is_upper_bound);
  EXPECT_TRUE(stub_->WaitForHangUps(1));
}

TEST_F(MessagesEngineTest, AKeyFileThatIsMissingIsNamedAndItsContentNever) {
  options_.api_key_file = directory_.path() + "/none";
  const PhaseResult missing = Run();
  options_.api_key_file = directory_.Write("bad", "sk-one\nsk-two\n");
  const PhaseResult bad = Run();

  EXPECT_EQ(missing.error, PhaseError::kAuthentication);
  EXPECT_THAT(missing.message, HasSubstr("/none"));
  EXPECT_EQ(bad.error, PhaseError::kAuthentication);
  EXPECT_THAT(bad.message, Not(HasSubstr("sk-")));
  EXPECT_THAT(stub_->Requests(), IsEmpty());
}

TEST_F(MessagesEngineTest, TheTraceOfTheCallerGoesOnAndNothingElseBecomesAHeader) {
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  stub_->SetDefault({.text = kAnswer});
  request_.traceparent = trace;
  Run();
  request_.traceparent = "00\r\nx-api-key: other";
  Run();

  EXPECT_EQ(stub_->Requests()[0].headers["traceparent"], trace);
  EXPECT_EQ(stub_->Requests()[1].headers.count("traceparent"), 0u);
  EXPECT_EQ(stub_->Requests()[1].headers["x-api-key"], "sk-secret");
}

TEST_F(MessagesEngineTest, AModelThatIsNotInTheTableIsRefused) {
  request_.model = "gpt-9";

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kInvalidRequest);
  EXPECT_THAT(result.message, HasSubstr("got gpt-9, want one of"));
}

TEST_F(MessagesEngineTest, APromptThatIsNotUtf8IsSentWithReplacements) {
  request_.prompt =
      "a\xff"
      "b";
  stub_->Push({.text = kAnswer});

  EXPECT_EQ(Run().error, PhaseError::kNone);
  EXPECT_EQ(stub_->Requests()[0].body["messages"][0]["content"],
            "a\xEF\xBF\xBD"
            "b");
}

}  // namespace
}  // namespace capstan::phases
