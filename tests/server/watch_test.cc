// Streams of one execution: what they say, where they resume, what ends them.
#include <google/protobuf/util/message_differencer.h>

#include <thread>

#include "tests/server/service_fixture.h"

namespace capstan::server {
namespace {

using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using v1::Execution;

class WatchTest : public ServiceTest {
 protected:
  static std::vector<std::int64_t> Seqs(const std::vector<v1::WatchExecutionResponse>& responses) {
    std::vector<std::int64_t> seqs;
    for (const auto& response : responses) seqs.push_back(response.update().event().seq());
    return seqs;
  }
};

TEST_F(WatchTest, ResumesAfterAnySeqOnAnotherServerAndTheWholeEqualsListEvents) {
  const std::string name = Accept(ScaleRequest());
  RunToEnd(name);
  const std::vector<v1::ExecutionEvent> stored = Events(name);
  ASSERT_THAT(stored, SizeIs(5));
  const auto other = NewServer();

  for (std::size_t after = 0; after <= stored.size(); ++after) {
    const auto stream = Watch(*other, name, static_cast<std::int64_t>(after));
    v1::WatchExecutionResponse response;
    ASSERT_TRUE(stream->Next(response));
    EXPECT_EQ(response.update().snapshot().seq(), 5);
    for (std::size_t i = after; i < stored.size(); ++i) {
      ASSERT_TRUE(stream->Next(response));
      EXPECT_TRUE(
          google::protobuf::util::MessageDifferencer::Equals(response.update().event(), stored[i]));
    }
    EXPECT_FALSE(stream->Next(response));
    EXPECT_TRUE(stream->Finish().ok());
  }
}

TEST_F(WatchTest, AnotherServersCommitsArriveByTheFeed) {
  const std::string name = Accept(ScaleRequest());
  const auto other = NewServer();
  const auto stream = Watch(*other, name, 1);
  v1::WatchExecutionResponse snapshot;
  ASSERT_TRUE(stream->Next(snapshot));

  RunToEnd(name);

  EXPECT_THAT(Seqs(stream->Rest()), ElementsAre(2, 3, 4, 5));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(WatchTest, AfterSeqBeyondTheLastEventIsOutOfRange) {
  const std::string name = Accept(ScaleRequest());

  const auto stream = Watch(server(), name, 2);
  v1::WatchExecutionResponse response;
  EXPECT_FALSE(stream->Next(response));
  const grpc::Status status = stream->Finish();

  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status).metadata().at("lastSeq"), "1");
}

TEST_F(WatchTest, ANameThatIsNoneIsRefused) {
  const auto stream = Watch(server(), "executions/web");
  v1::WatchExecutionResponse response;
  EXPECT_FALSE(stream->Next(response));

  EXPECT_EQ(stream->Finish().error_message(),
            "name: got \"executions/web\", want executions/{uuid}");
}

TEST_F(WatchTest, HeartbeatsCarryTheCurrentSeq) {
  const std::string name = Accept(ScaleRequest());
  const auto stream = Watch(server(), name, 1);
  v1::WatchExecutionResponse response;
  ASSERT_TRUE(stream->NextOfAnyKind(response));

  ASSERT_TRUE(stream->NextOfAnyKind(response));
  EXPECT_EQ(response.update().heartbeat().seq(), 1);
  ASSERT_TRUE(stream->NextOfAnyKind(response));
  EXPECT_TRUE(response.update().has_heartbeat()) << "again and again";
}

TEST_F(WatchTest, EventsThatRaceWithTheSnapshotAreNeitherLostNorRepeated) {
  server();
  for (int round = 0; round < 30; ++round) {
    const std::string name = Accept(ScaleRequest());
    storage::HeldExecution held = Hold(name);
    std::thread worker([&] {
      StoreState(held, Execution::STATE_VALIDATING);
      StoreState(held, Execution::STATE_RUNNING);
      StoreState(held, Execution::STATE_FAILED);
    });
    const auto stream = Watch(server(), name);
    v1::WatchExecutionResponse snapshot;
    ASSERT_TRUE(stream->Next(snapshot));

    EXPECT_THAT(Seqs(stream->Rest()), ElementsAre(1, 2, 3, 4));
    EXPECT_TRUE(stream->Finish().ok());
    worker.join();
  }
}

TEST_F(WatchTest, AHundredWatchersOfOneExecutionShareItsReads) {
  const std::string name = Accept(ScaleRequest());
  std::vector<std::unique_ptr<WatchStream>> streams;
  v1::WatchExecutionResponse response;
  for (int i = 0; i < 100; ++i) {
    streams.push_back(Watch(server(), name, 1));
    ASSERT_TRUE(streams.back()->Next(response));
  }
  storage::HeldExecution held = Hold(name);
  const std::int64_t before = server().statements();

  StoreState(held, Execution::STATE_VALIDATING);
  for (const auto& stream : streams) ASSERT_TRUE(stream->Next(response));

  EXPECT_LT(server().statements() - before, 60) << "not one read a watcher";
}

TEST_F(WatchTest, ADrainingServerEndsStreamsWithUnavailableAndRetryInfo) {
  const std::string name = Accept(ScaleRequest());
  const auto stream = Watch(server(), name);
  v1::WatchExecutionResponse response;
  ASSERT_TRUE(stream->Next(response));

  server().api().Drain(absl::Seconds(5));
  stream->Rest();
  const grpc::Status status = stream->Finish();

  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status).reason(), "DRAINING");
  EXPECT_GE(DetailOf<google::rpc::RetryInfo>(status).retry_delay().seconds(), 1);
}

TEST_F(WatchTest, AnEndedStreamLeavesNothingBehind) {
  const std::string name = Accept(ScaleRequest());
  {
    const auto stream = Watch(server(), name);
    v1::WatchExecutionResponse response;
    ASSERT_TRUE(stream->Next(response));
    EXPECT_GE(server().streams().size(), 1u);  // that of Accept may not be quite gone yet
    stream->context().TryCancel();
    stream->Rest();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }

  server().api().Drain(absl::Seconds(5));

  EXPECT_EQ(server().streams().size(), 0u);
  EXPECT_EQ(server().metrics().watch_streams.Value(), 0);
}

}  // namespace
}  // namespace capstan::server
