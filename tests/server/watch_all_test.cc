// Streams of many executions: the live ones first, then what follows, each message with a cursor
// that resumes behind it on any server.
#include <libpq-fe.h>

#include <map>
#include <optional>
#include <thread>

#include "server/cursor.h"
#include "tests/server/service_fixture.h"

namespace capstan::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using v1::Execution;

class WatchAllTest : public ServiceTest {
 protected:
  using Response = v1::WatchExecutionsResponse;

  std::string AcceptLabelled(const std::string& team) {
    v1::ExecuteActionRequest request = ScaleRequest();
    (*request.mutable_labels())["team"] = team;
    return Accept(request);
  }

  // "name:seq" of an event, "name=seq" of a snapshot.
  static std::string Told(const Response& response) {
    if (response.update().has_snapshot()) {
      const Execution& snapshot = response.update().snapshot();
      return snapshot.name() + "=" + std::to_string(snapshot.seq());
    }
    const v1::ExecutionEvent& event = response.update().event();
    return event.execution() + ":" + std::to_string(event.seq());
  }

  static std::vector<std::string> Take(WatchAllStream& stream, int count) {
    std::vector<std::string> told;
    Response response;
    while (static_cast<int>(told.size()) < count && stream.Next(response)) {
      told.push_back(Told(response));
    }
    return told;
  }

  // Reads up to the heartbeat that ends the snapshots, and returns its cursor.
  static std::string SkipSnapshots(WatchAllStream& stream) {
    Response response;
    while (stream.NextOfAnyKind(response) && !response.update().has_heartbeat()) {
    }
    return response.cursor();
  }
};

TEST_F(WatchAllTest, SnapshotsOfTheLiveOnesComeFirstThenTheirEvents) {
  const std::string ended = Accept(ScaleRequest());
  RunToEnd(ended);
  const std::string a = Accept(ScaleRequest()), b = Accept(ScaleRequest());
  storage::HeldExecution held = Hold(a);
  StoreState(held, Execution::STATE_VALIDATING);

  const auto stream = WatchAll(server(), "");

  EXPECT_THAT(Take(*stream, 2), ElementsAre(a + "=2", b + "=1"));
  StoreState(held, Execution::STATE_RUNNING);
  EXPECT_THAT(Take(*stream, 1), ElementsAre(a + ":3"));
}

TEST_F(WatchAllTest, ANewExecutionIsToldFromItsFirstEventOn) {
  const auto stream = WatchAll(server(), "");
  SkipSnapshots(*stream);

  const std::string name = Accept(ScaleRequest());
  RunToEnd(name);

  EXPECT_THAT(Take(*stream, 5),
              ElementsAre(name + ":1", name + ":2", name + ":3", name + ":4", name + ":5"));
}

TEST_F(WatchAllTest, TheFilterLeavesOthersOut) {
  AcceptLabelled("b");
  const auto stream = WatchAll(server(), "labels.team = a");
  SkipSnapshots(*stream);

  const std::string other = AcceptLabelled("b");
  RunToEnd(other);
  const std::string name = AcceptLabelled("a");

  EXPECT_THAT(Take(*stream, 1), ElementsAre(name + ":1"));
}

TEST_F(WatchAllTest, ResumingBehindAnyMessageOnAnotherServerRepeatsAndLosesNothing) {
  const std::string before = Accept(ScaleRequest());
  const auto stream = WatchAll(server(), "");
  SkipSnapshots(*stream);
  const std::string after = Accept(ScaleRequest());
  RunToEnd(before);
  RunToEnd(after);
  std::vector<std::string> told, cursors;
  Response response;
  while (told.size() < 9 && stream->Next(response)) {
    told.push_back(Told(response));
    cursors.push_back(response.cursor());
  }
  ASSERT_THAT(told, SizeIs(9)) << "four of one, five of the other";

  const auto other = NewServer();
  for (std::size_t i = 0; i < cursors.size(); ++i) {
    const auto resumed = WatchAll(*other, "", cursors[i]);
    const std::vector<std::string> rest(told.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                        told.end());
    EXPECT_EQ(Take(*resumed, static_cast<int>(rest.size())), rest) << "after " << told[i];
  }
}

