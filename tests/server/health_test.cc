// What the monitor remembers, whom it tells, and when it says that the store is away.
#include "server/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "tests/support/manual_clock.h"
#include "tests/support/status_matchers.h"

namespace capstan::server {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kInterval = absl::Seconds(1);
constexpr absl::Duration kPatience = absl::Seconds(10);

class HealthMonitorTest : public ::testing::Test {
 protected:
  // One more check, answered with `status`.
  void Check(absl::Status status) {
    clock_.AwaitSleeper();
    answer_ = std::move(status);
    clock_.Step(kInterval);
  }

  testing::ManualClock clock_;
  absl::Status answer_;  // used while the monitor's thread is awake
  HealthMonitor monitor_{clock_, kInterval, [this] { return answer_; }};
  const absl::Status away_ = absl::UnavailableError("connection refused");
};

TEST_F(HealthMonitorTest, RemembersTheLastAnswer) {
  Check(away_);
  EXPECT_THAT(monitor_.status(), StatusIs(absl::StatusCode::kUnavailable));

  Check(absl::OkStatus());
  EXPECT_OK(monitor_.status());
}

TEST_F(HealthMonitorTest, TellsChangesAndNothingElse) {
  Check(absl::OkStatus());
  std::vector<bool> told;
  const auto [key, ok] = monitor_.AddListener([&](bool now_ok) { told.push_back(now_ok); });
  EXPECT_TRUE(ok);

  Check(absl::OkStatus());
  Check(away_);
  Check(away_);
  Check(absl::OkStatus());
  monitor_.RemoveListener(key);
  Check(away_);

  EXPECT_THAT(told, ElementsAre(false, true));
}

TEST_F(HealthMonitorTest, StaysUnhealthyWhileItDrains) {
  Check(absl::OkStatus());

  monitor_.SetDraining();
  Check(absl::OkStatus());

  EXPECT_THAT(monitor_.status(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(HealthMonitorTest, ActsOnceTheStoreIsAwayForTooLongAndAgainWhileItIs) {
  std::vector<absl::Duration> acted;
  Check(absl::OkStatus());
  monitor_.WhenAwayFor(kPatience, [&] { acted.push_back(clock_.BootTime()); });
  Check(away_);
  const absl::Duration since = clock_.BootTime();

  for (int i = 0; i < 9; ++i) Check(away_);
  EXPECT_THAT(acted, IsEmpty());
  Check(away_);
  Check(away_);

  EXPECT_THAT(acted, ElementsAre(since + kPatience, since + kPatience + kInterval));
}

TEST_F(HealthMonitorTest, AGoodAnswerBeginsThePatienceAnew) {
  int acted = 0;
  Check(absl::OkStatus());
  monitor_.WhenAwayFor(kPatience, [&] { ++acted; });

  for (int i = 0; i < 9; ++i) Check(away_);
  Check(absl::OkStatus());
  for (int i = 0; i < 10; ++i) Check(away_);

  EXPECT_EQ(acted, 0);
}

TEST_F(HealthMonitorTest, ABusyStoreIsNotAway) {
  int acted = 0;
  monitor_.WhenAwayFor(kPatience, [&] { ++acted; });

  for (int i = 0; i < 20; ++i) Check(absl::ResourceExhaustedError("all connections are busy"));

  EXPECT_EQ(acted, 0);
  EXPECT_THAT(monitor_.status(), StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace capstan::server
