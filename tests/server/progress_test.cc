// The bookkeeping of streams, without streams: ExecutionProgress and ExecutionsProgress.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "server/execution_progress.h"
#include "server/executions_progress.h"
#include "tests/support/status_matchers.h"

namespace capstan::server {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Need = ExecutionsProgress::Need;

ExecutionId Id(int n) {
  ExecutionId::Bytes bytes{};
  bytes[15] = static_cast<std::uint8_t>(n);
  return ExecutionId(bytes);
}

// `count` events, the last one terminal when `ended`.
EventListPtr List(int count, bool ended = false, int id = 1, const std::string& action = "A") {
  auto list = std::make_shared<EventList>();
  list->id = Id(id);
  for (int seq = 1; seq <= count; ++seq) {
    v1::ExecutionEvent& event = list->events.emplace_back();
    event.set_execution(ExecutionName(Id(id)));
    event.set_seq(seq);
    if (seq == 1) event.mutable_accepted()->set_action(action);
  }
  list->terminal = ended;
  return list;
}

// All that can be said now: "s3" a snapshot, "2" an event, "h3" a heartbeat.
std::vector<std::string> Say(ExecutionProgress& progress) {
  std::vector<std::string> said;
  v1::ExecutionUpdate update;
  while (progress.Next(absl::UnixEpoch(), update)) {
    if (update.has_snapshot()) said.push_back("s" + std::to_string(update.snapshot().seq()));
    if (update.has_event()) said.push_back(std::to_string(update.event().seq()));
    if (update.has_heartbeat()) said.push_back("h" + std::to_string(update.heartbeat().seq()));
    update.Clear();
  }
  return said;
}

TEST(ExecutionProgressTest, SaysTheSnapshotThenEveryEventAboveAfterSeq) {
  ExecutionProgress progress(64);
  ASSERT_OK(progress.Begin(List(4), 1));

  EXPECT_THAT(Say(progress), ElementsAre("s4", "2", "3", "4"));
  EXPECT_FALSE(progress.done());
}

TEST(ExecutionProgressTest, SaysNothingBeforeTheSnapshot) {
  ExecutionProgress progress(64);
  progress.HeartbeatDue();
  progress.Reached(3, false);

  EXPECT_THAT(Say(progress), IsEmpty());
  EXPECT_EQ(progress.WantsRead(), std::nullopt);
}

TEST(ExecutionProgressTest, WhatWasStoredDuringTheFirstReadIsReadNext) {
  ExecutionProgress progress(64);
  progress.Reached(3, false);
  ASSERT_OK(progress.Begin(List(2), 0));

  EXPECT_THAT(Say(progress), ElementsAre("s2", "1", "2"));
  EXPECT_EQ(progress.WantsRead(), 3);
  progress.Deliver(List(3, true));
  EXPECT_THAT(Say(progress), ElementsAre("3"));
  EXPECT_TRUE(progress.done());
}

TEST(ExecutionProgressTest, RepeatedAndLateNewsSayNothingTwice) {
  ExecutionProgress progress(64);
  ASSERT_OK(progress.Begin(List(3), 0));
  Say(progress);
  progress.Reached(2, false);
  progress.Deliver(List(3));

  EXPECT_THAT(Say(progress), IsEmpty());
  EXPECT_EQ(progress.WantsRead(), std::nullopt);
}

TEST(ExecutionProgressTest, AfterTheLastEventOfAnEndedOneOnlyTheSnapshotIsSaid) {
  ExecutionProgress progress(64);
  ASSERT_OK(progress.Begin(List(3, true), 3));

  EXPECT_THAT(Say(progress), ElementsAre("s3"));
  EXPECT_TRUE(progress.done());
}

TEST(ExecutionProgressTest, BeyondTheLastEventIsOutOfRange) {
  ExecutionProgress progress(64);

  EXPECT_THAT(progress.Begin(List(3), 4), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST(ExecutionProgressTest, AHeartbeatCarriesTheKnownSeqAndIsLeftOutBesideEvents) {
  ExecutionProgress progress(64);
  ASSERT_OK(progress.Begin(List(2), 1));
  progress.HeartbeatDue();
  EXPECT_THAT(Say(progress), ElementsAre("s2", "2"));
  progress.Reached(5, false);
  progress.HeartbeatDue();

  EXPECT_THAT(Say(progress), ElementsAre("h5"));
}

TEST(ExecutionProgressTest, ASlowReaderLosesWhatWaitedForItAndIsServedFromTheStore) {
  ExecutionProgress progress(2);
  ASSERT_OK(progress.Begin(List(4), 0));
  v1::ExecutionUpdate update;
  ASSERT_TRUE(progress.Next(absl::UnixEpoch(), update));  // the snapshot
  ASSERT_TRUE(progress.Next(absl::UnixEpoch(), update));  // event 1, not taken yet

  EXPECT_TRUE(progress.Reached(5, /*writing=*/true));

  EXPECT_EQ(progress.WantsRead(), 5);
  progress.Deliver(List(5, true));
  EXPECT_THAT(Say(progress), ElementsAre("2", "3", "4", "5"));
}

TEST(ExecutionProgressTest, AReaderAlmostThereKeepsWhatWaitsForIt) {
  ExecutionProgress progress(8);
  ASSERT_OK(progress.Begin(List(4), 0));
  v1::ExecutionUpdate update;
  ASSERT_TRUE(progress.Next(absl::UnixEpoch(), update));

  EXPECT_FALSE(progress.Reached(5, /*writing=*/true));

  EXPECT_THAT(Say(progress), ElementsAre("1", "2", "3", "4"));
}

// ---- many executions

// Answers what is needed from `stored` and `rows`, and notes what is said: "1=3" a snapshot of
// execution 1 as of 3, "1:2" its event 2, "-" a heartbeat.
class World {
 public:
  explicit World(ExecutionsProgress progress) : progress(std::move(progress)) {}

  void Run() {
    while (true) {
      Say();
      switch (progress.Next()) {
        case Need::kNothing:
          return;
        case Need::kLivePage:
          progress.DeliverLivePage(LiveAbove(progress.scanned()));
          break;
        case Need::kRows:
          progress.DeliverRows(RowsAbove(progress.rows_from()), std::nullopt);
          break;
        case Need::kEvents:
          DeliverEvents();
          break;
      }
    }
  }

  void Row(std::int64_t position, std::vector<std::pair<int, int>> reached) {
    auto row = std::make_shared<storage::FeedRow>();
    row->position = {1, position};
    for (const auto& [id, seq] : reached) row->reached.emplace_back(Id(id), seq);
    rows.push_back(row);
    progress.FeedMoved();
  }

  ExecutionsProgress progress;
  std::map<int, EventListPtr> stored;
  std::vector<int> live;
  std::vector<WatchHub::RowPtr> rows;
  std::vector<std::string> said;
  std::vector<WatchCursor> cursors;  // behind each of said
  int reads = 0;

 private:
  void Say() {
    v1::ExecutionUpdate update;
    while (true) {
      const absl::StatusOr<bool> filled = progress.Fill(absl::UnixEpoch(), update);
      ASSERT_OK(filled);
      if (!*filled) return;
      if (update.has_heartbeat()) {
        said.push_back("-");
      } else if (update.has_snapshot()) {
        said.push_back(Number(update.snapshot().name()) + "=" +
                       std::to_string(update.snapshot().seq()));
      } else {
        said.push_back(Number(update.event().execution()) + ":" +
                       std::to_string(update.event().seq()));
      }
      cursors.push_back(progress.cursor());
      update.Clear();
    }
  }
  static std::string Number(const std::string& name) {
    return std::to_string(ParseExecutionName(name)->bytes()[15]);
  }
  std::vector<ExecutionId> LiveAbove(const ExecutionId& after) const {
    std::vector<ExecutionId> ids;
    for (int n : live) {
      if (Id(n) > after) ids.push_back(Id(n));
    }
    return ids;
  }
  std::vector<WatchHub::RowPtr> RowsAbove(const storage::FeedPosition& from) const {
    std::vector<WatchHub::RowPtr> above;
    for (const auto& row : rows) {
      if (from < row->position) above.push_back(row);
    }
    return above;
  }
  void DeliverEvents() {
    std::vector<EventListPtr> lists;
    for (const auto& wanted : progress.wanted()) {
      const auto it = stored.find(wanted.id.bytes()[15]);
      lists.push_back(it == stored.end() ? nullptr : it->second);
      ++reads;
    }
    progress.DeliverEvents(std::move(lists));
  }
};

World FromTheBeginning(storage::ExecutionFilter filter = {}) {
  return World(ExecutionsProgress(std::move(filter), storage::FeedPosition{1, 0}));
}

TEST(ExecutionsProgressTest, SnapshotsThenAHeartbeatThenWhatFollows) {
  World world = FromTheBeginning();
  world.live = {1, 2};
  world.stored = {{1, List(2, false, 1)}, {2, List(1, false, 2)}};
  world.Run();
  EXPECT_THAT(world.said, ElementsAre("1=2", "2=1", "-"));

  world.stored[1] = List(4, true, 1);
  world.stored[3] = List(1, false, 3);
  world.Row(1, {{1, 3}, {3, 1}});
  world.Row(2, {{1, 4}});
  world.Run();

  EXPECT_THAT(world.said, ElementsAre("1=2", "2=1", "-", "1:3", "3:1", "1:4"));
}

TEST(ExecutionsProgressTest, ResumingBehindAnyMessageSaysExactlyTheRest) {
  World world = FromTheBeginning();
  world.live = {1, 2};
  world.stored = {
      {1, List(4, true, 1)}, {2, List(2, false, 2)}, {3, List(3, true, 3)}, {4, List(1, false, 4)}};
  world.stored[1] = List(2, false, 1);
  world.Run();
  world.stored[1] = List(4, true, 1);
  world.Row(1, {{1, 3}, {3, 1}});
  world.Row(2, {{3, 2}, {1, 4}});
  world.Row(3, {{3, 3}, {4, 1}});
  world.Run();
  std::vector<std::string> all;
  for (const std::string& one : world.said) {
    if (one != "-") all.push_back(one);
  }
  ASSERT_THAT(all, ElementsAre("1=2", "2=2", "1:3", "3:1", "3:2", "1:4", "3:3", "4:1"));

  std::size_t events_before = 0;
  for (std::size_t i = 0; i < world.said.size(); ++i) {
    if (world.said[i] != "-") ++events_before;
    if (world.cursors[i].scanned) continue;  // the live ones have moved on since
    World resumed(ExecutionsProgress({}, world.cursors[i]));
    resumed.stored = world.stored;
    resumed.rows = world.rows;
    resumed.progress.FeedMoved();
    resumed.Run();
    std::erase(resumed.said, "-");
    EXPECT_EQ(resumed.said,
              std::vector<std::string>(all.begin() + static_cast<std::ptrdiff_t>(events_before),
                                       all.end()))
        << "behind " << world.said[i];
  }
}

TEST(ExecutionsProgressTest, OneThatEndsBetweenTheListAndItsReadIsToldOnce) {
  World world = FromTheBeginning();
  world.live = {1};
  world.stored = {{1, List(3, true, 1)}};
  world.Row(1, {{1, 3}});
  world.Run();

  EXPECT_THAT(world.said, ElementsAre("1=3", "-"));
  EXPECT_THAT(world.progress.cursor().followed, IsEmpty()) << "forgotten with its feed row";
}

TEST(ExecutionsProgressTest, OneThatEndsBeforeTheListIsToldFromItsFirstEvent) {
  World world = FromTheBeginning();
  world.stored = {{1, List(2, true, 1)}};
  world.Row(1, {{1, 2}});
  world.Run();

  EXPECT_THAT(world.said, ElementsAre("-", "1:1", "1:2"));
}

TEST(ExecutionsProgressTest, OwnSubmitsComeBeforeTheirFeedRowAndOnlyOnce) {
  World world = FromTheBeginning();
  world.stored = {{1, List(1, false, 1)}};
  world.Run();
  world.progress.Submitted(Id(1));
  world.Run();
  world.Row(1, {{1, 1}});
  world.Run();

  EXPECT_THAT(world.said, ElementsAre("-", "1:1"));
}

TEST(ExecutionsProgressTest, ThoseThatDoNotMatchAreReadOnceOnly) {
  storage::ExecutionFilter filter;
  filter.action = "B";
  World world = FromTheBeginning(filter);
  world.stored = {{1, List(3, false, 1, "A")}, {2, List(1, false, 2, "B")}};
  world.Row(1, {{1, 1}, {2, 1}});
  world.Row(2, {{1, 2}});
  world.Row(3, {{1, 3}});
  world.Run();

  EXPECT_THAT(world.said, ElementsAre("-", "2:1"));
  EXPECT_EQ(world.reads, 2);
}

TEST(ExecutionsProgressTest, AnEndedOneIsNotToldAgainWhenItsRowComesTwice) {
  World world = FromTheBeginning();
  world.stored = {{1, List(2, true, 1)}};
  world.Row(1, {{1, 2}});
  world.Row(2, {{1, 1}, {1, 2}});
  world.Run();

  EXPECT_THAT(world.said, ElementsAre("-", "1:1", "1:2"));
}

TEST(ExecutionsProgressTest, AGoneExecutionStopsNothing) {
  World world = FromTheBeginning();
  world.live = {1, 2};
  world.stored = {{1, List(1, false, 1)}};
  world.Row(1, {{7, 1}});
  world.Run();

  EXPECT_THAT(world.said, ElementsAre("1=1", "-"));
}

TEST(ExecutionsProgressTest, AQuietFeedMovesThePositionOfTheCursor) {
  World world = FromTheBeginning();
  world.Run();
  world.progress.FeedMoved();
  ASSERT_EQ(world.progress.Next(), Need::kRows);
  world.progress.DeliverRows({}, storage::FeedPosition{9, 9});
  world.Run();

  EXPECT_EQ(world.progress.cursor().position, (storage::FeedPosition{9, 9}));
}

}  // namespace
}  // namespace capstan::server
