// When the timer fires, and when it does not any more.
#include "server/timer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/support/manual_clock.h"

namespace capstan::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kGranularity = absl::Milliseconds(10);

class TimerTest : public ::testing::Test {
 protected:
  void After(absl::Duration delay, const std::string& name) {
    timer_.After(delay, [this, name] { fired_.push_back(name); });
  }

  testing::ManualClock clock_;
  std::vector<std::string> fired_;  // the timer's thread; read while that sleeps
  Timer timer_{clock_, kGranularity};
};

TEST_F(TimerTest, FiresOnceAndNotBeforeItsTime) {
  After(absl::Seconds(1), "a");

  clock_.Step(absl::Milliseconds(999));
  EXPECT_THAT(fired_, IsEmpty());
  clock_.Step(kGranularity);
  EXPECT_THAT(fired_, ElementsAre("a")) << "late by at most the granularity";
  clock_.Step(absl::Hours(1));
  EXPECT_THAT(fired_, ElementsAre("a"));
}

TEST_F(TimerTest, FiresInTheOrderOfTimeNotOfCalls) {
  After(absl::Seconds(3), "third");
  After(absl::Seconds(1), "first");
  After(absl::Seconds(2), "second");
  After(absl::Seconds(2), "second, asked for later");

  clock_.Step(absl::Seconds(5));

  EXPECT_THAT(fired_, ElementsAre("first", "second", "second, asked for later", "third"));
}

TEST_F(TimerTest, WithoutADelayItFiresOnItsOwnThreadAtTheNextLook) {
  std::thread::id fired_on;
  timer_.After(absl::ZeroDuration(), [&] { fired_on = std::this_thread::get_id(); });
  EXPECT_EQ(fired_on, std::thread::id());

  clock_.Step(kGranularity);

  EXPECT_NE(fired_on, std::thread::id());
  EXPECT_NE(fired_on, std::this_thread::get_id());
}

TEST_F(TimerTest, WhatFiresMayAskForMore) {
  timer_.After(absl::Seconds(1), [this] { After(absl::Seconds(1), "again"); });

  clock_.Step(absl::Seconds(1));
  EXPECT_THAT(fired_, IsEmpty());
  clock_.Step(absl::Seconds(1) + kGranularity);
  EXPECT_THAT(fired_, ElementsAre("again"));
}

TEST_F(TimerTest, AfterStopNothingFires) {
  After(absl::Seconds(1), "pending");
  clock_.AwaitSleeper();

  timer_.Stop();
  After(absl::ZeroDuration(), "late");
  clock_.Advance(absl::Hours(1));
  timer_.Stop();  // idempotent

  EXPECT_THAT(fired_, IsEmpty());
}

TEST_F(TimerTest, StopWaitsForWhatIsFiring) {
  absl::Notification firing, release;
  bool done = false;
  timer_.After(absl::ZeroDuration(), [&] {
    firing.Notify();
    release.WaitForNotification();
    done = true;
  });
  clock_.AwaitSleeper();
  clock_.Advance(kGranularity);
  firing.WaitForNotification();
  std::thread releaser([&] { release.Notify(); });

  timer_.Stop();

  EXPECT_TRUE(done);
  releaser.join();
}

}  // namespace
}  // namespace capstan::server
