// When chores are done, and that one that fails hinders nothing.
#include "server/housekeeping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/support/manual_clock.h"

namespace capstan::server {
namespace {

// Counts what was done; read while the thread of the housekeeping sleeps.
Housekeeping::Chore Counting(int& done, absl::Duration interval,
                             absl::Status status = absl::OkStatus()) {
  return {[&done, status] {
            ++done;
            return status;
          },
          interval, "counting"};
}

TEST(HousekeepingTest, EveryChoreIsDoneAtTheStartAndThenAtItsInterval) {
  testing::ManualClock clock;
  int often = 0, seldom = 0;
  Housekeeping housekeeping(clock,
                            {Counting(often, absl::Seconds(10)), Counting(seldom, absl::Hours(1))});

  clock.AwaitSleeper();
  EXPECT_EQ(often, 1);
  EXPECT_EQ(seldom, 1);
  clock.Step(absl::Seconds(9));
  EXPECT_EQ(often, 1);
  clock.Step(absl::Seconds(1));
  EXPECT_EQ(often, 2);
  clock.Step(absl::Minutes(59));
  EXPECT_EQ(often, 3) << "what was missed is not made up for";
  EXPECT_EQ(seldom, 1);
  clock.Step(absl::Minutes(1));
  EXPECT_EQ(seldom, 2);
}

TEST(HousekeepingTest, AChoreThatFailsIsTriedAgainAndHindersNoOther) {
  testing::ManualClock clock;
  int failing = 0, next = 0;
  Housekeeping housekeeping(
      clock, {Counting(failing, absl::Seconds(10), absl::UnavailableError("the store is away")),
              Counting(next, absl::Seconds(10))});

  clock.Step(absl::Seconds(10));

  EXPECT_EQ(failing, 2);
  EXPECT_EQ(next, 2);
}

TEST(HousekeepingTest, AfterStopNothingIsDone) {
  testing::ManualClock clock;
  int done = 0;
  Housekeeping housekeeping(clock, {Counting(done, absl::Seconds(1))});
  clock.AwaitSleeper();

  housekeeping.Stop();
  clock.Advance(absl::Hours(1));
  housekeeping.Stop();  // idempotent

  EXPECT_EQ(done, 1);
}

TEST(HousekeepingTest, StopWaitsForTheChoreInProgress) {
  testing::ManualClock clock;
  absl::Notification begun, release;
  bool done = false;
  Housekeeping housekeeping(clock, {{[&] {
                                       begun.Notify();
                                       release.WaitForNotification();
                                       done = true;
                                       return absl::OkStatus();
                                     },
                                     absl::Hours(1), "slow"}});
  begun.WaitForNotification();
  std::thread releaser([&] { release.Notify(); });

  housekeeping.Stop();

  EXPECT_TRUE(done);
  releaser.join();
}

}  // namespace
}  // namespace capstan::server
