#include "core/workflow/judgement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace capstan::workflow {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

TEST(JudgementTest, S4_29_TheStatusDecidesAndTheWordsAreKept) {
  const auto yes = ReadJudgement(R"({"status": "pass", "reason": "all rules can be tested"})");
  const auto no =
      ReadJudgement(R"({"status": "fail", "reason": "too vague", "findings": ["rule 2", "C1"]})");

  ASSERT_OK(yes);
  ASSERT_OK(no);
  EXPECT_TRUE(yes->passed);
  EXPECT_EQ(yes->reason, "all rules can be tested");
  EXPECT_FALSE(no->passed);
  EXPECT_EQ(no->reason, "too vague\n- rule 2\n- C1");
}

TEST(JudgementTest, NothingElsePasses) {
  EXPECT_THAT(ReadJudgement(R"({"status": "complete", "reason": "done"})"),
              StatusIs(kInvalid, HasSubstr("status")));
  EXPECT_THAT(ReadJudgement(R"({"status": "pass"})"), StatusIs(kInvalid, HasSubstr("reason")));
  EXPECT_THAT(ReadJudgement(R"({"status": "pass", "reason": ""})"),
              StatusIs(kInvalid, HasSubstr("reason")));
  EXPECT_THAT(ReadJudgement(R"({"status": "pass", "reason": "a", "score": 3})"),
              StatusIs(kInvalid, HasSubstr("score")));
  EXPECT_THAT(ReadJudgement("pass"), StatusIs(kInvalid, HasSubstr("got no JSON object")));
  EXPECT_THAT(ReadJudgement(R"(It is good: {"status": "pass", "reason": "a"})"),
              StatusIs(kInvalid, HasSubstr("other text")));
}

}  // namespace
}  // namespace capstan::workflow
