#include "tests/worker/phases/engine_contract.h"

#include <gmock/gmock.h>

namespace capstan::phases {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

TEST_P(EngineContract, S4_19_ItCompletesWithAStructuredAnswer) {
  under_test_->WillAnswer({{"status", "complete"}, {"summary", "all is well"}});

  const PhaseResult result = Run();

  ASSERT_EQ(result.error, PhaseError::kNone) << result.message;
  EXPECT_EQ(nlohmann::json::parse(result.answer, nullptr, false),
            nlohmann::json({{"status", "complete"}, {"summary", "all is well"}}));
  EXPECT_THAT(listener_.text, Not(IsEmpty()));
}

TEST_P(EngineContract, UsageIsFilled) {
  under_test_->WillAnswer({{"status", "complete"}});

  const PhaseResult result = Run();

  EXPECT_GT(Only(result.usage).effective_input(), 0);
  EXPECT_GT(Only(result.usage).output_tokens, 0);
  EXPECT_GT(Only(result.usage).cost_microusd, 0);
  EXPECT_GT(Only(result.usage).turns, 0);
  EXPECT_FALSE(Only(result.usage).is_upper_bound);
}

TEST_P(EngineContract, AnAnswerThatMeansNothingIsPassedOnUnjudged) {
  request_.schema = R"({"type":"object"})";
  under_test_->WillAnswer({{"status", "well, perhaps"}, {"unknown", 7}});

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kNone) << result.message;
  EXPECT_EQ(nlohmann::json::parse(result.answer, nullptr, false)["status"], "well, perhaps");
}

TEST_P(EngineContract, AnErrorIsTypedAndSaysWhy) {
  under_test_->WillRefuseTheRequest();

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kInvalidRequest);
  EXPECT_THAT(result.message, Not(IsEmpty()));
  EXPECT_THAT(result.answer, IsEmpty());
}

TEST_P(EngineContract, AStopEndsItAndNothingGoesOn) {
  under_test_->WillSaySomethingAndHang();
  listener_.stop_at_text = &stop_;

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kStopped) << result.message;
  EXPECT_THAT(result.answer, IsEmpty());
  EXPECT_TRUE(under_test_->IsOver());
}

TEST_P(EngineContract, AStopBeforeItBeganEndsItToo) {
  under_test_->WillSaySomethingAndHang();
  stop_.request_stop();

  EXPECT_EQ(Run().error, PhaseError::kStopped);
}

TEST_P(EngineContract, TheTimeOfTheCallEndsIt) {
  under_test_->WillSaySomethingAndHang();
  request_.timeout = absl::Seconds(2);

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kTimedOut) << result.message;
  EXPECT_TRUE(under_test_->IsOver());
}

TEST_P(EngineContract, S4_40_SilenceEndsIt) {
  under_test_->WillSaySomethingAndHang();
  request_.stall = absl::Seconds(2);

  const PhaseResult result = Run();

  EXPECT_EQ(result.error, PhaseError::kStalled) << result.message;
  EXPECT_TRUE(under_test_->IsOver());
}

}  // namespace
}  // namespace capstan::phases
