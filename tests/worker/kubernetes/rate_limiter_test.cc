#include "worker/kubernetes/rate_limiter.h"

#include <gmock/gmock.h>

#include "tests/support/status_matchers.h"
#include "tests/worker/kubernetes/instant_clock.h"

namespace capstan::kubernetes {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kLong = absl::Hours(1);

TEST(RateLimiterTest, ABurstGoesThroughAtOnceAndTheNextWaits) {
  InstantClock clock;
  RateLimiter limiter(10, 3, clock);

  EXPECT_OK(limiter.Acquire(kLong, {}));
  EXPECT_OK(limiter.Acquire(kLong, {}));
  EXPECT_OK(limiter.Acquire(kLong, {}));
  EXPECT_THAT(clock.Sleeps(), IsEmpty());

  EXPECT_OK(limiter.Acquire(kLong, {}));
  EXPECT_THAT(clock.Sleeps(), ElementsAre(absl::Milliseconds(100)));
}

TEST(RateLimiterTest, AQuietTimeFillsTheBucketButNotBeyondTheBurst) {
  InstantClock clock;
  RateLimiter limiter(10, 2, clock);
  EXPECT_OK(limiter.Acquire(kLong, {}));

  clock.Advance(absl::Hours(1));
  EXPECT_OK(limiter.Acquire(kLong, {}));
  EXPECT_OK(limiter.Acquire(kLong, {}));
  EXPECT_THAT(clock.Sleeps(), IsEmpty());

  EXPECT_OK(limiter.Acquire(kLong, {}));
  EXPECT_THAT(clock.Sleeps(), ElementsAre(absl::Milliseconds(100)));
}

TEST(RateLimiterTest, WhoCannotWaitTakesNothing) {
  InstantClock clock;
  RateLimiter limiter(1, 1, clock);
  EXPECT_OK(limiter.Acquire(kLong, {}));

  EXPECT_THAT(limiter.Acquire(absl::Milliseconds(10), {}),
              StatusIs(absl::StatusCode::kResourceExhausted));

  EXPECT_OK(limiter.Acquire(kLong, {}));
  EXPECT_THAT(clock.Sleeps(), ElementsAre(absl::Seconds(1)));
}

TEST(RateLimiterTest, AStopEndsTheWait) {
  InstantClock clock;
  RateLimiter limiter(1, 1, clock);
  std::stop_source stop;
  EXPECT_OK(limiter.Acquire(kLong, {}));
  stop.request_stop();

  EXPECT_THAT(limiter.Acquire(kLong, stop.get_token()), StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace capstan::kubernetes