TEST_F(WatchAllTest, ResumingAmongTheSnapshotsGoesOnWithThem) {
  std::vector<std::string> names;
  for (int i = 0; i < 3; ++i) names.push_back(Accept(ScaleRequest()));
  Response first;
  {
    const auto stream = WatchAll(server(), "");
    ASSERT_TRUE(stream->Next(first));
  }

  const auto resumed = WatchAll(server(), "", first.cursor());

  EXPECT_THAT(Take(*resumed, 2), ElementsAre(names[1] + "=1", names[2] + "=1"));
}

TEST_F(WatchAllTest, NothingIsLostWhileExecutionsRunDuringTheSnapshots) {
  server();
  for (int i = 0; i < 150; ++i) Accept(ScaleRequest());
  const std::string running = Accept(ScaleRequest());
  std::thread worker([&] { RunToEnd(running); });

  const auto stream = WatchAll(server(), "");
  std::int64_t last = 0;
  bool ended = false;
  Response response;
  while (!ended && stream->Next(response)) {
    const v1::ExecutionUpdate& update = response.update();
    const std::string& name =
        update.has_snapshot() ? update.snapshot().name() : update.event().execution();
    if (name != running) continue;
    if (update.has_snapshot()) {
      last = update.snapshot().seq();
    } else {
      EXPECT_EQ(update.event().seq(), last + 1);
      last = update.event().seq();
    }
    ended = last == 5;
  }

  EXPECT_TRUE(ended);
  worker.join();
}

TEST_F(WatchAllTest, AnotherServersSubmitsArriveByTheFeed) {
  const auto other = NewServer();
  const auto stream = WatchAll(*other, "");
  SkipSnapshots(*stream);

  const std::string name = Accept(ScaleRequest());

  EXPECT_THAT(Take(*stream, 1), ElementsAre(name + ":1"));
}

TEST_F(WatchAllTest, OwnSubmitsArriveWhileAForgottenTransactionHoldsTheFeedBack) {
  const auto stream = WatchAll(server(), "");
  SkipSnapshots(*stream);
  PGconn* forgotten = PQconnectdb(dsn_.c_str());
  PQclear(PQexec(forgotten, "BEGIN"));
  PQclear(PQexec(forgotten, "CREATE TABLE held_back (x int)"));  // takes a transaction id

  const std::string name = Accept(ScaleRequest());

  EXPECT_THAT(Take(*stream, 1), ElementsAre(name + ":1"));
  PQfinish(forgotten);
}

TEST_F(WatchAllTest, ACursorOfAnotherDatabaseIsOutOfRange) {
  const TokenMaker other("another database");
  const std::string cursor = MakeCursor(other, "another database", "", {});

  const auto stream = WatchAll(server(), "", cursor);
  EXPECT_THAT(stream->Rest(), IsEmpty());
  const grpc::Status status = stream->Finish();

  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status).reason(), "CURSOR_FOREIGN");
}

TEST_F(WatchAllTest, ACursorOfAnotherFilterIsRefused) {
  std::string cursor;
  {
    const auto stream = WatchAll(server(), "action = ScaleDeployment");
    cursor = SkipSnapshots(*stream);
  }

  const auto stream = WatchAll(server(), "", cursor);
  stream->Rest();

  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(WatchAllTest, ACursorOlderThanTheFeedIsOutOfRange) {
  std::string cursor;
  {
    const auto stream = WatchAll(server(), "");
    cursor = SkipSnapshots(*stream);
  }
  const std::string name = Accept(ScaleRequest());
  RunToEnd(name);
  storage::StoreOptions forgetful = options_;
  forgetful.feed_kept = absl::ZeroDuration();
  ASSERT_OK(storage::MaintainPartitions(forgetful, {}));

  const auto other = NewServer();
  const auto stream = WatchAll(*other, "", cursor);
  stream->Rest();

  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::OUT_OF_RANGE);
}

TEST_F(WatchAllTest, StatesAreNotForWatching) {
  const auto stream = WatchAll(server(), "state = RUNNING");
  stream->Rest();

  EXPECT_THAT(stream->Finish().error_message(), HasSubstr("filter: at 1"));
}

TEST_F(WatchAllTest, HeartbeatsGoOnWithACursor) {
  const auto stream = WatchAll(server(), "");
  SkipSnapshots(*stream);
  Response response;

  ASSERT_TRUE(stream->NextOfAnyKind(response));

  EXPECT_TRUE(response.update().has_heartbeat());
  EXPECT_FALSE(response.cursor().empty());
}

}  // namespace
}  // namespace capstan::server
