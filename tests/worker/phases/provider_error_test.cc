#include "worker/phases/provider_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace capstan::phases {
namespace {

constexpr char kPlain[] = R"({"type":"error","error":{"type":"x_error","message":"said"}})";

TEST(ProviderErrorTest, AStatusDecidesWhatIsDone) {
  EXPECT_EQ(JudgeAnswer(400, kPlain, {}).error, PhaseError::kInvalidRequest);
  EXPECT_EQ(JudgeAnswer(401, kPlain, {}).error, PhaseError::kAuthentication);
  EXPECT_EQ(JudgeAnswer(402, kPlain, {}).error, PhaseError::kSpendLimit);
  EXPECT_EQ(JudgeAnswer(403, kPlain, {}).error, PhaseError::kAuthentication);
  EXPECT_EQ(JudgeAnswer(413, kPlain, {}).error, PhaseError::kContextOverflow);
  EXPECT_EQ(JudgeAnswer(429, kPlain, {}).error, PhaseError::kRateLimited);
  EXPECT_EQ(JudgeAnswer(500, kPlain, {}).error, PhaseError::kTransient);
  EXPECT_EQ(JudgeAnswer(529, kPlain, {}).error, PhaseError::kTransient);
  EXPECT_EQ(JudgeAnswer(302, kPlain, {}).error, PhaseError::kInvalidRequest);
}

TEST(ProviderErrorTest, OnlyWhatCanPassIsTriedAgain) {
  EXPECT_TRUE(JudgeAnswer(429, kPlain, {}).try_again);
  EXPECT_TRUE(JudgeAnswer(503, kPlain, {}).try_again);
  EXPECT_FALSE(JudgeAnswer(401, kPlain, {}).try_again);
  EXPECT_FALSE(JudgeAnswer(400, kPlain, {}).try_again);
  EXPECT_FALSE(JudgeAnswer(503, kPlain, {{"x-should-retry", "false"}}).try_again);
}

TEST(ProviderErrorTest, ASpendLimitIsNoRateLimit) {
  const ProviderError limit = JudgeAnswer(
      429, R"({"error":{"type":"rate_limit_error","message":"enforced_spend_limit_reached"}})", {});

  EXPECT_EQ(limit.error, PhaseError::kSpendLimit);
  EXPECT_FALSE(limit.try_again);
  EXPECT_EQ(JudgeAnswer(400, R"({"error":{"message":"Your credit balance is too low"}})", {}).error,
            PhaseError::kSpendLimit);
}

TEST(ProviderErrorTest, AnErrorWithinAStreamIsJudgedByItsTypeAndNeverTriedAgain) {
  const ProviderError overloaded =
      JudgeErrorEvent(R"({"type":"error","error":{"type":"overloaded_error","message":"busy"}})");

  EXPECT_EQ(overloaded.error, PhaseError::kTransient);
  EXPECT_FALSE(overloaded.try_again);
  EXPECT_EQ(JudgeErrorEvent(R"({"error":{"type":"rate_limit_error"}})").error,
            PhaseError::kRateLimited);
  EXPECT_EQ(JudgeErrorEvent("not json").error, PhaseError::kTransient);
}

TEST(ProviderErrorTest, ABodyThatIsNoErrorIsShownByItsBeginning) {
  EXPECT_EQ(JudgeAnswer(502, "<html>bad gateway", {}).message, "HTTP 502: <html>bad gateway");
  EXPECT_LE(JudgeAnswer(502, std::string(100'000, 'x'), {}).message.size(), 1100u);
}

TEST(ProviderErrorTest, RetryAfterIsReadInBothForms) {
  EXPECT_EQ(RetryAfter({{"retry-after", "7"}}), absl::Seconds(7));
  EXPECT_EQ(RetryAfter({{"retry-after", "7"}, {"retry-after-ms", "250"}}), absl::Milliseconds(250));
  EXPECT_EQ(RetryAfter({{"retry-after", "soon"}}), std::nullopt);
  EXPECT_EQ(RetryAfter({{"retry-after", "-1"}}), std::nullopt);
}

TEST(ProviderErrorTest, TheWaitDoublesUpToEightSeconds) {
  EXPECT_EQ(Backoff(1, 1), absl::Milliseconds(500));
  EXPECT_EQ(Backoff(2, 1), absl::Seconds(1));
  EXPECT_EQ(Backoff(5, 1), absl::Seconds(8));
  EXPECT_EQ(Backoff(50, 1), absl::Seconds(8));
  EXPECT_EQ(Backoff(1, 0), absl::Milliseconds(375));
}

}  // namespace
}  // namespace capstan::phases
