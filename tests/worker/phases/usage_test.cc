#include "worker/phases/usage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace capstan::phases {
namespace {

TEST(UsageTest, S1_28_EffectiveInputIsInputPlusBothKindsOfCache) {
  const Usage usage = UsageOfMessage({{"input_tokens", 100},
                                      {"cache_creation_input_tokens", 20},
                                      {"cache_read_input_tokens", 3000},
                                      {"output_tokens", 7}});

  EXPECT_EQ(usage.effective_input(), 3120);
  EXPECT_EQ(usage.output_tokens, 7);
}

TEST(UsageTest, CountsThatAreMissingNegativeOrNoNumbersAreZero) {
  const Usage usage = UsageOfMessage(
      {{"input_tokens", "many"}, {"cache_read_input_tokens", -5}, {"output_tokens", nullptr}});

  EXPECT_EQ(usage.effective_input(), 0);
  EXPECT_EQ(usage.output_tokens, 0);
}

TEST(UsageTest, CountsThatNobodyCanHaveUsedDoNotOverflowASum) {
  const Usage usage = UsageOfMessage({{"input_tokens", 18446744073709551615u},
                                      {"cache_creation_input_tokens", 18446744073709551615u},
                                      {"cache_read_input_tokens", 18446744073709551615u}});

  EXPECT_EQ(usage.effective_input(), 3'000'000'000'000'000);
}

TEST(UsageTest, UsageIsAddedForEachModelAndStaysAnUpperBound) {
  std::vector<Usage> total;
  AddUsage({.model = "a", .input_tokens = 1, .cost_microusd = 5, .turns = 1}, total);
  AddUsage({.model = "b", .output_tokens = 2, .turns = 1, .is_upper_bound = true}, total);
  AddUsage({.model = "b", .output_tokens = 3, .turns = 1}, total);

  ASSERT_EQ(total.size(), 2u);
  EXPECT_EQ(total[0].cost_microusd, 5);
  EXPECT_FALSE(total[0].is_upper_bound);
  EXPECT_EQ(total[1].output_tokens, 5);
  EXPECT_EQ(total[1].turns, 2);
  EXPECT_TRUE(total[1].is_upper_bound);
}

}  // namespace
}  // namespace capstan::phases
