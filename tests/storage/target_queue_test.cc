// Who may change a target, and in which order.
#include "storage/target_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace capstan::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1'000'000);

class TargetQueue : public ::testing::Test {
 protected:
  static ExecutionId Id(int n) {
    ExecutionId::Bytes bytes{};
    bytes[15] = static_cast<std::uint8_t>(n);
    return ExecutionId(bytes);
  }
  static TargetClaim Claim(bool coalesce = false, absl::Duration cooldown = absl::ZeroDuration()) {
    return {"Deployment/shop/web", "Scale", coalesce, cooldown};
  }
  TargetStanding Standing(int n, const TargetClaim& claim = Claim(), absl::Time now = kNow) {
    return StandingOf(row_, claim, Id(n), now);
  }
  std::vector<ExecutionId> Take(int n, const TargetClaim& claim = Claim()) {
    return Apply(row_, {TargetStep::Kind::kTake, claim, {}, {}, ""}, Id(n), kNow);
  }
  std::vector<ExecutionId> Wait(int n, TargetStanding seen = TargetStanding::kBusy,
                                const TargetClaim& claim = Claim()) {
    return Apply(row_, {TargetStep::Kind::kWait, claim, seen, {}, ""}, Id(n), kNow);
  }
  std::vector<ExecutionId> Leave(int n, TargetResult result, const std::string& why = "") {
    return Apply(row_, {TargetStep::Kind::kLeave, Claim(), {}, result, why}, Id(n), kNow);
  }

  TargetRow row_;
};

TEST_F(TargetQueue, S2_56_OneHoldsAndTheOthersWaitInOrder) {
  EXPECT_EQ(Standing(1), TargetStanding::kFree);
  Take(1);
  EXPECT_EQ(Standing(1), TargetStanding::kFree) << "taken again after a lost answer";
  EXPECT_EQ(Standing(2), TargetStanding::kBusy);
  Wait(2);
  Wait(3);
  Wait(2);  // twice is once

  EXPECT_THAT(Leave(1, TargetResult::kSucceeded), ElementsAre(Id(2)));
  EXPECT_EQ(row_.holder, Id(2));
  EXPECT_EQ(Standing(4), TargetStanding::kBusy) << "a newcomer does not overtake";
  EXPECT_EQ(Standing(3), TargetStanding::kBusy);
  EXPECT_EQ(Standing(2), TargetStanding::kFree);
  EXPECT_THAT(Leave(2, TargetResult::kNeutral), ElementsAre(Id(3)));
  EXPECT_THAT(Leave(3, TargetResult::kNeutral), IsEmpty());
  EXPECT_TRUE(row_.holder.IsNone());
}

TEST_F(TargetQueue, OneThatLeavesTheLineWakesNobody) {
  Take(1);
  Wait(2);
  Wait(3);
  EXPECT_THAT(Leave(2, TargetResult::kNeutral), IsEmpty());
  EXPECT_THAT(row_.waiting, ElementsAre(TargetWaiter{Id(3), ""}));
  EXPECT_EQ(row_.holder, Id(1));
}

TEST_F(TargetQueue, OnlyWhoHeldItHasLearntSomething) {
  Take(1);
  Wait(2);
  Leave(2, TargetResult::kBlocks, "not mine to say");
  EXPECT_TRUE(row_.blocked_by.IsNone());
}

TEST_F(TargetQueue, S0_11_OfManyThatCoalesceOnlyTheLatestGoesOn) {
  const TargetClaim coalesce = Claim(true);
  Take(1);
  Wait(2, TargetStanding::kBusy, coalesce);
  Wait(3, TargetStanding::kBusy, coalesce);
  Wait(4);  // does not coalesce: keeps its turn

  EXPECT_EQ(Standing(2, coalesce), TargetStanding::kSuperseded);
  EXPECT_EQ(Standing(3, coalesce), TargetStanding::kBusy);
  Leave(1, TargetResult::kSucceeded);
  EXPECT_EQ(row_.holder, Id(2));
  EXPECT_EQ(Standing(2, coalesce), TargetStanding::kSuperseded) << "also once it is its turn";
  EXPECT_THAT(Leave(2, TargetResult::kNeutral), ElementsAre(Id(3)));
  EXPECT_EQ(Standing(3, coalesce), TargetStanding::kFree);
}

TEST_F(TargetQueue, S2_57_ACooldownHoldsTheSameActionOnly) {
  const TargetClaim cooling = Claim(false, absl::Minutes(5));
  Take(1);
  Leave(1, TargetResult::kSucceeded);

  EXPECT_EQ(Standing(2, cooling), TargetStanding::kCooldown);
  EXPECT_EQ(StandsUntil(row_, cooling, kNow), kNow + absl::Minutes(5));
  EXPECT_EQ(Standing(2, cooling, kNow + absl::Minutes(5)), TargetStanding::kFree);
  EXPECT_EQ(Standing(2, Claim()), TargetStanding::kFree) << "exempt: no cooldown in its claim";
  TargetClaim other = cooling;
  other.action = "Restart";
  EXPECT_EQ(Standing(2, other), TargetStanding::kFree);
}

TEST_F(TargetQueue, S2_58_FailuresToStartPauseLongerAndLongerAndThenBlock) {
  const std::vector<int> minutes = {1, 2, 4, 8, 10};
  for (int n = 1; n <= kMaxStartFailures; ++n) {
    row_.backoff_until = absl::InfinitePast();
    Take(n);
    Leave(n, TargetResult::kFailedToStart, "no image");
    EXPECT_EQ(row_.backoff_until - kNow, absl::Minutes(minutes[static_cast<std::size_t>(n - 1)]));
    EXPECT_EQ(Standing(9),
              n < kMaxStartFailures ? TargetStanding::kBackoff : TargetStanding::kBlocked);
  }
  EXPECT_THAT(row_.block_message, ::testing::HasSubstr("5 failures to start in a row"));
}

TEST_F(TargetQueue, S2_58_ASuccessEndsTheCount) {
  Take(1);
  Leave(1, TargetResult::kFailedToStart);
  row_.backoff_until = absl::InfinitePast();
  Take(2);
  Leave(2, TargetResult::kSucceeded);
  EXPECT_EQ(row_.failures, 0);
}

TEST_F(TargetQueue, S2_59_AFailureAfterTheStartBlocksUntilItIsCleared) {
  Take(1);
  Wait(2);
  Wait(3);
  EXPECT_THAT(Leave(1, TargetResult::kBlocks, "half done"), ElementsAre(Id(2), Id(3)))
      << "everybody is told why";
  EXPECT_TRUE(row_.holder.IsNone());
  EXPECT_EQ(Standing(2), TargetStanding::kBlocked);
  Wait(2, TargetStanding::kBlocked);
  Wait(3, TargetStanding::kBlocked);

  EXPECT_THAT(ClearBlock(row_, kNow), ElementsAre(Id(2)));
  EXPECT_EQ(row_.holder, Id(2));
}

TEST_F(TargetQueue, WhoWaitsForTimeLetsOthersGoFirst) {
  const TargetClaim cooling = Claim(false, absl::Minutes(5));
  Take(1);
  Wait(2, TargetStanding::kBusy, cooling);
  Wait(3);
  Leave(1, TargetResult::kSucceeded);
  ASSERT_EQ(Standing(2, cooling), TargetStanding::kCooldown);
  EXPECT_THAT(Wait(2, TargetStanding::kCooldown, cooling), ElementsAre(Id(3)));
  EXPECT_EQ(row_.holder, Id(3));
}

}  // namespace
}  // namespace capstan::storage
