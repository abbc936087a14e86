#include "worker/phases/rate_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/support/manual_clock.h"
#include "tests/worker/phases/phase_fixture.h"

namespace capstan::phases {
namespace {

constexpr absl::Duration kEver = absl::InfiniteDuration();

class RateGateTest : public ::testing::Test {
 protected:
  // When a call may begin, from the beginning of the test.
  absl::Duration Begin(RateGate& gate) {
    EXPECT_TRUE(gate.Await(kEver, kEver, {}).mine);
    return clock_.BootTime() - start_;
  }

  SleepingClock clock_;
  const absl::Duration start_ = clock_.BootTime();
};

TEST_F(RateGateTest, I1_NoMoreCallsBeginInAnyMinuteThanAreAllowed) {
  RateGate gate(2, clock_);

  EXPECT_EQ(Begin(gate), absl::ZeroDuration());
  clock_.SleepFor(absl::Seconds(20), {});
  EXPECT_EQ(Begin(gate), absl::Seconds(20));
  EXPECT_EQ(Begin(gate), absl::Seconds(60));
  EXPECT_EQ(Begin(gate), absl::Seconds(80));
  EXPECT_EQ(Begin(gate), absl::Seconds(120));
}

TEST_F(RateGateTest, WithoutALimitNobodyWaits) {
  RateGate gate(0, clock_);

  for (int i = 0; i < 1000; ++i) EXPECT_EQ(Begin(gate), absl::ZeroDuration());
}

TEST_F(RateGateTest, I1_APauseHoldsBackWhoeverComes) {
  RateGate gate(0, clock_);
  gate.Pause(absl::Seconds(30));
  gate.Pause(absl::Seconds(5));  // an earlier answer that comes later shortens nothing

  EXPECT_EQ(Begin(gate), absl::Seconds(30));
  EXPECT_EQ(Begin(gate), absl::Seconds(30));
}

TEST_F(RateGateTest, APauseHasAnEndWhateverTheProviderSays) {
  RateGate gate(0, clock_);
  gate.Pause(absl::InfiniteDuration());

  EXPECT_EQ(Begin(gate), RateGate::kLongestPause);
}

TEST_F(RateGateTest, WhoWouldWaitBeyondTheDeadlineIsToldAtOnce) {
  RateGate gate(1, clock_);
  Begin(gate);

  const RateGate::Turn turn = gate.Await(clock_.BootTime() + absl::Seconds(60), kEver, {});

  EXPECT_FALSE(turn.mine);
  EXPECT_EQ(turn.wait, absl::Seconds(60));
  EXPECT_EQ(clock_.BootTime(), start_);
  EXPECT_EQ(Begin(gate), absl::Seconds(60)) << "it does not count";
}

TEST_F(RateGateTest, ALongPauseIsTheCallersToWaitFor) {
  RateGate gate(0, clock_);
  gate.Pause(absl::Minutes(5));

  const RateGate::Turn turn = gate.Await(kEver, absl::Minutes(1), {});

  EXPECT_FALSE(turn.mine);
  EXPECT_EQ(turn.wait, absl::Minutes(5));
}

TEST_F(RateGateTest, AStopEndsTheWait) {
  RateGate gate(0, clock_);
  gate.Pause(absl::Seconds(30));
  std::stop_source stop;
  stop.request_stop();

  const RateGate::Turn turn = gate.Await(kEver, kEver, stop.get_token());

  EXPECT_FALSE(turn.mine);
  EXPECT_EQ(turn.wait, absl::ZeroDuration());
}

// One waits; what comes later counts it as before, until it gives up.
TEST(RateGateOrderTest, WhoComesFirstGoesFirst) {
  testing::ManualClock clock;
  RateGate gate(1, clock);
  ASSERT_TRUE(gate.Await(kEver, kEver, {}).mine);
  std::stop_source stop;
  RateGate::Turn first;
  std::thread waits([&] { first = gate.Await(kEver, kEver, stop.get_token()); });
  clock.AwaitSleeper();

  const RateGate::Turn second = gate.Await(clock.BootTime() + absl::Seconds(90), kEver, {});
  stop.request_stop();
  waits.join();
  const RateGate::Turn third = gate.Await(clock.BootTime() + absl::Seconds(1), kEver, {});

  EXPECT_FALSE(first.mine);
  EXPECT_EQ(second.wait, absl::Seconds(120));
  EXPECT_EQ(third.wait, absl::Seconds(60));
}

}  // namespace
}  // namespace capstan::phases
