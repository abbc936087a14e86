// What the pool runs, what it refuses, and what Stop() leaves behind: nothing.
#include "server/work_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <memory>

#include "absl/synchronization/barrier.h"
#include "absl/synchronization/notification.h"

namespace capstan::server {
namespace {

// Keeps one thread of a pool busy until it is released.
class Hold {
 public:
  explicit Hold(WorkPool& pool) {
    EXPECT_TRUE(pool.TrySubmit([this] {
      busy_.Notify();
      release_.WaitForNotification();
    }));
    busy_.WaitForNotification();
  }
  ~Hold() { Release(); }
  void Release() {
    if (!release_.HasBeenNotified()) release_.Notify();
  }

 private:
  absl::Notification busy_;
  absl::Notification release_;
};

TEST(WorkPoolTest, RunsAsMuchAtOnceAsItHasThreads) {
  WorkPool pool("reads", 3, 10);
  auto* meeting = new absl::Barrier(4);  // three of them and this thread
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(pool.TrySubmit([meeting] {
      if (meeting->Block()) delete meeting;
    }));
  }

  if (meeting->Block()) delete meeting;  // comes back when all have met

  pool.Stop();
}

TEST(WorkPoolTest, RefusesWhatIsMoreThanItsQueueHolds) {
  std::atomic<int> run = 0;
  WorkPool pool("reads", 1, 2);
  {
    Hold hold(pool);

    EXPECT_TRUE(pool.TrySubmit([&] { ++run; }));
    EXPECT_TRUE(pool.TrySubmit([&] { ++run; }));
    EXPECT_FALSE(pool.TrySubmit([&] { run += 100; }));
  }
  pool.Stop();

  EXPECT_EQ(run, 2);
}

TEST(WorkPoolTest, TakesMoreOnceItHasCaughtUp) {
  absl::Notification first, second;
  WorkPool pool("reads", 1, 1);
  ASSERT_TRUE(pool.TrySubmit([&] { first.Notify(); }));
  first.WaitForNotification();

  EXPECT_TRUE(pool.TrySubmit([&] { second.Notify(); }));

  second.WaitForNotification();
}

TEST(WorkPoolTest, StopRunsWhatIsQueuedAndThenRefuses) {
  std::atomic<int> run = 0;
  WorkPool pool("reads", 1, 100);
  {
    Hold hold(pool);
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(pool.TrySubmit([&] { ++run; }));
  }

  pool.Stop();
  EXPECT_EQ(run, 50);

  EXPECT_FALSE(pool.TrySubmit([&] { ++run; }));
  pool.Stop();  // idempotent
  EXPECT_EQ(run, 50);
}

TEST(WorkPoolTest, TheDestructorRunsWhatIsQueued) {
  std::atomic<int> run = 0;
  {
    WorkPool pool("reads", 2, 100);
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(pool.TrySubmit([&] { ++run; }));
  }

  EXPECT_EQ(run, 50);
}

TEST(WorkPoolTest, WorkMaySubmitWork) {
  absl::Notification inner;
  WorkPool pool("reads", 1, 10);

  ASSERT_TRUE(pool.TrySubmit([&] { EXPECT_TRUE(pool.TrySubmit([&] { inner.Notify(); })); }));

  inner.WaitForNotification();
}

TEST(WorkPoolTest, ThreadsAreNamed) {
  char name[16] = "";
  WorkPool pool("twelve_chars", 1, 1);

  ASSERT_TRUE(pool.TrySubmit([&] { pthread_getname_np(pthread_self(), name, sizeof name); }));
  pool.Stop();

  EXPECT_STREQ(name, "twelve_chars-0");
}

}  // namespace
}  // namespace capstan::server
